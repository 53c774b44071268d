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
	// Unseen tells that threads share more than the machine's memory and kernel objects, in no order that
	// locks give: an exploration cannot tell then what makes no difference, and leaves nothing out.
	Unseen bool
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
	Runs, Steps, States int // of the last pass
	Open                int // runs that are known to be left
	Passes              int // with reduction: the last one learnt nothing that would make another necessary
	Complete            bool
	Failure             *Failure
	Path                []Choice // that leads to Failure, all decisions included
	Hash                uint64   // over its events
}

// Explore runs s in all ways under c, or until maxRuns (0 = no bound) or a failure. reduced leaves
// decisions out that make no difference. progress (may be nil) is called now and then.
func (s *Scenario) Explore(c Config, reduced bool, maxRuns int, progress func(Explored)) (x Explored) {
	c.Explore = true
	if reduced && !s.Unseen {
		c.reduce = newReduction()
	}
	for again := true; again && x.Failure == nil && !x.stopped(maxRuns); {
		x = Explored{Passes: x.Passes + 1}
		again = s.pass(c, &x, maxRuns, progress)
	}
	return x
}

func (x *Explored) stopped(maxRuns int) bool { return maxRuns > 0 && x.Runs >= maxRuns }

// pass explores, and tells whether it learnt something and another pass is to begin. That is done
// only now and then, so that no pass is shorter than half of what it takes to learn the next thing.
func (s *Scenario) pass(c Config, x *Explored, maxRuns int, progress func(Explored)) (learnt bool) {
	e := NewExplorer()
	if c.reduce != nil {
		c.reduce.next()
	}
	e.Deviations = s.Deviations
	for {
		w, err := s.Run(c, e)
		x.Steps += w.Steps()
		x.Runs, x.States, x.Open = e.Runs(), e.States(), e.Open()
		var f *Failure
		if errors.As(err, &f) {
			x.Failure = f
			x.Path, x.Hash = s.whole(c, w)
			return false
		}
		learnt = c.reduce != nil && c.reduce.news
		if x.stopped(maxRuns) || learnt && x.Runs&(x.Runs-1) == 0 {
			return learnt
		}
		if progress != nil && x.Runs%100_000 == 0 {
			progress(*x)
		}
		if !e.Next() {
			x.Complete = !learnt
			return learnt
		}
	}
}

// whole is the run of w with all of its decisions, those that reduction left out included.
func (s *Scenario) whole(c Config, w *World) ([]Choice, uint64) {
	if c.reduce == nil {
		return w.trace, w.Hash()
	}
	c.reduce.trace = true
	again, _ := s.Run(c, NewReplay(w.trace))
	return again.trace, again.Hash()
}
