package sim

import (
	"fmt"
	"runtime/debug"
	"time"
)

// Thread is a simulated thread: a coroutine that runs until a Step in which the chooser lets another
// go on.
//
//	ready ──Block──▶ blocked ──condition, Wake, time──▶ ready ──body returns──▶ done
//	  │                 └───────────── kill ──────────────┴────────────────────▶ dead
//	  └──Spin──▶ idle ──memory or kernel changed──▶ ready
type Thread struct {
	w      *World
	Proc   *Process
	Name   string
	ID     int
	Daemon bool // a run may end while it is blocked

	state    state
	fresh    bool        // has made no step
	routine  *coroutine  // that its body runs on; nil when it is over
	ready    func() bool // of a blocked thread; may be nil
	woken    bool
	deadline Time // of a blocked thread; never = none
	where    string
	futex    uintptr // that it sleeps on, 0 = none
	version  uint64  // of the world when it went idle

	buf   []store // the store buffer, oldest at buf[first]
	first int

	since Time // when it went to sleep
	slept int  // at which step

	lock   uint64         // that it holds, for reduction
	parent *Thread        // that started it
	phases []uint64       // its Checkpoints
	later  map[uint64]use // what it will use

	hist    uint64 // hash of all that it did and saw: determines where its body is
	touched uint64 // how many words outside regions it was the first to touch
}

type state uint8

const (
	ready state = iota
	blocked
	idle
	done
	dead
)

// Go starts a thread of p. It runs when the chooser says so.
func (p *Process) Go(name string, body func(t *Thread)) *Thread {
	w := p.w
	t := &Thread{w: w, Proc: p, Name: name, ID: len(w.threads), fresh: true, parent: w.cur}
	t.hist = mix(uint64(t.ID), 1)
	if w.reduce != nil {
		w.reduce.enter(t, t.hist)
	}
	t.routine = begin(func() {
		if t.state == dead { // before it began
			return
		}
		defer t.finish()
		body(t)
		t.Syscall("exit")
	})
	w.threads = append(w.threads, t)
	p.threads = append(p.threads, t)
	w.changed()
	return t
}

// finish ends the thread: the body returned, was killed, or panicked.
func (t *Thread) finish() {
	t.routine = nil
	if t.state != dead {
		t.state = done
	}
	t.w.changed()
	switch r := recover().(type) {
	case nil, killed:
	default:
		t.w.Failf("panic", "%s: %v\n%s", t, r, debug.Stack())
	}
}

func (t *Thread) String() string { return t.Proc.Name + "." + t.Name }

// World is the world of the thread.
func (t *Thread) World() *World { return t.w }

// Dead tells whether the thread was killed: its body is being unwound and acts no more.
func (t *Thread) Dead() bool { return t.state == dead }

// Step is a point where others may run, stores drain, time pass and faults strike.
func (t *Thread) Step(label string) { t.step(label, false) }

// step is Step; alone says that it makes no difference when it happens.
func (t *Thread) step(label string, alone bool) {
	w := t.w
	if t.state == dead {
		return
	}
	w.steps++
	t.where = label
	switch {
	case t.fresh:
		t.fresh = false // that it runs now was just decided
	case alone && w.steps < w.Limit:
		w.leftOut(t, option{kind: run, t: t})
	default:
		if w.quantum--; w.quantum <= 0 || w.steps >= w.next {
			w.pause(t)
		}
	}
	if w.hashing {
		t.hist = mix(t.hist, 1)
	}
}

// Syscall is a Step into the kernel, whose locks drain the store buffer.
func (t *Thread) Syscall(label string) { t.syscall(label, false) }

// SyscallOn is Syscall for one that uses a single kernel object, which no kill and no thread uses
// other than by SyscallOn with the same object.
func (t *Thread) SyscallOn(label string, object uint64) {
	t.syscall(label, t.aloneOn(object))
	if r := t.w.reduce; r != nil {
		r.note(t, object, true)
	}
}

func (t *Thread) syscall(label string, alone bool) {
	t.step(label, alone)
	t.drainAll()
	t.Observe(label, 0)
}

// Observe tells that the body learnt v other than by an operation of this package. What it learns
// in no such way must be determined by what it learnt before.
func (t *Thread) Observe(label string, v uint64) {
	t.w.event(t, opNote, nil, label, v)
}

// Checkpoint tells that what the body does from here on depends on x and on shared state only, not
// on what it saw before. It lets an exploration see that two histories have met again.
func (t *Thread) Checkpoint(x uint64) {
	t.hist = mix(uint64(t.ID)+0xc4ec, x)
	if r := t.w.reduce; r != nil {
		r.enter(t, t.hist)
	}
}

// Block is a system call that sleeps until ready (nil: never by itself), Wake or timeout (negative:
// none), and tells whether it was not timeout or a signal that ended it.
func (t *Thread) Block(label string, ready func() bool, timeout time.Duration) bool {
	if t.state == dead {
		return false
	}
	t.Syscall(label)
	t.sleep(label, ready, timeout)
	ok := t.woken || ready != nil && ready()
	v := uint64(0)
	if ok {
		v = 1
	}
	t.Observe(label, v)
	return ok
}

// sleep gives the processor up until something wakes the thread.
func (t *Thread) sleep(label string, ready func() bool, timeout time.Duration) {
	if t.state == dead {
		return
	}
	t.woken, t.ready, t.deadline, t.where = false, ready, never, label
	t.since, t.slept = t.w.now, t.w.steps
	if timeout >= 0 {
		t.deadline = t.w.now + Time(timeout)
	}
	t.state = blocked
	t.w.switchFrom(t)
	t.ready, t.futex, t.deadline = nil, 0, never
}

// Wake ends the sleep of a blocked thread.
func (t *Thread) Wake() {
	if t.state == blocked && !t.woken {
		t.woken = true
		t.w.changed()
	}
}

// Spin is one round of a loop that waits for another thread: this one goes on when something has
// changed, or when nothing else can run.
func (t *Thread) Spin(label string) {
	if t.state == dead {
		return
	}
	t.w.steps++
	t.Observe(label, 0)
	if t.w.version == t.version {
		t.where, t.state = label, idle
		t.w.switchFrom(t)
	} else {
		t.version = t.w.version
		t.w.quantum = 0
		t.w.pause(t)
	}
	t.version = t.w.version
	t.fresh = true // that it goes on was just decided
}

// suspend hands over to World.Run.
func (t *Thread) suspend() {
	t.routine.suspend()
	if t.state == dead {
		panic(killed{})
	}
}

func (s state) String() string {
	return [...]string{"ready", "blocked", "idle", "done", "dead"}[s]
}

func (t *Thread) describe() string {
	s := fmt.Sprintf("%s %s at %s", t, t.state, t.where)
	if n := len(t.buf) - t.first; n > 0 {
		s += fmt.Sprintf(", %d stores buffered", n)
	}
	if t.state == blocked && t.deadline != never {
		s += fmt.Sprintf(", until %v", time.Duration(t.deadline))
	}
	return s
}
