package sim

import (
	"errors"
	"fmt"
	"slices"
)

// Scenario is a program for the simulated machine: who does what, and what must hold.
type Scenario struct {
	Name  string
	About string
	// Setup draws parameters by w.Choose, makes processes and threads, and states by w.AtEnd what
	// must hold at the end.
	Setup func(w *World)
	// Small tells that the scenario is bounded so that it can be explored to completion.
	Small bool
	// Deviations bounds an exploration of what is not small enough for all interleavings: every run
	// that differs in so many decisions from "who runs goes on", faults included. 0 = no bound.
	Deviations int
}

var scenarios []*Scenario

// Register makes scenarios known to sdsim.
func Register(s ...*Scenario) { scenarios = append(scenarios, s...) }

// Scenarios is all that were registered.
func Scenarios() []*Scenario { return scenarios }

// Lookup finds a scenario by name.
func Lookup(name string) (*Scenario, error) {
	i := slices.IndexFunc(scenarios, func(s *Scenario) bool { return s.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("no scenario %q", name)
	}
	return scenarios[i], nil
}

// Run runs s once. The world tells about the run; the error is a *Failure if it was not correct.
func (s *Scenario) Run(c Config, by Chooser) (*World, error) {
	w := New(c, by)
	Install(w)
	defer Install(nil)
	s.Setup(w)
	return w, w.Run()
}

// Explored is the outcome of Explore.
type Explored struct {
	Runs, Steps, States int
	Complete            bool
	Failure             *Failure
	Path                []Choice // that leads to Failure
	Hash                uint64   // over its events
}

// Explore runs s in all ways under c, or until maxRuns (0 = no bound) or a failure.
func (s *Scenario) Explore(c Config, maxRuns int) (x Explored) {
	c.Explore = true
	e := NewExplorer()
	e.Deviations = s.Deviations
	for {
		w, err := s.Run(c, e)
		x.Steps += w.Steps()
		x.Runs, x.States = e.Runs(), e.States()
		var f *Failure
		if errors.As(err, &f) {
			x.Failure, x.Path, x.Hash = f, w.trace, w.Hash()
			return x
		}
		if maxRuns > 0 && x.Runs >= maxRuns {
			return x
		}
		if !e.Next() {
			x.Complete = true
			return x
		}
	}
}
