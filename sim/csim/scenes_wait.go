//go:build sim && cgo

package csim

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/sim"
	"github.com/socksdirect/libsd/sim/linear"
)

// epoll: neither end blocks in a call that moves bytes.
func epoll(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	w.maybeNetwork()
	w.ends[0].nonblock, w.ends[1].nonblock = true, true
	n, most, slow := w.Range(1, 300, "bytes"), 1<<w.Choose(8, "most"), w.Choose(3, "slow")
	if w.Choose(4, "more") == 0 {
		n *= 6 // than all rings hold
	}
	s := &stream{w: w, id: 0}
	out := []uint32{0, unix.EPOLLET}[w.Choose(2, "out")]
	a.main(fa, 0, 1, func(t *Thread) {
		ep := t.epollCreate()
		t.epollCtl(ep, unix.EPOLL_CTL_ADD, fa, unix.EPOLLOUT|out)
		for s.sent < n {
			k := min(1+w.Choose(most, "size"), n-s.sent)
			b := make([]byte, k)
			for i := range b {
				b[i] = byteAt(s.id, s.sent+i)
			}
			switch r := t.send(fa, b, 0); {
			case r == -int64(unix.EAGAIN):
				t.epollWait(ep)
				w.Cover("waited for room")
			case r <= 0:
				w.Failf("result", "send: %d", r)
			default:
				s.sent += int(r)
			}
			if slow == 1 && w.Choose(4, "nap") == 0 {
				t.nap(time.Duration(w.Choose(3000, "us")) * time.Microsecond)
			}
		}
		t.close(fa)
	})
	in := []uint32{0, unix.EPOLLET, unix.EPOLLONESHOT, unix.EPOLLET}[w.Choose(4, "in")]
	untilShort := w.Choose(2, "until short") == 1 // epoll(7): a short read is as good as EAGAIN
	b.main(fb, 1, 1, func(t *Thread) {
		ep := t.epollCreate()
		t.epollCtl(ep, unix.EPOLL_CTL_ADD, fb, unix.EPOLLIN|unix.EPOLLRDHUP|in)
		for !s.ended {
			if slow == 2 {
				t.nap(time.Duration(w.Choose(3000, "us")) * time.Microsecond)
			}
			e := t.epollWait(ep)
			for more := true; more && !s.ended; {
				p, err := t.recv(fb, most, 0)
				if err < 0 && err != -int64(unix.EAGAIN) {
					w.Failf("result", "recv: %d", err)
				}
				s.check(t, p, true)
				s.ended = err == 0 && len(p) == 0
				more = in == unix.EPOLLET && err == 0 && (!untilShort || len(p) == most || e&unix.EPOLLRDHUP != 0)
			}
			if in == unix.EPOLLONESHOT {
				t.epollCtl(ep, unix.EPOLL_CTL_MOD, fb, unix.EPOLLIN|unix.EPOLLRDHUP|in)
			}
		}
		t.close(fb)
	})
	w.AtEnd(func() {
		if s.received != n {
			w.Failf("stream", "EOF after %d of %d bytes", s.received, n)
		}
	})
}

// epollTwo: one set waits for two connections of one sender, which rings once for both.
func epollTwo(w *World) { toOneSet(w, [2]int{1, 1}, alternate, waitForBoth) }

// epollCross: of two threads, each of which has rung for one of the two connections.
func epollCross(w *World) { toOneSet(w, [2]int{2, 1}, cross, waitForBoth) }

func toOneSet(w *World, threads [2]int, send func(t *Thread, streams [2]*stream, fds [2]int, n int),
	receive func(t *Thread, streams [2]*stream, fds [2]int)) {
	a, b := w.process("a"), w.process("b")
	var fds [2][2]int // of a and b
	var streams [2]*stream
	for i := range streams {
		fds[0][i], fds[1][i] = w.connect(a, b)
		w.ends[2*i+1].nonblock = true
		streams[i] = &stream{w: w, id: i}
	}
	w.startMonitor()
	n := w.Range(8, 60, "messages")
	for role, p := range []*Process{a, b} {
		p.Go("main", func(t *Thread) {
			p.multi(1)
			t.start(threads[role], nil)
			for _, fd := range fds[role] {
				t.Call("sim_track", int64(fd), int64(role))
			}
			p.multi(threads[role])
			[]func(*Thread){
				func(t *Thread) { send(t, streams, fds[0], n) },
				func(t *Thread) { receive(t, streams, fds[1]) },
			}[role](t)
		})
	}
	w.AtEnd(func() {
		for _, s := range streams {
			if s.received != s.sent {
				w.Failf("stream", "EOF after %d of %d bytes", s.received, s.sent)
			}
		}
	})
}

func alternate(t *Thread, streams [2]*stream, fds [2]int, n int) {
	for range n {
		sendOne(t, streams, fds, t.p.w.Choose(2, "which"))
		mayNap(t)
	}
	allReceived(t, streams)
	for _, fd := range fds {
		t.close(fd)
	}
}

// cross: two threads send on one connection each, and change places after each message.
func cross(t *Thread, streams [2]*stream, fds [2]int, n int) {
	var done [2]int
	half := func(t *Thread, k int) {
		for r := range n {
			sendOne(t, streams, fds, (r+k)%2)
			if k == 0 {
				mayNap(t)
			}
			done[k]++
			t.Block("turn", func() bool { return done[1-k] >= done[k] }, -1)
		}
	}
	t.p.Go("second", func(t *Thread) { half(t, 1) })
	half(t, 0)
	allReceived(t, streams)
	for _, fd := range fds {
		t.close(fd)
	}
}

func sendOne(t *Thread, streams [2]*stream, fds [2]int, i int) {
	if r := t.send(fds[i], []byte{byteAt(i, streams[i].sent)}, 0); r != 1 {
		t.p.w.Failf("result", "send: %d", r)
	}
	streams[i].sent++
}

func mayNap(t *Thread) {
	if w := t.p.w; w.Choose(4, "nap") == 0 {
		t.nap(time.Duration(w.Choose(3000, "us")) * time.Microsecond)
	}
}

// allReceived: or FIN would wake who should have been rung for.
func allReceived(t *Thread, streams [2]*stream) {
	t.Block("end", func() bool {
		return streams[0].received == streams[0].sent && streams[1].received == streams[1].sent
	}, -1)
}

func waitForBoth(t *Thread, streams [2]*stream, fds [2]int) {
	w, ep := t.p.w, t.epollCreate()
	edge := []uint32{0, unix.EPOLLET}[w.Choose(2, "edge")]
	for _, fd := range fds {
		t.epollCtl(ep, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|edge)
	}
	for !streams[0].ended || !streams[1].ended {
		t.epollWait(ep)
		for i, s := range streams {
			for more := !s.ended; more; {
				p, err := t.recv(fds[i], 4, 0)
				if err < 0 && err != -int64(unix.EAGAIN) {
					w.Failf("result", "recv: %d", err)
				}
				s.check(t, p, true)
				more = len(p) > 0
				if s.ended = err == 0 && len(p) == 0; s.ended {
					t.epollCtl(ep, unix.EPOLL_CTL_DEL, fds[i], 0)
				}
			}
		}
	}
	for _, fd := range fds {
		t.close(fd)
	}
}

// pool: each message is a job, and half of the jobs last until another message is taken: so the other
// thread must be woken for it. Both threads are told of the end. A level that stays wakes the next
// sleeper; for an edge only the sender's bell does.
func pool(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	w.maybeNetwork()
	w.ends[1].nonblock = true
	n := w.Range(1, 60, "messages")
	y := newTally(w)
	y.order = linear.New(w.World, "messages")
	a.main(fa, 0, 1, func(t *Thread) {
		for i := range n {
			if r := y.send(t, fa, 0, i+1); r != 0 {
				w.Failf("result", "send: %d", r)
			}
			if w.Choose(4, "nap") == 0 {
				t.nap(time.Duration(w.Choose(3000, "us")) * time.Microsecond)
			}
		}
		t.close(fa)
	})
	edge, busy := []uint32{0, unix.EPOLLET}[w.Choose(2, "edge")], false
	b.main(fb, 1, 2, func(t *Thread) {
		ep, left := t.epollCreate(), 2
		t.epollCtl(ep, unix.EPOLL_CTL_ADD, fb, unix.EPOLLIN|edge)
		half := func(t *Thread) {
			for ended := false; !ended; {
				t.epollWait(ep)
				got := 0
				for more := true; more; {
					n, err := y.take(t, fb, 1, 0)
					if err < 0 && err != -int64(unix.EAGAIN) {
						w.Failf("result", "recv: %d", err)
					}
					got += n
					ended = n == 0 && err == 0
					more = edge != 0 && n > 0
				}
				if ended && edge != 0 { // nobody else is told of it
					t.epollCtl(ep, unix.EPOLL_CTL_MOD, fb, unix.EPOLLIN|edge)
				}
				if mine := y.received; !ended && got > 0 && mine%2 == 1 && !busy {
					busy = true
					t.Block("job", func() bool { return y.received > mine || mine == n }, -1)
					busy = false
				}
			}
			if left--; left == 0 {
				t.close(fb)
			}
		}
		b.Go("second", half)
		half(t)
	})
	y.atEnd(n)
}

// park: the hand-shake of publishing, parking and waking.
func park(w *World) {
	w.cores = 1
	w.Faults.Ticks = -1
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	s := &stream{w: w, id: 0}
	a.attached(fa, 0, 1, func(t *Thread) {
		for s.sent < 2 {
			if r := t.send(fa, []byte{byteAt(0, s.sent)}, 0); r != 1 {
				w.Failf("result", "send: %d", r)
			}
			s.sent++
		}
		t.Block("end", func() bool { return s.received == 2 }, -1)
	})
	b.attached(fb, 1, 1, func(t *Thread) {
		for s.received < 2 {
			p, err := t.recv(fb, 1, 0)
			if err != 0 || len(p) != 1 {
				w.Failf("result", "recv: %d bytes, %d", len(p), err)
			}
			s.check(t, p, true)
		}
	})
}

// parkSet: the same for a receiver that sleeps on an epoll set, with time for it to sleep.
func parkSet(w *World) {
	n, edge, ep := w.Range(1, 8, "messages"), []uint32{0, unix.EPOLLET}[w.Choose(2, "edge")], 0
	parkIn(w, n, func(t *Thread, fd int) {
		if ep == 0 {
			ep = t.epollCreate()
			t.epollCtl(ep, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|edge)
		}
		t.epollWait(ep)
	})
}

// parkNested: the same on a set that holds that set, or in poll of it.
func parkNested(w *World) {
	polls, edge, inner, outer := w.Choose(2, "poll") == 1, []uint32{0, 0, 0, unix.EPOLLET}[w.Choose(4, "edge")], 0, 0
	parkIn(w, w.Range(1, 8, "messages"), func(t *Thread, fd int) {
		if inner == 0 {
			inner, outer = t.epollCreate(), t.epollCreate()
			t.epollCtl(inner, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN)
			t.epollCtl(outer, unix.EPOLL_CTL_ADD, inner, unix.EPOLLIN|edge)
		}
		if polls {
			t.poll(inner, unix.POLLIN, -1)
		} else {
			t.epollWait(outer)
		}
	})
}

// anyTime lets time pass between any two steps: somebody else's timer.
func anyTime(w *World) {
	w.World.Process("other").Go("timer", func(t *sim.Thread) {
		for range 30 {
			t.Block("timer", nil, time.Duration(1+w.Choose(1500, "us"))*time.Microsecond)
		}
	}).Daemon = true
}

// parkPoll: the same in poll.
func parkPoll(w *World) {
	anyTime(w)
	parkIn(w, w.Range(1, 8, "messages"), func(t *Thread, fd int) { t.poll(fd, unix.POLLIN, -1) })
}

// parkLate: the same in poll, while another thread attaches the connection.
func parkLate(w *World) {
	parkBy(w, w.Range(1, 4, "messages"), (*Process).attachedMeanwhile, func(t *Thread, fd int) { t.poll(fd, unix.POLLIN, -1) })
}

func parkIn(w *World, n int, wait func(t *Thread, fd int)) {
	parkBy(w, n, (*Process).attachedAlone, wait)
}

func parkBy(w *World, n int, begin func(p *Process, fd, role int, body func(t *Thread)), wait func(t *Thread, fd int)) {
	w.cores = 1
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	w.ends[1].nonblock = true
	s := &stream{w: w, id: 0}
	a.attached(fa, 0, 1, func(t *Thread) {
		for s.sent < n {
			if r := t.send(fa, []byte{byteAt(0, s.sent)}, 0); r != 1 {
				w.Failf("result", "send: %d", r)
			}
			if s.sent++; w.Choose(2, "nap") == 1 {
				t.nap(time.Duration(w.Choose(3000, "us")) * time.Microsecond)
			}
		}
		t.Block("end", func() bool { return s.received == n }, -1)
	})
	begin(b, fb, 1, func(t *Thread) {
		for s.received < n {
			wait(t, fb)
			for s.received < n {
				p, err := t.recv(fb, 2, 0)
				if len(p) == 0 {
					if err != -int64(unix.EAGAIN) {
						w.Failf("result", "recv: %d", err)
					}
					break
				}
				s.check(t, p, true)
			}
		}
	})
}

// promote: two bytes, of which the network has brought some, then more in the ring.
func promote(w *World) {
	w.cores = 1
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	s := &stream{w: w, id: 0}
	x := w.ends[0]
	for i := range 2 {
		x.flight = append(x.flight, byteAt(0, i))
	}
	s.sent = 2
	x.deliver(w.Choose(3, "arrived"))
	w.slowNetwork(false)
	a.Mortal()
	b.Mortal()
	w.Faults.Kills = 1
	w.Plan(200)
	a.attached(fa, 0, 1, func(t *Thread) {
		if r := t.send(fa, []byte{byteAt(0, 2)}, unix.MSG_NOSIGNAL); r == 1 {
			s.sent++
		} else if !b.Killed {
			w.Failf("result", "send: %d", r)
		}
		t.Block("end", func() bool { return b.gone }, -1)
	})
	b.attached(fb, 1, 1, func(t *Thread) {
		for s.received < 3 {
			p, err := t.recv(fb, 3, 0)
			if s.check(t, p, true); len(p) > 0 {
				continue
			}
			if err != 0 || !a.Killed {
				w.Failf("result", "recv: %d after %d bytes", err, s.received)
			}
			break
		}
		if s.received < s.sent {
			w.Failf("stream", "EOF after %d of %d bytes", s.received, s.sent)
		}
	})
}
