package socket

import (
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/socksdirect/libsd/internal/shm"
)

// Conn is a TCP connection whose bytes may go through shared memory. It implements net.Conn with
// the semantics of *net.TCPConn. Its state, by the link:
//
//	link == nil     all bytes on TCP; reads and writes are those of package net
//	link != nil     promoted: reads and writes ask the link where each direction is
//
// The change happens once, under dl, and never back: a direction that returns to TCP keeps its link.
type Conn struct {
	tcp           anchor
	role          uint32 // queue.RoleConnect or RoleAccept
	network       string // as it was asked for: "tcp", "tcp4" or "tcp6"
	local, remote netip.AddrPort
	dom           *domain // nil: on the kernel for good
	cookie        uint64  // guarded by dom.mu; 0 until offered

	calls   shm.Counter
	offered shm.Flag
	link    shm.Ref[link]

	rd, wr   shm.Mutex // held by the one reader, the one writer
	inKernel shm.Flag  // a reader is, or is about to be, in the kernel
	rdShut   shm.Flag
	wrShut   shm.Flag

	dl   shm.Mutex // guards kept, and the move of read deadlines from the anchor to rdLimit
	kept bool      // on the kernel for good
	rdLimit,
	wrLimit deadline
	closing shm.Flag
	closed  chan struct{} // for those who sleep; closing is set before
}

var _ interface {
	net.Conn
	syscall.Conn
	io.ReaderFrom
	io.WriterTo
} = (*Conn)(nil)

func newConn(tcp *net.TCPConn, network string, role uint32) (*Conn, error) {
	a, err := newAnchor(tcp)
	if err != nil {
		tcp.Close()
		return nil, err
	}
	return &Conn{
		tcp: a, network: network, role: role, dom: currentDomain(), closed: make(chan struct{}),
		local:  tcp.LocalAddr().(*net.TCPAddr).AddrPort(),
		remote: tcp.RemoteAddr().(*net.TCPAddr).AddrPort(),
	}, nil
}

// LocalAddr is the anchor's.
func (c *Conn) LocalAddr() net.Addr { return c.tcp.LocalAddr() }

// RemoteAddr is the anchor's.
func (c *Conn) RemoteAddr() net.Addr { return c.tcp.RemoteAddr() }

// Promoted tells whether the connection has been introduced to its peer's process. Each direction
// then leaves TCP at its sender's next Write.
func (c *Conn) Promoted() bool { return c.link.Load() != nil }

// Close closes the connection. Blocked calls return net.ErrClosed. As on Linux, unread bytes make
// the peer see ECONNRESET.
func (c *Conn) Close() error {
	if c.closing.Swap(true) {
		return c.wrap("close", net.ErrClosed)
	}
	close(c.closed)
	if c.dom != nil {
		c.dom.mu.Lock()
		waiting := c.dom.conns[c.cookie] == c
		delete(c.dom.conns, c.cookie)
		c.dom.mu.Unlock()
		if waiting {
			c.dom.client.Gone(c.cookie, 0, 0)
		}
	}
	c.dl.Lock()
	l := c.link.Load() // promote sees closing from here on
	c.dl.Unlock()
	if l == nil {
		return c.wrapped("close", c.tcp.Close())
	}
	return c.wrapped("close", l.close())
}

func (c *Conn) isClosed() bool { return c.closing.Load() }

// CloseWrite sends FIN after the bytes written so far.
func (c *Conn) CloseWrite() error {
	c.wrShut.Store(true)
	if l := c.link.Load(); l != nil {
		wake(l.tx.wake)
		c.wr.Lock()
		defer c.wr.Unlock()
	}
	return c.tcp.CloseWrite()
}

// CloseRead makes reads return EOF once what has arrived is consumed.
func (c *Conn) CloseRead() error {
	c.rdShut.Store(true)
	if l := c.link.Load(); l != nil {
		l.slot.ShutRead(l.place.end)
		wake(l.rx.wake)
	}
	return c.tcp.CloseRead()
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline bounds present and future reads; the zero time means no bound.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.isClosed() {
		return c.notSet()
	}
	c.dl.Lock()
	defer c.dl.Unlock()
	c.rdLimit.set(t)
	if c.link.Load() != nil {
		return nil // nobody reads in the kernel any more
	}
	return c.tcp.SetReadDeadline(t)
}

// SetWriteDeadline bounds present and future writes; the zero time means no bound.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.isClosed() {
		return c.notSet()
	}
	c.wrLimit.set(t)
	return c.tcp.SetWriteDeadline(t)
}

// notSet is what package net says of a deadline for a closed connection.
func (c *Conn) notSet() error {
	return &net.OpError{Op: "set", Net: c.network, Addr: c.LocalAddr(), Err: net.ErrClosed}
}

// wrapped is the error, if any, as package net would return it.
func (c *Conn) wrapped(op string, err error) error {
	if err == nil {
		return nil
	}
	return c.wrap(op, err)
}

// wrap makes the error which package net would return.
func (c *Conn) wrap(op string, err error) error {
	switch e := err.(type) {
	case *net.OpError:
		return e
	case syscall.Errno:
		err = os.NewSyscallError(op, e)
	}
	return &net.OpError{Op: op, Net: c.network, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
