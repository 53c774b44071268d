//go:build sim && cgo

package csim

import (
	"time"

	"golang.org/x/sys/unix"
)

// nested: a set that is told by edges holds a set with a connection in it. The program also looks at the inner set for
// itself, which takes nothing from the outer one: bytes that come, and the end, make an edge there, bytes just one.
func nested(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	w.ends[1].nonblock = true
	s := &stream{w: w, id: 0}
	n, closes, edge := w.Range(0, 6, "messages"), w.Choose(2, "close") == 1, []uint32{0, unix.EPOLLET}[w.Choose(2, "edge")]
	in := []uint32{unix.EPOLLIN, unix.EPOLLIN, 0}[w.Choose(3, "in")]
	begun, waits := 0, false // sends, and the end; there are sets
	a.attached(fa, 0, 1, func(t *Thread) {
		for s.sent < n {
			begun++
			if r := t.send(fa, []byte{byteAt(0, s.sent)}, 0); r != 1 {
				w.Failf("result", "send: %d", r)
			}
			s.sent++
			t.Block("sets", func() bool { return waits }, -1)
			mayNap(t)
		}
		begun++
		if closes {
			t.close(fa)
		} else {
			t.shutdown(fa, unix.SHUT_WR)
		}
		t.Block("end", func() bool { return s.ended }, -1)
	})
	anyTime(w)
	looks := 0 // of another thread, which would be told of an edge in this one's place
	if edge == 0 {
		looks = max(0, w.Choose(20, "looks")-10)
	}
	b.attached(fb, 1, 1+min(looks, 1), func(t *Thread) {
		for s.received == 0 && n > 0 { // the rings have begun: on TCP an edge may be one too many
			t.poll(fb, unix.POLLIN, -1)
			p, _ := t.recv(fb, 1, 0)
			s.check(t, p, true)
		}
		inner, outer := t.epollCreate(), t.epollCreate()
		t.epollCtl(inner, unix.EPOLL_CTL_ADD, fb, in|unix.EPOLLRDHUP|edge)
		t.epollCtl(outer, unix.EPOLL_CTL_ADD, inner, unix.EPOLLIN|unix.EPOLLET)
		waits = true
		if looks > 0 {
			b.Go("beside", func(t *Thread) {
				for range looks {
					mayNap(t)
					t.epollLook(inner)
				}
			})
		}
		known := s.received // messages that have made their edge: those read before it was asked for, or one more
		for !s.ended {
			told := w.Choose(3, "look") != 0
			if told {
				come := s.received
				t.epollWait(outer)
				if begun == known && begun <= n {
					w.Failf("edges", "%d messages made another edge", begun)
				}
				known = max(come, known+1)
			} else if w.Choose(2, "nap") == 0 {
				t.nap(time.Duration(w.Choose(3000, "us")) * time.Microsecond)
			}
			e := t.epollLook(inner)
			if edge != 0 && e&unix.EPOLLRDHUP != 0 { // told once
				told = true
			}
			done := told && e&unix.EPOLLRDHUP != 0
			for more := done || edge != 0 || w.Choose(2, "read") == 1; more; {
				p, err := t.recv(fb, 2, 0)
				if err < 0 && err != -int64(unix.EAGAIN) {
					w.Failf("result", "recv: %d", err)
				}
				s.check(t, p, true)
				more = len(p) > 0
			}
			if s.ended = done; done && s.received != n {
				w.Failf("stream", "the end after %d of %d bytes", s.received, n)
			}
		}
		t.close(fb)
	})
}
