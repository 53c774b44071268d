package monitor

import (
	"cmp"
	"maps"
	"slices"

	"github.com/socksdirect/libsd/monitor/wire"
)

// Visible tells whether uid may see what concerns processes of owner: root and the monitor's own user
// see everything, others what is their own.
func (c *Core) Visible(uid, owner int) bool { return uid == 0 || uid == c.uid || uid == owner }

// Snapshot is what Core knows, as far as uid may see it. What lies in shared memory (directions,
// counters) is left to be filled in.
func (c *Core) Snapshot(uid int) *wire.Stat {
	visible := func(owner int) bool { return c.Visible(uid, owner) }
	st := &wire.Stat{
		Processes:   []wire.ProcessStat{},
		Connections: []wire.ConnectionStat{},
		Waiting:     []wire.WaitingStat{},
		Kept:        []wire.KeptStat{},
	}
	st.Monitor.Arenas = len(c.arenas)
	for _, reg := range slices.Sorted(maps.Keys(c.regs)) {
		if r := c.regs[reg]; !r.closed && visible(r.uid) {
			st.Processes = append(st.Processes, wire.ProcessStat{PID: r.pid, UID: r.uid, Name: r.name, Proc: r.family.proc})
		}
	}
	for _, num := range slices.Sorted(maps.Keys(c.arenas)) {
		for _, s := range c.arenas[num].slots {
			if s != nil && (visible(s.ends[0].uid) || visible(s.ends[1].uid)) {
				st.Connections = append(st.Connections, s.stat())
			}
		}
	}
	for el := c.waiting.order.Front(); el != nil; el = el.Next() {
		o := el.Value.(Offer)
		if r := c.regs[o.Reg]; visible(r.uid) {
			st.Waiting = append(st.Waiting, wire.WaitingStat{
				Local: o.Pair.Local.String(), Remote: o.Pair.Remote.String(), PID: r.pid, Name: r.name,
				Reason: "the other end's process has not offered it: not under sdirect, or too little traffic yet",
			})
		}
	}
	slices.SortStableFunc(st.Waiting, func(a, b wire.WaitingStat) int { return cmp.Compare(a.PID, b.PID) })
	for _, k := range c.kept {
		if visible(k.UID) {
			st.Kept = append(st.Kept, wire.KeptStat{
				Local: k.Pair.Local.String(), Remote: k.Pair.Remote.String(), PID: k.PID, Name: k.Name,
				Reason: wire.StatusText(k.Status),
			})
		}
	}
	return st
}

func (s *slot) stat() wire.ConnectionStat {
	return wire.ConnectionStat{
		Local:  s.pair.Local.String(),
		Remote: s.pair.Remote.String(),
		PID:    [2]int{s.ends[0].pid, s.ends[1].pid},
		Name:   [2]string{s.ends[0].name, s.ends[1].name},
		Arena:  s.id.Arena,
		Slot:   s.id.Slot,
	}
}

// Proc is the number of the family of a registration, 0 if there is none.
func (c *Core) Proc(reg Reg) uint32 {
	if r := c.regs[reg]; r != nil {
		return r.family.proc
	}
	return 0
}
