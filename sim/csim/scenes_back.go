//go:build sim && cgo

package csim

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// back: one send asks for urgent data, which takes the direction back to TCP for good, wherever the receiver is.
// To the simulated TCP its byte is one like the others.
func back(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	w.maybeNetwork()
	n, most := w.Range(1, 60, "bytes"), 1<<w.Choose(5, "most")
	turn := w.Choose(n, "turn")
	s := &stream{w: w, id: 0}
	a.main(fa, 0, 1, func(t *Thread) {
		s.thereAndBack(t, fa, turn, n, most)
		t.close(fa)
	})
	b.main(fb, 1, 1, func(t *Thread) {
		if w.Choose(2, "late") == 1 {
			t.nap(time.Duration(w.Choose(3000, "us")) * time.Microsecond)
		}
		if r := s.drain(t, fb, math.MaxInt, most); r != 0 {
			w.Failf("result", "recv: %d after %d bytes", r, s.received)
		}
		t.close(fb)
	})
	w.AtEnd(func() {
		if s.received != n || !s.ended {
			w.Failf("stream", "EOF after %d of %d bytes", s.received, n)
		}
	})
}

// thereAndBack sends n bytes, of which byte turn is urgent; a send of nothing may open a ring that stays empty.
func (s *stream) thereAndBack(t *Thread, fd, turn, n, most int) {
	for _, part := range []struct{ to, flags int }{{turn, 0}, {turn + 1, unix.MSG_OOB}, {n, 0}} {
		if part.flags != 0 && s.w.Choose(4, "empty") == 0 {
			t.send(fd, nil, 0)
		}
		if r := s.pump(t, fd, part.to, most, part.flags); r < 0 {
			s.w.Failf("result", "send: %d", r)
		}
	}
}

// backGo: the same to package socket, whose reader may be inside its kernel read.
func backGo(w *World) {
	n, most := w.Range(1, 60, "bytes"), 1<<w.Choose(5, "most")
	turn := w.Choose(n, "turn")
	s := &stream{w: w, id: 1}
	w.meet(1, 1, func(m *meeting, t *Thread) {
		fd := m.links[0].fd
		s.thereAndBack(t, fd, turn, n, most)
		t.close(fd)
	}, func(m *meeting) {
		if w.Choose(2, "late") == 1 {
			w.Current().Sleep(time.Duration(w.Choose(3000, "us")) * time.Microsecond)
		}
		s.read(m.links[0].conn, math.MaxInt, most)
		m.links[0].conn.Close()
	})
	w.AtEnd(func() { w.judge(s) })
}
