package monitor

import (
	"cmp"
	"maps"
	"slices"
)

// gone releases the end of a slot that a process closed, or drops an offer that waits.
func (c *Core) gone(e Gone) {
	r := c.live(e.Reg)
	if r == nil {
		return
	}
	c.waiting.drop(e.Reg, e.Cookie)
	id := e.SlotID
	if id.Arena == 0 { // its introduction and this may have crossed
		id = c.cookies[e.Cookie]
	}
	s := c.slotAt(id)
	if s == nil {
		return
	}
	for i := range s.ends {
		// A forked child may be the last to close what its parent offered.
		if s.ends[i].cookie == e.Cookie && s.ends[i].proc == r.family.proc {
			c.release(s, i)
		}
	}
}

// release marks an end as given up by its process. The slot is free only when the kernel says that
// nobody else has it, a forked child for example.
func (c *Core) release(s *slot, end int) {
	s.ends[end].released = true
	if !s.doubtful() {
		return
	}
	c.doubt[s.id] = s
	c.period, c.armed = lookFirst, false
	c.look(s)
}

func (c *Core) look(s *slot) { c.do(s.look()) }

// looked frees a slot that nobody has and otherwise has it looked at again later. There is a
// timer only while such slots exist.
func (c *Core) looked(e Looked) {
	s := c.doubt[e.SlotID]
	if s == nil {
		return
	}
	if !e.Held {
		a := s.arena
		c.free(s)
		c.dropIfUnused(a)
		return
	}
	if !c.armed {
		c.armed = true
		c.do(Arm{After: c.period})
	}
}

func (c *Core) tick() {
	c.armed = false
	c.period = min(2*c.period, lookLast)
	ids := slices.SortedFunc(maps.Keys(c.doubt), func(a, b SlotID) int {
		return cmp.Or(cmp.Compare(a.Arena, b.Arena), cmp.Compare(a.Slot, b.Slot))
	})
	for _, id := range ids {
		c.look(c.doubt[id])
	}
}
