//go:build sim && cgo

package csim

import (
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/sim"
)

func init() {
	for _, s := range []struct {
		name, about string
		setup       func(w *World)
		small       bool
	}{
		{"c-stream", "one process sends, one receives: promotion on the way, growth, parking, EOF", oneWay, false},
		{"c-back", "a stream that goes to the rings and back to TCP while the receiver is on its way", back, false},
		{"c-echo", "request and response", echo, false},
		{"c-threads", "two threads at each end, one sends, one receives", threads, false},
		{"c-threads-end", "a peer that says nothing ends; one thread hears it while another sends and ends, too", threadsEnd, false},
		{"c-shared", "two threads send on one connection, two receive", shared, false},
		{"c-fork", "a forked child and its parent send on one connection; one may be killed at any step", forked, false},
		{"c-fork-both", "a fork amid traffic each way; parent and child go on sending and receiving; one may be killed", forkBoth, false},
		{"c-fork-killed", "a child is killed amid sends; what its parent sends then wakes who sleeps", forkKilled, false},
		{"c-fork-set", "a child goes on with the epoll set of its parent, which closes it, the connection, or exits", forkSet, false},
		{"c-room", "the receiver reads nothing before both buffers are full; the sender polls, waits on a set, or tries again", room, false},
		{"c-epoll", "the receiver, or both, wait in epoll_wait: by level, edge or once", epoll, false},
		{"c-epoll-two", "the receiver waits on one epoll set for two connections of one sender", epollTwo, false},
		{"c-epoll-cross", "the same of two threads, each of which has rung for one of the two connections", epollCross, false},
		{"c-epoll-share", "two threads of the receiver wait on one epoll set for two connections", epollShare, false},
		{"c-pool", "two threads of the receiver wait on one epoll set", pool, false},
		{"c-park", "two messages of a byte to a receiver that sleeps", park, true},
		{"c-park-set", "messages of a byte to a receiver that sleeps on an epoll set", parkSet, false},
		{"c-park-nested", "the same on a set that holds that set, or in poll of it", parkNested, false},
		{"c-nested", "a set told by edges holds a set; the program looks at either; bytes come, then the end", nested, false},
		{"c-park-poll", "the same to a receiver that sleeps in poll", parkPoll, false},
		{"c-park-late", "the same, and another thread attaches the connection meanwhile", parkLate, false},
		{"c-promote", "promotion with bytes on TCP, a byte in the ring; both ends may be killed", promote, true},
		{"c-mon-slots", "connections one after another in few slots; the monitor or an end may be killed at any step", slots, false},
		{"c-mon-heirs", "a child reads what its parent's peer has left, while slots are given back and out", heirs, false},
		{"c-mon-death", "the receiver dies with bytes unread, its own bytes keep FIN back; the sender waits for room", death, false},
		{"c-mon-orphan", "a child has nothing of its parent but mappings; when the parent is gone, its slots return", orphan, false},
		{"c-kill", "either end is killed at any step", killed, false},
	} {
		sim.Register(&sim.Scenario{Name: s.name, About: "libsd.so: " + s.about, Small: s.small,
			Setup: func(w *sim.World) { s.setup(newWorld(w)) }})
	}
}

// oneWay: a sends all, then closes; b reads to the end.
func oneWay(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	w.maybeNetwork()
	n, most, slow := w.Range(1, 400, "bytes"), 1<<w.Choose(8, "most"), w.Choose(3, "slow")
	if w.Choose(4, "more") == 0 {
		n *= 4 // than all rings hold
	}
	s := &stream{w: w, id: 0}
	a.main(fa, 0, 1, func(t *Thread) {
		for s.sent < n {
			if r := s.pump(t, fa, min(n, s.sent+1+w.Choose(n, "burst")), most, 0); r < 0 {
				w.Failf("result", "send: %d", r)
			}
			if slow == 1 {
				t.nap(time.Duration(w.Choose(3000, "us")) * time.Microsecond)
			}
		}
		t.close(fa)
	})
	b.main(fb, 1, 1, func(t *Thread) {
		if slow == 2 {
			t.nap(time.Duration(w.Choose(3000, "us")) * time.Microsecond)
		}
		if r := s.drain(t, fb, math.MaxInt, most); r != 0 {
			w.Failf("result", "recv: %d after %d bytes", r, s.received)
		}
		t.close(fb)
	})
	w.AtEnd(func() {
		if s.received != n || !s.ended {
			w.Failf("stream", "EOF after %d of %d bytes", s.received, n)
		}
	})
}

// echo: a sends a request and reads the response, which is the request.
func echo(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	w.maybeNetwork()
	rounds, most := w.Range(1, 20, "rounds"), 1<<w.Choose(6, "most")
	to, from := &stream{w: w, id: 1}, &stream{w: w, id: 2}
	a.main(fa, 0, 1, func(t *Thread) {
		for range rounds {
			k := w.Range(1, most, "request")
			if r := to.pump(t, fa, to.sent+k, k, 0); r < 0 {
				w.Failf("result", "send: %d", r)
			}
			if r := from.drain(t, fa, from.received+k, most); r != 1 {
				w.Failf("result", "recv: %d", r)
			}
		}
		t.shutdown(fa, unix.SHUT_WR)
		if r := from.drain(t, fa, math.MaxInt, most); r != 0 {
			w.Failf("result", "recv at end: %d", r)
		}
		t.close(fa)
	})
	b.main(fb, 1, 1, func(t *Thread) {
		for !to.ended {
			before := to.received
			b, err := t.recv(fb, most, 0)
			if err < 0 {
				w.Failf("result", "recv: %d", err)
			}
			if to.check(t, b, true); len(b) == 0 {
				to.ended = true
			}
			if r := from.pump(t, fb, from.sent+to.received-before, most, 0); r < 0 {
				w.Failf("result", "send: %d", r)
			}
		}
		t.close(fb)
	})
	w.AtEnd(func() {
		if to.received != to.sent || from.received != to.sent {
			w.Failf("stream", "%d sent, %d received, %d returned", to.sent, to.received, from.received)
		}
	})
}

// threads: both directions at once, a thread for each at both ends.
func threads(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	w.maybeNetwork()
	n, most := w.Range(1, 400, "bytes"), 1<<w.Choose(7, "most")
	streams := []*stream{{w: w, id: 0}, {w: w, id: 1}}
	a.main(fa, 0, 2, func(t *Thread) { bothWays(t, fa, streams[0], streams[1], n, most) })
	b.main(fb, 1, 2, func(t *Thread) { bothWays(t, fb, streams[1], streams[0], n, most) })
	w.AtEnd(func() {
		for _, s := range streams {
			if s.received != n {
				w.Failf("stream", "%d of %d bytes of stream %d arrived", s.received, n, s.id)
			}
		}
	})
}

// bothWays: one thread receives while another sends n bytes and ends; the last one closes.
func bothWays(t *Thread, fd int, out, in *stream, n, most int) {
	left := 2
	t.p.Go("reader", func(t *Thread) {
		if r := in.drain(t, fd, math.MaxInt, most); r != 0 {
			t.p.w.Failf("result", "recv: %d", r)
		}
		if left--; left == 0 {
			t.close(fd)
		}
	})
	if r := out.pump(t, fd, n, most, 0); r != 0 {
		t.p.w.Failf("result", "send: %d", r)
	}
	t.shutdown(fd, unix.SHUT_WR)
	if left--; left == 0 {
		t.close(fd)
	}
}

// threadsEnd: b has nothing to say. a's reader asks what b's end means while a's sender ends as well.
func threadsEnd(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	n, most := w.Range(1, 20, "bytes"), 1<<w.Choose(4, "most")
	sent, nothing := &stream{w: w, id: 0}, &stream{w: w, id: 1}
	a.main(fa, 0, 2, func(t *Thread) { bothWays(t, fa, sent, nothing, n, most) })
	b.main(fb, 1, 1, func(t *Thread) {
		t.shutdown(fb, unix.SHUT_WR)
		if r := sent.drain(t, fb, math.MaxInt, most); r != 0 {
			w.Failf("result", "recv: %d", r)
		}
		t.close(fb)
	})
	w.AtEnd(func() {
		if sent.received != n {
			w.Failf("stream", "%d of %d bytes arrived", sent.received, n)
		}
	})
}

// killed: what was sent before a kill arrives, in order, then EOF; a survivor is told.
func killed(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	w.maybeNetwork()
	n, most := w.Range(1, 400, "bytes"), 1<<w.Choose(8, "most")
	s := &stream{w: w, id: 0}
	a.Mortal()
	b.Mortal()
	a.main(fa, 0, 1, func(t *Thread) {
		r := s.pump(t, fa, n, most, unix.MSG_NOSIGNAL)
		if r != 0 && !(b.Killed && (r == -int64(unix.EPIPE) || r == -int64(unix.ECONNRESET))) {
			w.Failf("result", "send: %d", r)
		}
		t.close(fa)
	})
	b.main(fb, 1, 1, func(t *Thread) {
		if r := s.drain(t, fb, math.MaxInt, most); r != 0 {
			w.Failf("result", "recv: %d after %d bytes", r, s.received)
		}
		t.close(fb)
	})
	w.Faults.Kills = 1
	w.Plan(2000)
	w.AtEnd(func() {
		if !b.Killed && s.received < s.sent {
			w.Failf("stream", "EOF after %d of %d bytes", s.received, s.sent)
		}
	})
}
