package scene

import (
	"math"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim"
)

// segment: one sender that switches rings between its writes; readers of several processes share the
// receive side in LOCKED mode. Every reader's view is stale after another has read; one may be killed
// in the middle of a copy.
func segment(readers, writes int, kills bool) func(w *sim.World) {
	return func(w *sim.World) {
		n, k, size := readers, writes, 1
		if n == 0 {
			n, k, size = w.Range(1, 3, "readers"), w.Range(1, 12, "writes"), w.Range(1, 40, "size")
			kills = n > 1 && w.Choose(2, "kills") == 1
		}
		l := newLine(w, "d")
		total := k * size
		var s *queue.Sender
		s, err := queue.NewSender(l.dir, l.rings)
		must(w, err)
		s.Open(0)
		first, err := queue.NewReceiver(l.dir, l.rings)
		must(w, err)
		if where, _ := first.Look(); where != queue.Until || !first.Enter() {
			w.Failf("setup", "the direction is not open")
		}
		if kills {
			w.Faults.Kills, w.Faults.Ticks = 1, 1
		}
		w.Timeless = !kills
		read := uint64(0)
		w.KernelState(func() uint64 { return read })
		w.Process("sender").Go("send", func(t *sim.Thread) {
			for i := range k {
				for p := bytesAt(i*size, size); len(p) > 0; {
					m, err := s.Write(p)
					must(w, err)
					if p = p[m:]; len(p) > 0 {
						shm.Yield()
					}
				}
				if i+1 < k && (readers != 0 || w.Choose(2, "switch") == 1) {
					if done, err := s.Switch(queue.ClassBulk - s.Class()%2); err != nil || !done {
						must(w, err)
					}
				}
			}
		})
		for i := range n {
			p := w.Process(string(rune('a' + i)))
			if kills && i == 0 {
				p.Mortal()
			}
			rounds := math.MaxInt
			if readers != 0 && i == 0 {
				rounds = 1 // the stale one: once is enough, and keeps an exploration small
			}
			p.Go("recv", func(t *sim.Thread) { sharedRecv(w, l, p.PID, &read, uint64(total), rounds) })
		}
		w.Plan(100)
	}
}

// sharedRecv reads until all was read, by whomever, at most rounds times.
func sharedRecv(w *sim.World, l *line, pid uint32, read *uint64, total uint64, rounds int) {
	r, err := queue.NewReceiver(l.dir, l.rings)
	must(w, err)
	t, buf := w.Current(), make([]byte, 64)
	for done := false; !done && rounds > 0; rounds-- {
		if rounds > 1 {
			await(t, l.dir, total)
		}
		t.Checkpoint(uint64(min(rounds, 2))) // r is loaded anew
		l.dir.RxLock.Lock(pid, w.Alive)
		t.Hold(1)
		must(w, r.Reload())
		if at := r.Head(); at != *read {
			// Who died after it published has read as well.
			if distance := at - *read; distance > total {
				w.Failf("stream", "the stream is at %d, want %d", at, *read)
			}
			*read = at
		}
		n, where := r.Read(buf)
		if where == queue.Corrupt {
			w.Failf("bad-peer", "a correct direction looks corrupt at %d", *read)
		}
		checkStream(w, int(*read), buf[:n])
		*read += uint64(n)
		done = *read == total
		t.Release()
		l.dir.RxLock.Unlock()
	}
}

// await waits until there is something to read, or nothing will be.
func await(t *sim.Thread, d *queue.Direction, total uint64) {
	for t.Checkpoint(3); d.Unread() == 0 && shm.Load64(&d.Rx.Head) != total; t.Checkpoint(3) {
		shm.Yield()
	}
}

func init() {
	sim.Register(
		&sim.Scenario{Name: "segment", About: "a sender switches rings, readers of several processes take turns, one may die in a copy", Setup: segment(0, 0, false)},
		&sim.Scenario{Name: "segment-2", About: "one switch against a sender, a receiver and a stale reader", Setup: segment(2, 2, false), Small: true},
		&sim.Scenario{Name: "segment-2-kill", About: "the same; one reader may die at any step", Setup: segment(2, 2, true), Small: true},
	)
}
