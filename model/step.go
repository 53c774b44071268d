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
	op Op
	p  int32
}

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
	return s.attempt(op)
}

// attempt tries an operation, for the first time or again.
func (s *State) attempt(op Op) []Branch {
	var b []Branch
	for _, v := range s.variants() {
		b = append(b, do[op.Kind](step{v, op, op.Proc})...)
	}
	return b
}

// one is a single answer.
func (n step) one(r int32) []Branch { return []Branch{n.branch(r)} }

// fail is -errno.
func (n step) fail(errno int32) []Branch { return n.one(-errno) }

func (n step) branch(r int32) Branch {
	p := &n.procs[n.p]
	b := Branch{Lo: r, Hi: r, Signals: p.ran, Next: func(int32) *State {
		n.settle()
		return n.State
	}}
	p.ran = 0
	return b
}

// sleep is the answer of a call that has to wait, unless it may not.
func (n step) sleep(timeo int32, timedOut int32) []Branch {
	if timeo != 0 {
		return n.one(timedOut)
	}
	op := n.op
	n.procs[n.p].blocked = &op
	return n.one(Blocked)
}

// Resume gives the answers of a call that sleeps; one of them may be that it sleeps on.
func (s *State) Resume(p int32) []Branch {
	if !s.alive(p) || s.procs[p].blocked == nil {
		return nil
	}
	again := s.clone()
	me := &again.procs[p]
	op, intr, got := *me.blocked, me.intr, me.got
	me.blocked, me.intr = nil, false
	b := again.attempt(op)
	if len(b) != 1 || b[0].Lo != Blocked || !intr {
		return b
	}
	n := step{again, op, p}
	n.procs[p].got = nil
	if len(got) == 0 {
		return n.fail(eintr)
	}
	out := n.branch(size(got))
	out.Bytes = func(int32) []Extent { return got }
	return []Branch{out}
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
