package model

import (
	"slices"
	"syscall"
)

// What generators and statistics want to know of a state.

// Procs are the living processes that are not asleep.
func (s *State) Procs() (p []int32) {
	for i := range s.procs {
		if s.procs[i].alive && s.procs[i].blocked == nil {
			p = append(p, int32(i))
		}
	}
	return p
}

// Handles tells whether a process does not die of a signal that it may handle.
func (s *State) Handles(p int32, sig syscall.Signal) bool {
	return s.procs[p].act[sigIndex(int32(sig))] != SigDefault
}

// Born is how many processes there have been.
func (s *State) Born() int32 { return int32(len(s.procs)) }

// Open are the descriptors of a process, 0, 1 and 2 not among them.
func (s *State) Open(p int32) (fds []int32) {
	for fd, d := range s.procs[p].fds {
		if fd > 2 && d.file != none {
			fds = append(fds, int32(fd))
		}
	}
	return fds
}

// Connecting tells whether a SYN has been dropped, which is sent again a second later.
func (s *State) Connecting() bool {
	return slices.ContainsFunc(s.ends, func(e endpoint) bool { return e.tcp == synSent })
}

// Orphans is how many endpoints have lost their last file.
func (s *State) Orphans() (n int) {
	for i := range s.ends {
		n += int(truth(s.ends[i].orphan))
	}
	return n
}

// Strained tells whether some queue is or was longer than what surely fits.
func (s *State) Strained() bool {
	for i := range s.ends {
		if s.ends[i].strained {
			return true
		}
	}
	return false
}

// Places are all names that Place gives.
var Places = []string{
	"bad", "other", "epoll", "unix",
	"new", "listening", "connecting", "established", "finWait", "closeWait", "lastAck", "closing", "timeWait", "failed", "closed",
}

// Place names the state of what a descriptor names.
func (s *State) Place(p, fd int32) string {
	if !s.alive(p) {
		return "bad"
	}
	f := s.fileOf(p, fd)
	if f == none {
		return "bad"
	}
	switch s.files[f].kind {
	case otherFile:
		return "other"
	case epollSet:
		return "epoll"
	case unixSocket:
		return "unix"
	}
	e := &s.ends[s.files[f].end]
	switch {
	case e.tcp != closed:
		return [tcpStates]string{"", "listening", "connecting", "established", "finWait", "closeWait", "lastAck", "closing"}[e.tcp]
	case e.err != 0:
		return "failed"
	case e.timeWait:
		return "timeWait"
	case e.link == unconnected && e.shut == 0:
		return "new"
	}
	return "closed"
}

// PeerGone tells whether a descriptor names a connection whose other end is closed.
func (s *State) PeerGone(p, fd int32) bool {
	e := s.endpointOf(p, fd)
	return e != nil && e.remote != none && (e.peer == none || s.ends[e.peer].orphan)
}

// PeerDeaf tells whether a descriptor names a connection whose other end has shut its receiving side.
func (s *State) PeerDeaf(p, fd int32) bool {
	e := s.endpointOf(p, fd)
	return e != nil && e.peer != none && s.ends[e.peer].shut&shutRd != 0
}

// OpensShut tells whether connect would have a socket that is shut for sending open both ends at once.
func (s *State) OpensShut(p, fd, addr int32) bool {
	e := s.endpointOf(p, fd)
	return e != nil && e.tcp == closed && e.shut&shutWr != 0 && e.addr == addr
}

// endpointOf is the endpoint that a descriptor of a living process names, or nil.
func (s *State) endpointOf(p, fd int32) *endpoint {
	if !s.alive(p) {
		return nil
	}
	e, errno := s.tcpOf(p, fd)
	if errno != 0 {
		return nil
	}
	return &s.ends[e]
}

// Shared tells whether a descriptor names what two processes have or had.
func (s *State) Shared(p, fd int32) bool {
	if !s.alive(p) {
		return false
	}
	f := s.fileOf(p, fd)
	return f != none && s.files[f].shared
}

// Watched tells whether a descriptor names a connection that is in an epoll set.
func (s *State) Watched(p, fd int32) bool {
	if !s.alive(p) {
		return false
	}
	f := s.fileOf(p, fd)
	return f != none && s.files[f].kind == tcpSocket && slices.ContainsFunc(s.files, func(set file) bool {
		return slices.ContainsFunc(set.items, func(it item) bool { return it.file == f })
	})
}

// Receiving tells whether other processes sleep in a receive from what a descriptor names, and whether one
// of them has MSG_PEEK.
func (s *State) Receiving(p, fd int32) (asleep, peeking bool) {
	if !s.alive(p) {
		return false, false
	}
	e, errno := s.tcpOf(p, fd)
	for q := range s.procs {
		k := s.procs[q].blocked
		if errno != 0 || int32(q) == p || k == nil || k.op.Kind != Recv {
			continue
		}
		if it, _ := s.tcpOf(int32(q), k.op.Arg[0]); it == e {
			asleep = true
			peeking = peeking || k.op.flags()&syscall.MSG_PEEK != 0
		}
	}
	return asleep, peeking
}

// EndsConnections tells whether a branch ends a process which is the last to have an end of a connection.
func (s *State) EndsConnections(b Branch) bool {
	next := b.Next(b.Hi)
	for p := range s.procs {
		if s.procs[p].alive && !next.procs[p].alive && s.lastHolder(int32(p)) {
			return true
		}
	}
	return false
}

func (s *State) lastHolder(p int32) bool {
	mine := map[int32]int32{}
	for _, d := range s.procs[p].fds {
		if d.file != none {
			mine[d.file]++
		}
	}
	for f, n := range mine {
		if file := &s.files[f]; n == file.refs && file.kind == tcpSocket && s.ends[file.end].peer != none {
			return true
		}
	}
	return false
}
