//go:build !sim

package socket

import (
	"net"
	"time"

	"github.com/socksdirect/libsd/queue"
)

// What a connection asks of its process and its kernel is here, in anchor.go, anchorset.go and
// peerdiag.go. A simulation puts host_sim.go in their place.

const (
	// Longer than a round trip between two parked Go processes (30 µs), or two ends which have
	// both given up spinning would never find out that it pays.
	spinFor   = 50 * time.Microsecond
	spinYield = 32 // looks between two yields to other goroutines
)

type (
	bellSocket = *net.UnixConn
	bellRinger = *queue.Ringer
	timer      = *time.Timer
)

func spawn(f func()) { go f() }

func now() time.Time { return time.Now() }

func since(t time.Time) time.Duration { return time.Since(t) }

func timeTo(t time.Time) time.Duration { return time.Until(t) }

func nap(d time.Duration) { time.Sleep(d) }

func afterFunc(d time.Duration, f func()) timer { return time.AfterFunc(d, f) }

// sleep blocks the goroutine, at most for bound unless that is 0. It tells whether it was woken.
func (w *waiter) sleep(bound time.Duration, limit, closed <-chan struct{}) bool {
	var tick <-chan time.Time
	if bound > 0 {
		if w.timer == nil {
			w.timer = time.NewTimer(bound)
		} else {
			w.timer.Reset(bound)
		}
		tick = w.timer.C
		defer w.timer.Stop()
	}
	select {
	case <-w.wake:
		return true
	case <-limit:
	case <-closed:
	case <-tick:
	}
	return false
}
