package monitor

import (
	"slices"

	"github.com/socksdirect/libsd/monitor/wire"
)

// arena is the memory that a pair of families shares; a family can be its own peer.
type arena struct {
	num   uint32
	procs [2]uint32 // ascending
	slots []*slot   // nil: free
	epoch []uint32  // how often each was allotted
	free  []uint32  // longest free first: a slot rests as long as possible before it is used again
	used  int
}

// slot is one connection's place in an arena.
type slot struct {
	id    SlotID
	arena *arena
	pair  wire.Pair // as end 0 sees it
	ends  [2]slotEnd
}

type slotEnd struct {
	reg      Reg // who offered it
	proc     uint32
	pid, uid int
	name     string
	cookie   uint64
	released bool
}

func (s *slot) doubtful() bool { return s.ends[0].released && s.ends[1].released }

func (s *slot) look() Look {
	return Look{
		SlotID: s.id, Procs: [2]uint32{s.ends[0].proc, s.ends[1].proc},
		Pair: s.pair, Cookie: [2]uint64{s.ends[0].cookie, s.ends[1].cookie},
	}
}

func (s *slot) pairOf(end int) wire.Pair {
	if end == 0 {
		return s.pair
	}
	return s.pair.Mirror()
}

func (a *arena) peerOf(proc uint32) uint32 {
	if a.procs[0] == proc {
		return a.procs[1]
	}
	return a.procs[0]
}

// allot takes a slot for two ends, connecting end first; fresh says that its arena is new.
func (c *Core) allot(ends [2]Offer) (s *slot, fresh bool) {
	pair := [2]uint32{c.regs[ends[0].Reg].family.proc, c.regs[ends[1].Reg].family.proc}
	slices.Sort(pair[:])
	i := slices.IndexFunc(c.byPair[pair], func(a *arena) bool { return len(a.free) > 0 })
	var a *arena
	if fresh = i < 0; fresh {
		a = c.newArena(pair)
	} else {
		a = c.byPair[pair][i]
	}
	n := a.free[0]
	a.free = a.free[1:]
	a.used++
	a.epoch[n]++
	s = &slot{id: SlotID{Arena: a.num, Slot: n}, arena: a, pair: ends[0].Pair}
	for i, o := range ends {
		r := c.regs[o.Reg]
		s.ends[i] = slotEnd{reg: o.Reg, proc: r.family.proc, pid: r.pid, uid: r.uid, name: r.name, cookie: o.Cookie}
		c.cookies[o.Cookie] = s.id
	}
	a.slots[n] = s
	return s, fresh
}

func (c *Core) newArena(pair [2]uint32) *arena {
	c.nextArena++
	a := &arena{
		num: c.nextArena, procs: pair,
		slots: make([]*slot, c.slots), epoch: make([]uint32, c.slots), free: make([]uint32, c.slots),
	}
	for i := range a.free {
		a.free[i] = uint32(i)
	}
	c.arenas[a.num] = a
	c.byPair[pair] = append(c.byPair[pair], a)
	for _, p := range pair {
		c.families[p].arenas[a.num] = a
	}
	return a
}

func (c *Core) slotAt(id SlotID) *slot {
	a := c.arenas[id.Arena]
	if a == nil || int64(id.Slot) >= int64(len(a.slots)) {
		return nil
	}
	return a.slots[id.Slot]
}

// free returns a slot to its arena.
func (c *Core) free(s *slot) {
	a := s.arena
	a.slots[s.id.Slot] = nil
	a.free = append(a.free, s.id.Slot)
	a.used--
	delete(c.doubt, s.id)
	for i := range s.ends {
		delete(c.cookies, s.ends[i].cookie)
	}
	c.do(Reclaim{SlotID: s.id})
}

// dropIfUnused gives an arena up when nobody uses it and one of the pair has no live registration,
// so that no further connection is likely.
func (c *Core) dropIfUnused(a *arena) {
	if a.used > 0 {
		return
	}
	for _, p := range a.procs {
		if c.families[p].live == 0 {
			c.dropArena(a)
			return
		}
	}
}

func (c *Core) dropArena(a *arena) {
	delete(c.arenas, a.num)
	rest := slices.DeleteFunc(c.byPair[a.procs], func(b *arena) bool { return b == a })
	if len(rest) == 0 {
		delete(c.byPair, a.procs)
	} else {
		c.byPair[a.procs] = rest
	}
	for _, r := range c.regs {
		delete(r.met, a.num)
	}
	c.do(DropArena{Arena: a.num})
	for _, p := range a.procs {
		if f := c.families[p]; f != nil {
			delete(f.arenas, a.num)
			c.dropIfGone(f)
		}
	}
}
