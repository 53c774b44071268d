//go:build sim && cgo

package csim

import (
	"math"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim"
)

// withGo: a stream each way at once, half closed by the sender of each.
func withGo(w *World) { w.bothWays(0) }

// killedGo: the same, and either process may be killed at any step.
func killedGo(w *World) { w.bothWays(1) }

func (w *World) bothWays(kills int) {
	out, back := &stream{w: w, id: 1}, &stream{w: w, id: 2}
	most := 1 << w.Choose(12, "most")
	n := [2]int{w.someBytes(most), w.someBytes(most)}
	edges := w.Choose(2, "edges") == 1
	m := w.meet(1, 2, func(m *meeting, t *Thread) {
		left, fd := 2, m.links[0].fd
		done := func(t *Thread) {
			if left--; left == 0 {
				t.close(fd)
			}
		}
		m.c.Go("send", func(t *Thread) {
			if r := out.pump(t, fd, n[0], most, unix.MSG_NOSIGNAL); r < 0 {
				w.excuse("send", unix.Errno(-r), w.Faults.Struck)
			}
			t.shutdown(fd, unix.SHUT_WR)
			done(t)
		})
		receive := back.drain
		if edges {
			receive = back.drainEdges
		}
		if r := receive(t, fd, math.MaxInt, most); r != 0 {
			w.excuse("recv", unix.Errno(-r), w.Faults.Struck)
		}
		done(t)
	}, func(m *meeting) {
		left, conn := 2, m.links[0].conn
		done := func() {
			if left--; left == 0 {
				conn.Close()
			}
		}
		m.g.Go("send", func(*sim.Thread) {
			back.write(conn, n[1], most)
			conn.CloseWrite()
			done()
		})
		out.read(conn, math.MaxInt, most)
		done()
	})
	if w.Faults.Kills = kills; kills > 0 {
		w.resets = true
		m.c.Mortal()
		m.g.Mortal()
		w.Plan(2000)
	}
	w.AtEnd(func() {
		if !w.Faults.Struck {
			w.judge(out, back)
		}
	})
}

// drainEdges is drain by epoll_wait with EPOLLET.
func (s *stream) drainEdges(t *Thread, fd, n, most int) int64 {
	ep := t.epollCreate()
	t.epollCtl(ep, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET)
	for s.received < n {
		b, err := t.recv(fd, min(1+s.w.Choose(most, "size"), n-s.received), unix.MSG_DONTWAIT)
		switch {
		case err == -int64(unix.EAGAIN):
			t.epollWait(ep)
		case err < 0:
			return err
		case len(b) == 0:
			s.ended = true
			return 0
		}
		s.check(t, b, true)
	}
	return 1
}

// someBytes is how much a stream carries, by calls of at most so many bytes: mostly little, at times more than
// the smallest ring.
func (w *World) someBytes(most int) int {
	return w.Range(1, min(100*most, []int{8, 400, 3000, 100 << 10}[w.Choose(4, "much")]), "bytes")
}

func (w *World) judge(all ...*stream) {
	for _, s := range all {
		if s.received != s.sent || !s.ended {
			w.Failf("stream", "stream %d carried %d bytes of %d, ended %v", s.id, s.received, s.sent, s.ended)
		}
	}
}

// echoGo: a request from either end and its response; between them both sleep.
func echoGo(w *World) {
	to, from := &stream{w: w, id: 1}, &stream{w: w, id: 2}
	rounds, most, ask := w.Range(1, 12, "rounds"), 1<<w.Choose(6, "most"), w.Choose(2, "who asks")
	sizes := make([]int, rounds)
	for i := range sizes {
		sizes[i] = 1 + w.Choose(most, "request")
	}
	w.meet(1, 1, func(m *meeting, t *Thread) {
		fd, mine, theirs := m.links[0].fd, to, from
		if ask == 1 {
			mine, theirs = from, to
		}
		send := func(k int) {
			if r := mine.pump(t, fd, mine.sent+k, k, 0); r < 0 {
				w.Failf("result", "send: %d", r)
			}
		}
		for _, k := range sizes {
			if ask == 0 {
				send(k)
			}
			if r := theirs.drain(t, fd, theirs.received+k, most); r != 1 {
				w.Failf("result", "recv: %d", r)
			}
			if ask == 1 {
				send(k)
			}
		}
		t.shutdown(fd, unix.SHUT_WR)
		theirs.drain(t, fd, math.MaxInt, most)
		t.close(fd)
	}, func(m *meeting) {
		conn, mine, theirs := m.links[0].conn, from, to
		if ask == 1 {
			mine, theirs = to, from
		}
		for _, k := range sizes {
			if ask == 1 {
				mine.write(conn, mine.sent+k, k)
			}
			theirs.read(conn, theirs.received+k, most)
			if ask == 0 {
				mine.write(conn, mine.sent+k, k)
			}
		}
		conn.CloseWrite()
		theirs.read(conn, math.MaxInt, most)
		conn.Close()
	})
	w.AtEnd(func() { w.judge(to, from) })
}

// twoGo: the same of two connections, whose requests one thread sends one after the other.
func twoGo(w *World) {
	var to, from [2]*stream
	for i := range to {
		to[i], from[i] = &stream{w: w, id: i}, &stream{w: w, id: 2 + i}
	}
	rounds, k := w.Range(1, 6, "rounds"), 1+w.Choose(8, "request")
	w.meet(2, 1, func(m *meeting, t *Thread) {
		for range rounds {
			for i, l := range m.links {
				if r := to[i].pump(t, l.fd, to[i].sent+k, k, 0); r < 0 {
					w.Failf("result", "send: %d", r)
				}
			}
			for i, l := range m.links {
				if r := from[i].drain(t, l.fd, from[i].received+k, k); r != 1 {
					w.Failf("result", "recv: %d", r)
				}
			}
		}
		for i, l := range m.links {
			t.shutdown(l.fd, unix.SHUT_WR)
			from[i].drain(t, l.fd, math.MaxInt, k)
			t.close(l.fd)
		}
	}, func(m *meeting) {
		for i, l := range m.links {
			m.g.Go("answers", func(*sim.Thread) {
				for !to[i].ended {
					before := to[i].received
					to[i].read(l.conn, before+1, k)
					from[i].write(l.conn, from[i].sent+to[i].received-before, k)
				}
				l.conn.Close()
			})
		}
	})
	w.AtEnd(func() { w.judge(to[0], to[1], from[0], from[1]) })
}

// closedGo: one end writes, more than fits; the other reads a part at most and closes. Nobody sleeps on.
func closedGo(w *World) {
	s, most := &stream{w: w, id: 1}, 1<<w.Choose(12, "most")
	part, after := w.Choose(2, "reads")*w.someBytes(most), time.Duration(w.Choose(3000, "us"))*time.Microsecond
	goWrites := w.Choose(2, "who writes") == 1
	w.resets = true
	w.meet(1, 1, func(m *meeting, t *Thread) {
		fd := m.links[0].fd
		if goWrites {
			s.drain(t, fd, part, most)
			t.nap(after)
		} else if r := s.pump(t, fd, w.someBytes(most), most, unix.MSG_NOSIGNAL); r < 0 {
			w.excuse("send", unix.Errno(-r), true)
		}
		t.close(fd)
	}, func(m *meeting) {
		conn := m.links[0].conn
		if !goWrites {
			s.read(conn, part, most)
			w.Current().Sleep(after)
		} else if _, err := conn.Write(flood()); err == nil {
			w.Failf("result", "more was written than fits")
		} else {
			w.excuse("Write", err, true)
		}
		conn.Close()
	})
}

// flood is the beginning of stream 1, more than all rings of a direction hold.
var flood = sync.OnceValue(func() []byte {
	b := make([]byte, queue.DirStride+1<<20)
	for i := range b {
		b[i] = byteAt(1, i)
	}
	return b
})

func init() {
	for _, s := range []struct {
		name, about string
		setup       func(w *World)
	}{
		{"c-go", "libsd.so and package socket: a stream each way, introduced at any moment", withGo},
		{"c-go-kill", "libsd.so and package socket: the same, and either end is killed at any step", killedGo},
		{"c-go-close", "libsd.so and package socket: one end writes without end, the other closes", closedGo},
		{"c-go-echo", "libsd.so and package socket: requests and responses, both ends sleep", echoGo},
		{"c-go-back", "libsd.so and package socket: a stream that goes to the rings and back to TCP while the reader is on its way", backGo},
		{"c-go-two", "libsd.so and package socket: the same on two connections at once", twoGo},
	} {
		sim.Register(&sim.Scenario{Name: s.name, About: s.about, Setup: func(w *sim.World) { s.setup(newWorldOn(w, &full)) }})
	}
}
