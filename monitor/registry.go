package monitor

import (
	"maps"
	"slices"

	"github.com/socksdirect/libsd/queue"
)

// join admits or rejects a process and gives it a family: that of its Key, or a new one.
func (c *Core) join(e Joined) {
	status := e.Status
	switch {
	case status != queue.StatusOK:
	case e.ABI != queue.ABIHash:
		status = queue.StatusABI
	case c.uid != 0 && e.UID != c.uid:
		status = queue.StatusDenied
	}
	if status != queue.StatusOK {
		c.do(Reject{Reg: e.Reg, Status: status})
		return
	}
	// Peers can read the key in the bell page, so it does not prove kinship between users.
	id, origin := familyKey{e.UID, e.Key}, PageShared
	f := c.keys[id]
	if e.Key == 0 || f == nil {
		origin = PageShown
		if e.Key == 0 || !e.HasPage {
			origin, id.key = PageNew, e.FreshKey
		}
		c.nextProc++
		f = &family{proc: c.nextProc, id: id, arenas: map[uint32]*arena{}}
		c.families[f.proc] = f
		c.keys[id] = f
	}
	f.live++
	f.members++
	c.regs[e.Reg] = &registration{reg: e.Reg, pid: e.PID, uid: e.UID, name: e.Name, family: f, met: map[uint32]bool{}}
	c.do(Admit{Reg: e.Reg, Proc: f.proc, Page: origin, Key: id.key})
}

// closed ends a registration: its offers are void and its ends of connections released.
func (c *Core) closed(reg Reg) {
	r := c.live(reg)
	if r == nil {
		return
	}
	r.closed = true
	f := r.family
	f.live--
	c.waiting.dropAll(reg)
	for _, a := range f.sortedArenas() {
		for i := range a.slots {
			s := a.slots[i]
			if s == nil {
				continue
			}
			for end := range s.ends {
				if s.ends[end].reg == reg {
					c.release(s, end)
				}
			}
		}
		c.dropIfUnused(a)
	}
}

// died looks after what a dead process left: sockets that are closed only now, bells, sleepers.
func (c *Core) died(reg Reg) {
	r := c.regs[reg]
	if r == nil {
		return
	}
	c.closed(reg)
	delete(c.regs, reg)
	f := r.family
	c.do(Bury{Reg: reg, Proc: f.proc})
	c.mourn(f)
	f.members--
	c.dropIfGone(f)
}

// missed looks after what a forked child left that died before it was known.
func (c *Core) missed(e Missed) {
	if f := c.keys[familyKey{e.UID, e.Key}]; f != nil {
		c.mourn(f)
	}
}

// mourn tells who may be connected to a dead process of the family.
func (c *Core) mourn(f *family) {
	var peers []uint32
	for _, a := range f.sortedArenas() {
		for _, s := range a.slots {
			switch {
			case s == nil:
			case s.doubtful():
				c.look(s)
			default:
				c.orphan(s, f.proc)
			}
		}
		if peer := a.peerOf(f.proc); !slices.Contains(peers, peer) {
			peers = append(peers, peer)
		}
	}
	if len(peers) > 0 {
		c.do(Rouse{Procs: peers})
	}
}

// orphan looks after the ends of a slot that a process had.
func (c *Core) orphan(s *slot, proc uint32) {
	for end := range s.ends {
		if s.ends[end].proc == proc {
			c.do(Orphan{Look: s.look(), End: end})
		}
	}
}

// dropIfGone forgets a family whose processes are dead, as far as they are known: with slots its page
// stays, for the claims of forked children that never registered.
func (c *Core) dropIfGone(f *family) {
	if f.members == 0 && len(f.arenas) == 0 {
		delete(c.families, f.proc)
		delete(c.keys, f.id)
		c.do(DropPage{Proc: f.proc})
	}
}

func (f *family) sortedArenas() []*arena {
	nums := slices.Sorted(maps.Keys(f.arenas))
	all := make([]*arena, len(nums))
	for i, n := range nums {
		all[i] = f.arenas[n]
	}
	return all
}
