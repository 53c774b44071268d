package monitor

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

// act carries out one action and returns the event that answers it, or nil.
func (d *Daemon) act(a Action) Event {
	switch a := a.(type) {
	case Admit:
		d.admit(a)
	case Reject:
		d.reject(a.Reg, a.Status)
	case Refuse:
		d.log.Debug("refuse", "reg", a.Reg, "cookie", a.Cookie, "status", a.Status)
		_ = d.send(a.Reg, &queue.Msg{Type: queue.MsgRefuse, Cookie: a.Cookie, Status: a.Status})
	case Confirm:
		return d.confirm(a)
	case Introduce:
		return d.introduce(a)
	case Look:
		return Looked{SlotID: a.SlotID, Held: d.inUse(a, 0) || d.inUse(a, 1)}
	case Orphan:
		if err := d.orphan(a); err != nil {
			d.log.Error("who is connected to a dead process is not told", "err", err)
		}
	case Reclaim:
		if f := d.arenas[a.Arena]; f != nil {
			if err := punchSlot(f, a.Slot); err != nil {
				d.log.Error("memory of a closed connection is not given back", "err", err)
			}
		}
	case DropArena:
		if f := d.arenas[a.Arena]; f != nil {
			f.Close()
			delete(d.arenas, a.Arena)
		}
	case DropPage:
		if p := d.pages[a.Proc]; p != nil {
			d.ended[p.uid] = p.counters(d.ended[p.uid])
			p.close()
			delete(d.pages, a.Proc)
		}
	case Bury:
		d.buryBells(a)
	case Rouse:
		d.rouse(a)
	case Arm:
		d.timer.Reset(a.After)
	default:
		panic(fmt.Sprintf("monitor: unknown action %T", a))
	}
	return nil
}

func (d *Daemon) admit(a Admit) {
	c := d.clients[a.Reg]
	welcome := &queue.Msg{Type: queue.MsgWelcome, Proc: a.Proc}
	var fds []int
	switch a.Page {
	case PageNew:
		p, err := newPage(a.Key)
		var theirs *os.File
		if err == nil {
			if theirs, err = reopen(int(p.file.Fd())); err != nil {
				p.close()
			}
		}
		if err != nil {
			d.log.Error("no bell page for a process: raise RLIMIT_NOFILE or free memory", "pid", c.proc.pid, "err", err)
			d.reject(a.Reg, queue.StatusLimit)
			return
		}
		p.own(a.Proc, c.proc.uid)
		d.pages[a.Proc] = p
		defer theirs.Close()
		fds = append(fds, int(theirs.Fd()))
	case PageShown:
		d.pages[a.Proc], c.shown = c.shown, nil
		d.pages[a.Proc].own(a.Proc, c.proc.uid)
	}
	d.log.Debug("process", "reg", a.Reg, "pid", c.proc.pid, "uid", c.proc.uid, "proc", a.Proc, "page", a.Page)
	if err := c.conn.TrySend(welcome, fds...); err != nil {
		d.log.Debug("welcome", "pid", c.proc.pid, "err", err)
		c.conn.Close() // the reader sees it and posts Closed
	}
}

func (d *Daemon) reject(reg Reg, status uint32) {
	c := d.clients[reg]
	d.log.Info("process not registered", "pid", c.proc.pid, "uid", c.proc.uid, "reason", wire.StatusText(status))
	_ = c.conn.TrySend(&queue.Msg{Type: queue.MsgWelcome, Status: status})
	c.conn.Close()
}

// confirm proves the older offer again.
func (d *Daemon) confirm(a Confirm) Event {
	ok := false
	if c := d.clients[a.Old.Reg]; c != nil {
		status, peer := d.prove(c.proc, a.Old)
		ok = status == queue.StatusOK && peer
	}
	return Confirmed{Old: a.Old, New: a.New, OK: ok}
}

// introduce prepares the slot before anybody hears of it.
func (d *Daemon) introduce(a Introduce) Event {
	if err := d.prepare(a); err != nil {
		d.log.Error("no shared memory for a connection: raise RLIMIT_NOFILE or free memory", "err", err)
		return IntroFailed{SlotID: a.SlotID, Sent: 0}
	}
	for i, end := range a.Ends {
		peer := a.Ends[1-i]
		m := &queue.Msg{
			Type: queue.MsgIntro, Cookie: end.Cookie, Arena: a.Arena, Slot: a.Slot,
			End: uint32(i), Peer: peer.Proc, Proc: end.Proc,
		}
		var fds []int
		if end.First {
			fds = []int{int(d.arenas[a.Arena].Fd()), int(d.pages[peer.Proc].file.Fd())}
		}
		if err := d.send(end.Reg, m, fds...); err != nil {
			return IntroFailed{SlotID: a.SlotID, Sent: i}
		}
	}
	d.log.Debug("introduce", "arena", a.Arena, "slot", a.Slot, "regs", []Reg{a.Ends[0].Reg, a.Ends[1].Reg})
	return nil
}

func (d *Daemon) prepare(a Introduce) error {
	if a.Fresh {
		f, err := newArenaFile(a.Arena)
		if err != nil {
			return err
		}
		d.arenas[a.Arena] = f
	}
	return writeSlot(d.arenas[a.Arena], a.Slot, a.Epoch, [2]uint64{a.Ends[0].Cookie, a.Ends[1].Cookie})
}

// orphan tells the other end of a connection of a death: FIN, and no RST, would come by the anchor, behind
// bytes that are not read, maybe.
func (d *Daemon) orphan(a Orphan) error {
	f, p := d.arenas[a.Arena], d.pages[a.Procs[1-a.End]]
	if f == nil || p == nil || d.inUse(a.Look, a.End) {
		return nil
	}
	return orphanSlot(f, a.Slot, a.End, func(l *queue.WatchLine) { l.Notify(p.bells, d.ringer) })
}

// send sends a message without waiting and says so in the process's page.
func (d *Daemon) send(reg Reg, m *queue.Msg, fds ...int) error {
	c := d.clients[reg]
	if c == nil {
		return unix.ESRCH
	}
	if err := c.conn.TrySend(m, fds...); err != nil {
		if errors.Is(err, unix.EAGAIN) {
			d.log.Debug("process does not read its messages", "pid", c.proc.pid)
		}
		return err
	}
	if p := d.pages[d.core.Proc(reg)]; p != nil {
		p.mail()
	}
	return nil
}

// buryBells looks after the bells of the dead: of a process whose pidfd says so, which may still answer to kill
// because nobody reaped it, and of forked children that never registered.
func (d *Daemon) buryBells(a Bury) {
	p := d.pages[a.Proc]
	if p == nil {
		return
	}
	dead := d.clients[a.Reg].proc
	p.bury(func(pid uint32) bool {
		// Numbers of another pid namespace say nothing here.
		gone := dead.nsPID == dead.pid && int32(pid) > 0 && errors.Is(unix.Kill(int(pid), 0), unix.ESRCH)
		return gone || int(pid) == dead.nsPID
	})
}

func (d *Daemon) rouse(a Rouse) {
	for _, proc := range a.Procs {
		if p := d.pages[proc]; p != nil {
			for _, nonce := range p.sleepers() {
				d.ringer.Ring(nonce)
			}
		}
	}
}
