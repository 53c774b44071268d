package scene

import (
	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim"
)

// guarded is what a mode of sharing protects: a count in shared memory, and whether somebody is
// inside.
type guarded struct {
	w      *sim.World
	count  *uint64
	inside int
	ops    int
	owner  uint32 // pid inside, under LOCKED
}

func newGuarded(w *sim.World) *guarded {
	g := &guarded{w: w, count: new(uint64)}
	sim.Share(w, "count", g.count)
	w.KernelState(func() uint64 { return uint64(g.ops)<<32 | uint64(g.inside)<<16 | uint64(g.owner) })
	return g
}

// operate is one operation under protection. It is torn when it dies before its store.
func (g *guarded) operate() {
	if g.inside++; g.inside != 1 {
		g.w.Failf("exclusion", "%d threads are inside", g.inside)
	}
	n := shm.Load64(g.count)
	if n != uint64(g.ops) {
		g.w.Failf("exclusion", "the operation saw %d operations before it, there were %d", n, g.ops)
	}
	g.ops++
	shm.StoreRelease64(g.count, n+1)
	g.inside--
}

// locked is operate for a process that may be killed inside: then its torn operation counts or not.
func (g *guarded) locked(pid uint32, broken bool) {
	if g.inside++; g.inside != 1 {
		g.w.Failf("exclusion", "%d threads are inside", g.inside)
	}
	g.owner = pid
	n := shm.Load64(g.count)
	switch {
	case n == uint64(g.ops):
	case broken && n+1 == uint64(g.ops):
		g.ops-- // the dead one had not stored
	default:
		g.w.Failf("exclusion", "the operation saw %d operations before it, there were %d", n, g.ops)
	}
	g.ops++
	shm.StoreRelease64(g.count, n+1)
	g.inside, g.owner = 0, 0
}

// token: threads of one process share a direction in TOKEN mode.
func token(threads, ops int) func(w *sim.World) {
	return func(w *sim.World) {
		w.Timeless = true // a wake-up that is lost is to be seen
		n, k := threads, ops
		if n == 0 {
			n, k = w.Range(2, 4, "threads"), w.Range(1, 8, "operations")
			w.Faults.Signals = w.Choose(3, "signals")
		}
		all, err := queue.NewThreads()
		if err != nil {
			w.Failf("setup", "%v", err)
		}
		var shared queue.Token
		sim.Share(w, "token", &shared)
		g := newGuarded(w)
		p := w.Process("p")
		for i := range n {
			me := all.Join()
			sim.Share(w, "thread"+string(rune('0'+i)), me)
			p.Go(string(rune('a'+i)), func(t *sim.Thread) {
				for i := range k {
					t.Checkpoint(uint64(i))
					me.Do(&shared, func(bool) { g.operate() })
				}
			})
		}
		w.AtEnd(func() {
			if g.ops != n*k {
				w.Failf("exclusion", "%d operations, want %d", g.ops, n*k)
			}
		})
		w.Plan(60)
	}
}

// lock: threads of several processes share a direction in LOCKED mode; a process may die with it.
func lock(processes, ops int, kills bool) func(w *sim.World) {
	return func(w *sim.World) {
		n, k := processes, ops
		if n == 0 {
			n, k = w.Range(2, 4, "processes"), w.Range(1, 8, "operations")
			kills = w.Choose(2, "kills") == 1
			w.Faults.Signals = w.Choose(3, "signals")
		}
		w.Timeless = !kills // the owner's life is looked at now and then
		if kills {
			w.Faults.Kills, w.Faults.Ticks = 1, 2
		}
		l := new(queue.LockLine)
		sim.Share(w, "lock", l)
		g := newGuarded(w)
		for i := range n {
			p := w.Process(string(rune('p' + i)))
			if kills && i == 0 {
				p.Mortal()
				p.AtExit(func() {
					if g.owner == p.PID {
						g.inside, g.owner = 0, 0
					}
				})
			}
			p.Go("t", func(t *sim.Thread) {
				for i := range k {
					t.Checkpoint(uint64(i))
					broken := l.Lock(p.PID, w.Alive)
					g.locked(p.PID, broken)
					l.Unlock()
				}
			})
		}
		w.Plan(60)
	}
}

func init() {
	sim.Register(
		&sim.Scenario{Name: "token", About: "threads of a process share a direction in TOKEN mode", Setup: token(0, 0)},
		&sim.Scenario{Name: "token-2x3", About: "two threads, three operations each, in TOKEN mode", Setup: token(2, 3), Small: true},
		&sim.Scenario{Name: "token-2x1", About: "two threads, one operation each, in TOKEN mode", Setup: token(2, 1), Small: true},
		&sim.Scenario{Name: "lock", About: "processes share a direction in LOCKED mode, one may die", Setup: lock(0, 0, false)},
		&sim.Scenario{Name: "lock-2x2", About: "two processes, two operations each, in LOCKED mode", Setup: lock(2, 2, false), Small: true},
		&sim.Scenario{Name: "lock-2x1-kill", About: "two processes, one of which may die at any step, in LOCKED mode", Setup: lock(2, 1, true), Small: true},
	)
}
