package model

import (
	"slices"
	"syscall"
)

func (n step) bind() []Branch {
	e, errno := n.tcpOf(n.p, n.op.Arg[0])
	if errno != 0 {
		return n.fail(errno)
	}
	end, addr := &n.ends[e], n.op.Arg[1]
	switch {
	case end.tcp != closed || end.bound:
		return n.fail(einval)
	case n.taken(e, addr):
		end.addr = AnyPort // what it had is lost
		return n.fail(eaddrinuse)
	}
	end.addr, end.bound, end.timeWait = addr, true, false
	return n.one(0)
}

// taken tells whether another endpoint keeps the address from being bound by e.
func (s *State) taken(e, addr int32) bool {
	for i, other := range s.ends {
		if int32(i) == e || other.addr != addr || other.tcp == closed && !other.bound && !(other.orphan && other.timeWait) {
			continue
		}
		me := &s.ends[e]
		reuse := other.opt[OptReuseAddr] != 0 && me.opt[OptReuseAddr] != 0 && other.tcp != listening
		if !reuse && (other.opt[OptReusePort] == 0 || me.opt[OptReusePort] == 0) {
			return true
		}
	}
	return false
}

func (n step) listen() []Branch {
	e, errno := n.tcpOf(n.p, n.op.Arg[0])
	if errno != 0 {
		return n.fail(errno)
	}
	end := &n.ends[e]
	switch {
	case end.link != unconnected || end.tcp != closed && end.tcp != listening:
		return n.fail(einval)
	case end.tcp == closed && end.bound && n.taken(e, end.addr):
		return n.fail(eaddrinuse)
	}
	if !end.bound { // a name that it has had from a listener is gone
		end.addr = AnyPort
	}
	end.tcp = listening
	end.backlog = n.op.Arg[1]
	return n.one(0)
}

// listener is the endpoint that listens on an address, none.
func (s *State) listener(addr int32) int32 {
	return int32(slices.IndexFunc(s.ends, func(e endpoint) bool { return e.tcp == listening && e.addr == addr }))
}

func (n step) connect() []Branch {
	e, errno := n.tcpOf(n.p, n.op.Arg[0])
	if errno != 0 {
		return n.fail(errno)
	}
	if n.op.Arg[1] == Unspec {
		n.disconnect(e)
		return n.one(0)
	}
	end := &n.ends[e]
	wait := n.waits(end, 0)
	answer := ealready
	switch end.link {
	case connected:
		return n.fail(eisconn)
	case disconnecting:
		return n.fail(einval)
	case unconnected:
		if end.tcp != closed {
			return n.fail(eisconn)
		}
		n.handshake(e, n.op.Arg[1])
		end = &n.ends[e]
		end.link = connecting
		answer = einprogress
		if !wait {
			return n.fail(einprogress) // even if it is established by now
		}
	}
	switch {
	case end.tcp == synSent && !wait:
		return n.fail(answer)
	case end.tcp == synSent:
		return n.sleep(end.opt[OptSndTimeo], -answer)
	case end.tcp == closed:
		errno := end.err
		if errno == 0 {
			errno = econnabrt
		}
		end.err = 0
		n.disconnect(e)
		return n.fail(errno)
	}
	end.link = connected
	return n.one(0)
}

// handshake sends a SYN. What answers it does so before connect looks again.
func (s *State) handshake(e, addr int32) {
	end := &s.ends[e]
	if !end.bound { // a name that it has had from a listener is gone
		end.addr = AnyPort
	}
	end.remote = addr
	end.err, end.done = 0, false
	end.tcp = synSent
	l := s.listener(addr)
	if l == none && end.addr == addr { // both ends open at once
		end.tcp, end.peer = established, e
		s.wake(e, all)
		return
	}
	if l == none {
		end.tcp, end.err, end.shut = closed, econnref, shutBoth
		s.wake(e, failure)
		s.wake(e, all)
		return
	}
	if int32(len(s.ends[l].queue)) > s.ends[l].backlog {
		return // dropped: it is sent again after a second
	}
	child := s.newEnd(endpoint{
		tcp: established, link: connected, file: none, addr: addr, remote: s.ends[e].addr, peer: e, parent: l,
		opt: s.ends[l].opt.inherited(),
	})
	s.ends[l].queue = append(s.ends[l].queue, child)
	s.ends[e].tcp, s.ends[e].peer = established, child
	s.wake(e, all)
	s.wake(l, in)
}

func (n step) accept() []Branch {
	e, errno := n.tcpOf(n.p, n.op.Arg[0])
	if errno != 0 {
		return n.fail(errno)
	}
	l := &n.ends[e]
	switch {
	case l.tcp != listening:
		return n.fail(einval)
	case len(l.queue) == 0 && !n.waits(l, 0):
		return n.fail(eagain)
	case len(l.queue) == 0:
		return n.sleep(l.opt[OptRcvTimeo], -eagain)
	}
	child := l.queue[0]
	l.queue = l.queue[1:]
	flags := n.op.Arg[1]
	f := n.newFile(file{kind: tcpSocket, end: child, nonblock: flags&syscall.SOCK_NONBLOCK != 0})
	n.ends[child].file, n.ends[child].parent = f, none
	return n.one(n.install(n.p, f, 0, flags&syscall.SOCK_CLOEXEC != 0))
}

func (n step) shutdown() []Branch {
	e, errno := n.tcpOf(n.p, n.op.Arg[0])
	if errno != 0 {
		return n.fail(errno)
	}
	end, how := &n.ends[e], n.op.Arg[1]
	if how < syscall.SHUT_RD || how > syscall.SHUT_RDWR {
		return n.fail(einval)
	}
	bits := uint8(how + 1)
	end.own |= bits
	if end.link == connecting {
		end.link = connected
		if end.tcp == synSent || end.tcp == closed {
			end.link = disconnecting
		}
	}
	r := int32(0)
	switch end.tcp {
	case closed:
		end.shut |= bits
		r = -enotconn
	case listening, synSent:
		if end.tcp == listening && bits&shutRd == 0 {
			break
		}
		n.disconnect(e)
	default:
		end.shut |= bits
		if bits&shutWr != 0 {
			n.finish(e)
		}
		if end.deaf() && end.sure < size(end.rx) { // unless all of it has come
			whole := n.on(n.clone())
			whole.ends[e].sure = size(end.rx)
			whole.wake(e, all)
			end.wire = slices.Insert(slices.Clone(end.wire), 0, tail)
			n.wake(e, all)
			return append(n.one(r), whole.one(r)...)
		}
	}
	n.wake(e, all)
	return n.one(r)
}

// deaf is an endpoint that resets the connection when data comes.
func (e *endpoint) deaf() bool { return e.tcp == finWait && e.shut&shutRd != 0 }

// finish sends FIN unless it is sent.
func (s *State) finish(e int32) {
	end := &s.ends[e]
	switch end.tcp {
	case established:
		end.tcp = finWait
	case closeWait:
		end.tcp = lastAck
	default:
		return
	}
	s.emit(end.peer, fin)
}

// disconnect is tcp_disconnect: the endpoint is new again, but for its address.
func (s *State) disconnect(e int32) {
	end := &s.ends[e]
	switch end.tcp {
	case listening:
		s.refuse(e)
	case established, finWait, closeWait, lastAck, closing:
		s.emit(end.peer, rst)
	}
	end = &s.ends[e]
	if end.tcp != listening && end.tcp != closed {
		end.err = econnrst
	}
	end.tcp, end.link = closed, unconnected
	end.peer, end.remote, end.shut, end.own, end.done = none, none, 0, 0, false
	end.rx, end.sure, end.wire, end.urg = nil, 0, nil, urgent{}
	end.timeWait, end.strained, end.unseen = false, false, false
	s.wake(e, failure)
}

// refuse resets everybody in a listener's queue.
func (s *State) refuse(e int32) {
	queue := s.ends[e].queue
	s.ends[e].queue = nil
	for _, child := range queue {
		s.reset(child)
		s.ends[child].orphan = true
	}
}

// release is the last close of an endpoint's file.
func (s *State) release(e int32) {
	end := &s.ends[e]
	end.orphan, end.file = true, none
	end.shut, end.bound = shutBoth, false
	switch {
	case end.tcp == listening:
		s.refuse(e)
		s.ends[e].tcp = closed
	case end.tcp == synSent:
		end.tcp = closed
	case end.tcp == closed:
	case end.sure > 0 || end.opt[OptLinger0] != 0:
		s.reset(e)
	case len(end.rx) > 0:
		end.wire = slices.Insert(slices.Clone(end.wire), 0, doubt)
	default:
		s.finish(e)
	}
}

// reset ends a connection with RST.
func (s *State) reset(e int32) {
	end := &s.ends[e]
	if end.tcp == closed {
		return
	}
	peer := end.peer
	end.tcp, end.peer, end.wire = closed, none, nil
	s.emit(peer, rst)
}

// emit sends a signal towards endpoint e.
func (s *State) emit(e int32, sig signal) {
	if e != none {
		s.ends[e].wire = append(s.ends[e].wire, sig)
	}
}
