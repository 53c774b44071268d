package model

import "syscall"

// pair makes two connected AF_UNIX sockets, which carry descriptions and nothing else here.
func (n step) pair() []Branch {
	a := n.newFile(file{kind: unixSocket, nonblock: true, end: none})
	b := n.newFile(file{kind: unixSocket, nonblock: true, end: none, peer: a})
	n.files[a].peer = b
	cloexec := n.op.Arg[0]&syscall.SOCK_CLOEXEC != 0
	vec := []int32{n.install(n.p, a, 0, cloexec), n.install(n.p, b, 0, cloexec)}
	out := n.branch(0)
	out.Vec = vec
	return []Branch{out}
}

// unixOf is the AF_UNIX socket behind a descriptor, or an errno, a pending error included.
func (n step) unixOf(fd int32) (f, errno int32) {
	f = n.fileOf(n.p, fd)
	switch {
	case f == none:
		return none, ebadf
	case n.files[f].kind != unixSocket:
		return none, enotsock
	}
	errno, n.files[f].err = n.files[f].err, 0
	return f, errno
}

// pass sends a description in a message of one byte.
func (n step) pass() []Branch {
	via, errno := n.unixOf(n.op.Arg[0])
	if errno != 0 {
		return n.fail(errno)
	}
	what := n.fileOf(n.p, n.op.Arg[1])
	if what == none {
		return n.fail(ebadf)
	}
	to := n.files[via].peer
	if to == none {
		return n.fail(epipe)
	}
	n.files[to].passed = append(n.files[to].passed, what)
	n.files[what].refs++
	n.wakeFile(to, in)
	return n.one(1)
}

// take receives one. The end of the stream is ENODATA, the interpreter's word for a message without
// a descriptor.
func (n step) take() []Branch {
	via, errno := n.unixOf(n.op.Arg[0])
	if errno != 0 {
		return n.fail(errno)
	}
	from := &n.files[via]
	switch {
	case len(from.passed) > 0:
		what := from.passed[0]
		from.passed = from.passed[1:]
		fd := n.install(n.p, what, 0, n.op.Arg[1] != 0)
		n.files[what].refs--
		if from.peer != none {
			n.wakeFile(from.peer, room)
		}
		return n.one(fd)
	case from.peer == none:
		return n.fail(enodata)
	case n.again != nil || !from.nonblock:
		return n.sleep(0, 0)
	}
	return n.fail(eagain)
}

// hangUp is the last close of an AF_UNIX socket.
func (s *State) hangUp(f int32) {
	file := &s.files[f]
	unread := file.passed
	file.passed = nil
	if p := file.peer; p != none {
		s.files[p].peer = none
		if len(unread) > 0 {
			s.files[p].err = econnrst
		}
		s.wakeFile(p, all)
	}
	for _, x := range unread {
		s.unref(x)
	}
}
