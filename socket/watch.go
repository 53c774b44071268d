package socket

import (
	"time"
)

// evictEvery is the pause between attempts to call a reader out of the kernel; one is nearly
// always enough.
const evictEvery = 50 * time.Microsecond

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
			if fullyClosed(l.c.local, l.c.remote) {
				l.full.Store(true)
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
