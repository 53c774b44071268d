//go:build sim && cgo

package csim

import (
	"time"

	"golang.org/x/sys/unix"
)

// room: b reads nothing before a has sent about what both buffers hold, then a part. A send buffer that is smaller
// than the receiver's refuses before that, and takes the rest from whoever waits or tries again. Another thread may
// be asleep by then, on the set or in poll.
func room(w *World) {
	const first, both, part, total = 40, 150, 80, 40 + 150 + 60
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	for _, e := range w.ends {
		e.sndbuf, e.rcvbuf = 20, 160
	}
	w.startMonitor()
	w.ends[0].nonblock = true
	s := &stream{w: w, id: 0}
	wait, told := w.Choose(6, "wait"), false
	a.main(fa, 0, []int{1, 1, 1, 2, 2, 1}[wait], func(t *Thread) {
		ep, most := 0, w.Range(1, 40, "most")
		if wait%2 == 1 {
			ep = t.epollCreate()
			t.epollCtl(ep, unix.EPOLL_CTL_ADD, fa, unix.EPOLLOUT|[]uint32{0, unix.EPOLLET}[max(wait/3, w.Choose(2, "edge"))&1])
		}
		if wait == 3 || wait == 4 {
			a.Go("waiter", func(t *Thread) {
				for s.sent < total {
					if wait == 3 {
						t.epollWait(ep)
					} else {
						t.poll(fa, unix.POLLOUT, -1)
						t.nap(time.Millisecond)
					}
					told = true
					w.Changed()
				}
			}).Daemon = true
		}
		for s.sent < total {
			if s.sent == first {
				t.Block("first read", func() bool { return s.received == first }, -1)
			}
			left := total - s.sent
			if s.sent < first {
				left = first - s.sent
			}
			p := make([]byte, 1+w.Choose(min(most, left), "size"))
			for i := range p {
				p[i] = byteAt(0, s.sent+i)
			}
			switch r := t.send(fa, p, 0); {
			case r > 0:
				s.sent += int(r)
				w.Changed()
			case r != -int64(unix.EAGAIN):
				w.Failf("result", "send: %d", r)
			case wait == 0:
				t.poll(fa, unix.POLLOUT, -1)
			case wait == 1:
				t.epollWait(ep)
			case wait == 3 || wait == 4:
				t.Block("told", func() bool { return told }, -1)
				told = false
			case wait == 5:
				for t.poll(fa, unix.POLLOUT, 0) == 0 {
					t.nap(300 * time.Microsecond)
				}
			default:
				t.nap(time.Millisecond)
			}
		}
		t.close(fa)
	})
	b.main(fb, 1, 1, func(t *Thread) {
		if r := s.drain(t, fb, first, 20); r != 1 {
			w.Failf("result", "%d bytes, then %d", s.received, r)
		}
		w.Changed()
		t.Block("full", func() bool { return s.sent >= first+both }, -1)
		t.nap(time.Duration(w.Choose(4000, "us")) * time.Microsecond)
		if r := s.drain(t, fb, first+part, 20); r != 1 {
			w.Failf("result", "%d bytes, then %d", s.received, r)
		}
		t.Block("all sent", func() bool { return s.sent == total }, -1)
		if r := s.drain(t, fb, total+1, 20); r != 0 || s.received != total {
			w.Failf("result", "%d bytes, then %d", s.received, r)
		}
		t.close(fb)
	})
}
