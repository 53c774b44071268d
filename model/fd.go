package model

import "syscall"

func (n step) socket() []Branch {
	flags := n.op.Arg[0]
	e := n.newEnd(endpoint{file: none, addr: none, remote: none, peer: none, parent: none, opt: fresh(n.op.Arg[1])})
	f := n.newFile(file{kind: tcpSocket, end: e, nonblock: flags&syscall.SOCK_NONBLOCK != 0})
	n.ends[e].file = f
	return n.one(n.install(n.p, f, 0, flags&syscall.SOCK_CLOEXEC != 0))
}

func (n step) close() []Branch {
	fd := n.op.Arg[0]
	if n.fileOf(n.p, fd) == none {
		return n.fail(ebadf)
	}
	n.drop(n.p, fd)
	return n.one(0)
}

// drop closes an open descriptor.
func (s *State) drop(p, fd int32) {
	d := &s.procs[p].fds[fd]
	f := d.file
	d.file = none
	s.unref(f)
}

func (n step) dup() []Branch {
	f := n.fileOf(n.p, n.op.Arg[0])
	if f == none {
		return n.fail(ebadf)
	}
	return n.one(n.install(n.p, f, 0, false))
}

func (n step) dup3() []Branch {
	fd, to := n.op.Arg[0], n.op.Arg[1]
	f := n.fileOf(n.p, fd)
	switch {
	case fd == to:
		return n.fail(einval)
	case f == none:
		return n.fail(ebadf)
	}
	if n.fileOf(n.p, to) != none {
		n.files[f].refs++ // fd may be the last name of what to names
		n.drop(n.p, to)
		n.files[f].refs--
	}
	n.place(n.p, f, to, n.op.Arg[2]&syscall.O_CLOEXEC != 0)
	return n.one(to)
}

func (n step) dupFD() []Branch {
	f := n.fileOf(n.p, n.op.Arg[0])
	if f == none {
		return n.fail(ebadf)
	}
	return n.one(n.install(n.p, f, n.op.Arg[1], n.op.Arg[2] != 0))
}

func (n step) setFL() []Branch {
	f := n.fileOf(n.p, n.op.Arg[0])
	if f == none {
		return n.fail(ebadf)
	}
	n.files[f].nonblock = n.op.Arg[1]&syscall.O_NONBLOCK != 0
	return n.one(0)
}

func (n step) getFL() []Branch {
	f := n.fileOf(n.p, n.op.Arg[0])
	switch {
	case f == none:
		return n.fail(ebadf)
	case n.files[f].nonblock:
		return n.one(syscall.O_NONBLOCK)
	}
	return n.one(0)
}

func (n step) setFD() []Branch {
	fd := n.op.Arg[0]
	if n.fileOf(n.p, fd) == none {
		return n.fail(ebadf)
	}
	n.procs[n.p].fds[fd].cloexec = n.op.Arg[1]&syscall.FD_CLOEXEC != 0
	return n.one(0)
}

func (n step) getFD() []Branch {
	fd := n.op.Arg[0]
	switch {
	case n.fileOf(n.p, fd) == none:
		return n.fail(ebadf)
	case n.procs[n.p].fds[fd].cloexec:
		return n.one(syscall.FD_CLOEXEC)
	}
	return n.one(0)
}

func truth(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

func (n step) name() []Branch {
	e, errno := n.tcpOf(n.p, n.op.Arg[0])
	if errno != 0 {
		return n.fail(errno)
	}
	end := &n.ends[e]
	if n.op.Arg[1] == 0 {
		if end.addr == none {
			return n.one(AnyPort)
		}
		return n.one(end.addr)
	}
	if end.tcp == closed || end.tcp == synSent || end.remote == none {
		return n.fail(enotconn)
	}
	return n.one(end.remote)
}
