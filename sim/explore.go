package sim

import "math"

// explorer is a chooser which wants to know states.
type explorer interface {
	Chooser
	// Visit tells whether the state was not seen before; if not, the run is over.
	Visit(state uint64) bool
}

// Explorer takes every decision in turn, depth first: run after run repeats the decisions of the
// last one up to the deepest that has an alternative left. A state that was seen before is not
// gone into again. A state is hashed (64 bits) from memory, store buffers, kernel objects, and for
// each thread from everything that it did and saw.
type Explorer struct {
	Preemptions int // at most so many switches from a thread that could go on; MaxInt = any number

	path  []Choice
	depth int
	seen  map[uint64]struct{}

	Runs int
}

// NewExplorer explores all interleavings.
func NewExplorer() *Explorer {
	return &Explorer{Preemptions: math.MaxInt, seen: map[uint64]struct{}{}}
}

// States is how many different states were seen.
func (e *Explorer) States() int { return len(e.seen) }

// Visit remembers the state. States on the repeated part of a path have been seen, of course.
func (e *Explorer) Visit(state uint64) bool {
	if e.depth < len(e.path) {
		return true
	}
	if _, ok := e.seen[state]; ok {
		return false
	}
	e.seen[state] = struct{}{}
	return true
}

// Choose repeats the path, then takes the first possibility.
func (e *Explorer) Choose(n int, _ string) int {
	if e.depth == len(e.path) {
		e.path = append(e.path, Choice{0, uint32(n)})
	}
	c := e.path[e.depth]
	e.depth++
	return int(c.C)
}

// Next prepares the next run and tells whether there is one.
func (e *Explorer) Next() bool {
	e.Runs++
	e.path = e.path[:e.depth]
	for len(e.path) > 0 {
		last := &e.path[len(e.path)-1]
		if last.C++; last.C < last.N {
			break
		}
		e.path = e.path[:len(e.path)-1]
	}
	e.depth = 0
	return len(e.path) > 0
}
