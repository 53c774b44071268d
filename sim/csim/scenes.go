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
	}{
		{"c-stream", "one process sends, one receives: promotion on the way, growth, parking, EOF", oneWay},
		{"c-echo", "request and response", echo},
		{"c-threads", "two threads at each end, one sends, one receives", threads},
		{"c-shared", "two threads send on one connection, two receive", shared},
		{"c-fork", "a forked child and its parent send on one connection; one may be killed at any step", forked},
		{"c-kill", "either end is killed at any step", killed},
	} {
		sim.Register(&sim.Scenario{Name: s.name, About: "libsd.so: " + s.about,
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
	for i, p := range []*Process{a, b} {
		out, in, fd := streams[i], streams[1-i], fa
		if i == 1 {
			fd = fb
		}
		p.main(fd, i, 2, func(t *Thread) {
			left := 2
			p.Go("reader", func(t *Thread) {
				if r := in.drain(t, fd, math.MaxInt, most); r != 0 {
					w.Failf("result", "recv: %d", r)
				}
				if left--; left == 0 {
					t.close(fd)
				}
			})
			if r := out.pump(t, fd, n, most, 0); r != 0 {
				w.Failf("result", "send: %d", r)
			}
			t.shutdown(fd, unix.SHUT_WR)
			if left--; left == 0 {
				t.close(fd)
			}
		})
	}
	w.AtEnd(func() {
		for _, s := range streams {
			if s.received != n {
				w.Failf("stream", "%d of %d bytes of stream %d arrived", s.received, n, s.id)
			}
		}
	})
}

// tally checks messages of one byte, sender in the upper two bits and a count below, which several
// threads send and several receive.
type tally struct {
	w        *World
	sent     [4]int
	seen     map[byte]bool
	received int
}

func (y *tally) send(t *Thread, fd, sender, n int) int64 {
	for y.sent[sender] < n {
		r := t.send(fd, []byte{byte(sender<<6 | y.sent[sender])}, 0)
		if r < 0 {
			return r
		}
		y.sent[sender]++
	}
	return 0
}

// recv reads to EOF; each reader sees each sender's messages in order.
func (y *tally) recv(t *Thread, fd, most int) int64 {
	last := [4]int{-1, -1, -1, -1}
	for {
		b, err := t.recv(fd, most, 0)
		if err != 0 || len(b) == 0 {
			return err
		}
		for _, c := range b {
			sender, k := c>>6, int(c&63)
			if k <= last[sender] || y.seen[c] {
				y.w.Failf("stream", "%s: message %d of sender %d after message %d", t, k, sender, last[sender])
			}
			last[sender] = k
			y.seen[c] = true
			y.received++
		}
	}
}

func (y *tally) atEnd(want int) {
	y.w.AtEnd(func() {
		if y.received != want {
			y.w.Failf("stream", "%d of %d messages arrived", y.received, want)
		}
	})
}

func shared(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	w.maybeNetwork()
	n, most := w.Range(1, 40, "messages"), w.Range(1, 9, "most")
	y := &tally{w: w, seen: map[byte]bool{}}
	a.main(fa, 0, 2, func(t *Thread) {
		left := 2
		half := func(t *Thread, sender int) {
			if r := y.send(t, fa, sender, n); r != 0 {
				w.Failf("result", "send: %d", r)
			}
			if left--; left == 0 {
				t.close(fa)
			}
		}
		a.Go("second", func(t *Thread) { half(t, 1) })
		half(t, 0)
	})
	b.main(fb, 1, 2, func(t *Thread) {
		left := 2
		half := func(t *Thread) {
			if r := y.recv(t, fb, most); r != 0 {
				w.Failf("result", "recv: %d", r)
			}
			if left--; left == 0 {
				t.close(fb)
			}
		}
		b.Go("second", half)
		half(t)
	})
	y.atEnd(2 * n)
}

// forked: the parent forks after a few messages; both send the rest. If one is killed the other goes on.
func forked(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	n, first, most := w.Range(25, 60, "messages"), w.Choose(25, "before fork"), w.Range(1, 9, "most")
	y := &tally{w: w, seen: map[byte]bool{}}
	half := func(t *Thread, sender int) {
		if r := y.send(t, fa, sender, n); r != 0 {
			w.Failf("result", "send: %d", r)
		}
		t.close(fa)
	}
	a.Mortal()
	a.main(fa, 0, 1, func(t *Thread) {
		y.send(t, fa, 0, first)
		child := t.fork("child", func(t *Thread) { half(t, 1) })
		child.Mortal()
		half(t, 0)
	})
	b.main(fb, 1, 1, func(t *Thread) {
		if r := y.recv(t, fb, most); r != 0 {
			w.Failf("result", "recv: %d", r)
		}
		t.close(fb)
	})
	w.Faults.Kills = w.Choose(2, "kills")
	w.Plan(4000)
	w.AtEnd(func() {
		// A message that was on its way when its sender was killed may or may not have arrived.
		sum := y.sent[0] + y.sent[1]
		if y.received < sum || y.received > sum+2 || (w.Faults.Kills == 0 && y.received != sum) {
			w.Failf("stream", "%d of %d messages arrived", y.received, sum)
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
