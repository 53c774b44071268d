//go:build sim && cgo

package csim

import "math"

// orphan: a child that has closed what it inherited has nothing of its parent but the mappings of its memory.
// When the parent is gone its slots return, however long the child lives.
func orphan(w *World) {
	a, b := w.process("a"), w.process("b")
	w.slots = w.Range(1, 2, "slots")
	l := b.listen()
	k, later := w.newTalk(0), w.newTalk(1)
	k.hangup, w.resets = 2, true
	w.host(w.Choose(2, "dooms"))
	w.Plan(4000)
	closed := false
	a.Go("main", func(t *Thread) {
		t.start(1, nil)
		fd := l.dial(t, k)
		k.play(t, fd, 0)
		t.fork("child", func(t *Thread) {
			t.close(fd)
			t.Block("orphan", func() bool { return a.gone && closed }, -1)
			t.slotsReturnBy(20)
			if fd := l.dial(t, later); fd >= 0 {
				later.side(t, fd, 0)
			}
			l.end()
		})
		if w.Choose(2, "dies") == 1 {
			w.Doom(a.Process, 2000)
		}
		k.from.drain(t, fd, math.MaxInt, 16)
		if w.Choose(2, "leaves") == 1 {
			t.close(fd)
		}
	})
	b.Go("main", func(t *Thread) {
		t.start(1, nil)
		fd, k := l.accept(t)
		k.side(t, fd, 1)
		closed = true
		w.Changed()
		l.serve(t)
	})
}

// slotsReturnBy fails the run if a connection is left in the monitor's tables when it has looked so often.
func (t *Thread) slotsReturnBy(looks int) {
	w := t.p.w
	last := w.looks + looks
	left := func() bool {
		return w.monitor == nil || !w.monitor.idle() || len(w.monitor.core.Snapshot(0).Connections) > 0
	}
	if t.Block("slots return", func() bool { return !left() || w.looks >= last }, -1); left() {
		w.Failf("leak", "nobody uses a slot, and it has not returned after %d looks", looks)
	}
}
