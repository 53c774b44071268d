package sim

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Time is simulated time in nanoseconds. It moves only when the chooser lets a sleeper's deadline
// come: code takes no time.
type Time int64

const never = Time(math.MaxInt64)

// Config is what is the same for all runs of a command.
type Config struct {
	SC      bool // stores take effect at once: sequential consistency in place of total store order
	Explore bool // a decision at each step that others can see, state hashes, no quantum
	Limit   int  // steps of a run after which it counts as stuck; 0 = 200,000
	Verbose bool // keep all events, not only the last

	reduce *reduction // of explorations
}

// World is one run of a simulation.
type World struct {
	Config
	Faults Faults
	// Timeless keeps deadlines from coming, so that a wake-up which is lost shows as a deadlock.
	Timeless bool

	chooser Chooser
	procs   []*Process
	threads []*Thread
	cur     *Thread // whose body runs; nil outside of bodies
	target  *Thread // who runs next
	now     Time
	options []option

	steps   int
	quantum int // steps until the next decision
	next    int // step at which a planned fault is due
	stay    int // bound of quanta
	version uint64

	hashing bool
	reduce  *reduction // nil = leave no decision out
	memory  uint64     // hash of memory that differs from its start
	regions []region
	last    int // region of the last address
	touched wordIDs
	kernel  []func() uint64 // hashes of kernel objects

	log   log
	trace []Choice
	drawn []drawn
	dirty [][]byte // where copies went: cleared after the run, so that runs do not see each other's bytes

	atEnd []func()
	after []func()
	cover map[string]int
	fail  *Failure
	stuck bool // the chooser gave the run up

	graves bool // bodies of killed threads are to be unwound
}

// Failure is why a run is not correct.
type Failure struct {
	Kind   string // "stream", "exclusion", "deadlock", "livelock", "linearizability", "leak", "panic", …
	Detail string
	Step   int
	// Picture, if any, writes HTML that shows what is wrong.
	Picture func(w io.Writer) error
}

func (f *Failure) Error() string { return fmt.Sprintf("%s at step %d: %s", f.Kind, f.Step, f.Detail) }

// ErrPruned says that a run was given up because all that follows was seen before.
var ErrPruned = errors.New("sim: seen before")

// New makes a world in which chooser decides.
func New(c Config, chooser Chooser) *World {
	if c.Limit == 0 {
		c.Limit = 200_000
	}
	w := &World{Config: c, chooser: chooser, hashing: c.Explore, reduce: c.reduce, next: math.MaxInt, stay: 1}
	if b, ok := chooser.(interface{ bind(*World) }); ok {
		b.bind(w)
	}
	if !c.Explore {
		// Some runs switch at each step, others rarely: each finds other bugs.
		w.stay = 1 << w.Choose(8, "stay")
	}
	return w
}

// Process is a simulated process: threads which die together and share membarrier.
type Process struct {
	w       *World
	Name    string
	PID     uint32
	threads []*Thread
	mortal  bool
	stopped bool
	Killed  bool
	exited  bool // without having been killed
	onExit  []func()
}

// Process makes a process.
func (w *World) Process(name string) *Process {
	p := &Process{w: w, Name: name, PID: uint32(len(w.procs) + 1)}
	w.procs = append(w.procs, p)
	return p
}

// AtExit has f run when p is killed or exits: what the kernel does then.
func (p *Process) AtExit(f func()) { p.onExit = append(p.onExit, f) }

// Exit ends a process that has done its work.
func (p *Process) Exit() {
	p.exited = true
	for _, f := range p.onExit {
		f()
	}
	p.w.changed()
}

// AtEnd has f check the end of a run.
func (w *World) AtEnd(f func()) { w.atEnd = append(w.atEnd, f) }

// Cleanup has f run after the run, whatever its outcome.
func (w *World) Cleanup(f func()) { w.after = append(w.after, f) }

// Cover counts that a run came to a labelled point.
func (w *World) Cover(label string) {
	if w.cover == nil {
		w.cover = map[string]int{}
	}
	w.cover[label]++
}

// Covered is how often the run came to each labelled point.
func (w *World) Covered() map[string]int { return w.cover }

// KernelState has f's hash count as state of the world.
func (w *World) KernelState(f func() uint64) { w.kernel = append(w.kernel, f) }

// Current is the thread whose body runs, nil outside of bodies.
func (w *World) Current() *Thread { return w.cur }

// Now is the time.
func (w *World) Now() Time { return w.now }

// Steps is how many steps were made.
func (w *World) Steps() int { return w.steps }

// Choose is a decision that is not which thread runs: a parameter, a kernel's freedom.
func (w *World) Choose(n int, label string) int {
	if n <= 1 {
		return 0
	}
	c := w.chooser.Choose(n, label)
	w.trace = append(w.trace, Choice{uint32(c), uint32(n)})
	if w.steps == 0 && w.cur == nil && label != "step" {
		w.drawn = append(w.drawn, drawn{label, c, n})
	}
	return c
}

// drawn is a parameter.
type drawn struct {
	label string
	c, n  int
}

// Parameters is what was drawn before the first step.
func (w *World) Parameters() []string {
	lines := make([]string, len(w.drawn))
	for i, d := range w.drawn {
		lines[i] = fmt.Sprintf("%s = %d of %d", d.label, d.c, d.n)
	}
	return lines
}

// Range chooses from lo to hi.
func (w *World) Range(lo, hi int, label string) int { return lo + w.Choose(hi-lo+1, label) }

// Failf ends the run as incorrect. The first failure counts.
func (w *World) Failf(kind, format string, args ...any) {
	w.FailPicture(nil, kind, format, args...)
}

// FailPicture is Failf with a picture.
func (w *World) FailPicture(picture func(w io.Writer) error, kind, format string, args ...any) {
	if w.fail == nil {
		w.fail = &Failure{kind, fmt.Sprintf(format, args...), w.steps, picture}
		if t := w.cur; t != nil && t.state != dead && t.state != done {
			t.suspend() // the run ends here
		}
	}
}

// changed tells spinning threads and waiting conditions to look again.
func (w *World) changed() { w.version++ }

// Changed is for kernel objects outside of this package.
func (w *World) Changed() { w.version++ }

// Run lets threads run until all that are no daemons are done, then checks the end.
func (w *World) Run() error {
	defer w.teardown()
	for t := w.schedule(nil); t != nil && w.fail == nil && !w.stuck; {
		w.cur = t
		t.routine.resume()
		w.cur = nil
		over := t.routine == nil
		if w.graves {
			w.bury()
		}
		if t = w.target; over {
			t = w.schedule(nil)
		}
	}
	return w.result()
}

func (w *World) result() error {
	switch {
	case w.fail != nil:
		return w.fail
	case w.stuck:
		return ErrPruned
	}
	for _, t := range w.threads {
		t.drainAll()
	}
	for _, f := range w.atEnd {
		if f(); w.fail != nil {
			return w.fail
		}
	}
	return nil
}

// bury unwinds the bodies of threads that were killed.
func (w *World) bury() {
	w.graves = false
	for _, t := range w.threads {
		if t.state == dead && t.routine != nil {
			w.cur = t
			t.routine.resume()
			w.cur, t.routine = nil, nil
		}
	}
}

func (w *World) teardown() {
	for _, t := range w.threads {
		if t.state != done {
			t.state = dead
		}
	}
	w.bury()
	for _, b := range w.dirty {
		clear(b)
	}
	for _, f := range w.after {
		f()
	}
}

// finished tells whether only daemons are left.
func (w *World) finished() bool {
	for _, t := range w.threads {
		if !t.Daemon && t.state != done && t.state != dead {
			return false
		}
	}
	return true
}

// hang fails the run with the state of all threads.
func (w *World) hang(kind, why string) {
	s := strings.Builder{}
	s.WriteString(why)
	for _, t := range w.threads {
		if t.state != done && t.state != dead {
			s.WriteString("\n  " + t.describe())
		}
	}
	w.fail = &Failure{Kind: kind, Detail: s.String(), Step: w.steps}
}

// Kill ends a process as kill -9 does: between two instructions of each of its threads.
func (w *World) Kill(p *Process) {
	if p.Killed || p.exited {
		return
	}
	p.Killed, w.graves, w.Faults.Struck = true, true, true
	w.event(w.cur, opKill, nil, p.Name, 0)
	for _, t := range p.threads {
		t.drainAll() // the kernel was entered
		if t.state != done {
			t.state = dead
		}
	}
	for _, f := range p.onExit {
		f()
	}
	w.changed()
}

// Alive tells whether a process lives, as kill(pid, 0) does.
func (w *World) Alive(pid uint32) bool {
	alive := w.alive(pid)
	if w.Explore && w.cur != nil {
		w.cur.Observe("alive", b2u(alive))
	}
	return alive
}

func (w *World) alive(pid uint32) bool {
	if pid < 1 || int(pid) > len(w.procs) {
		return false
	}
	p := w.procs[pid-1]
	return !p.Killed && !p.exited
}

func (t Time) String() string { return time.Duration(t).String() }
