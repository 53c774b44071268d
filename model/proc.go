package model

import (
	"slices"
	"syscall"
)

// The signals that programs handle here, as indices of process.act.
const (
	sigPipe = iota
	sigUser
	sigs
)

var sigNumber = [sigs]int32{sigPipe: int32(syscall.SIGPIPE), sigUser: int32(syscall.SIGUSR1)}

func sigIndex(number int32) int { return slices.Index(sigNumber[:], number) }

func (n step) fork() []Branch {
	child := n.op.Arg[0]
	if int(child) != len(n.procs) {
		return n.fail(einval)
	}
	n.procs = append(n.procs, process{alive: true, fds: slices.Clone(n.procs[n.p].fds), act: n.procs[n.p].act})
	for _, d := range n.procs[child].fds {
		if d.file != none {
			n.files[d.file].refs++
			n.files[d.file].shared = true
		}
	}
	if n.op.Form() == ForkVfork {
		step{n.State, n.op, child, nil}.exec()
	}
	return n.one(0)
}

// exec closes what is to be closed and forgets handlers.
func (n step) exec() []Branch {
	me := &n.procs[n.p]
	for i, d := range me.act {
		if d != SigIgnore {
			me.act[i] = SigDefault
		}
	}
	n.dropAll(n.p, func(d descriptor) bool { return d.cloexec })
	return n.one(0)
}

func (n step) exit() []Branch {
	n.end(n.p)
	return n.one(0)
}

// end is the end of a process, however it comes.
func (s *State) end(p int32) {
	me := &s.procs[p]
	me.alive, me.blocked, me.ran, me.pending, me.got = false, nil, 0, 0, nil
	s.dropAll(p, func(descriptor) bool { return true })
}

// dropAll closes what exec or exit closes. The kernel goes up the numbers and puts each file whose last
// number it closes on a stack (task_work), so the end of the one that is closed last comes first; what it
// sends arrives before the next.
func (s *State) dropAll(p int32, which func(descriptor) bool) {
	fds := s.procs[p].fds
	for last := len(fds) - 1; last >= 0; last-- {
		f := fds[last].file
		for fd, d := range fds[:last+1] {
			if f != none && d.file == f && which(d) {
				s.drop(p, int32(fd))
			}
		}
		s.settle()
	}
}

func (n step) kill() []Branch {
	target, sig := n.op.Arg[0], n.op.Arg[1]
	if !n.alive(target) {
		return n.fail(int32(syscall.ESRCH))
	}
	it := &n.procs[target]
	how := SigDefault
	if i := sigIndex(sig); i >= 0 {
		how = it.act[i]
	}
	switch how {
	case SigDefault:
		n.end(target)
		if target == n.p {
			return n.one(Died - sig)
		}
	case SigHandler, SigRestart:
		if k := it.blocked; k != nil && k.op.Masked() && sigIndex(sig) == sigUser {
			it.pending |= 1 << sig
			break
		}
		it.ran |= 1 << sig
		// A call that SA_RESTART starts again looks at everything again; one that has received something returns it.
		if k := it.blocked; k != nil && (how == SigHandler || k.op.Kind == Poll || k.op.Kind == EpWait || len(it.got) > 0 || n.peeked(target) != none) {
			it.intr = true
		} else if k != nil {
			it.restart = true
		}
	}
	return n.one(0)
}

// peeking is the endpoint of a process that sleeps in a receive with MSG_PEEK.
func (s *State) peeking(p int32) int32 {
	k := s.procs[p].blocked
	if k == nil || k.op.Kind != Recv || k.op.flags()&syscall.MSG_PEEK == 0 {
		return none
	}
	e, _ := s.tcpOf(p, k.op.Arg[0])
	return e
}

// peeked is that endpoint if the receive has seen bytes.
func (s *State) peeked(p int32) int32 {
	e := s.peeking(p)
	if e == none {
		return none
	}
	if _, stop := s.ends[e].next(); stop == 0 {
		return none
	}
	return e
}

func (n step) sigAct() []Branch {
	i := sigIndex(n.op.Arg[0])
	if i < 0 {
		return n.fail(einval)
	}
	n.procs[n.p].act[i] = n.op.Arg[1]
	return n.one(0)
}

func (n step) rest() []Branch { return n.one(0) }
