//go:build sim && cgo

package csim

import (
	"os"
	"slices"
	"sync"
	"time"

	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim"
)

const (
	processes  = 4           // that a scenario may have
	clockStart = int64(1e12) // time 0 of the simulation as CLOCK_MONOTONIC, in ns
)

// The builds of the C core that scenarios run, each made when one first needs it: with small memory, and
// with memory of the sizes that ship.
var (
	small, full *core
	planted     []Edit
)

// Use builds the C core with a canary's edits, none for the code that ships, and has scenarios run it.
func Use(edits ...Edit) (err error) {
	for _, c := range []**core{&small, &full} {
		if *c != nil {
			(*c).unload()
			*c = nil
		}
	}
	planted = edits
	small, err = newCore(false)
	return err
}

var mapOnce sync.Once

func newCore(full bool) (*core, error) {
	lib, err := build(planted, full)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sdsim-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	libs, err := copies(lib, dir, processes)
	if err != nil {
		return nil, err
	}
	mapOnce.Do(func() { mapShared(sharedSize + fullSize) })
	return load(libs, full)
}

// World is a simulated host on which programs run under libsd.so.
type World struct {
	*sim.World
	core     *core
	procs    []*Process
	memories []*memory
	monitor  *daemon // nil: none is running
	lives    int     // of monitors
	looks    int     // of theirs at slots whose ends were given up
	dooms    int     // of which will be killed
	slots    int     // of an arena
	early    *introduced
	resets   bool // connections are closed with bytes unread
	cores    int
	cookies  uint64
	ends     []*end
	sets     []*epollSet
	dgrams   []*dgram
	network  *sim.Thread // carries what is sent on TCP; nil: it arrives at once
}

func newWorld(w *sim.World) *World { return newWorldOn(w, &small) }

// newWorldOn is newWorld with one of the builds.
func newWorldOn(w *sim.World, c **core) *World {
	if *c == nil {
		var err error
		if *c, err = newCore(c == &full); err != nil {
			panic(err)
		}
	}
	x := &World{World: w, core: *c, slots: arenaSlots, cores: 1 + w.Choose(2, "cores")}
	w.AtEnd(x.cover)
	w.KernelState(x.state)
	return x
}

func (w *World) now() int64 { return clockStart + int64(w.Now()) }

// state is a hash of what lies in the kernel, connections excepted.
func (w *World) state() uint64 {
	h := uint64(1)
	mix := func(v uint64) { h = (h ^ v) * 0x9e3779b97f4a7c15 }
	for _, d := range w.dgrams {
		mix(uint64(d.n)<<8 | uint64(d.holders))
	}
	for _, s := range w.sets {
		for _, i := range s.items {
			mix(uint64(i.events))
			if i.queued {
				mix(3)
			}
		}
	}
	return h
}

// cover counts what libsd.so counts.
func (w *World) cover() {
	for _, m := range w.memories {
		if !m.page {
			continue
		}
		for i, label := range map[int]string{queue.CountPromoted: "promoted", queue.CountSwitch: "switched",
			queue.CountToTCP: "back to TCP", queue.CountLockBroken: "lock of the dead taken", queue.CountReset: "reset",
			queue.CountForked: "forked before promotion", queue.CountBadPeer: "bad peer",
			queue.CountForeignWrite: "foreign write"} {
			if m.header().Count[i] == 0 {
				continue
			}
			w.Cover(label)
			if i == queue.CountBadPeer || i == queue.CountForeignWrite || i == queue.CountReset && !w.deaths() && !w.resets {
				w.Failf("count", "a process counts: %s", label)
			}
		}
	}
}

// deaths tells whether a process was killed.
func (w *World) deaths() bool {
	return slices.ContainsFunc(w.procs, func(p *Process) bool { return p.Killed })
}

// Process makes a process with libsd.so in it.
func (w *World) process(name string) *Process {
	p := &Process{Process: w.World.Process(name), w: w, image: len(w.procs), fds: map[int]file{}}
	if p.image >= processes {
		panic("too many processes")
	}
	p.c = w.core.images[p.image]
	p.reset()
	p.name(w.World)
	w.procs = append(w.procs, p)
	p.AtExit(p.exit)
	return p
}

// Go starts a thread. Several processors are told apart by number; with one core all are the same.
func (p *Process) Go(name string, body func(t *Thread)) *Thread {
	cpu := 0
	if p.w.cores > 1 {
		cpu = p.w.Choose(p.w.cores, "cpu")
	}
	t := p.newThread(cpu)
	t.run(name, body)
	return t
}

// run has the thread's body run; with the last of its threads the process exits.
func (t *Thread) run(name string, body func(t *Thread)) {
	p := t.p
	p.live++
	t.Thread = p.Process.Go(name, func(*sim.Thread) {
		body(t)
		if p.live--; p.live == 0 {
			t.Syscall("exit_group")
			p.Exit()
		}
	})
}

func (t *Thread) pass(d time.Duration) { t.p.w.Pass(d) }

// exit is what the kernel does when the process has died.
func (p *Process) exit() {
	p.gone = true
	for _, fd := range p.numbers() {
		p.closeFD(fd)
	}
	for _, m := range p.mapped {
		p.w.drop(m)
	}
	p.w.Changed()
}

// fork makes a child that goes on in body; what pthread_atfork was given runs around it.
func (t *Thread) fork(name string, body func(t *Thread)) *Process {
	p := t.p
	t.Call("sim_fork_prepare")
	t.Syscall("fork")
	child := p.w.process(name)
	for _, fd := range p.numbers() {
		child.put(fd, p.fds[fd])
	}
	for _, m := range p.mapped {
		child.mapping(m)
	}
	c := child.newThread(t.cpu())
	p.forked(child, t, c)
	c.run("main", func(*Thread) {
		c.Call("sim_fork_child")
		body(c)
	})
	t.Call("sim_fork_parent")
	return child
}

// maybeNetwork draws whether what is sent on TCP takes its time.
func (w *World) maybeNetwork() {
	if w.Choose(2, "network") == 1 {
		w.slowNetwork(true)
	}
}

// slowNetwork has a thread of its own carry what is sent on TCP, in pieces or all at once.
func (w *World) slowNetwork(pieces bool) {
	w.network = w.World.Process("network").Go("loopback", func(t *sim.Thread) {
		for {
			var busy []*end
			t.Block("network", func() bool {
				busy = busy[:0]
				for _, e := range w.ends {
					if e.pending() {
						busy = append(busy, e)
					}
				}
				return len(busy) > 0
			}, -1)
			if len(busy) == 0 {
				continue
			}
			e := busy[w.Choose(len(busy), "whose bytes")]
			n := len(e.flight)
			if pieces {
				n -= w.Choose(n+1, "later")
			}
			e.deliver(n)
		}
	})
	w.network.Daemon = true
}
