//go:build sim && cgo

package csim

import "golang.org/x/sys/unix"

// forkBoth: a process forks in the middle of traffic each way on a promoted connection; it and its child
// go on sending and receiving. One of the two may be killed at any step.
func forkBoth(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	n, most := w.Range(25, 60, "messages"), w.Range(1, 9, "most")
	before := w.Choose(25, "before fork")
	to, from := newTally(w), newTally(w)
	w.Faults.Kills = w.Choose(2, "kills")
	// both sends and receives in turn, then reads to the end.
	both := func(t *Thread, sender int) {
		for to.sent[sender] < n {
			if r := to.send(t, fa, sender, to.sent[sender]+1); r != 0 {
				w.Failf("result", "send: %d", r)
			}
			from.take(t, fa, most, unix.MSG_DONTWAIT)
		}
		if r := from.recv(t, fa, most); r != 0 {
			w.Failf("result", "recv: %d", r)
		}
		t.close(fa)
	}
	a.attached(fa, 0, 1, func(t *Thread) {
		for range before {
			to.send(t, fa, 0, to.sent[0]+1)
			from.take(t, fa, most, unix.MSG_DONTWAIT)
		}
		child := t.fork("child", func(t *Thread) { both(t, 1) })
		a.Mortal()
		child.Mortal()
		w.Plan(4000)
		both(t, 0)
	})
	b.attached(fb, 1, 2, func(t *Thread) {
		left := 2
		last := func(t *Thread) {
			if left--; left == 0 {
				t.close(fb)
			}
		}
		b.Go("reader", func(t *Thread) {
			if r := to.recv(t, fb, most); r != 0 {
				w.Failf("result", "recv: %d", r)
			}
			last(t)
		})
		if r := from.send(t, fb, 2, n); r != 0 {
			w.Failf("result", "send: %d", r)
		}
		t.shutdown(fb, unix.SHUT_WR)
		last(t)
	})
	w.AtEnd(func() {
		// What was on its way when one was killed was sent or not, and of what it took it may not have told.
		sent, lost := to.sent[0]+to.sent[1], w.Faults.Kills*most
		if to.received < sent || to.received > sent+w.Faults.Kills {
			w.Failf("stream", "%d of %d messages arrived", to.received, sent)
		}
		if from.received < n-lost || from.received > n {
			w.Failf("stream", "%d of %d messages came back", from.received, n)
		}
	})
}

// forkKilled: a child that sends is killed at some step, perhaps between a mark on the bell of who sleeps and
// its ring. Its parent sends only then, and leaves the connection open until all has arrived.
func forkKilled(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	w.startMonitor()
	n, most := w.Range(1, 20, "messages"), w.Range(1, 9, "most")
	y := newTally(w)
	a.main(fa, 0, 1, func(t *Thread) {
		y.send(t, fa, 0, 25)
		if w.Choose(4, "asleep") > 0 {
			t.Block("all arrived", func() bool { return y.received == 25 }, -1)
		}
		child := t.fork("child", func(t *Thread) { y.send(t, fa, 1, n) })
		w.Doom(child.Process, []int{120, 200, 300, 1500}[w.Choose(4, "soon")])
		t.Block("child is gone", func() bool { return child.gone }, -1)
		y.send(t, fa, 0, 25+w.Choose(3, "after"))
		t.Block("all arrived", func() bool { return y.received >= y.sent[0]+y.sent[1] }, -1)
		t.close(fa)
	})
	b.main(fb, 1, 1, func(t *Thread) {
		if r := y.recv(t, fb, most); r != 0 {
			w.Failf("result", "recv: %d", r)
		}
		t.close(fb)
	})
}

// forkSet: a child goes on with its parent's epoll set; the parent closes the set or the connection, exits, or does
// nothing any more. The sender waits for its bytes to be read, now and then, so that the child sleeps.
func forkSet(w *World) {
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	w.startMonitor()
	n, first, patient := w.Range(1, 40, "after"), w.Choose(30, "before fork"), 1+w.Choose(4, "patience")
	how := []uint32{0, unix.EPOLLET}[w.Choose(2, "edge")]
	s := &stream{w: w, id: 0}
	serve := func(t *Thread, ep, until int) {
		for s.received < until && !s.ended {
			t.epollWait(ep)
			for !s.ended {
				p, err := t.recv(fb, 4, unix.MSG_DONTWAIT)
				if err == -int64(unix.EAGAIN) {
					break
				}
				if err != 0 {
					w.Failf("result", "recv: %d", err)
				}
				s.check(t, p, true)
				s.ended = len(p) == 0
				w.Changed()
			}
		}
	}
	a.main(fa, 0, 1, func(t *Thread) {
		for s.sent < first+n {
			if r := s.pump(t, fa, s.sent+1, 1, 0); r != 0 {
				w.Failf("result", "send: %d", r)
			}
			if s.sent == first || w.Choose(patient, "wait") == 0 {
				t.Block("read", func() bool { return s.received == s.sent }, -1)
			}
		}
		t.close(fa)
	})
	b.main(fb, 1, 1, func(t *Thread) {
		ep := t.epollCreate()
		t.epollCtl(ep, unix.EPOLL_CTL_ADD, fb, unix.EPOLLIN|how)
		serve(t, ep, first)
		child := t.fork("child", func(t *Thread) {
			serve(t, ep, first+n+1)
			t.close(fb)
		})
		fate := w.Choose(4, "fate")
		t.later(w.Choose(100, "later"))
		if fate == 0 {
			t.close(ep)
		}
		if fate <= 1 {
			t.close(fb)
		}
		if fate != 2 {
			t.Block("child", func() bool { return child.gone }, -1)
		}
	})
	w.AtEnd(func() {
		if s.received != first+n {
			w.Failf("stream", "%d of %d bytes arrived", s.received, first+n)
		}
	})
}
