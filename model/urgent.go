package model

import "syscall"

// urgent is what an endpoint knows of urgent data: one byte, the last that MSG_OOB has sent.
type urgent struct {
	state urgentState
	mark  int32 // how many bytes come before it
}

type urgentState uint8

const (
	noUrgent   urgentState = iota
	urgentHere             // MSG_OOB may read it
	urgentRead             // it has; a read still stops before the byte, and leaves it out
)

func (e *endpoint) atMark() bool { return e.urg.state != noUrgent && e.urg.mark == 0 }

// hidden tells whether the next byte is urgent, and no part of what is read.
func (e *endpoint) hidden() bool {
	return e.atMark() && e.opt[OptOOBInline] == 0
}

// marked is the arrival of n bytes, the last of them urgent, before they are queued. An older one before which
// the reader stands disappears; otherwise that becomes a byte as any other.
func (s *State) marked(e, n int32) {
	end := &s.ends[e]
	if end.hidden() && len(end.rx) > 0 {
		end.take(1)
	}
	end.urg = urgent{urgentHere, size(end.rx) + n - 1}
	s.wake(e, in)
}

// take removes k bytes from what can be read.
func (e *endpoint) take(k int32) (first []Extent) {
	first, e.rx = split(e.rx, k)
	e.sure = max(e.sure-k, 0)
	if e.urg.mark -= k; e.urg.state == noUrgent || e.urg.mark < 0 {
		e.urg = urgent{}
	}
	return first
}

// next is what a receive of an endpoint finds: how many of its bytes it passes over, and after how many more a mark
// stops it, at most all.
func (e *endpoint) next() (over, stop int32) {
	total := size(e.rx)
	switch {
	case e.hidden() && total > 0:
		return 1, total - 1
	case e.urg.state != noUrgent && e.urg.mark > 0:
		return 0, min(e.urg.mark, total)
	}
	return 0, total
}

// recvUrgent is a receive with MSG_OOB, which never waits.
func (n step) recvUrgent(e int32) []Branch {
	end, want, flags := &n.ends[e], n.op.Arg[1], n.op.flags()
	switch {
	case end.opt[OptOOBInline] != 0 || end.urg.state != urgentHere:
		return n.fail(einval)
	case end.tcp == closed && !end.done:
		return n.fail(enotconn)
	}
	_, rest := split(end.rx, end.urg.mark)
	byte, _ := split(rest, 1)
	if flags&syscall.MSG_PEEK == 0 {
		end.urg.state = urgentRead
	}
	b := n.branch(min(want, 1))
	if want > 0 && flags&syscall.MSG_TRUNC == 0 {
		b.Bytes = func(int32) []Extent { return byte }
	}
	if form := n.op.Form(); form == RecvMsg || form == RecvMmsg {
		b.Vec = []int32{syscall.MSG_OOB}
		if want == 0 {
			b.Vec[0] |= syscall.MSG_TRUNC
		}
	}
	return []Branch{b}
}

// MayMark tells whether n bytes with MSG_OOB would arrive at once, and nobody who sleeps in a MSG_PEEK there be
// irritated (the kernel then copies bytes twice).
func (s *State) MayMark(p, fd, n int32) bool {
	peer := s.reader(p, fd)
	if peer == none {
		return true
	}
	for q := range s.procs {
		if s.peeking(int32(q)) == peer {
			return false
		}
	}
	return !s.ends[peer].strained && size(s.ends[peer].rx)+n <= certain
}

// Marked tells whether the reader of what is sent there has bytes to read before an urgent one.
func (s *State) Marked(p, fd int32) bool {
	peer := s.reader(p, fd)
	return peer != none && s.ends[peer].urg.mark > 0
}

// Urgent tells whether the reader of what comes there knows of an urgent byte.
func (s *State) Urgent(p, fd int32) bool {
	if !s.alive(p) {
		return false
	}
	e, errno := s.tcpOf(p, fd)
	return errno == 0 && s.ends[e].urg.state != noUrgent
}

// reader is the other end of a connection, none.
func (s *State) reader(p, fd int32) int32 {
	if !s.alive(p) {
		return none
	}
	e, errno := s.tcpOf(p, fd)
	if errno != 0 {
		return none
	}
	return s.ends[e].peer
}
