//go:build sim && cgo

package csim

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim"
)

// Places in shared memory. The sizes of rings and bell pages are those of core/small.h.
const (
	processes    = 4
	arenaAt      = addr(sharedAt)
	arenaSize    = 16384
	bellsAt      = arenaAt + arenaSize
	bellPageSize = 86016
	sharedSize   = arenaSize + processes*bellPageSize
	clockStart   = int64(1e12) // time 0 of the simulation as CLOCK_MONOTONIC, in ns
)

// current is the build of the C core that scenarios run.
var current *core

// Use builds the C core with a canary's edits, none for the code that ships, and has scenarios run it.
func Use(edits ...Edit) error {
	lib, err := build(edits)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sdsim-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	libs, err := copies(lib, dir, processes)
	if err != nil {
		return err
	}
	if current == nil {
		mapShared(sharedSize)
	} else {
		current.unload()
	}
	current, err = load(libs)
	return err
}

// World is a simulated host on which programs run under libsd.so.
type World struct {
	*sim.World
	core    *core
	procs   []*Process
	offers  map[uint64]*offer
	cores   int
	cookies uint64
	slots   int
	ends    []*end
	sets    []*epollSet
	dgrams  []*dgram
	network *sim.Thread // carries what is sent on TCP; nil: it arrives at once
}

func newWorld(w *sim.World) *World {
	if current == nil {
		if err := Use(); err != nil {
			panic(err)
		}
	}
	clear(addr(sharedAt).bytes(arenaSize))
	for i := range processes {
		page := bellsAt + addr(i*bellPageSize)
		clear(page.bytes(4096 + 8*64))
		clear((page + queue.BitsOff).bytes(8 * queue.MembersPerBell / 8))
	}
	x := &World{World: w, core: current, offers: map[uint64]*offer{}, cores: 1 + w.Choose(2, "cores")}
	w.AtEnd(x.cover)
	w.KernelState(x.state)
	w.ShareBytes("arena", addr(sharedAt).bytes(queue.CtlOff))
	share[queue.Slot](w, "slot", arenaAt+queue.CtlOff)
	w.ShareBytes("rings", (arenaAt + 8192).bytes(arenaSize-8192))
	return x
}

func (w *World) now() int64 { return clockStart + int64(w.Now()) }

// state is a hash of what lies in the kernel, connections excepted.
func (w *World) state() uint64 {
	h := uint64(1)
	mix := func(v uint64) { h = (h ^ v) * 0x9e3779b97f4a7c15 }
	for _, d := range w.dgrams {
		mix(uint64(d.n)<<8 | uint64(d.refs))
	}
	for _, p := range w.procs {
		mix(uint64(len(p.mail)))
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
	for _, p := range w.procs {
		for i, label := range map[int]string{queue.CountPromoted: "promoted", queue.CountSwitch: "switched",
			queue.CountToTCP: "back to TCP", queue.CountLockBroken: "lock of the dead taken", queue.CountReset: "reset",
			queue.CountForked: "forked before promotion", queue.CountBadPeer: "bad peer",
			queue.CountForeignWrite: "foreign write"} {
			if *at[uint64](p.bells + 128 + addr(8*i)) == 0 {
				continue
			}
			w.Cover(label)
			if i == queue.CountBadPeer || i == queue.CountForeignWrite || i == queue.CountReset && !w.deaths() {
				w.Failf("count", "%s counts: %s", p.Name, label)
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
	p := &Process{Process: w.World.Process(name), w: w, image: len(w.procs), fds: map[int]file{}, next: 512}
	if p.image >= processes {
		panic("too many processes")
	}
	p.c = w.core.images[p.image]
	p.bells = bellsAt + addr(p.image*bellPageSize)
	p.reset()
	p.name(w.World)
	w.ShareBytes(name+".page", p.bells.bytes(4096))
	for i := range 8 {
		share[queue.Bell](w.World, fmt.Sprintf("%s.bell%d", name, i), p.bells+addr(queue.BellOff+i*64))
	}
	w.ShareBytes(name+".bits", (p.bells + queue.BitsOff).bytes(bellPageSize-queue.BitsOff))
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
	t.Thread = p.Process.Go(name, func(*sim.Thread) { body(t) })
	return t
}

func (t *Thread) pass(d time.Duration) { t.p.w.Pass(d) }

// exit is what the kernel does when the process has died.
func (p *Process) exit() {
	for fd := range 1024 {
		if p.fds[fd] != nil {
			p.closeFD(fd)
		}
	}
}

// fork makes a child that goes on in body; what pthread_atfork was given runs around it.
func (t *Thread) fork(name string, body func(t *Thread)) *Process {
	p := t.p
	t.Call("sim_fork_prepare")
	t.Syscall("fork")
	child := p.w.process(name)
	child.bells = p.bells
	for fd := range 1024 {
		switch f := p.fds[fd].(type) {
		case *dgram:
			f.refs++
			child.fds[fd] = f
		case *end:
			f.refs++
			child.fds[fd] = f
		}
	}
	c := child.newThread(t.cpu())
	p.forked(child, t, c)
	c.Thread = child.Process.Go("main", func(*sim.Thread) {
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
