package sim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Campaign is many runs of scenarios, seed by seed.
type Campaign struct {
	Scenarios []*Scenario
	From, To  uint64        // seeds, To excluded
	Time      time.Duration // real; 0 = no bound
	Config    Config
	// Twice is after how many runs one is run again: its events must have the same hash; 0 = never.
	Twice int
	// Progress is called about once a second.
	Progress func(Tally)
}

// Tally is what a campaign has done.
type Tally struct {
	Runs, Steps uint64
	Seed        uint64 // next
	Elapsed     time.Duration
	Covered     map[string]int
}

// Found is a failure of a campaign.
type Found struct {
	*Failure
	Recording Recording
	History   []string
	// Parameters are the decisions that are not about scheduling, as "name = c of n".
	Parameters []string
}

// Save writes the recording into dir and, beside it, the picture if there is one. It returns the
// recording's path.
func (f *Found) Save(dir string) (string, error) {
	path := filepath.Join(dir, fmt.Sprintf("%s-%d.sim", f.Recording.Scenario, f.Recording.Seed))
	if err := f.Recording.Write(path); err != nil || f.Picture == nil {
		return path, err
	}
	html, err := os.Create(strings.TrimSuffix(path, ".sim") + ".html")
	if err != nil {
		return path, err
	}
	defer html.Close()
	return path, f.Picture(html)
}

// Run runs all scenarios on each seed until a failure, the last seed or the end of time.
func (c *Campaign) Run() (t Tally, found *Found) {
	start, last := time.Now(), time.Now()
	t.Covered = map[string]int{}
	for t.Seed = c.From; t.Seed < c.To; t.Seed++ {
		for _, s := range c.Scenarios {
			w, err := s.Run(c.Config, ChooserOf(t.Seed))
			t.Runs++
			t.Steps += uint64(w.Steps())
			for label, n := range w.Covered() {
				t.Covered[s.Name+": "+label] += n
			}
			if err == nil && c.Twice > 0 && t.Runs%uint64(c.Twice) == 0 {
				err = again(s, c.Config, w, t.Seed)
			}
			var f *Failure
			if errors.As(err, &f) {
				t.Elapsed = time.Since(start)
				return t, &Found{f, w.Record(s, t.Seed), w.History(), w.Parameters()}
			}
		}
		if now := time.Now(); now.Sub(last) > time.Second || c.Time > 0 && now.Sub(start) > c.Time {
			t.Elapsed, last = now.Sub(start), now
			if c.Progress != nil {
				c.Progress(t)
			}
			if c.Time > 0 && t.Elapsed > c.Time {
				break
			}
		}
	}
	t.Elapsed = time.Since(start)
	return t, nil
}

// ChooserOf is the chooser of a seed: two of three are uniform, one is PCT.
func ChooserOf(seed uint64) Chooser {
	if seed%3 == 2 {
		return NewPCT(seed)
	}
	return NewRandom(seed)
}

// again repeats a run, which must come to the same events.
func again(s *Scenario, c Config, w *World, seed uint64) error {
	w2, _ := s.Run(c, NewReplay(w.trace))
	if w2.Hash() != w.Hash() {
		return &Failure{Kind: "nondeterminism", Detail: fmt.Sprintf("seed %d has hash %#x, then %#x", seed, w.Hash(), w2.Hash()), Step: w.steps}
	}
	return nil
}

// Shrink looks for a recording of the same kind of failure with fewer and smaller decisions. It
// stops at a fixed point or after so many steps of runs.
func (r Recording) Shrink(steps int) (Recording, error) {
	best := r
	try := func(list []Choice) bool {
		c := best
		c.Choices = append([]Choice(nil), list...)
		w, err := c.Play(false)
		steps -= w.Steps() + len(list)
		var f *Failure
		if !errors.As(err, &f) || f.Kind != r.Kind {
			return false
		}
		c.Choices, c.Hash, c.Seed = trim(w.trace), w.Hash(), 0
		if weight(c.Choices) >= weight(best.Choices) {
			return false
		}
		best = c
		return true
	}
	if r.Kind == "livelock" { // any long run looks like one
		return r, nil
	}
	if _, err := r.Play(false); err == nil {
		return r, errors.New("sim: the recorded run does not fail")
	}
	for better := true; better && steps > 0; {
		better = false
		for size := max(1, len(best.Choices)/2); size > 0; size /= 2 {
			for at := 0; at < len(best.Choices) && steps > 0; {
				end := min(at+size, len(best.Choices))
				zero := append([]Choice(nil), best.Choices...)
				clear(zero[at:end])
				cut := append(append([]Choice(nil), best.Choices[:at]...), best.Choices[end:]...)
				if try(cut) || nonzero(best.Choices[at:end]) && try(zero) {
					better = true
				} else {
					at = end
				}
			}
		}
	}
	return best, nil
}

// weight orders recordings: decisions that deviate, then all.
func weight(list []Choice) (n int) {
	for _, c := range list {
		n += 1 + 4*int(min(c.C, 1)) + int(min(c.C, 1000))
	}
	return n
}

func nonzero(list []Choice) bool {
	for _, c := range list {
		if c.C != 0 {
			return true
		}
	}
	return false
}

// trim drops zeros at the end: Replay supplies them.
func trim(list []Choice) []Choice {
	for len(list) > 0 && list[len(list)-1].C == 0 {
		list = list[:len(list)-1]
	}
	return list
}
