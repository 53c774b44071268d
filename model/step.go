package model

import "syscall"

const (
	ebadf       = int32(syscall.EBADF)
	enotsock    = int32(syscall.ENOTSOCK)
	einval      = int32(syscall.EINVAL)
	eagain      = int32(syscall.EAGAIN)
	eintr       = int32(syscall.EINTR)
	eperm       = int32(syscall.EPERM)
	enoent      = int32(syscall.ENOENT)
	eexist      = int32(syscall.EEXIST)
	eloop       = int32(syscall.ELOOP)
	epipe       = int32(syscall.EPIPE)
	eisconn     = int32(syscall.EISCONN)
	enotconn    = int32(syscall.ENOTCONN)
	ealready    = int32(syscall.EALREADY)
	einprogress = int32(syscall.EINPROGRESS)
	eaddrinuse  = int32(syscall.EADDRINUSE)
	eopnotsupp  = int32(syscall.EOPNOTSUPP)
	enotty      = int32(syscall.ENOTTY)
	enodata     = int32(syscall.ENODATA)
	econnrst    = int32(syscall.ECONNRESET)
	econnref    = int32(syscall.ECONNREFUSED)
	econnabrt   = int32(syscall.ECONNABORTED)
)

// step is a transition under construction: a private copy of the state, the operation, and the
// process that asks.
type step struct {
	*State
	op    Op
	p     int32
	again *call // the operation has slept: what it went by when it started
}

// call is what a call that may sleep reads once, when it starts: that its description is blocking, and
// how much a receive waits for. Another process may change both meanwhile; the call does not notice.
type call struct {
	op     Op
	target int32
	ends   bool // a signal ends it: it takes what is there, be it less than would have woken it
}

// waits tells whether the operation on endpoint e may sleep.
func (n step) waits(e *endpoint, flags int32) bool {
	return n.again != nil || !n.files[e.file].nonblock && flags&syscall.MSG_DONTWAIT == 0
}

// limit is a timeout as the call knows it; one that sleeps has none.
func (n step) limit(timeo int32) int32 {
	if n.again != nil {
		return 0
	}
	return timeo
}

// on is the same operation on a copy of the state.
func (n step) on(s *State) step { return step{s, n.op, n.p, n.again} }

// do says what each operation does. A handler changes the copy and returns the branches.
var do = [Kinds]func(step) []Branch{
	Socket: step.socket, Bind: step.bind, Listen: step.listen, Connect: step.connect, Accept: step.accept,
	Send: step.send, Recv: step.recv, Shutdown: step.shutdown,
	Close: step.close, Dup: step.dup, Dup3: step.dup3, DupFD: step.dupFD,
	SetFL: step.setFL, GetFL: step.getFL, SetFD: step.setFD, GetFD: step.getFD,
	SetOpt: step.setOpt, GetOpt: step.getOpt, Inq: step.inq, Name: step.name,
	Poll: step.poll, EpCreate: step.epCreate, EpCtl: step.epCtl, EpWait: step.epWait,
	Fork: step.fork, Exec: step.exec, Exit: step.exit, Kill: step.kill, SigAct: step.sigAct,
	Pair: step.pair, Pass: step.pass, Take: step.take, Rest: step.rest,
}

// Step gives what the operation may answer.
func (s *State) Step(op Op) []Branch {
	if !s.alive(op.Proc) {
		return []Branch{{Lo: Gone, Hi: Gone, Next: func(int32) *State { return s }}}
	}
	if s.procs[op.Proc].blocked != nil {
		return []Branch{{Lo: Busy, Hi: Busy, Next: func(int32) *State { return s }}}
	}
	return s.attempt(op, nil)
}

// attempt tries an operation, for the first time or again.
func (s *State) attempt(op Op, again *call) []Branch {
	var b []Branch
	for _, v := range s.variants() {
		b = append(b, do[op.Kind](step{v, op, op.Proc, again})...)
	}
	return b
}

// one is a single answer.
func (n step) one(r int32) []Branch { return []Branch{n.branch(r)} }

// fail is -errno.
func (n step) fail(errno int32) []Branch { return n.one(-errno) }

func (n step) branch(r int32) Branch {
	p := &n.procs[n.p]
	b := Branch{Lo: r, Hi: r, Next: func(int32) *State {
		n.settle()
		return n.State
	}}
	if r != Blocked {
		b.Signals, p.ran, p.pending = p.ran|p.pending, 0, 0
	}
	return b
}

// sleep is the answer of a call that has to wait, unless its time is limited.
func (n step) sleep(timeo int32, timedOut int32) []Branch { return n.sleepFor(0, timeo, timedOut) }

func (n step) sleepFor(target, timeo, timedOut int32) []Branch {
	if n.limit(timeo) != 0 {
		return n.one(timedOut)
	}
	if n.procs[n.p].blocked = n.again; n.again == nil {
		n.procs[n.p].blocked = &call{op: n.op, target: target}
	}
	return n.one(Blocked)
}

// Resume gives the answers of a call that sleeps; one of them may be that it sleeps on.
func (s *State) Resume(p int32) []Branch {
	if !s.alive(p) || s.procs[p].blocked == nil {
		return nil
	}
	again := s.clone()
	me := &again.procs[p]
	asleep, intr, restart := me.blocked, me.intr, me.restart
	me.blocked, me.intr, me.restart = nil, false, false
	if asleep.op.Kind == Recv && asleep.op.Arg[1] == 0 { // of no bytes: it sleeps once
		intr, restart = intr || restart, false
	}
	since := &call{asleep.op, asleep.target, intr}
	if restart {
		since = nil
	}
	b := again.attempt(asleep.op, since)
	for i := range b {
		if b[i].Lo != Blocked {
			continue
		}
		if next := b[i].Next(Blocked); intr || restart && len(next.procs[p].got) > 0 {
			b[i] = step{next, asleep.op, p, asleep}.interrupted()
		}
	}
	return b
}

// interrupted is the end of a call that would sleep on.
func (n step) interrupted() Branch {
	me := &n.procs[n.p]
	got, seen := me.got, n.peeked(n.p)
	me.blocked, me.got = nil, nil
	if n.op.Kind == Recv && n.op.Arg[1] == 0 {
		return n.branch(0)
	}
	if seen != none {
		skip, stop := n.ends[seen].next()
		total := min(stop, n.op.Arg[1])
		return n.received(seen, nil, min(n.ends[seen].sure-skip, total), total)
	}
	if len(got) == 0 {
		return n.branch(-eintr)
	}
	b := n.branch(size(got))
	if n.op.flags()&syscall.MSG_TRUNC == 0 {
		b.Bytes = func(int32) []Extent { return got }
	}
	return b
}

// Sleepers are the processes that sleep in a call.
func (s *State) Sleepers() (p []int32) {
	for i := range s.procs {
		if s.procs[i].alive && s.procs[i].blocked != nil {
			p = append(p, int32(i))
		}
	}
	return p
}
