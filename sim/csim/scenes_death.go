//go:build sim && cgo

package csim

import (
	"time"

	"golang.org/x/sys/unix"
)

// death: b has sent more than a's window takes, which a does not read, and dies at some step. Its FIN
// never comes; whoever waits for room is to be told nevertheless.
func death(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	x, y := w.ends[0], w.ends[1]
	x.window, w.resets = 4, true
	y.flight = []byte("flight")
	y.deliver(len(y.flight))
	w.startMonitor()
	wait := w.Choose(3, "wait")
	x.nonblock = wait != 0
	if w.Choose(2, "killed") == 1 {
		w.Doom(b.Process, 3000)
	}
	s := &stream{w: w, id: 0}
	a.main(fa, 0, 1, func(t *Thread) {
		ep := 0
		if wait == 2 {
			ep = t.epollCreate()
			t.epollCtl(ep, unix.EPOLL_CTL_ADD, fa, unix.EPOLLOUT|[]uint32{0, unix.EPOLLET}[w.Choose(2, "edge")])
		}
		for {
			r := t.send(fa, []byte{byteAt(0, s.sent)}, unix.MSG_NOSIGNAL)
			switch {
			case r == 1:
				s.sent++
			case r == -int64(unix.EAGAIN) && wait == 1:
				t.poll(fa, unix.POLLOUT, -1)
			case r == -int64(unix.EAGAIN) && wait == 2:
				t.epollWait(ep)
			case (r == -int64(unix.ECONNRESET) || r == -int64(unix.EPIPE)) && b.gone:
				t.close(fa)
				return
			default:
				w.Failf("result", "send: %d", r)
			}
		}
	})
	b.main(fb, 1, 1, func(t *Thread) {
		for range w.Range(3, 20, "reads") {
			p, err := t.recv(fb, 8, 0)
			if s.check(t, p, true); err != 0 {
				w.Failf("result", "recv: %d", err)
			}
		}
		t.nap(time.Duration(w.Choose(3000, "us")) * time.Microsecond)
	})
}
