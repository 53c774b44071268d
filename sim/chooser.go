package sim

import "math/rand/v2"

// Chooser decides. n > 1; label tells what is decided: "step" (what happens next; 0 is that the
// same thread goes on, if it can), "quantum" (for how many steps), or the name of a parameter.
type Chooser interface {
	Choose(n int, label string) int
}

// Random decides by a seed.
type Random struct{ r *rand.Rand }

// NewRandom is the chooser of a seed.
func NewRandom(seed uint64) *Random { return &Random{rand.New(rand.NewPCG(seed, 0x5d))} }

// Choose is uniform.
func (c *Random) Choose(n int, _ string) int { return int(c.r.Uint64N(uint64(n))) }

// Choice is one decision: C of N.
type Choice struct{ C, N uint32 }

// Replay repeats decisions. Beyond their end, or where there are fewer possibilities than at the
// time of recording, it takes 0, so that a shortened list is a run as well.
type Replay struct {
	list []Choice
	next int
}

// NewReplay repeats list.
func NewReplay(list []Choice) *Replay { return &Replay{list: list} }

// Choose is the next of the list.
func (c *Replay) Choose(n int, _ string) int {
	if c.next >= len(c.list) {
		return 0
	}
	x := c.list[c.next]
	c.next++
	if int(x.C) >= n {
		return 0
	}
	return int(x.C)
}
