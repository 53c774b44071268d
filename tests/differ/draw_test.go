package differ

import (
	"math/rand/v2"
	"slices"
	"syscall"

	"pgregory.net/rapid"

	"github.com/socksdirect/libsd/model"
)

// style is what a kind of run may draw.
type style struct {
	excluded []model.Kind
	warm     bool            // make connections ready for promotion
	late     bool            // as in model.New
	without  map[string]bool // aspects that it leaves out
	unmet    []string        // states that no descriptor of theirs can be in
	dir      string          // below testdata, where replays are
}

// drawer draws one program.
type drawer struct {
	*plan
	random *rand.Rand
	sleepy bool  // calls may sleep
	big    bool  // sends may be larger than a window
	urgent int32 // how often MSG_OOB is drawn, in percent
}

var seedBits = rapid.SliceOfN(rapid.Bool(), 64, 64)

// newDrawer takes from rapid nothing but a seed, bit by bit: rapid prefers small numbers, and a failed
// program is minimized without it. Workers that rapid gives one seed differ.
func newDrawer(t *rapid.T, st style, c *coverage, worker int) *drawer {
	seed := uint64(0)
	for i, bit := range seedBits.Draw(t, "seed") {
		if bit {
			seed |= 1 << i
		}
	}
	return &drawer{plan: newPlan(st, c), random: rand.New(rand.NewPCG(seed, uint64(worker)))}
}

func (d *drawer) pick(from ...int32) int32 { return from[d.random.IntN(len(from))] }

func (d *drawer) chance(percent int) bool { return d.random.IntN(100) < percent }

// between draws from lo to hi, both included.
func (d *drawer) between(lo, hi int32) int32 { return lo + d.random.Int32N(hi-lo+1) }

// length draws how many operations a program has.
func (d *drawer) length() int32 {
	if d.chance(4) {
		return d.between(31, 150)
	}
	return d.between(1, 30)
}

// do adds an operation. To see that calls sleep, or that no more arrives, takes time, and a brief program has none to spare.
func (d *drawer) do(p int32, k model.Kind, args ...int32) (int32, bool) {
	const few = 25
	if (d.sleepy || d.big) && len(d.ops) >= few && (d.brief || k == model.Connect) {
		return 0, false
	}
	return d.add(d.sleepy, p, k, args...)
}

const (
	nonblock = int32(syscall.SOCK_NONBLOCK)
	cloexec  = int32(syscall.SOCK_CLOEXEC)
)

// draw draws a program.
func draw(t *rapid.T, st style, c *coverage, worker int) *program {
	d := newDrawer(t, st, c, worker)
	switch n := d.between(0, 99); {
	case n >= 92:
		d.sleepy = true
	case n >= 88:
		d.big = true
	}
	d.urgent = d.pick(0, 0, 0, 5, 35)
	if how := d.pick(model.SigIgnore, model.SigIgnore, model.SigHandler, model.SigDefault); how != model.SigDefault {
		d.do(0, model.SigAct, int32(syscall.SIGPIPE), how)
	}
	if d.sleepy { // somebody else ends or starts again what sleeps
		d.do(0, model.SigAct, int32(syscall.SIGUSR1), d.pick(model.SigHandler, model.SigRestart))
	}
	if !d.chance(5) {
		d.connection(0)
	}
	if d.big {
		d.strain()
	}
	for range d.length() {
		procs := d.state.Procs()
		if len(procs) == 0 {
			break
		}
		d.step(d.pick(procs...))
	}
	c.mu.Lock()
	c.programs++
	c.mu.Unlock()
	return &d.program
}

// connection makes one: a listener, a connect, perhaps an accept.
func (d *drawer) connection(p int32) {
	flags := func() int32 { return d.pick(nonblock, 0, nonblock|cloexec) }
	addr := d.pick(0, 0, 1, 2)
	lf := flags()
	l, _ := d.do(p, model.Socket, lf, d.family())
	d.do(p, model.Bind, l, addr)
	d.do(p, model.Listen, l, d.pick(4, 4, 1, 0))
	if d.chance(6) {
		for range 3 {
			c, _ := d.do(p, model.Socket, nonblock)
			d.do(p, model.Connect, c, addr)
		}
	}
	c, _ := d.do(p, model.Socket, flags(), d.family())
	d.do(p, model.Connect, c, addr)
	if d.chance(5) {
		return
	}
	s, _ := d.do(p, model.Accept, l, flags())
	if d.chance(30) {
		d.do(p, model.Close, l)
	}
	other := p
	if d.sleepy && d.chance(60) || d.chance(25) {
		child := d.state.Born()
		if child < maxProcs {
			if _, ok := d.do(p, model.Fork, child); ok {
				other = child
				if d.chance(70) {
					d.do(p, model.Close, c)
					d.do(child, model.Close, s)
				}
			}
		}
	}
	if d.style.warm && !d.chance(15) {
		d.warm(other, c, p, s)
	}
}

// strain fills a connection, perhaps up to its end.
func (d *drawer) strain() {
	if len(d.state.Procs()) == 0 {
		return
	}
	p := d.pick(d.state.Procs()...)
	a, b := d.fd(p, "established"), d.fd(p, "established")
	for range d.between(1, 4) {
		d.do(p, model.Send, a, 3_000_000, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
	}
	if d.chance(50) {
		d.do(p, model.Shutdown, b, syscall.SHUT_WR)
		d.do(p, model.Shutdown, a, syscall.SHUT_WR)
	}
}

// warm makes both ends offer the connection, gives the monitor a moment, and lets both switch.
func (d *drawer) warm(p, a, q, b int32) {
	for i := range 3 {
		d.do(p, model.Send, a, 3, 0)
		d.do(q, model.Recv, b, 8, 0)
		d.do(q, model.Send, b, 5, 0)
		d.do(p, model.Recv, a, 8, 0)
		if i == 0 && !d.chance(20) {
			d.do(p, model.Rest, 1500)
		}
	}
}

// fd draws a descriptor of a process that is in one of some places, rarely any other.
func (d *drawer) fd(p int32, places ...string) int32 {
	open := d.state.Open(p)
	if !d.chance(6) {
		fit := slices.DeleteFunc(slices.Clone(open), func(fd int32) bool { return !slices.Contains(places, d.state.Place(p, fd)) })
		if len(fit) > 0 {
			return d.pick(fit...)
		}
	}
	if len(open) == 0 || d.chance(20) {
		return d.between(0, 12)
	}
	return d.pick(open...)
}

var conns = []string{"established", "finWait", "closeWait", "lastAck", "closing", "timeWait", "failed", "closed"}

func (d *drawer) conn(p int32) int32 { return d.fd(p, conns...) }
func (d *drawer) tcp(p int32) int32 {
	return d.fd(p, "established", "finWait", "closeWait", "lastAck", "closing", "timeWait", "failed", "closed", "listening", "connecting", "new")
}

// size draws a number of bytes.
func (d *drawer) size() int32 {
	if d.big && d.chance(50) {
		return d.pick(100_000, 1_000_000, 3_000_000, 64_000)
	}
	return d.pick(1, 2, 10, 100, 1000, 5000, 0, 12_000)
}

// choices are the operations that step draws, each as often as its weight says.
var choices = func() (all []func(*drawer, int32)) {
	for _, c := range []struct {
		weight int
		do     func(*drawer, int32)
	}{
		{14, (*drawer).drawSend}, {14, (*drawer).drawRecv}, {5, (*drawer).drawClose}, {4, (*drawer).drawShutdown},
		{8, (*drawer).drawPoll}, {6, (*drawer).drawEpCtl}, {7, (*drawer).drawEpWait}, {2, (*drawer).drawEpCreate},
		{3, (*drawer).drawDup}, {3, (*drawer).drawFlags}, {4, (*drawer).drawOption}, {3, (*drawer).drawAsk},
		{3, (*drawer).drawSetup}, {1, (*drawer).connection}, {2, (*drawer).drawProcess}, {2, (*drawer).drawSignal},
		{2, (*drawer).drawRights}, {1, (*drawer).drawRest},
	} {
		for range c.weight {
			all = append(all, c.do)
		}
	}
	return all
}()

func (d *drawer) step(p int32) {
	if len(d.state.Sleepers()) > 0 && d.chance(10) {
		d.do(p, model.Kill, d.pick(d.state.Sleepers()...), int32(syscall.SIGUSR1))
		return
	}
	choices[d.random.IntN(len(choices))](d, p)
}
