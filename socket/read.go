package socket

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/queue"
)

// Read reads what is there, waiting for the first byte.
func (c *Conn) Read(p []byte) (int, error) {
	c.rd.Lock()
	defer c.rd.Unlock()
	for {
		if l := c.enterKernel(); l != nil {
			n, err := l.await(p, false)
			if err != io.EOF {
				err = c.wrapped("read", err)
			}
			return n, err
		}
		n, err := c.tcp.Read(p)
		c.inKernel.Store(false)
		if l := c.link.Load(); n == 0 && len(p) > 0 && l != nil {
			// Called out of the kernel by promotion, or it is the anchor's end, not the stream's.
			l.keep(err)
			continue
		}
		c.called()
		return n, err
	}
}

// enterKernel announces a read on the anchor, or gives the link that is to be read instead. Promotion
// stores the link and then looks at inKernel: one of the two sees the other.
func (c *Conn) enterKernel() *link {
	if l := c.link.Load(); l != nil {
		return l
	}
	c.inKernel.Store(true)
	l := c.link.Load()
	if l != nil {
		c.inKernel.Store(false)
	}
	return l
}

// await is Read of a promoted connection; a peek consumes nothing.
func (l *link) await(p []byte, peek bool) (int, error) {
	c := l.c
	l.rx.begin()
	limit := c.rdLimit.wait()
	for {
		if err := l.stopped(&c.rdLimit); err == net.ErrClosed || err != nil && len(p) > 0 {
			return 0, err
		}
		if len(p) == 0 {
			return 0, nil
		}
		if n, err := l.try(p, peek); n > 0 || err != nil {
			return n, err
		}
		l.here()
		l.rx.step(l.readable, limit, c.closed)
		limit = c.rdLimit.wait()
	}
}

// stopped is why a call must not go on, or nil.
func (l *link) stopped(limit *deadline) error {
	switch {
	case l.c.isClosed():
		return net.ErrClosed
	case limit.passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// try reads what is there: 0 bytes without an error mean that nothing is.
func (l *link) try(p []byte, peek bool) (int, error) {
	// State of the anchor first, then the ring: what was published before FIN is seen.
	ended, shut := l.fin.Load() || l.rst.Load(), l.c.rdShut.Load()
	n, err := l.take(p, peek)
	if n > 0 {
		return n, nil
	}
	if err == nil && l.stirred.Load() && l.stirred.Swap(false) && l.foreign() {
		return 0, l.bad(queue.CountForeignWrite)
	}
	if err == nil && (ended || shut) {
		err = l.end()
	}
	if err == syscall.EAGAIN {
		err = nil
	}
	return 0, err
}

// foreign tells whether the anchor holds bytes while the stream is in a ring: somebody who does not
// know of the ring wrote them. A sender that goes back to TCP says so before it writes there.
func (l *link) foreign() bool {
	left, err := l.c.tcp.queued()
	if err != nil || left == 0 {
		return false
	}
	where, _ := l.recver.Look()
	l.stirred.Store(where == queue.InRing) // ask again when that is read
	return where == queue.RingDry
}

// readable is the cheap look of the spin. What comes on the anchor wakes a sleeper.
func (l *link) readable() bool {
	switch where, _ := l.recver.Look(); where {
	case queue.RingDry, queue.OnAnchor, queue.Until, queue.BackOnTCP:
		return l.fin.Load() || l.c.isClosed()
	}
	return true
}

// take gets bytes from wherever the stream is now. n = 0 without an error means that a ring is
// dry; syscall.EAGAIN that the anchor is.
func (l *link) take(p []byte, peek bool) (int, error) {
	fromRing, flags := l.recver.Read, 0
	if peek {
		fromRing, flags = l.recver.Peek, unix.MSG_PEEK
	}
	for {
		n, where := fromRing(p)
		switch where {
		case queue.InRing:
			if !peek {
				l.notify(&l.in().TxWatch)
			}
			return n, nil
		case queue.RingDry:
			return 0, nil
		case queue.OnAnchor:
			n, moved, err := l.young(p, flags)
			if n > 0 {
				return n, nil
			}
			if moved {
				l.keep(err)
				continue
			}
			if err == nil {
				err = l.end()
			}
			return 0, err
		case queue.BackOnTCP:
			n, err := l.c.tcp.recv(p, flags)
			if n == 0 && err == nil {
				err = l.end()
			}
			return n, err
		case queue.Until:
			left, err := l.left()
			if err != nil {
				return 0, err
			}
			if left == 0 {
				if !l.recver.Enter() {
					return 0, l.bad(queue.CountBadPeer)
				}
				continue
			}
			n, err := l.c.tcp.recv(p[:min(uint64(len(p)), left)], flags)
			if n == 0 && err == nil {
				err = l.end() // the anchor ended before N: never skip to the ring
			}
			return n, err
		default:
			return 0, l.bad(queue.CountBadPeer)
		}
	}
}
