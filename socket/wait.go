package socket

import (
	"time"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/queue"
)

const (
	spinPauses  = 2  // processor pauses between two looks, 0.1 µs
	spinGiveUp  = 8  // fruitless spins after which most waits do not spin
	spinTryOnce = 32 // of so many waits one still tries

	yields     = 8                     // of the processor, to a peer that was last seen on it
	yieldLimit = 20 * time.Microsecond // one that took longer let a stranger run
)

// waiter is where the one reader, or the one writer, of a link waits for its direction.
type waiter struct {
	dom      *domain
	member   uint32
	wake     chan struct{} // capacity 1; tokens come from the dispatcher and from the watcher
	timer    *time.Timer
	watched  bool // the watch line had room
	stage    stage
	fruit    int // fruitless spins in a row
	skipped  int
	slowPoll time.Duration // 0, or a bound of the next sleep
	peerCPU  *uint32       // where the peer publishes what is waited for, + 1
}

// stage is how far a wait has come. The waiter looks at what it waits for between any two.
//
//	hot ── spun in vain, bit cleared ──▶ armed ── 1 ms passed ──▶ asleep
//	 ▲                                     │                        │
//	 └──────────────── woken ──────────────┴────────────────────────┘
type stage uint8

const (
	hot    stage = iota
	armed        // the bit was cleared after the last look: sleep at most queue.FirstSleep
	asleep       // looked again since: sleep without bound
)

func (w *waiter) join(d *domain, l *link) bool {
	w.dom, w.wake = d, make(chan struct{}, 1)
	var ok bool
	w.member, ok = d.join(member{w.wake, l})
	return ok
}

func (w *waiter) leave() { w.dom.leave(w.member) }

func (w *waiter) watch(line *queue.WatchLine) {
	if w.watched = line.Arm(w.dom.bell.Entry(w.member)); !w.watched {
		w.dom.page.Count(queue.CountWatchFull, 1)
	}
}

func (w *waiter) unwatch(line *queue.WatchLine) { line.Disarm(w.dom.bell.Entry(w.member)) }

// step waits a little. The caller looks at the ring and at the connection's state after each
// step, and calls begin before the first of a wait. ready is a cheap look for the spin.
func (w *waiter) step(ready func() bool, limit, closed <-chan struct{}) {
	switch w.stage {
	case hot:
		if w.spin(ready) {
			return
		}
		w.dom.bell.Clear(w.member)
		w.stage = armed
	case armed:
		if w.sleep(queue.FirstSleep, limit, closed) {
			w.stage = hot
		} else {
			w.stage = asleep
		}
	case asleep:
		bound := w.slowPoll
		if !w.watched {
			bound = queue.FirstSleep
		}
		if w.sleep(bound, limit, closed) {
			w.stage = hot
		}
	}
}

func (w *waiter) begin() { w.stage = hot }

// spin looks for a short time, if that has paid off lately. A peer on this very processor can do
// nothing while we look: it gets the processor instead.
func (w *waiter) spin(ready func() bool) bool {
	if shm.Load32(w.peerCPU) == shm.CPU()+1 {
		return w.yield(ready)
	}
	if w.fruit >= spinGiveUp {
		if w.skipped++; w.skipped < spinTryOnce {
			return false
		}
		w.skipped = 0
	}
	start := now()
	for i := 1; ; i++ {
		if ready() {
			w.fruit = 0
			return true
		}
		shm.Pause(spinPauses)
		if i%spinYield == 0 {
			shm.Yield()
			if since(start) > spinFor {
				break
			}
		}
	}
	w.fruit++
	return false
}

func (w *waiter) yield(ready func() bool) bool {
	for range yields {
		start := now()
		shm.Yield()
		shm.YieldCPU()
		if ready() {
			return true
		}
		if since(start) > yieldLimit {
			break
		}
	}
	return false
}
