package model

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Judge follows a history: the states that the model may be in after it.
type Judge struct {
	states []*State
}

// NewJudge starts with one process; late is as in New.
func NewJudge(late bool) *Judge { return &Judge{states: []*State{New(late)}} }

// State is one of the states that are possible now.
func (j *Judge) State() *State { return j.states[0] }

// Observe takes the next operation and its outcome; the error says what the model would have allowed.
func (j *Judge) Observe(op Op, out Outcome) error {
	return j.advance(out, func(s *State) []Branch { return s.Step(op) })
}

// Return is the outcome of a call that slept.
type Return struct {
	Proc int32
	Out  Outcome
}

// Settled takes the calls that ended after the same operation; the others that slept still do. Any of them, the
// sleepers too, which keep what they have received, may have been served before the others.
func (j *Judge) Settled(calls []Return) error {
	var sleepers []int32
	for _, p := range j.State().Sleepers() {
		if !slices.ContainsFunc(calls, func(c Return) bool { return c.Proc == p }) {
			sleepers = append(sleepers, p)
		}
	}
	served, err := j.serve(calls, sleepers)
	if err != nil {
		return err
	}
	j.states = served
	for _, p := range sleepers { // whatever the others have done since it was served
		if err := j.asleep(p); err != nil {
			return err
		}
	}
	return nil
}

// serve gives the states after the calls and the sleepers were served in any order.
func (j *Judge) serve(calls []Return, sleepers []int32) (served []*State, first error) {
	if len(calls)+len(sleepers) == 0 {
		return j.states, nil
	}
	try := func(one *Judge, err error, calls []Return, sleepers []int32) {
		var states []*State
		if err == nil {
			states, err = one.serve(calls, sleepers)
		}
		if err != nil && first == nil {
			first = err
		}
		for _, s := range states {
			served = appendNew(served, s)
		}
	}
	for i, c := range calls {
		one := &Judge{j.states}
		try(one, one.returned(c), slices.Delete(slices.Clone(calls), i, i+1), sleepers)
	}
	for i, p := range sleepers {
		one := &Judge{j.states}
		try(one, one.asleep(p), calls, slices.Delete(slices.Clone(sleepers), i, i+1))
	}
	if len(served) > 0 {
		first = nil
	}
	return served, first
}

// returned takes the outcome of a call that slept.
func (j *Judge) returned(c Return) error {
	return j.advance(c.Out, func(s *State) []Branch { return s.Resume(c.Proc) })
}

// asleep says that p still sleeps.
func (j *Judge) asleep(p int32) error {
	var still []*State
	var wrong []string
	for _, s := range j.states {
		for _, b := range s.Resume(p) {
			if b.Lo == Blocked {
				still = appendNew(still, b.Next(Blocked))
			} else {
				wrong = append(wrong, b.String())
			}
		}
	}
	if len(still) == 0 {
		return fmt.Errorf("process %d sleeps; allowed: %s", p, strings.Join(wrong, ", or "))
	}
	j.states = still
	return nil
}

func (j *Judge) advance(out Outcome, step func(*State) []Branch) error {
	var next []*State
	var allowed []string
	for _, s := range j.states {
		for _, b := range step(s) {
			if b.Allows(out) {
				next = appendNew(next, b.Next(out.R))
			} else {
				allowed = append(allowed, b.String())
			}
		}
	}
	if len(next) == 0 {
		return fmt.Errorf("got %v; allowed: %s", out, strings.Join(allowed, ", or "))
	}
	j.states = next
	return nil
}

func appendNew(states []*State, s *State) []*State {
	for _, old := range states {
		if reflect.DeepEqual(old, s) {
			return states
		}
	}
	return append(states, s)
}
