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
		came, queued, state, err := l.c.tcp.counts(back)
		if err != nil {
			return 0, err
		}
		switch {
		case back != l.recver.GoesBack():
			continue
		case came < n:
			return n - (came - queued), nil
		case !back:
			return queued, nil
		case came > n && came > queued && l.finCame(came, state): // FIN is not in the queue
			came--
		}
		return n - min(n, came-queued), nil
	}
}

// finCame tells whether FIN is among the bytes that have come. What ended a closed socket its error tells, which is
// kept. A single byte before RST was FIN, unless we have not shut our side: only after that RST does not tell of FIN.
func (l *link) finCame(came uint64, state uint8) bool {
	if state != tcpClose {
		return state > tcpClose
	}
	err := l.c.tcp.takeError()
	l.keep(err)
	if l.heardRST.Load() {
		return came == l.recver.Boundary()+1 && l.c.wrShut.Load()
	}
	return err == nil || err == syscall.EPIPE
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
			return n, false, l.heard(err)
		}
		if n, err := l.c.tcp.recv(make([]byte, 1), syscall.MSG_PEEK); n == 0 {
			where, _ := l.recver.Look() // then its end is not the stream's
			return 0, where != queue.OnAnchor, l.heard(err)
		}
	}
}
