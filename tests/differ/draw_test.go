package differ

import (
	"slices"
	"syscall"

	"pgregory.net/rapid"

	"github.com/socksdirect/libsd/model"
)

// style is what a kind of run may draw.
type style struct {
	excluded []model.Kind
	warm     bool // make connections ready for promotion
	late     bool // as in model.New
}

// drawer draws one program.
type drawer struct {
	*plan
	t      *rapid.T
	sleepy bool // calls may sleep
	big    bool // sends may be larger than a window
}

var hundred = rapid.IntRange(0, 99)

func (d *drawer) pick(label string, from ...int32) int32 {
	if len(from) == 1 {
		return from[0]
	}
	return from[rapid.IntRange(0, len(from)-1).Draw(d.t, label)]
}

func (d *drawer) chance(label string, percent int) bool {
	return hundred.Draw(d.t, label) >= 100-percent
}

func (d *drawer) do(p int32, k model.Kind, args ...int32) (int32, bool) {
	return d.add(d.sleepy, p, k, args...)
}

const (
	nonblock = int32(syscall.SOCK_NONBLOCK)
	cloexec  = int32(syscall.SOCK_CLOEXEC)
)

// draw draws a program.
func draw(t *rapid.T, st style, c *coverage) *program {
	d := &drawer{plan: newPlan(st, c), t: t}
	switch n := hundred.Draw(t, "temper"); {
	case n >= 95:
		d.sleepy = true
	case n >= 92:
		d.big = true
	}
	if how := d.pick("sigpipe", model.SigIgnore, model.SigIgnore, model.SigHandler, model.SigDefault); how != model.SigDefault {
		d.do(0, model.SigAct, int32(syscall.SIGPIPE), how)
	}
	if !d.chance("bare", 5) {
		d.connection(0)
	}
	if d.big {
		d.strain()
	}
	for range rapid.IntRange(1, 30).Draw(t, "length") {
		procs := d.state.Procs()
		if len(procs) == 0 {
			break
		}
		d.step(d.pick("proc", procs...))
	}
	c.mu.Lock()
	c.programs++
	c.mu.Unlock()
	return &d.program
}

// connection makes one: a listener, a connect, perhaps an accept.
func (d *drawer) connection(p int32) {
	flags := func() int32 { return d.pick("flags", nonblock, 0, nonblock|cloexec) }
	addr := d.pick("addr", 0, 0, 1, 2)
	lf := flags()
	l, _ := d.do(p, model.Socket, lf)
	d.do(p, model.Bind, l, addr)
	d.do(p, model.Listen, l, d.pick("backlog", 4, 4, 1, 0))
	if d.chance("crowd", 6) {
		for range 3 {
			c, _ := d.do(p, model.Socket, nonblock)
			d.do(p, model.Connect, c, addr)
		}
	}
	c, _ := d.do(p, model.Socket, flags())
	d.do(p, model.Connect, c, addr)
	if d.chance("unaccepted", 5) {
		return
	}
	s, _ := d.do(p, model.Accept, l, flags())
	if d.chance("closeListener", 30) {
		d.do(p, model.Close, l)
	}
	other := p
	if d.chance("fork", 25) {
		child := d.state.Born()
		if child < maxProcs {
			if _, ok := d.do(p, model.Fork, child); ok {
				other = child
				if d.chance("apart", 70) {
					d.do(p, model.Close, c)
					d.do(child, model.Close, s)
				}
			}
		}
	}
	if d.style.warm && !d.chance("cold", 15) {
		d.warm(other, c, p, s)
	}
}

// strain fills a connection, perhaps up to its end.
func (d *drawer) strain() {
	p := d.pick("proc", d.state.Procs()...)
	a, b := d.fd(p, "established"), d.fd(p, "established")
	for range rapid.IntRange(1, 4).Draw(d.t, "fill") {
		d.do(p, model.Send, a, 3_000_000, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
	}
	if d.chance("end", 50) {
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
		if i == 0 && !d.chance("race", 20) {
			d.do(p, model.Rest, 1500)
		}
	}
}

// fd draws a descriptor of a process that is in one of some places, rarely any other.
func (d *drawer) fd(p int32, places ...string) int32 {
	open := d.state.Open(p)
	if !d.chance("any", 6) {
		fit := slices.DeleteFunc(slices.Clone(open), func(fd int32) bool { return !slices.Contains(places, d.state.Place(p, fd)) })
		if len(fit) > 0 {
			return d.pick("fd", fit...)
		}
	}
	if len(open) == 0 || d.chance("closed", 20) {
		return int32(rapid.IntRange(0, 12).Draw(d.t, "fd"))
	}
	return d.pick("fd", open...)
}

var conns = []string{"established", "finWait", "closeWait", "lastAck", "closing", "timeWait", "failed", "closed"}

func (d *drawer) conn(p int32) int32 { return d.fd(p, conns...) }
func (d *drawer) tcp(p int32) int32 {
	return d.fd(p, "established", "finWait", "closeWait", "lastAck", "closing", "timeWait", "failed", "closed", "listening", "connecting", "new")
}

// size draws a number of bytes.
func (d *drawer) size() int32 {
	if d.big && d.chance("huge", 50) {
		return d.pick("size", 100_000, 1_000_000, 3_000_000, 64_000)
	}
	return d.pick("size", 1, 2, 10, 100, 1000, 5000, 0, 12_000)
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
	choices[rapid.IntRange(0, len(choices)-1).Draw(d.t, "kind")](d, p)
}

func (d *drawer) drawSend(p int32) {
	flags := d.pick("flags", 0, syscall.MSG_DONTWAIT, syscall.MSG_NOSIGNAL, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
	if d.big {
		flags |= syscall.MSG_DONTWAIT
	}
	d.do(p, model.Send, d.conn(p), d.size(), flags)
}

func (d *drawer) drawRecv(p int32) {
	flags := d.pick("flags", 0, syscall.MSG_DONTWAIT, syscall.MSG_PEEK, syscall.MSG_WAITALL, syscall.MSG_DONTWAIT|syscall.MSG_PEEK,
		syscall.MSG_DONTWAIT|syscall.MSG_WAITALL)
	fd, n := d.conn(p), d.size()
	if d.sleepy {
		n = max(n, 1)
	}
	if _, ok := d.do(p, model.Recv, fd, n, flags); !ok {
		d.do(p, model.Recv, fd, n, flags|syscall.MSG_DONTWAIT)
	}
}

func (d *drawer) drawClose(p int32) {
	d.do(p, model.Close, d.fd(p, append([]string{"epoll", "unix", "listening", "connecting", "new"}, conns...)...))
}

// drawShutdown leaves a fresh socket alone: what its bits do to a later connection to itself is not modelled.
func (d *drawer) drawShutdown(p int32) {
	if fd := d.tcp(p); d.state.Place(p, fd) != "new" {
		d.do(p, model.Shutdown, fd, d.pick("how", 1, 0, 2, 1))
	}
}

var pollEvents = []int32{syscall.EPOLLIN, syscall.EPOLLOUT, syscall.EPOLLIN | syscall.EPOLLOUT, syscall.EPOLLRDHUP, 0,
	syscall.EPOLLIN | syscall.EPOLLRDHUP, syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDNORM | syscall.EPOLLWRNORM}

func (d *drawer) drawPoll(p int32) {
	fd2, ms := int32(-1), int32(0)
	if d.chance("two", 40) {
		fd2 = d.fd(p, append([]string{"epoll", "listening"}, conns...)...)
	}
	if d.sleepy {
		ms = d.pick("ms", -1, 0, 2)
	}
	d.do(p, model.Poll, d.tcp(p), d.pick("events", pollEvents...), fd2, d.pick("events", pollEvents...), ms)
}

func (d *drawer) drawEpCreate(p int32) { d.do(p, model.EpCreate, d.pick("flags", 0, cloexec)) }

func (d *drawer) drawEpCtl(p int32) {
	places := append([]string{"listening", "connecting", "new", "epoll", "unix"}, conns...)
	ep, fd := d.fd(p, "epoll"), d.fd(p, places...)
	events := d.pick("events", pollEvents...)
	const et, oneshot, exclusive = -1 << 31, 1 << 30, 1 << 28
	events |= d.pick("mode", 0, et, et, oneshot, et|oneshot, 0, exclusive)
	d.do(p, model.EpCtl, ep, d.pick("op", syscall.EPOLL_CTL_ADD, syscall.EPOLL_CTL_ADD, syscall.EPOLL_CTL_MOD, syscall.EPOLL_CTL_DEL), fd, events)
}

func (d *drawer) drawEpWait(p int32) {
	ms := int32(0)
	if d.sleepy {
		ms = d.pick("ms", -1, 0, 2)
	}
	d.do(p, model.EpWait, d.fd(p, "epoll"), d.pick("max", 8, 8, 1), ms)
}

func (d *drawer) drawDup(p int32) {
	fd := d.fd(p, append([]string{"listening", "epoll"}, conns...)...)
	switch d.pick("dup", 0, 1, 2) {
	case 0:
		d.do(p, model.Dup, fd)
	case 1:
		d.do(p, model.Dup3, fd, int32(rapid.IntRange(3, 12).Draw(d.t, "to")), d.pick("flags", 0, cloexec))
	case 2:
		d.do(p, model.DupFD, fd, int32(rapid.IntRange(3, 14).Draw(d.t, "min")), d.pick("cloexec", 0, 1))
	}
}

func (d *drawer) drawFlags(p int32) {
	fd := d.tcp(p)
	switch d.pick("what", 0, 1, 2, 3) {
	case 0:
		d.do(p, model.SetFL, fd, d.pick("flags", nonblock, 0))
	case 1:
		d.do(p, model.GetFL, fd)
	case 2:
		d.do(p, model.SetFD, fd, d.pick("flags", 0, 1))
	case 3:
		d.do(p, model.GetFD, fd)
	}
}

func (d *drawer) drawOption(p int32) {
	fd, opt := d.tcp(p), d.pick("opt", model.OptLinger0, model.OptError, model.OptRcvTimeo, model.OptSndTimeo, model.OptRcvLowat, model.OptReuseAddr, model.OptAccepting)
	if opt == model.OptError || opt == model.OptAccepting || d.chance("get", 30) {
		d.do(p, model.GetOpt, fd, opt)
		return
	}
	value := d.pick("value", 1, 0)
	switch opt {
	case model.OptRcvTimeo, model.OptSndTimeo:
		value *= 8
	case model.OptRcvLowat:
		value = d.pick("lowat", 1, 2, 50)
	}
	d.do(p, model.SetOpt, fd, opt, value)
}

func (d *drawer) drawAsk(p int32) {
	if fd := d.tcp(p); d.chance("name", 50) {
		d.do(p, model.Name, fd, d.pick("peer", 0, 1))
	} else {
		d.do(p, model.Inq, fd)
	}
}

func (d *drawer) drawSetup(p int32) {
	addr := d.pick("addr", 0, 0, 1, 2)
	switch d.pick("setup", 0, 1, 2, 3, 4) {
	case 0:
		d.do(p, model.Socket, d.pick("flags", nonblock, 0))
	case 1:
		d.do(p, model.Bind, d.fd(p, "new"), addr)
	case 2:
		d.do(p, model.Listen, d.fd(p, "new", "listening"), d.pick("backlog", 4, 1, 0))
	case 3:
		d.do(p, model.Connect, d.fd(p, "new", "connecting", "established", "failed"), addr)
	case 4:
		d.do(p, model.Accept, d.fd(p, "listening"), d.pick("flags", nonblock, 0))
	}
}

func (d *drawer) drawProcess(p int32) {
	switch d.pick("process", 0, 1, 2) {
	case 0:
		if child := d.state.Born(); child < maxProcs {
			d.do(p, model.Fork, child)
		}
	case 1:
		d.do(p, model.Exec)
	case 2:
		if len(d.state.Procs()) > 1 {
			d.do(p, model.Exit)
		}
	}
}

func (d *drawer) drawSignal(p int32) {
	if d.chance("kill", 50) {
		target := int32(rapid.IntRange(0, int(d.state.Born())-1).Draw(d.t, "target"))
		d.do(p, model.Kill, target, d.pick("sig", int32(syscall.SIGUSR1), int32(syscall.SIGUSR1), int32(syscall.SIGKILL)))
		return
	}
	d.do(p, model.SigAct, d.pick("sig", int32(syscall.SIGUSR1), int32(syscall.SIGPIPE)), d.pick("how", model.SigHandler, model.SigRestart, model.SigIgnore, model.SigDefault))
}

func (d *drawer) drawRest(p int32) { d.do(p, model.Rest, 50) }

func (d *drawer) drawRights(p int32) {
	switch d.pick("rights", 0, 1, 2) {
	case 0:
		d.do(p, model.Pair, d.pick("flags", 0, cloexec))
	case 1:
		if what := d.conn(p); d.state.Place(p, what) != "unix" {
			d.do(p, model.Pass, d.fd(p, "unix"), what)
		}
	case 2:
		d.do(p, model.Take, d.fd(p, "unix"), d.pick("cloexec", 0, 1))
	}
}
