//go:build sim && cgo

package csim

import (
	"time"

	"github.com/socksdirect/libsd/sim"
)

// host starts the monitor, has it killed so many times, and started again after a while, and looks at the end
// whether it has forgotten all that it knew of dead processes.
func (w *World) host(dooms int) {
	w.dooms = dooms
	w.startMonitor()
	system := w.World.Process("system")
	system.Go("restart", func(t *sim.Thread) {
		for {
			t.Block("monitor", func() bool { return w.monitor == nil }, -1)
			t.Sleep(time.Duration(w.Choose(3000, "restart ms")) * time.Millisecond)
			w.startMonitor()
		}
	}).Daemon = true
	system.Go("audit", func(t *sim.Thread) {
		t.Block("all exit", func() bool {
			for _, p := range w.procs {
				if !p.gone {
					return false
				}
			}
			return true
		}, -1)
		t.Block("the monitor forgets", func() bool { return w.monitor != nil && w.monitor.idle() }, -1)
		if s := w.monitor.left(); s != "" {
			w.Failf("leak", "all processes are gone, and the monitor has %s", s)
		}
	})
}

// idle tells that the monitor has nothing to do, now or later.
func (d *daemon) idle() bool { return !d.busy && d.count() == 0 && d.tick == 0 }

// left is what the monitor has, in words.
func (d *daemon) left() string {
	s := d.core.Snapshot(0)
	for _, x := range []struct {
		n    int
		what string
	}{
		{len(s.Processes), "a process"}, {len(s.Connections), "a slot in use"}, {len(s.Waiting), "an offer"},
		{s.Monitor.Arenas, "an arena"}, {len(d.arenas), "an arena's memory"}, {len(d.pages), "a bell page"},
		{d.registrations(), "a registration"},
	} {
		if x.n > 0 {
			return x.what
		}
	}
	return ""
}

func (d *daemon) registrations() (n int) {
	for _, c := range d.clients {
		if c != nil {
			n++
		}
	}
	return n
}

// slotsReturn waits until no connection is left in the monitor's tables.
func (t *Thread) slotsReturn() {
	w := t.p.w
	t.Block("slots return", func() bool {
		return w.monitor == nil || w.monitor.idle() && len(w.monitor.core.Snapshot(0).Connections) == 0
	}, -1)
}

// listener holds connections that were made and not accepted.
type listener struct {
	w       *World
	waiting []call
	over    bool // who would accept has died, or nobody connects any more
}

// call is a connection that waits to be accepted, and what will be said.
type call struct {
	e *end
	k *talk
}

// listen makes a listener of p.
func (p *Process) listen() *listener {
	l := &listener{w: p.w}
	p.AtExit(func() {
		for _, c := range l.waiting {
			l.w.drop(c.e)
		}
		l.waiting, l.over = nil, true
	})
	return l
}

// end says that nobody will connect any more.
func (l *listener) end() {
	l.over = true
	l.w.Changed()
}

// dial makes a connection to whoever accepts from l; -1: nobody does.
func (l *listener) dial(t *Thread, k *talk) (fd int) {
	if t.Syscall("connect"); l.over {
		return -1
	}
	x, y := l.w.handshake()
	*y.held()++
	l.waiting = append(l.waiting, call{y, k})
	l.w.Changed()
	fd = t.p.put(3, x)
	t.Call("sim_track", int64(fd), 0)
	return fd
}

// accept takes the next connection, -1 when no more will come.
func (l *listener) accept(t *Thread) (fd int, k *talk) {
	t.Block("accept", func() bool { return len(l.waiting) > 0 || l.over }, -1)
	if len(l.waiting) == 0 {
		return -1, nil
	}
	c := l.waiting[0]
	l.waiting = l.waiting[1:]
	fd = c.e.accepted(t.p)
	l.w.drop(c.e)
	t.Call("sim_track", int64(fd), 1)
	return fd, c.k
}

// serve accepts and talks until no more connections come.
func (l *listener) serve(t *Thread) {
	for {
		fd, k := l.accept(t)
		if fd < 0 {
			return
		}
		k.side(t, fd, 1)
	}
}
