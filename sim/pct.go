package sim

import "math/rand/v2"

// PCT decides which thread runs by random priorities that change at a few random steps: it finds a
// bug that takes d ordered events with probability at least 1/(n·k^(d-1)), n threads, k steps.
// Burckhardt, Kothari, Musuvathi, Nagarakatte: A Randomized Scheduler with Probabilistic Guarantees
// of Finding Bugs, ASPLOS 2010. A thread and its store buffer have priorities of their own, so that
// stores may stay behind for long.
type PCT struct {
	*Random
	w        *World
	priority map[option]uint64
}

// NewPCT is the PCT chooser of a seed.
func NewPCT(seed uint64) *PCT {
	return &PCT{Random: &Random{rand.New(rand.NewPCG(seed, 0x9c7))}, priority: map[option]uint64{}}
}

func (c *PCT) bind(w *World) { c.w = w }

// Choose takes the option of the highest priority; what is no scheduling is uniform.
func (c *PCT) Choose(n int, label string) int {
	if label != "step" {
		return c.Random.Choose(n, label)
	}
	best := 0
	for i, o := range c.w.options {
		p, ok := c.priority[o]
		if !ok || c.r.Uint64N(64) == 0 { // new, or a change point
			p = c.r.Uint64()
			c.priority[o] = p
		}
		if p > c.priority[c.w.options[best]] {
			best = i
		}
	}
	return best
}
