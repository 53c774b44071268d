package socket

import (
	"errors"
	"sync"
	"testing"

	"github.com/socksdirect/libsd/queue"
)

// TestManyConnections has more connections at once than one arena has slots, most of them waiting
// for the others, and then closes all: slots, members and arenas must not run out on the way.
func TestManyConnections(t *testing.T) {
	withMonitor(t)
	conns := queue.ArenaSlots + 50
	if testing.Short() || raceEnabled {
		conns = 40
	}
	for range 2 {
		var wg sync.WaitGroup
		errs := make(chan error, 4*conns)
		opened := make(chan struct{})
		var ready sync.WaitGroup
		ready.Add(conns)
		for i := range conns {
			a, b := kernelPair(t)
			wg.Go(func() {
				defer a.Close()
				defer b.Close()
				arrived := sync.OnceFunc(ready.Done)
				defer arrived()
				untilOpened(t, a, b)
				arrived()
				<-opened // all slots are in use now
				var both sync.WaitGroup
				seed := byte(i)
				both.Go(func() { errs <- errors.Join(send(a, seed, 100000), a.CloseWrite()) })
				both.Go(func() { errs <- errors.Join(send(b, seed+1, 100000), b.CloseWrite()) })
				both.Go(func() { errs <- receive(a, seed+1, 100000, true) })
				both.Go(func() { errs <- receive(b, seed, 100000, true) })
				both.Wait()
			})
		}
		ready.Wait()
		close(opened)
		wg.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				t.Error(err)
			}
		}
	}
}
