package socket

import (
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/socksdirect/libsd/queue"
)

const (
	askEvery = 20 * time.Microsecond // between questions whether a half-closed peer is gone
	halfPoll = 10 * time.Millisecond // bound of sleeps for space while the peer is half-closed
)

// Write writes all of p, waiting for space.
func (c *Conn) Write(p []byte) (int, error) {
	c.wr.Lock()
	defer c.wr.Unlock()
	l := c.link.Load()
	if l == nil || !l.leaveTCP() {
		n, err := c.tcp.Write(p)
		c.called()
		return n, c.closedInstead("write", err)
	}
	n, err := l.write(p)
	return n, c.wrapped("write", c.closedInstead("write", err))
}

// closedInstead replaces the error of a call that Close drove out of the kernel.
func (c *Conn) closedInstead(op string, err error) error {
	if err != nil && c.isClosed() {
		return c.wrap(op, net.ErrClosed)
	}
	return err
}

// leaveTCP moves the direction to its first ring as soon as the peer looks into it. It tells
// whether the ring path is the one to write on.
func (l *link) leaveTCP() bool {
	if l.sender.Opened() {
		return true
	}
	c := l.c
	if !l.slot.IsAttached(1-l.place.end) || l.fin.Load() || c.wrShut.Load() || c.isClosed() || c.wrLimit.passed() {
		return false
	}
	n, err := c.tcp.written(c.role == queue.RoleConnect)
	if err != nil {
		return false
	}
	l.sender.Open(n)
	c.dom.page.Count(queue.CountPromoted, 1)
	return true // the bytes that follow ring
}

// write is Write of a direction that has left TCP.
func (l *link) write(p []byte) (n int, err error) {
	c := l.c
	if l.sender.OnTCP() {
		return c.tcp.Write(p)
	}
	l.tx.begin()
	limit := c.wrLimit.wait()
	for {
		if err := l.stopped(&c.wrLimit); err != nil {
			return n, err
		}
		if c.wrShut.Load() {
			return n, syscall.EPIPE
		}
		if l.peerGone() {
			return l.writeAfterPeer(p, n)
		}
		if l.fin.Load() && l.slot.IsReadShut(1-l.place.end) {
			return l.backToTCP(p, n) // shut both ways: the kernel answers what comes with RST
		}
		if err := l.resize(l.sender.Shrink); err != nil {
			return n, err
		}
		k, err := l.sender.Write(p[n:])
		if k > 0 {
			n += k
			l.notify(&l.out().RxWatch)
		}
		if err != nil {
			return n, errors.Join(err, l.bad(queue.CountBadPeer))
		}
		if n == len(p) {
			return n, nil
		}
		if k > 0 {
			l.tx.begin()
		} else if l.tx.stage == armed { // it spun in vain
			gen := l.sender.Class()
			if err := l.resize(l.sender.Grow); err != nil {
				return n, err
			}
			if gen != l.sender.Class() {
				l.tx.begin()
				continue
			}
		}
		l.tx.slowPoll = 0
		if l.fin.Load() {
			l.tx.slowPoll = halfPoll
		}
		l.here()
		l.tx.step(l.writable, limit, c.closed)
		limit = c.wrLimit.wait()
	}
}

// resize does one of the sender's switches and counts it.
func (l *link) resize(change func() (bool, error)) error {
	done, err := change()
	if err != nil {
		return errors.Join(err, l.bad(queue.CountBadPeer))
	}
	if done {
		l.c.dom.page.Count(queue.CountSwitch, 1)
	}
	return nil
}

// writable is the cheap look of the spin.
func (l *link) writable() bool {
	free, err := l.sender.Free()
	return free > 0 || err != nil || l.full.Load() || l.c.isClosed()
}

// peerGone tells whether nobody can read any more. FIN alone may be half a close, after which the
// kernel reports nothing of the other half: the peer's socket is asked about.
func (l *link) peerGone() bool {
	if l.full.Load() || l.rst.Load() {
		return true
	}
	if !l.fin.Load() || l.out().Unread() > 0 && since(l.asked) < askEvery {
		return false
	}
	l.asked = now()
	if !l.fullyClosed() {
		return false
	}
	l.full.Store(true)
	wake(l.rx.wake)
	return true
}

// writeAfterPeer writes when the peer is gone. If it had read everything the kernel answers as
// ever; else it is the reset that Linux would have received.
func (l *link) writeAfterPeer(p []byte, n int) (int, error) {
	if l.out().Unread() > 0 {
		if l.txReset {
			return n, syscall.EPIPE
		}
		l.txReset = true
		l.c.dom.page.Count(queue.CountReset, 1)
		return n, syscall.ECONNRESET
	}
	return l.backToTCP(p, n)
}

// backToTCP writes what is left of p, from n on, to the anchor.
func (l *link) backToTCP(p []byte, n int) (int, error) {
	done, err := l.sender.SwitchToTCP()
	if err != nil {
		return n, errors.Join(err, l.bad(queue.CountBadPeer))
	}
	if !done {
		return n, syscall.EPIPE // a dead receiver with segments left to read
	}
	l.c.dom.page.Count(queue.CountToTCP, 1)
	k, err := l.c.tcp.Write(p[n:])
	return n + k, err
}
