//go:build sim

package scene

import (
	"testing"

	"github.com/socksdirect/libsd/sim"
	"pgregory.net/rapid"
)

// TestSmoke runs each scenario on a few hundred seeds, each 16th twice.
func TestSmoke(t *testing.T) {
	for _, s := range sim.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			c := sim.Campaign{Scenarios: []*sim.Scenario{s}, From: 1, To: 300, Twice: 16}
			tally, found := c.Run()
			if found != nil {
				path, err := found.Save(t.ArtifactDir())
				t.Fatalf("seed %d: %v\nsaved: %s (%v)", found.Recording.Seed, found.Failure, path, err)
			}
			t.Logf("%d runs, %.2f M steps/s, covered %v", tally.Runs, float64(tally.Steps)/1e6/tally.Elapsed.Seconds(), tally.Covered)
		})
	}
}

// TestRapidSchedules lets rapid draw the decisions, so that it would minimise a schedule that fails.
func TestRapidSchedules(t *testing.T) {
	for _, name := range []string{"token-2x3", "segment-2"} {
		s, err := sim.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(t *rapid.T) {
			if _, err := s.Run(sim.Config{}, drawn{t}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

type drawn struct{ t *rapid.T }

func (d drawn) Choose(n int, label string) int { return rapid.IntRange(0, n-1).Draw(d.t, label) }

// TestExploreSmall explores to completion what takes seconds, with all decisions and without those that
// make no difference.
func TestExploreSmall(t *testing.T) {
	for _, name := range []string{"lock-2x1-kill", "park"} {
		s, err := sim.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		states := map[bool]int{}
		for _, reduced := range []bool{false, true} {
			x := s.Explore(sim.Config{}, reduced, 0, nil)
			if x.Failure != nil || !x.Complete {
				t.Errorf("%s: %v, complete %v", name, x.Failure, x.Complete)
			}
			states[reduced] = x.States
			t.Logf("%s: %d runs, %d steps, %d states in pass %d", name, x.Runs, x.Steps, x.States, x.Passes)
		}
		if states[true] >= states[false] {
			t.Errorf("%s: nothing was left out", name)
		}
	}
}

// TestExploredRecording: the path of a failure names all decisions, so that it can be played without what
// the exploration had learnt.
func TestExploredRecording(t *testing.T) {
	s := &sim.Scenario{Name: "explored", Setup: func(w *sim.World) {
		promote(w)
		w.AtEnd(func() { w.Failf("test", "a run came to its end") })
	}}
	x := s.Explore(sim.Config{}, true, 0, nil)
	if x.Failure == nil || x.Failure.Kind != "test" {
		t.Fatalf("explored: %v", x.Failure)
	}
	w, err := s.Run(sim.Config{Explore: true}, sim.NewReplay(x.Path))
	if err == nil || w.Hash() != x.Hash {
		t.Errorf("replayed: %v, hash %#x, want %#x", err, w.Hash(), x.Hash)
	}
}
