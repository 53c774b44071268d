package scene

import (
	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim"
)

// anchor is one direction of a kernel TCP connection, by counts: its bytes are those of the stream.
type anchor struct {
	w                      *sim.World
	written, arrived, read int
	closed, fin            bool // FIN was sent; it has arrived, after the last byte
	reset                  bool // the receiver is gone
}

func (a *anchor) state() uint64 {
	return uint64(a.written)<<16 | uint64(a.arrived)<<8 | uint64(a.read) | b2u(a.closed)<<30 | b2u(a.fin)<<31 | b2u(a.reset)<<32
}

// network delivers bytes one by one, then FIN, whenever it likes.
func (a *anchor) network(t *sim.Thread) {
	for !a.fin {
		t.Checkpoint(0)
		t.Block("network", func() bool { return a.arrived < a.written || a.closed && !a.fin }, -1)
		if a.arrived < a.written {
			a.arrived++
		} else {
			a.fin = a.closed
		}
		a.w.Changed()
	}
}

// recv is recv(2) of up to n bytes with MSG_DONTWAIT: what came, or end.
func (a *anchor) recv(t *sim.Thread, n int) (got int, end bool) {
	t.Syscall("recv")
	got = min(n, a.arrived-a.read)
	end = got == 0 && n > 0 && a.fin
	a.read += got
	t.Observe("recv", uint64(got)<<1|b2u(end))
	return got, end
}

// promote: a stream leaves TCP at N for the ring, while bytes before N are on their way; a byte
// follows in the ring, then the end. Either end may be killed at any step, or both.
func promote(w *sim.World) {
	w.Timeless = true
	l := newLine(w, "d")
	a := &anchor{w: w}
	w.KernelState(a.state)
	sender, receiver := w.Process("sender"), w.Process("receiver")
	sender.Mortal()
	receiver.Mortal()
	w.Faults.Kills = 2
	sender.AtExit(func() { a.closed = true })
	receiver.AtExit(func() { a.reset = true })
	sent, ended := 0, false
	sender.Go("send", func(t *sim.Thread) { promoteSend(t, l, a, &sent) })
	receiver.Go("recv", func(t *sim.Thread) {
		got := promoteRecv(t, l, a)
		if ended = true; got < sent {
			w.Failf("stream", "EOF after %d of %d bytes", got, sent)
		}
	})
	w.Process("kernel").Go("network", a.network).Daemon = true
	w.AtEnd(func() {
		if !receiver.Killed && !ended {
			w.Failf("stream", "no end of the stream")
		}
	})
	w.Plan(60)
}

// promoteSend writes two bytes to TCP and one to the ring; sent counts what the program was told.
func promoteSend(t *sim.Thread, l *line, a *anchor, sent *int) {
	w := t.World()
	for range 2 {
		t.Syscall("write")
		a.written++
		w.Changed()
		*sent++
	}
	s, err := queue.NewSender(l.dir, l.rings)
	must(w, err)
	t.Syscall("N")
	s.Open(uint64(a.written))
	n, err := s.Write(bytesAt(2, 1))
	if must(w, err); n != 1 {
		w.Failf("bad-peer", "a ring with room takes %d bytes", n)
	}
	*sent++
	t.Syscall("close")
	a.closed = true
	w.Changed()
}

// promoteRecv reads to the end of the stream: TCP up to N, the ring, and what FIN on the anchor says
// once the ring was looked at after it.
func promoteRecv(t *sim.Thread, l *line, a *anchor) (got int) {
	w := t.World()
	r, err := queue.NewReceiver(l.dir, l.rings)
	must(w, err)
	buf := make([]byte, 4)
	fin := false
	for {
		t.Checkpoint(uint64(got)<<1 | b2u(fin))
		n, where := r.Read(buf)
		switch where {
		case queue.InRing:
			checkStream(w, got, buf[:n])
			got += n
		case queue.OnAnchor, queue.Until:
			most := 4
			if where == queue.Until {
				if most = int(r.Boundary()) - got; most == 0 {
					if !r.Enter() {
						w.Failf("bad-peer", "no segment at the boundary")
					}
					continue
				}
			}
			k, end := a.recv(t, most)
			got += k
			if where == queue.Until && (k > most || end) {
				w.Failf("stream", "the anchor ends at %d, before N", got)
			}
			if end && fin {
				return got
			}
			if fin = fin || end; k == 0 && !end {
				shm.Yield()
			}
		case queue.RingDry:
			if fin {
				return got
			}
			k, end := a.recv(t, 1)
			if k > 0 {
				w.Failf("stream", "a byte on the anchor beyond N")
			}
			if fin = end; !end {
				shm.Yield()
			}
		default:
			w.Failf("bad-peer", "the receiver is at %d", where)
		}
	}
}

func init() {
	sim.Register(&sim.Scenario{Name: "promote", About: "promotion from TCP at N; either end may die at any step, or both", Setup: promote, Small: true})
}
