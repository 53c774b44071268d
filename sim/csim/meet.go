//go:build sim && cgo

package csim

import (
	"errors"
	"io"
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
		ends[m.role].sndbuf = []int32{0, 0, 0, 20, 150, 4000}[w.Choose(6, "buffers")]
		ends[m.role].rcvbuf = ends[m.role].sndbuf
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
			s.w.excuse("Write", err, s.w.Faults.Struck)
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
			s.w.excuse("Read", err, s.w.Faults.Struck)
			return
		}
	}
}

// excuse fails the run unless the peer may have ended the connection, and what was said of that is right.
func (w *World) excuse(call string, err error, may bool) {
	if !may || !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		w.Failf("result", "%s: %v", call, err)
	}
}
