package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/socksdirect/libsd/queue"
)

// Read reads what is there, waiting for the first byte.
func (c *Conn) Read(p []byte) (int, error) {
	c.rd.Lock()
	defer c.rd.Unlock()
	for {
		l := c.link.Load()
		if l == nil {
			// Promotion stores the link and then looks at inKernel: one of the two sees the other.
			c.inKernel.Store(true)
			if l = c.link.Load(); l != nil {
				c.inKernel.Store(false)
			}
		}
		if l != nil {
			n, err := l.read(p)
			if err != nil && err != io.EOF {
				err = c.wrap("read", err)
			}
			return n, err
		}
		n, err := c.tcp.Read(p)
		c.inKernel.Store(false)
		if l = c.link.Load(); n == 0 && len(p) > 0 && l != nil {
			// Called out of the kernel by promotion, or it is the anchor's end, not the stream's.
			l.rxReset = l.rxReset || errors.Is(err, syscall.ECONNRESET) // told once, and not lost
			continue
		}
		c.called()
		return n, err
	}
}

// read is Read of a promoted connection.
func (l *link) read(p []byte) (int, error) {
	c := l.c
	l.rx.begin()
	limit := c.rdLimit.wait()
	for {
		switch {
		case c.isClosed():
			return 0, net.ErrClosed
		case c.rdLimit.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		}
		// State of the anchor first, then the ring: what was published before FIN is seen.
		ended, shut := l.fin.Load() || l.rst.Load(), c.rdShut.Load()
		n, err := l.take(p)
		if n > 0 {
			return n, nil
		}
		if err == nil && (ended || shut) {
			err = l.end(ended)
		}
		if err != nil && err != syscall.EAGAIN {
			return 0, err
		}
		l.here()
		l.rx.step(l.readable, limit, c.closed)
		limit = c.rdLimit.wait()
	}
}

// readable is the cheap look of the spin.
func (l *link) readable() bool {
	where, _ := l.recver.Look()
	return where != queue.RingDry && where != queue.OnAnchor || l.fin.Load() || l.c.isClosed()
}

// take gets bytes from wherever the stream is now. n = 0 without an error means that a ring is
// dry; syscall.EAGAIN that the anchor is.
func (l *link) take(p []byte) (int, error) {
	for {
		n, where := l.recver.Read(p)
		switch where {
		case queue.InRing:
			l.notify(&l.in().TxWatch)
			return n, nil
		case queue.RingDry:
			return 0, nil
		case queue.OnAnchor, queue.BackOnTCP:
			n, err := l.c.tcp.recv(p)
			if n > 0 {
				return n, nil
			}
			// The sender may have left the anchor since Look: then its end is not the stream's.
			if now, _ := l.recver.Look(); now != where {
				l.rxReset = l.rxReset || err == syscall.ECONNRESET // told once, and not lost
				continue
			}
			if err == nil {
				err = l.end(true)
			}
			return 0, err
		case queue.Until:
			left, err := l.c.tcp.left(l.recver.Boundary())
			if err != nil {
				return 0, err
			}
			if left == 0 {
				if !l.recver.Enter() {
					return 0, l.bad()
				}
				continue
			}
			n, err := l.c.tcp.recv(p[:min(uint64(len(p)), left)])
			if n == 0 && err == nil {
				err = syscall.ECONNRESET // the anchor ended before N: never skip to the ring
			}
			return n, err
		default:
			return 0, l.bad()
		}
	}
}

// end is what a reader gets when the stream is over: EOF, or once ECONNRESET when the peer died
// without reading all that was written to it, or was reset.
func (l *link) end(ended bool) error {
	if !ended || l.resetTold {
		return io.EOF
	}
	// After our own FIN the peer's socket may be in TIME_WAIT, which has no inode though the peer
	// still reads: then only a real RST is one.
	reset := l.rxReset || l.full.Load() && !l.c.wrShut.Load() && l.out().Unread() > 0
	if l.rst.Load() && !reset {
		// The kernel knows whether the anchor ended in order; it tells an error once.
		_, err := l.c.tcp.recv(make([]byte, 1))
		reset = err == syscall.ECONNRESET
	}
	if !reset {
		return io.EOF
	}
	l.resetTold = true
	l.c.dom.page.Count(queue.CountReset, 1)
	return syscall.ECONNRESET
}

// bad resets the connection whose shared memory holds an impossible value.
func (l *link) bad() error {
	l.c.dom.page.Count(queue.CountBadPeer, 1)
	l.c.tcp.SetLinger(0)
	l.c.tcp.Close()
	return syscall.ECONNRESET
}
