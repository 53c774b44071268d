//go:build sim && cgo

package csim

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/sim/linear"
)

// tally checks messages of one byte, sender in the upper two bits and a count below, which several
// threads send and several receive.
type tally struct {
	w        *World
	sent     [4]int
	seen     map[byte]bool
	last     map[*Thread]*[4]int // by sender: what a reader saw
	received int
	order    *linear.History // nil: porcupine is not asked
}

func newTally(w *World) *tally {
	return &tally{w: w, seen: map[byte]bool{}, last: map[*Thread]*[4]int{}}
}

func (y *tally) send(t *Thread, fd, sender, n int) int64 {
	for y.sent[sender] < n {
		message, began := []byte{byte(sender<<6 | y.sent[sender])}, y.order.Begin()
		r := t.send(fd, message, 0)
		if r < 0 {
			return r
		}
		y.order.Sent(t.Thread, began, message)
		y.sent[sender]++
	}
	return 0
}

// recv reads to EOF; each reader sees each sender's messages in order.
func (y *tally) recv(t *Thread, fd, most int) int64 {
	for {
		if n, err := y.take(t, fd, most, 0); err != 0 || n == 0 {
			return err
		}
	}
}

// take receives once.
func (y *tally) take(t *Thread, fd, most, flags int) (int, int64) {
	began := y.order.Begin()
	b, err := t.recv(fd, most, flags)
	y.order.Received(t.Thread, began, b)
	last := y.last[t]
	if last == nil {
		last = &[4]int{-1, -1, -1, -1}
		y.last[t] = last
	}
	for _, c := range b {
		sender, k := c>>6, int(c&63)
		if k <= last[sender] || y.seen[c] {
			y.w.Failf("stream", "%s: message %d of sender %d after message %d", t, k, sender, last[sender])
		}
		last[sender] = k
		y.seen[c] = true
		y.received++
	}
	return len(b), err
}

func (y *tally) atEnd(want int) {
	y.w.AtEnd(func() {
		if y.received != want {
			y.w.Failf("stream", "%d of %d messages arrived", y.received, want)
		}
	})
}

func shared(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	w.maybeNetwork()
	n, most := w.Range(1, 40, "messages"), w.Range(1, 9, "most")
	y := newTally(w)
	a.main(fa, 0, 2, func(t *Thread) {
		left := 2
		half := func(t *Thread, sender int) {
			if r := y.send(t, fa, sender, n); r != 0 {
				w.Failf("result", "send: %d", r)
			}
			if left--; left == 0 {
				t.close(fa)
			}
		}
		a.Go("second", func(t *Thread) { half(t, 1) })
		half(t, 0)
	})
	b.main(fb, 1, 2, func(t *Thread) {
		left := 2
		half := func(t *Thread) {
			if r := y.recv(t, fb, most); r != 0 {
				w.Failf("result", "recv: %d", r)
			}
			if left--; left == 0 {
				t.close(fb)
			}
		}
		b.Go("second", half)
		half(t)
	})
	y.atEnd(2 * n)
}

// forked: the parent forks after a few messages; both send the rest. If one is killed the other goes on.
func forked(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	n, first, most := w.Range(25, 60, "messages"), w.Choose(25, "before fork"), w.Range(1, 9, "most")
	y := newTally(w)
	half := func(t *Thread, sender int) {
		if r := y.send(t, fa, sender, n); r != 0 {
			w.Failf("result", "send: %d", r)
		}
		t.close(fa)
	}
	w.Faults.Kills = w.Choose(2, "kills")
	a.main(fa, 0, 1, func(t *Thread) {
		y.send(t, fa, 0, first)
		child := t.fork("child", func(t *Thread) { half(t, 1) })
		a.Mortal()
		child.Mortal()
		w.Plan(4000)
		half(t, 0)
	})
	b.main(fb, 1, 1, func(t *Thread) {
		if r := y.recv(t, fb, most); r != 0 {
			w.Failf("result", "recv: %d", r)
		}
		t.close(fb)
	})
	w.AtEnd(func() {
		// A message that was on its way when its sender was killed may or may not have arrived.
		sum := y.sent[0] + y.sent[1]
		if y.received < sum || y.received > sum+2 || (w.Faults.Kills == 0 && y.received != sum) {
			w.Failf("stream", "%d of %d messages arrived", y.received, sum)
		}
	})
}

// epollShare: of two threads that wait for both, one works on until the other has taken what comes on the other.
func epollShare(w *World) { toOneSet(w, [2]int{1, 2}, alternate, waitInTwo) }

func waitInTwo(t *Thread, streams [2]*stream, fds [2]int) {
	ep, left, working := t.epollCreate(), 2, false
	var taking [2]bool
	for _, fd := range fds {
		t.epollCtl(ep, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLET)
	}
	half := func(t *Thread) {
		for ended := false; !ended; { // of two ends each tells one of the two
			t.epollWait(ep)
			_, data := event(t.mem).get()
			i := slices.Index(fds[:], int(data))
			t.Block("turn", func() bool { return !taking[i] }, -1)
			taking[i] = true
			for more := true; more; {
				p, err := t.recv(fds[i], 4, 0)
				if err < 0 && err != -int64(unix.EAGAIN) {
					t.p.w.Failf("result", "recv: %d", err)
				}
				streams[i].check(t, p, true)
				more, ended = len(p) > 0, err == 0 && len(p) == 0
			}
			taking[i] = false
			if other := streams[1-i]; !ended && !working {
				working = true
				t.Block("job", func() bool { return other.received == other.sent }, -1)
				working = false
			}
		}
		if left--; left == 0 {
			for _, fd := range fds {
				t.close(fd)
			}
		}
	}
	t.p.Go("second", half)
	half(t)
}
