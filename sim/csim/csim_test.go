//go:build sim && cgo

package csim

import (
	"errors"
	"flag"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/socksdirect/libsd/sim"
)

var (
	seeds  = flag.Int("seeds", 200, "runs of each scenario")
	from   = flag.Int("from", 1, "first seed")
	only   = flag.String("only", "", "scenarios and canaries whose names contain this")
	update = flag.Bool("update", false, "search for the canaries anew and save what finds them")
)

// TestScenarios: the code that ships passes, and a seed says all about a run.
func TestScenarios(t *testing.T) {
	for _, s := range sim.Scenarios() {
		if !strings.Contains(s.Name, *only) {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			if err := Use(); err != nil {
				t.Fatal(err)
			}
			start, steps := time.Now(), 0
			cover := map[string]int{}
			for seed := *from; seed < *from+*seeds; seed++ {
				w, err := s.Run(sim.Config{}, sim.ChooserOf(uint64(seed)))
				steps += w.Steps()
				for k, v := range w.Covered() {
					cover[k] += v
				}
				if err != nil {
					t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(w.History(), "\n"))
				}
				if seed%64 == 0 {
					if again, _ := s.Run(sim.Config{}, sim.ChooserOf(uint64(seed))); again.Hash() != w.Hash() {
						t.Fatalf("seed %d is not deterministic", seed)
					}
				}
			}
			rate := float64(steps) / time.Since(start).Seconds() / 1e6
			t.Logf("%d runs, %d steps, %.2f M steps/s, covered %v", *seeds, steps, rate, cover)
			if cover["promoted"] == 0 {
				t.Error("nothing was promoted")
			}
		})
	}
}

// TestCanaries: each saved run fails with its bug. The C core changes, and then saved decisions mean
// something else: a search must find the bug again.
func TestCanaries(t *testing.T) {
	for _, c := range sim.Canaries() {
		if !strings.Contains(c.Name, *only) {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Plant(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", c.Name+".sim")
			if !*update {
				r, err := sim.ReadRecording(file)
				if err != nil {
					t.Fatal(err)
				}
				if w, err := r.Play(false); err != nil && w.Hash() == r.Hash {
					return
				}
			}
			r := search(t, c)
			if *update && r.Kind != "" {
				if err := r.Write(file); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if err := Use(); err != nil {
		t.Fatal(err)
	}
}

// search runs the canary's scenarios until one fails, at most 60 s.
func search(t *testing.T, c *sim.Canary) sim.Recording {
	start, steps := time.Now(), 0
	for seed := uint64(1); time.Since(start) < time.Minute; seed++ {
		for _, name := range c.Scenarios {
			s, err := sim.Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			w, err := s.Run(sim.Config{}, sim.ChooserOf(seed))
			steps += w.Steps()
			var f *sim.Failure
			if errors.As(err, &f) {
				line, _, _ := strings.Cut(f.Error(), "\n")
				t.Logf("%s, seed %d, %d steps, %v: %s", name, seed, steps, time.Since(start).Round(time.Millisecond), line)
				r := w.Record(s, seed)
				r.Canary = c.Name
				return r
			}
		}
	}
	t.Errorf("not found in %d steps", steps)
	return sim.Recording{}
}

// TestEditsApply: every canary is still about the text that ships.
func TestEditsApply(t *testing.T) {
	for _, m := range mistakes {
		if _, err := sources(m.edits); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// TestStoreBuffers: what only store buffers make wrong is not found without them, which is why they are
// simulated. TestCanaries finds both with them.
func TestStoreBuffers(t *testing.T) {
	for _, c := range sim.Canaries() {
		if c.Name != "c-parked-store" && c.Name != "c-careless" {
			continue
		}
		if err := c.Plant(); err != nil {
			t.Fatal(err)
		}
		for _, name := range c.Scenarios {
			s, err := sim.Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			for seed := *from; seed < *from+*seeds; seed++ {
				if _, err := s.Run(sim.Config{SC: true}, sim.ChooserOf(uint64(seed))); err != nil {
					t.Fatalf("%s: %s, seed %d, under sequential consistency: %v", c.Name, name, seed, err)
				}
			}
		}
	}
	if err := Use(); err != nil {
		t.Fatal(err)
	}
}
