//go:build sim && cgo

package csim

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// talk is a conversation in rounds over one connection: the caller sends so much in each and reads as much
// of another stream.
type talk struct {
	w            *World
	to, from     *stream // as the caller sees it
	rounds, size int
	hangup       int // who closes first: 0 the caller, 1 the other, 2 both without a look
}

func (w *World) newTalk(i int) *talk {
	return &talk{w: w, to: &stream{w: w, id: 2 * i}, from: &stream{w: w, id: 2*i + 1},
		rounds: w.Range(1, 12, "rounds"), size: 1 << w.Choose(6, "size"), hangup: w.Choose(3, "hang up")}
}

// side plays one side, 0 the caller's, and closes.
func (k *talk) side(t *Thread, fd, side int) {
	k.play(t, fd, side)
	t.close(fd)
}

func (k *talk) play(t *Thread, fd, side int) {
	out, in := k.to, k.from
	if side == 1 {
		out, in = in, out
	}
	send := func() bool {
		r := out.pump(t, fd, out.sent+k.size, k.size, unix.MSG_NOSIGNAL)
		if r != 0 && !k.w.deaths() {
			k.w.Failf("result", "send: %d", r)
		}
		return r == 0
	}
	recv := func() bool {
		r := in.drain(t, fd, in.received+k.size, k.size)
		if r != 1 && !k.w.deaths() {
			k.w.Failf("result", "recv: %d after %d bytes", r, in.received)
		}
		return r == 1
	}
	first, second := send, recv
	if side == 1 {
		first, second = recv, send
	}
	for range k.rounds {
		if !first() || !second() {
			return
		}
	}
	if k.hangup == 1-side {
		if r := in.drain(t, fd, math.MaxInt, k.size); r != 0 && !k.w.deaths() {
			k.w.Failf("result", "recv at the end: %d", r)
		}
	}
}

// slots: two processes have one connection after another, or several at once, and the slots of their arena
// are few. The monitor, and one of them, may be killed at any step.
func slots(w *World) {
	a, b := w.process("a"), w.process("b")
	w.maybeNetwork()
	w.slots = w.Range(1, 2, "slots")
	l := b.listen()
	a.AtExit(l.end)
	talks := make([]*talk, w.Range(1, 4, "connections"))
	for i := range talks {
		talks[i] = w.newTalk(i)
	}
	w.host(w.Choose(3, "dooms"))
	if w.Choose(3, "mortals") == 0 {
		w.Faults.Kills = 1
		a.Mortal()
		b.Mortal()
	}
	w.Plan(4000)
	a.Go("main", func(t *Thread) {
		t.start(1, nil)
		for _, k := range talks {
			if fd := l.dial(t, k); fd >= 0 {
				k.side(t, fd, 0)
			}
		}
		t.slotsReturn()
	})
	b.Go("main", func(t *Thread) {
		t.start(1, nil)
		l.serve(t)
	})
}

// heirs: a child inherits a connection whose peer has sent, not read and closed. Whatever becomes of its
// parent, it reads all that was sent, though new connections take slots meanwhile.
func heirs(w *World) {
	a, b := w.process("a"), w.process("b")
	w.slots = w.Range(1, 2, "slots")
	l := b.listen()
	a.AtExit(l.end)
	first := w.newTalk(0)
	first.hangup, w.resets = 2, true
	n, unread, forks := w.Choose(200, "bytes"), w.Choose(20, "unread"), w.Choose(3, "fork")
	dies, leaves := w.Choose(2, "dies"), w.Choose(2, "leaves")
	parents, childs := w.newTalk(2), w.newTalk(3)
	burst := &stream{w: w, id: 8}
	w.host(w.Choose(2, "dooms"))
	w.Plan(4000)
	call := func(t *Thread, k *talk) {
		if fd := l.dial(t, k); fd >= 0 {
			k.side(t, fd, 0)
		}
	}
	hungUp := false
	var child *Process
	a.Go("main", func(t *Thread) {
		t.start(1, nil)
		fd := l.dial(t, first)
		first.play(t, fd, 0)
		fork := func(when int) {
			if when != forks {
				return
			}
			child = t.fork("child", func(t *Thread) {
				t.Block("hang-up", func() bool { return hungUp }, -1)
				t.nap(time.Duration(w.Choose(5000, "ms")) * time.Millisecond)
				if w.Choose(2, "calls") == 1 {
					call(t, childs)
				}
				if r := burst.drain(t, fd, math.MaxInt, 16); r < 0 && (r != -int64(unix.ECONNRESET) && r != -int64(unix.EPIPE) || unread == 0) {
					w.Failf("result", "recv: %d", r)
				}
				t.close(fd)
			})
			if dies == 1 {
				w.Doom(a.Process, 2000)
			}
		}
		fork(0)
		t.send(fd, make([]byte, unread), 0)
		fork(1)
		t.Block("hang-up", func() bool { return hungUp }, -1)
		fork(2)
		if leaves == 1 {
			t.close(fd)
		}
		if w.Choose(2, "calls") == 1 {
			call(t, parents)
		}
	})
	b.Go("main", func(t *Thread) {
		t.start(1, nil)
		fd, k := l.accept(t)
		k.play(t, fd, 1)
		if r := burst.pump(t, fd, n, 1+n, 0); r != 0 {
			w.Failf("result", "send: %d", r)
		}
		t.close(fd)
		hungUp = true
		w.Changed()
		l.serve(t)
	})
	w.AtEnd(func() {
		if child != nil && burst.received != n {
			w.Failf("stream", "the end after %d of %d bytes", burst.received, n)
		}
	})
}
