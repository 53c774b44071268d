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

// Returned takes the outcome of a call that slept.
func (j *Judge) Returned(p int32, out Outcome) error {
	return j.advance(out, func(s *State) []Branch { return s.Resume(p) })
}

// Return is the outcome of a call that slept.
type Return struct {
	Proc int32
	Out  Outcome
}

// ReturnedTogether takes calls that ended after the same operation: one of them may have been served
// before another that came back first.
func (j *Judge) ReturnedTogether(calls []Return) error {
	if len(calls) == 0 {
		return nil
	}
	var next []*State
	var first error
	for i, c := range calls {
		one := Judge{j.states}
		err := one.Returned(c.Proc, c.Out)
		if err == nil {
			err = one.ReturnedTogether(slices.Delete(slices.Clone(calls), i, i+1))
		}
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		for _, s := range one.states {
			next = appendNew(next, s)
		}
	}
	if len(next) == 0 {
		return first
	}
	j.states = next
	return nil
}

// Asleep says that p still sleeps though the network has settled.
func (j *Judge) Asleep(p int32) error {
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
