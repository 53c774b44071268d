//go:build sim

package socket

import (
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/queue"
)

// SimAnchor is a connection of the simulated kernel. Its methods in common with *net.TCPConn do what
// those do.
type SimAnchor interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	Close() error
	CloseRead() error
	CloseWrite() error
	SetLinger(sec int) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error

	Written() uint64               // bytes handed to the kernel
	Counts() (came, queued uint64) // bytes that have come; of these, to be read
	Recv(p []byte) (int, error)    // without waiting
	Peek(p []byte) (int, error)    // likewise
	State() (state uint8, ok bool) // of tcp_info; false when it was closed here
	TakeError() error              // SO_ERROR
	Arrivals() uint64              // grows whenever epoll reports an edge
}

// anchor is a SimAnchor. What it has not goes to no *net.TCPConn and panics.
type anchor struct {
	*net.TCPConn
	raw syscall.RawConn
	sim SimAnchor
}

func newAnchor(*net.TCPConn) (anchor, error) { return anchor{}, syscall.ENOTSUP }

func (a anchor) Read(p []byte) (int, error)                 { return a.sim.Read(p) }
func (a anchor) buffers() (send, recv uint32)               { return 0, 0 }
func (a anchor) Write(p []byte) (int, error)                { return a.sim.Write(p) }
func (a anchor) Close() error                               { return a.sim.Close() }
func (a anchor) CloseRead() error                           { return a.sim.CloseRead() }
func (a anchor) CloseWrite() error                          { return a.sim.CloseWrite() }
func (a anchor) SetLinger(sec int) error                    { return a.sim.SetLinger(sec) }
func (a anchor) SetReadDeadline(t time.Time) error          { return a.sim.SetReadDeadline(t) }
func (a anchor) SetWriteDeadline(t time.Time) error         { return a.sim.SetWriteDeadline(t) }
func (a anchor) LocalAddr() net.Addr                        { return &net.TCPAddr{} }
func (a anchor) RemoteAddr() net.Addr                       { return &net.TCPAddr{} }
func (a anchor) written(bool) (uint64, error)               { return a.sim.Written(), nil }
func (a anchor) takeError() error                           { return a.sim.TakeError() }
func (a anchor) cookie() (cookie uint64, fd int, err error) { return 0, -1, syscall.ENOTSUP }

func (a anchor) recv(p []byte, flags int) (int, error) {
	if flags&unix.MSG_PEEK != 0 {
		return a.sim.Peek(p)
	}
	return a.sim.Recv(p)
}

func (a anchor) state() (uint8, error) {
	s, ok := a.sim.State()
	if !ok {
		return 0, net.ErrClosed
	}
	return s, nil
}

// anchorSet is that of anchorset.go: it reports edges, and the state at the start.
type anchorSet struct{ watched *[]watched }

type watched struct {
	a      anchor
	member uint32
	seen   uint64
}

func newAnchorSet() (anchorSet, error) { return anchorSet{new([]watched)}, nil }

func (s anchorSet) control(op int, a anchor, member uint32) error {
	if op == unix.EPOLL_CTL_ADD {
		*s.watched = append(*s.watched, watched{a, member, ^uint64(0)})
	} else {
		*s.watched = slices.DeleteFunc(*s.watched, func(w watched) bool { return w.member == member })
	}
	return nil
}

func (s anchorSet) watch(f func(member uint32)) {
	for {
		next := -1
		Sim.Block(func() bool {
			next = slices.IndexFunc(*s.watched, func(w watched) bool { return w.a.sim.Arrivals() != w.seen })
			return next >= 0
		}, -1)
		w := &(*s.watched)[next]
		w.seen = w.a.sim.Arrivals()
		f(w.member)
	}
}

func (s anchorSet) close() {}

// SimProcess is a process of a simulation.
type SimProcess struct {
	d      *domain
	shared sharedArena
}

// NewSimProcess gives the process pid a bell of page, the socket which that bell rings, a way to ring
// those of others, and what it shares with its one peer. It is a thread of the process that calls.
func NewSimProcess(page *queue.Page, pid uint32, nonce uint64, sock bellSocket, ringer bellRinger, arena *queue.Arena, peer *queue.Page) (*SimProcess, error) {
	bell, err := page.Claim(pid, nonce)
	if err != nil {
		return nil, err
	}
	anchors, err := newAnchorSet()
	if err != nil {
		return nil, err
	}
	d := &domain{page: page, bell: bell, sock: sock, ringer: ringer, anchors: anchors, conns: map[uint64]*Conn{}}
	spawn(d.dispatch)
	spawn(func() { d.anchors.watch(d.stir) })
	return &SimProcess{d, sharedArena{arena, peer}}, nil
}

// Conn is a connection of the process, to be introduced by hand.
func (p *SimProcess) Conn(a SimAnchor, role uint32, local, remote netip.AddrPort) *Conn {
	c := &Conn{tcp: anchor{sim: a}, network: "tcp", role: role, dom: p.d, closed: make(chan struct{}), local: local, remote: remote}
	c.offered.Store(true)
	return c
}

// Introduce promotes c in a slot, as one end of it, as an introduction by the monitor does. It tells
// whether c is promoted now.
func (p *SimProcess) Introduce(c *Conn, slot uint32, end int) bool {
	return c.promote(p.shared, place{slot: slot, end: end})
}

// State is a hash of what the goroutines of the process see besides memory.
func (p *SimProcess) State() (h uint64) {
	for _, m := range p.d.members {
		h = h*3 + uint64(len(m.wake)) + 1
	}
	return h
}

func (a anchor) queued() (int, error) {
	_, queued := a.sim.Counts()
	return int(queued), nil
}

func (a anchor) counts(bool) (came, queued uint64, err error) {
	came, queued = a.sim.Counts()
	return came, queued, nil
}
