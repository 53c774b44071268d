//go:build sim && cgo

package csim

import (
	"errors"
	"io"
	"math"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/sim"
	"github.com/socksdirect/libsd/sim/machine"
	"github.com/socksdirect/libsd/socket"
)

// meeting is connections between a process with libsd.so and one with package socket.
type meeting struct {
	w     *World
	mem   *fullMemory
	c     *Process
	g     *sim.Process
	role  int // of the C ends
	links []connection
}

// connection is one of them, as either process knows it.
type connection struct {
	fd     int
	conn   *socket.Conn
	anchor socket.SimAnchor
	own    netip.AddrPort // of the Go end
	peer   netip.AddrPort
}

const goNonce = 1

// meet makes connections; the processes begin in inC and inGo, either introduced at any moment.
func (w *World) meet(links, threads int, inC func(m *meeting, t *Thread), inGo func(m *meeting)) *meeting {
	m := &meeting{w: w, mem: w.newFullMemory(), c: w.process("c"), g: w.World.Process("go"), role: w.Choose(2, "role")}
	kernel := map[netip.AddrPort]machine.Kernel{}
	for i := range links {
		x, y := w.handshake()
		y.inode = true
		ends, ip := [2]*end{x, y}, netip.MustParseAddr("10.0.0.1")
		l := connection{own: netip.AddrPortFrom(ip, uint16(2*i+1)), peer: netip.AddrPortFrom(ip, uint16(2*i+2))}
		l.fd = m.c.put(3, ends[m.role])
		theirs := goEnd{ends[1-m.role]}
		kernel[l.own], kernel[l.peer] = theirs, goEnd{ends[m.role]}
		m.g.AtExit(theirs.Close)
		var state func() uint64
		l.anchor, state = machine.Anchor(w.World, theirs)
		w.KernelState(state)
		m.links = append(m.links, l)
	}
	machine.Host(w.World, kernel)
	early, late := w.Choose(2, "introduced first") == 1, [2]int{w.Choose(60, "delay"), w.Choose(60, "delay")}
	introduced := 0
	begin := func(t *sim.Thread) {
		if introduced++; early {
			t.Block("introduced", func() bool { return introduced == 2 || w.Faults.Struck }, -1)
		}
	}
	m.c.Go("main", func(t *Thread) {
		m.c.multi(1)
		t.start(threads, &memory{at: m.mem.page(m.role)})
		for i, l := range m.links {
			t.Call("sim_track", int64(l.fd), int64(m.role))
			if early {
				m.introduceC(t, i)
			}
		}
		m.c.multi(threads)
		begin(t.Thread)
		if !early {
			t.Call("sim_threads", int64(threads+1))
			m.c.multi(threads + 1)
			m.c.Go("intro", func(t *Thread) {
				t.later(late[0])
				for i := range m.links {
					m.introduceC(t, i)
				}
			})
		}
		inC(m, t)
	})
	m.g.Go("main", func(t *sim.Thread) {
		bell := w.newGoBell(goNonce)
		reg, err := socket.NewSimProcess(m.mem.pages[1-m.role], m.g.PID, goNonce, bell, bell, m.mem.arena, m.mem.pages[m.role])
		if err != nil {
			w.Failf("setup", "%v", err)
		}
		w.KernelState(reg.State)
		introduce := func() {
			for i, l := range m.links {
				if reg.Introduce(l.conn, uint32(i), 1-m.role) {
					w.Cover("promoted in Go")
				}
			}
		}
		for i := range m.links {
			l := &m.links[i]
			l.conn = reg.Conn(l.anchor, uint32(1-m.role), l.own, l.peer)
		}
		if early {
			introduce()
		}
		begin(t)
		if !early {
			m.g.Go("intro", func(t *sim.Thread) {
				for range late[1] {
					t.Step("later")
				}
				introduce()
			}).Daemon = true
		}
		inGo(m)
	})
	return m
}

func (m *meeting) introduceC(t *Thread, i int) {
	t.Call("sim_introduce", int64(m.links[i].fd), int64(2*i+m.role), int64(fullArenaAt), int64(m.mem.page(1-m.role)))
}

func (t *Thread) later(steps int) {
	for range steps {
		t.Step("later")
	}
}

// write is pump for package socket.
func (s *stream) write(c *socket.Conn, n, most int) {
	for s.sent < n {
		b := make([]byte, min(1+s.w.Choose(most, "size"), n-s.sent))
		for i := range b {
			b[i] = byteAt(s.id, s.sent+i)
		}
		k, err := c.Write(b)
		if s.sent += k; err != nil {
			s.w.excuse("Write", err)
			return
		}
	}
}

// read is drain for package socket.
func (s *stream) read(c *socket.Conn, n, most int) {
	for s.received < n {
		b := make([]byte, min(1+s.w.Choose(most, "size"), n-s.received))
		k, err := c.Read(b)
		for i, c := range b[:k] {
			if want := byteAt(s.id, s.received+i); c != want {
				s.w.Failf("stream", "Read: byte %d of stream %d is %#x, not %#x", s.received+i, s.id, c, want)
			}
		}
		if s.received += k; err == io.EOF {
			s.ended = true
			return
		} else if err != nil {
			s.w.excuse("Read", err)
			return
		}
	}
}

// excuse fails the run unless somebody has died, and what was said of it is right.
func (w *World) excuse(call string, err error) {
	if !w.Faults.Struck || !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		w.Failf("result", "%s: %v", call, err)
	}
}

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
				w.excuse("send", unix.Errno(-r))
			}
			t.shutdown(fd, unix.SHUT_WR)
			done(t)
		})
		receive := back.drain
		if edges {
			receive = back.drainEdges
		}
		if r := receive(t, fd, math.MaxInt, most); r != 0 {
			w.excuse("recv", unix.Errno(-r))
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

func init() {
	for _, s := range []struct {
		name, about string
		setup       func(w *World)
	}{
		{"c-go", "libsd.so and package socket: a stream each way, introduced at any moment", withGo},
		{"c-go-kill", "libsd.so and package socket: the same, and either end is killed at any step", killedGo},
		{"c-go-echo", "libsd.so and package socket: requests and responses, both ends sleep", echoGo},
		{"c-go-two", "libsd.so and package socket: the same on two connections at once", twoGo},
	} {
		sim.Register(&sim.Scenario{Name: s.name, About: s.about, Setup: func(w *sim.World) { s.setup(newWorldOn(w, &full)) }})
	}
}
