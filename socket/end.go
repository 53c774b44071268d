package socket

import (
	"errors"
	"io"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/queue"
)

// How a connection ends is the kernel's to say: FIN or RST on the anchor, the error that it keeps for
// one call, whether FIN came before RST. Only of a peer that died with bytes of ours in the rings does
// the kernel not know that it would have reset the connection.

// end is what a reader gets when the stream is over, which it may know before the watcher of the anchor does.
func (l *link) end() error {
	if !l.fin.Load() || l.c.rdShut.Load() {
		l.look()
	}
	switch {
	case l.reset.Swap(false):
		return l.resets()
	case l.rst.Load():
		if _, err := l.c.tcp.recv(make([]byte, 1), unix.MSG_PEEK); err == syscall.ECONNRESET {
			return l.resets()
		}
	case l.full.Load() && l.died():
		return l.once(io.EOF)
	}
	return io.EOF
}

// writeError is why the stream takes no more bytes, or nil. What somebody in this or the peer's process
// has done is known before the watcher of the anchor hears of it.
func (l *link) writeError() error {
	c := l.c
	if c.wrShut.Load() || l.out().IsOrphaned() || l.slot.IsReadShut(1-l.place.end) {
		l.look()
	}
	switch {
	case l.reset.Swap(false):
		return l.resets()
	case l.rst.Load():
		if c.tcp.takeError() == syscall.ECONNRESET {
			return l.resets()
		}
		return syscall.EPIPE
	case c.wrShut.Load():
		return syscall.EPIPE
	case !l.peerGone() || l.out().Unread() == 0:
		return nil
	case l.died():
		return l.once(syscall.EPIPE)
	}
	return syscall.EPIPE
}

// died tells whether the peer's end was its only one and left bytes of ours unread without a word: the
// kernel would have said RST. After our own FIN the peer's socket may be in TIME_WAIT, which has no
// holder though the peer still reads.
func (l *link) died() bool {
	return !l.half.Load() && !l.c.wrShut.Load() && !l.out().IsClosed() && l.out().Unread() > 0
}

// once is ECONNRESET for the first who asks and then another error.
func (l *link) once(then error) error {
	if l.told.Swap(true) {
		return then
	}
	return l.resets()
}

// keep remembers an error that the kernel has told and does not tell again.
func (l *link) keep(err error) {
	if errors.Is(err, syscall.ECONNRESET) {
		l.reset.Store(true)
	}
}

// resets counts a reset that is told.
func (l *link) resets() error {
	l.c.dom.page.Count(queue.CountReset, 1)
	return syscall.ECONNRESET
}

// bad resets the connection for what counter counts.
func (l *link) bad(counter int) error {
	l.c.dom.page.Count(counter, 1)
	l.c.tcp.SetLinger(0)
	l.c.tcp.Close()
	l.rst.Store(true)
	l.fin.Store(true)
	return syscall.ECONNRESET
}

// peerGone tells whether nobody can read any more. FIN alone may be half a close, after which the
// kernel reports nothing of the other half, and it comes behind bytes that are not read: the peer's socket
// is asked about.
func (l *link) peerGone() bool {
	if l.full.Load() || l.rst.Load() {
		return true
	}
	if !l.fin.Load() && (!l.out().IsOrphaned() || l.out().IsReset()) {
		return false
	}
	if !l.fin.Load() || !l.out().IsClosed() {
		if l.out().Unread() > 0 && since(l.asked) < askEvery {
			return false
		}
		l.asked = now()
		if !l.fullyClosed() {
			return false
		}
	}
	l.full.Store(true)
	wake(l.rx.wake)
	return true
}
