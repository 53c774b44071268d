package socket

import (
	"syscall"

	"github.com/socksdirect/libsd/queue"
)

// left is how many of the bytes before the ring are still to be read from the anchor. Once they have come nothing
// follows but FIN, and the queue alone tells, unless the sender has gone back to TCP.
func (l *link) left() (uint64, error) {
	n := l.recver.Boundary()
	for {
		back := l.recver.GoesBack()
		came, queued, err := l.c.tcp.counts(back)
		if err != nil {
			return 0, err
		}
		if back != l.recver.GoesBack() {
			continue
		}
		if came >= n && !back {
			return queued, nil
		}
		return n - min(n, came-queued), nil
	}
}

// young reads from the anchor of a stream that has not left TCP. What there is is counted, or seen, before that is
// asked: what comes later may have the ring before it. moved: it has left.
func (l *link) young(p []byte, flags int) (n int, moved bool, err error) {
	for seen := 0; ; seen = 1 {
		queued, err := l.c.tcp.queued()
		if err != nil {
			return 0, false, err
		}
		if where, _ := l.recver.Look(); where != queue.OnAnchor {
			return 0, true, nil
		}
		if queued = max(queued, seen); queued > 0 {
			n, err := l.c.tcp.recv(p[:min(len(p), queued)], flags)
			return n, false, err
		}
		if n, err := l.c.tcp.recv(make([]byte, 1), syscall.MSG_PEEK); n == 0 {
			where, _ := l.recver.Look() // then its end is not the stream's
			return 0, where != queue.OnAnchor, err
		}
	}
}
