//go:build sim && cgo

package csim

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/monitor"
	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim"
)

// act carries out one action and returns the event that answers it, or nil.
func (d *daemon) act(a monitor.Action) monitor.Event {
	switch a := a.(type) {
	case monitor.Admit:
		d.admit(a)
	case monitor.Reject:
		d.w.Failf("monitor", "a process is rejected: %d", a.Status)
	case monitor.Refuse:
		d.w.Cover(fmt.Sprint("refused ", a.Status))
		_ = d.send(a.Reg, queue.Msg{Type: queue.MsgRefuse, Cookie: a.Cookie, Status: a.Status})
	case monitor.Confirm:
		ok := false
		if c := d.clients[a.Old.Reg]; c != nil {
			status, peer := d.prove(c.p, a.Old)
			ok = status == queue.StatusOK && peer
		}
		return monitor.Confirmed{Old: a.Old, New: a.New, OK: ok}
	case monitor.Introduce:
		return d.introduce(a)
	case monitor.Look:
		return monitor.Looked{SlotID: a.SlotID, Held: d.inUse(a, 0) || d.inUse(a, 1)}
	case monitor.Orphan:
		d.orphan(a)
	case monitor.Reclaim:
		d.reclaim(a)
	case monitor.DropArena:
		d.w.drop(d.arenas[a.Arena])
		delete(d.arenas, a.Arena)
	case monitor.DropPage:
		d.w.drop(d.pages[a.Proc])
		delete(d.pages, a.Proc)
	case monitor.Bury:
		d.bury(a)
	case monitor.Rouse:
		d.rouse(a)
	case monitor.Arm:
		d.tick = d.w.Now() + sim.Time(a.After)
	default:
		panic(fmt.Sprintf("monitor: unknown action %T", a))
	}
	return nil
}

func (d *daemon) admit(a monitor.Admit) {
	d.t.Syscall("welcome")
	c := d.clients[a.Reg]
	var fds []file
	switch a.Page {
	case monitor.PageNew:
		m := d.w.newMemory(true)
		m.header().ABI, m.header().Key = queue.ABIHash, a.Key
		d.keep(d.pages, a.Proc, m.open())
		fds = append(fds, m.open())
	case monitor.PageShown:
		d.keep(d.pages, a.Proc, c.shown)
		d.w.Cover("page taken over")
	}
	if d.pages[a.Proc] == nil {
		d.w.Failf("monitor", "family %d has no bell page", a.Proc)
		return
	}
	d.pages[a.Proc].header().Proc = a.Proc
	c.sock.send(packet{queue.Msg{Type: queue.MsgWelcome, Proc: a.Proc}, fds})
}

func (d *daemon) keep(in map[uint32]*memfd, number uint32, f *memfd) {
	in[number] = f
	*f.held()++
}

// introduce prepares the slot before anybody hears of it. What Core must never ask for fails the run.
func (d *daemon) introduce(a monitor.Introduce) monitor.Event {
	if a.Fresh {
		m := d.w.newMemory(false)
		*at[queue.ArenaHeader](m.at) = queue.ArenaHeader{ABI: queue.ABIHash, Arena: a.Arena, Slots: arenaSlots}
		d.keep(d.arenas, a.Arena, m.open())
	}
	var ends [2]*end
	for i, e := range a.Ends {
		ends[i] = d.w.byCookie(e.Cookie)
		if d.clients[e.Reg] == nil {
			d.w.Failf("monitor", "slot %v is given to end %d, whose registration is over", a.SlotID, i)
			return nil
		}
		for id, old := range d.used {
			if old[0] == ends[i] || old[1] == ends[i] {
				d.w.Failf("monitor", "end %d of slot %v is in slot %v", i, a.SlotID, id)
			}
		}
	}
	if ends[0].peer != ends[1] || ends[0].role != 0 {
		d.w.Failf("monitor", "slot %v joins ends of two connections", a.SlotID)
	}
	d.used[a.SlotID] = ends
	slot := d.arenas[a.Arena].slot(int(a.Slot))
	d.t.Syscall("pwrite")
	*at[queue.Slot](slot) = queue.Slot{Hdr: queue.SlotHeader{Cookie: [2]uint64{a.Ends[0].Cookie, a.Ends[1].Cookie}, Epoch: a.Epoch}}
	if a.Epoch > 1 {
		d.w.Cover("slot used again")
	}
	for i, e := range a.Ends {
		peer := a.Ends[1-i]
		var fds []file
		if e.First {
			fds = []file{d.arenas[a.Arena], d.pages[peer.Proc]}
		}
		m := queue.Msg{Type: queue.MsgIntro, Cookie: e.Cookie, Arena: a.Arena, Slot: a.Slot, End: uint32(i), Peer: peer.Proc, Proc: e.Proc}
		if err := d.send(e.Reg, m, fds...); err != nil {
			d.w.Cover("introduction failed: " + err.(unix.Errno).Error())
			return monitor.IntroFailed{SlotID: a.SlotID, Sent: i}
		}
	}
	return nil
}

// reclaim gives a slot's rings back to the system. Nobody may use them any more.
func (d *daemon) reclaim(a monitor.Reclaim) {
	d.t.Syscall("fallocate")
	arena := d.arenas[a.Arena]
	s := at[queue.Slot](arena.slot(int(a.Slot)))
	for i, e := range d.used[a.SlotID] {
		if s.Hdr.Attached[i] != 0 && *e.held() > 0 {
			d.w.Failf("monitor", "slot %v is taken from end %d, which a process has", a.SlotID, i)
		}
	}
	delete(d.used, a.SlotID)
	clear((arena.at + ringOff + addr(a.Slot)*2*dirStride).bytes(2 * dirStride))
	d.w.Changed()
	d.w.Cover("slot reclaimed")
}
