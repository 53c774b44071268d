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
		}
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
	for fd, d := range me.fds {
		if d.file != none && d.cloexec {
			n.drop(n.p, int32(fd))
		}
	}
	return n.one(0)
}

func (n step) exit() []Branch {
	n.end(n.p)
	return n.one(0)
}

// end is the end of a process, however it comes.
func (s *State) end(p int32) {
	me := &s.procs[p]
	me.alive, me.blocked, me.ran, me.got = false, nil, 0, nil
	for fd, d := range me.fds {
		if d.file != none {
			s.drop(p, int32(fd))
		}
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
		it.ran |= 1 << sig
		if it.blocked != nil && (how == SigHandler || it.blocked.Kind == Poll || it.blocked.Kind == EpWait) {
			it.intr = true
		}
	}
	return n.one(0)
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
