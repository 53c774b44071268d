package socket

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/queue"
)

// place is where a link lies in shared memory.
type place struct {
	arena, slot uint32
	end         int // ours, 0 or 1
}

// link is what a connection gains by promotion.
type link struct {
	c      *Conn
	place  place
	slot   *queue.Slot
	peer   *queue.Page // bells of the peer
	sender *queue.Sender
	recver *queue.Receiver
	rx, tx waiter

	fin  shm.Flag // the peer's FIN was received
	half shm.Flag // it came while somebody held the peer's socket
	rst  shm.Flag // the anchor is dead
	full shm.Flag // the peer's socket has lost its last holder

	stirred shm.Flag // something happened on the anchor since the reader looked for foreign bytes

	reset shm.Flag  // the kernel told of a reset when there was more to read: still to be told
	told  shm.Flag  // of a reset that the kernel does not know of, which is told once
	asked time.Time // guarded by Conn.wr: when fullyClosed was asked last
}

func (l *link) out() *queue.Direction { return &l.slot.Dir[l.place.end] }
func (l *link) in() *queue.Direction  { return &l.slot.Dir[1-l.place.end] }

// promote gives c its link; it tells whether it did.
func (c *Conn) promote(shared sharedArena, at place) bool {
	l := &link{c: c, place: at, slot: shared.arena.Slot(at.slot), peer: shared.peer}
	var err error
	if l.sender, err = queue.NewSender(l.out(), shared.arena.Rings(at.slot, at.end)); err != nil {
		return false
	}
	if l.recver, err = queue.NewReceiver(l.in(), shared.arena.Rings(at.slot, 1-at.end)); err != nil {
		return false
	}
	if !c.dom.claim(at) || !l.rx.join(c.dom, l) {
		return false
	}
	if !l.tx.join(c.dom, l) {
		l.rx.leave()
		return false
	}
	c.dl.Lock()
	if c.isClosed() || c.kept || c.dom.anchors.control(unix.EPOLL_CTL_ADD, c.tcp, l.rx.member) != nil {
		c.dl.Unlock()
		l.rx.leave()
		l.tx.leave()
		return false
	}
	l.rx.watch(&l.in().RxWatch)
	l.tx.watch(&l.out().TxWatch)
	l.rx.peerCPU, l.tx.peerCPU = &l.in().Tx.CPU, &l.out().Rx.CPU
	send, recv := c.tcp.buffers()
	l.slot.SetBuffers(at.end, send, recv)
	l.sender.Bound(send)
	c.link.Store(l)
	c.dl.Unlock()
	if c.rdShut.Load() { // CloseRead sees the link, or is seen here
		l.slot.ShutRead(at.end)
	}
	if c.inKernel.Load() {
		spawn(l.evict)
	} else {
		l.attach()
	}
	return true
}

// attach lets the peer leave TCP, when no reader is in the kernel: a stream that goes to the rings and back to TCP
// would have it read from behind the rings what comes after them.
func (l *link) attach() {
	l.c.dl.Lock()
	defer l.c.dl.Unlock()
	if !l.c.isClosed() { // else somebody else may have the slot already
		l.slot.Attach(l.place.end)
	}
}

// resized says what the buffers hold now: to the peer, and to whoever waits for room.
func (c *Conn) resized() {
	l := c.link.Load()
	if l == nil {
		return
	}
	send, recv := c.tcp.buffers()
	l.slot.SetBuffers(l.place.end, send, recv)
	wake(l.tx.wake)
	l.notify(&l.in().TxWatch)
}

// here tells the peer on which processor we are about to wait for it.
func (l *link) here() {
	cpu := shm.CPU() + 1
	for _, p := range []*uint32{&l.out().Tx.CPU, &l.in().Rx.CPU} {
		if shm.Load32(p) != cpu {
			shm.StoreRelease32(p, cpu)
		}
	}
}

// close closes the anchor of a promoted connection and leaves the slot. The monitor may give the
// slot to another connection as soon as the anchor is closed, so nobody may be inside by then.
func (l *link) close() error {
	c := l.c
	c.tcp.SetWriteDeadline(time.Unix(1, 0)) // calls a writer out of the kernel
	c.rd.Lock()
	defer c.rd.Unlock()
	c.wr.Lock()
	defer c.wr.Unlock()
	l.in().Close()
	if l.in().Unread() > 0 {
		l.in().Reset()
		c.tcp.SetLinger(0) // the peer is to see RST, as on Linux
	}
	l.rx.unwatch(&l.in().RxWatch)
	l.tx.unwatch(&l.out().TxWatch)
	c.dom.anchors.control(unix.EPOLL_CTL_DEL, c.tcp, l.rx.member) // a duplicate would keep it there
	err := c.tcp.Close()
	l.notify(&l.out().RxWatch) // an epoll set may look at rings only
	l.notify(&l.in().TxWatch)  // after a FIN of ours the kernel tells the peer's writer nothing more
	l.rx.leave()
	l.tx.leave()
	c.dom.gone(c.cookieOf(), l.place)
	return err
}

// notify rings who waits for a change of one of the directions.
func (l *link) notify(w *queue.WatchLine) {
	if n := w.Notify(l.peer, l.c.dom.ringer); n > 0 {
		l.c.dom.page.Count(queue.CountRing, uint64(n))
	}
}
