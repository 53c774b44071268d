package socket

import (
	"time"
)

// evictEvery is the pause between attempts to call a reader out of the kernel; one is nearly
// always enough.
const evictEvery = 50 * time.Microsecond

// A closing socket sends FIN a moment before it loses its inode. An end that has left bytes unread
// is therefore asked again before its FIN counts as half a close.
const (
	askAgain      = 5
	askAgainAfter = time.Millisecond
)

// watchAnchor lives as long as the anchor and reports what happens on it: bytes, FIN, RST. It
// sleeps in the netpoller, holding package net's read lock, so nobody else may read through it.
func (l *link) watchAnchor() {
	// A reader that found no link may sit in the kernel, which knows nothing of bells.
	for {
		l.c.tcp.SetReadDeadline(time.Unix(1, 0))
		if !l.c.inKernel.Load() {
			break
		}
		time.Sleep(evictEvery)
	}
	l.c.tcp.SetReadDeadline(time.Time{})
	l.c.tcp.raw.Read(func(fd uintptr) bool {
		s := state(fd)
		if finReceived(s) && !l.fin.Load() {
			l.full.Store(l.closedWhole())
			if s == tcpClose {
				l.rst.Store(true) // before fin: who sees only that takes it for an orderly end
			}
			l.fin.Store(true)
		}
		if s == tcpClose {
			l.rst.Store(true)
		}
		wake(l.rx.wake)
		wake(l.tx.wake)
		return s == tcpClose
	})
}

// closedWhole tells, at the peer's FIN, whether the peer closed its socket.
func (l *link) closedWhole() bool {
	for range askAgain {
		if fullyClosed(l.c.local, l.c.remote) {
			return true
		}
		if l.out().Unread() == 0 {
			return false // half or whole makes no difference to a reader
		}
		time.Sleep(askAgainAfter)
	}
	return false
}
