package scene

import (
	"time"

	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim"
)

// doorbell is the socket of a bell: it remembers that it was rung.
type doorbell struct {
	w    *sim.World
	rung bool
}

// Ring is what queue.Ringer does.
func (b *doorbell) Ring(uint64) {
	b.w.Current().Syscall("ring")
	b.rung = true
	b.w.Changed()
}

// sleep waits for Ring, at most for bound (negative: without bound), and tells whether that long
// passed.
func (b *doorbell) sleep(t *sim.Thread, bound time.Duration) (passed bool) {
	start := b.w.Now()
	rung := t.Block("sleep", func() bool { return b.rung }, bound)
	b.rung = false
	passed = !rung && bound >= 0 && time.Duration(b.w.Now()-start) >= bound
	if passed {
		t.Observe("time passed", 1)
	}
	return passed
}

var parkPage = make([]byte, queue.BellPageSize)

// park: a receiver sleeps on a bell, as package socket does: clear the bit, look, sleep FirstSleep,
// look, sleep without bound. Any deadline may come at any step, and a signal end a sleep early.
func park(signals int) func(w *sim.World) {
	return func(w *sim.World) {
		w.Faults.Ticks, w.Faults.Signals = -1, signals
		l := newLine(w, "d")
		s, err := queue.NewSender(l.dir, l.rings)
		must(w, err)
		s.Open(0)
		r, err := queue.NewReceiver(l.dir, l.rings)
		must(w, err)
		if where, _ := r.Look(); where != queue.Until || !r.Enter() {
			w.Failf("setup", "the direction is not open")
		}
		clear(parkPage[queue.BellOff : queue.BellOff+64]) // what the run before has used
		clear(parkPage[queue.BitsOff : queue.BitsOff+8])
		page, err := queue.NewPage(parkPage)
		must(w, err)
		bell, err := page.Claim(1, 1)
		must(w, err)
		w.ShareBytes("page", parkPage)
		bell.Set(0)
		l.dir.RxWatch.Arm(bell.Entry(0))
		sock := &doorbell{w: w}
		w.KernelState(func() uint64 {
			if sock.rung {
				return 1
			}
			return 0
		})
		const messages = 2 // the second is published by a plain store
		w.Process("sender").Go("send", func(t *sim.Thread) {
			for i := range messages {
				t.Checkpoint(uint64(i))
				if n, err := s.Write(bytesAt(i, 1)); n != 1 {
					w.Failf("bad-peer", "a ring with room takes %d bytes: %v", n, err)
				}
				l.dir.RxWatch.Notify(page, sock)
			}
		})
		w.Process("receiver").Go("recv", func(t *sim.Thread) {
			buf := make([]byte, 1)
			for got := 0; got < messages; {
				bell.Clear(0)
				for settled := false; ; {
					n, _ := r.Read(buf)
					checkStream(w, got, buf[:n])
					if got += n; n > 0 {
						break
					}
					settled = nap(t, bell, sock, settled)
					t.Checkpoint(uint64(got)<<1 | b2u(settled))
				}
				t.Checkpoint(uint64(got) + 100)
			}
		})
		w.Plan(60)
	}
}

// nap parks and sleeps once. settled tells that a look came after FirstSleep since the bit was cleared:
// what was published before that is visible, and who publishes later sees the clear bit.
func nap(t *sim.Thread, bell *queue.OwnBell, sock *doorbell, settled bool) bool {
	bound := time.Duration(-1)
	if !settled {
		bound = queue.FirstSleep
	}
	bell.Park()
	if !bell.Pending() {
		passed := sock.sleep(t, bound)
		settled = settled || passed
	}
	bell.Unpark()
	bell.Harvest(func(member uint32) {
		settled = false
		bell.Clear(member)
	})
	return settled
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func init() {
	sim.Register(
		&sim.Scenario{Name: "park", About: "publish, park and wake: two messages to a receiver that sleeps on a bell", Setup: park(0), Small: true},
		&sim.Scenario{Name: "park-signal", About: "the same; a signal ends a sleep early", Setup: park(1), Small: true},
	)
}
