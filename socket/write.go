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
	if l == nil {
		n, err := c.tcp.Write(p)
		c.called()
		return n, c.closedInstead("write", err)
	}
	l.leaveTCP()
	n, err := l.write(p, &c.wrLimit)
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
// whether it has left.
func (l *link) leaveTCP() bool {
	if l.sender.Opened() {
		return true
	}
	c := l.c
	if !l.slot.IsAttached(1-l.place.end) || c.wrShut.Load() || c.isClosed() || c.wrLimit.passed() {
		return false
	}
	if l.look(); l.fin.Load() || l.out().IsOrphaned() {
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

// write is Write of a promoted connection, until a deadline.
func (l *link) write(p []byte, end *deadline) (n int, err error) {
	l.tx.begin()
	limit := end.wait()
	for {
		onTCP, err := l.way(end)
		if err != nil {
			return n, err
		}
		if onTCP {
			k, err := l.c.tcp.Write(p[n:])
			return n + k, err
		}
		k, err := l.put(p[n:])
		if n += k; err != nil || n == len(p) {
			return n, err
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
		l.waitForRoom(1, limit)
		limit = end.wait()
	}
}

// reserve waits until n bytes can be written at once, or as many as ever, unless the way is TCP.
func (l *link) reserve(n uint64, end *deadline) error {
	l.tx.begin()
	limit := end.wait()
	for {
		if onTCP, err := l.way(end); err != nil || onTCP {
			return err
		}
		free, err := l.sender.Free()
		if err != nil || free >= n || free > 0 && l.out().Unread() == 0 {
			return err
		}
		gen := l.sender.Class()
		if err := l.resize(l.sender.Grow); err != nil {
			return err
		}
		if gen == l.sender.Class() {
			l.waitForRoom(n, limit)
			limit = end.wait()
		}
	}
}

// way tells where the next bytes go, or why nowhere.
func (l *link) way(end *deadline) (onTCP bool, err error) {
	if err := l.stopped(end); err != nil {
		return false, err
	}
	if err := l.writeError(); err != nil {
		return false, err
	}
	// What comes to an end that is closed, or shut both ways, the kernel answers with RST.
	if !l.sender.OnTCP() && (l.full.Load() || l.fin.Load() && l.slot.IsReadShut(1-l.place.end)) {
		if err := l.backToTCP(); err != nil {
			return false, err
		}
	}
	return l.sender.OnTCP(), l.resize(l.sender.Shrink)
}

// put writes into the ring what fits and rings.
func (l *link) put(p []byte) (n int, err error) {
	if n, err = l.sender.Write(p); n > 0 {
		l.notify(&l.out().RxWatch)
	}
	if err != nil {
		return n, errors.Join(err, l.bad(queue.CountBadPeer))
	}
	return n, nil
}

// waitForRoom waits a little for room for n bytes.
func (l *link) waitForRoom(n uint64, limit <-chan struct{}) {
	l.tx.slowPoll = 0
	if l.fin.Load() {
		l.tx.slowPoll = halfPoll
	}
	l.here()
	l.tx.step(func() bool { return l.writable(n) }, limit, l.c.closed)
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

// writable is the cheap look of the spin: whether there is room for n bytes, or something else to know.
func (l *link) writable(n uint64) bool {
	free, err := l.sender.Free()
	return free >= n || err != nil || l.full.Load() || l.c.isClosed()
}

// backToTCP ends the rings: what follows goes to the anchor.
func (l *link) backToTCP() error {
	done, err := l.sender.SwitchToTCP()
	if err != nil {
		return errors.Join(err, l.bad(queue.CountBadPeer))
	}
	if !done {
		return syscall.EPIPE // a dead receiver with segments left to read
	}
	l.c.dom.page.Count(queue.CountToTCP, 1)
	return nil
}
