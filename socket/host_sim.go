//go:build sim

package socket

import (
	"net"
	"net/netip"
	"time"
)

// Machine is the process and the kernel that a simulation puts below the connections. Each method is
// called by the simulated thread that runs.
type Machine interface {
	Go(f func())
	Now() time.Time
	// Block sleeps until ready (nil: never by itself), at most for bound (negative: without bound).
	Block(ready func() bool, bound time.Duration)
	// AskPeer answers as the function of this name does.
	AskPeer(local, remote netip.AddrPort) (gone, deaf bool)
}

// Sim is the machine of the simulation that runs. A build with -tags sim has no other.
var Sim Machine

// A simulated spin goes on when memory has changed: one look is as good as many.
const (
	spinFor   = -1
	spinYield = 1
)

func spawn(f func()) { Sim.Go(f) }

func now() time.Time { return Sim.Now() }

func since(t time.Time) time.Duration { return now().Sub(t) }

func timeTo(t time.Time) time.Duration { return t.Sub(now()) }

func nap(d time.Duration) { Sim.Block(nil, d) }

func askPeer(local, remote netip.AddrPort) (gone, deaf bool) { return Sim.AskPeer(local, remote) }

// timer is what is used of *time.Timer.
type timer = *alarm

type alarm struct{ over bool }

func afterFunc(d time.Duration, f func()) *alarm {
	t := new(alarm)
	spawn(func() {
		Sim.Block(func() bool { return t.over }, d)
		if t.Stop() {
			f()
		}
	})
	return t
}

// Stop tells whether it came before the time.
func (t *alarm) Stop() bool {
	before := !t.over
	t.over = true
	return before
}

// sleep is that of host.go.
func (w *waiter) sleep(bound time.Duration, limit, closed <-chan struct{}) bool {
	if bound == 0 {
		bound = -1
	}
	Sim.Block(func() bool { return len(w.wake) > 0 || isOver(limit) || isOver(closed) }, bound)
	select {
	case <-w.wake:
		return true
	default:
		return false
	}
}

// isOver tells whether a channel that carries nothing is closed.
func isOver(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// bellSocket is what is used of *net.UnixConn.
type bellSocket interface {
	ReadFromUnix(b []byte) (int, *net.UnixAddr, error)
	Close() error
}

type bellRinger interface {
	Ring(nonce uint64)
	Close() error
}
