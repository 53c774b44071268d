package model

import "slices"

// State is a world. Step does not change it.
type State struct {
	procs []process
	files []file
	ends  []endpoint
	late  bool
}

// process is one process, single-threaded.
type process struct {
	alive   bool
	fds     []descriptor // by number
	act     [sigs]Disposition
	ran     uint32   // handlers that have run and were not reported yet
	pending uint32   // signals that wait until the call that keeps them out has returned
	blocked *call    // the call that it sleeps in
	intr    bool     // a signal has come that ends that call
	restart bool     // a signal has come that starts it again
	got     []Extent // what that call has received so far
}

// descriptor is an entry of a descriptor table.
type descriptor struct {
	file    int32 // index in State.files, none
	cloexec bool
}

const none = int32(-1)

type fileKind uint8

const (
	otherFile fileKind = iota // descriptors 0, 1 and 2: /dev/null
	tcpSocket
	epollSet
	unixSocket
)

// file is an open file description.
type file struct {
	kind     fileKind
	refs     int32 // descriptors of all processes, and messages that carry it
	nonblock bool
	end      int32   // tcpSocket: index in State.ends
	items    []item  // epollSet
	shared   bool    // two processes have or had it, since a fork
	ready    []int32 // epollSet: its ready list, indices of items, oldest first
	peer     int32   // unixSocket: the other file
	passed   []int32 // unixSocket: files in flight towards it
	err      int32   // unixSocket
}

// tcpState is what the kernel's sk_state can show to a program once the network has settled.
type tcpState uint8

const (
	closed tcpState = iota
	listening
	synSent
	established
	finWait   // our FIN is sent
	closeWait // the peer's has come
	lastAck   // both, ours last: it waits for room at the peer
	closing   // both, ours first: it waits for room at the peer
	tcpStates
)

// linkState is struct socket's state, which connect and shutdown go by.
type linkState uint8

const (
	unconnected linkState = iota
	connecting
	connected
	disconnecting
)

const (
	shutRd   = 1
	shutWr   = 2
	shutBoth = 3
)

// AnyPort is an address that the program did not choose; connect to Unspec, AF_UNSPEC, ends a connection.
const (
	AnyPort = int32(99)
	Unspec  = int32(-1)
)

// endpoint is one end of a TCP connection, or a listener, or a socket that is neither yet. It may
// outlive its file.
type endpoint struct {
	tcp    tcpState
	link   linkState
	orphan bool  // no file
	file   int32 // none while it waits to be accepted or is an orphan
	addr   int32 // its own address: none, AnyPort or one of the program's
	remote int32
	peer   int32 // the other end, none when it is gone
	parent int32 // the listener whose queue it is in, none

	backlog int32
	queue   []int32 // listener: established, not accepted, oldest first

	rx   []Extent // sent by the peer and not read
	sure int32    // of these, how many have certainly arrived
	wire []signal // what follows rx on the way here
	shut uint8
	own  uint8 // what of it this end asked for itself
	done bool  // FIN has come
	err  int32
	urg  urgent

	bound    bool // by bind: the address outlives the connection
	timeWait bool
	opt      options
	unseen   bool // the peer's end has come and nothing has reported it yet
	strained bool // a queue was long: buffer space is the kernel's secret for now
}

// signal is what TCP sends beside data.
type signal uint8

const (
	fin signal = iota
	rst
	finAck
	useless // data for a deaf end
	tail    // that part of rx which has not arrived, for an end that was deaf too early for it
	doubt   // the end was closed when all that it had to read may have been on its way still
)

// Sizes in bytes. What is below certain fits into any default buffers at once; no connection takes
// more than most before it is read.
const (
	certain = 32 << 10
	most    = 64 << 20
)

// New is a world with one process, whose descriptors 0, 1 and 2 are taken.
//
// Late: to a poll that has something else to report, FIN and RST may be as if they were still on their
// way, until a call on the endpoint has reported them; and an edge may be reported again, twice at most.
func New(late bool) *State {
	s := &State{late: late, files: []file{{kind: otherFile, refs: 3}}}
	s.procs = []process{{alive: true, fds: []descriptor{{}, {}, {}}}}
	return s
}

func (s *State) clone() *State {
	n := &State{late: s.late, procs: slices.Clone(s.procs), files: slices.Clone(s.files), ends: slices.Clone(s.ends)}
	for i := range n.procs {
		n.procs[i].fds = slices.Clone(n.procs[i].fds)
	}
	for i := range n.files {
		f := &n.files[i]
		if f.kind == epollSet {
			f.items, f.ready = slices.Clone(f.items), slices.Clone(f.ready)
		}
		f.passed = slices.Clip(f.passed)
	}
	for i := range n.ends {
		e := &n.ends[i]
		e.queue, e.rx, e.wire = slices.Clip(e.queue), slices.Clip(e.rx), slices.Clip(e.wire)
	}
	return n
}

func (s *State) alive(p int32) bool { return p >= 0 && int(p) < len(s.procs) && s.procs[p].alive }

// fileOf is the description behind a descriptor, none if it is not open.
func (s *State) fileOf(p, fd int32) int32 {
	fds := s.procs[p].fds
	if fd < 0 || int(fd) >= len(fds) {
		return none
	}
	return fds[fd].file
}

// install gives file f the lowest free number that is not below low.
func (s *State) install(p, f, low int32, cloexec bool) int32 {
	t := &s.procs[p].fds
	fd := low
	for int(fd) < len(*t) && (*t)[fd].file != none {
		fd++
	}
	s.place(p, f, fd, cloexec)
	return fd
}

// place makes descriptor fd, which is free, name file f.
func (s *State) place(p, f, fd int32, cloexec bool) {
	t := &s.procs[p].fds
	for int(fd) >= len(*t) {
		*t = append(*t, descriptor{file: none})
	}
	(*t)[fd] = descriptor{f, cloexec}
	s.files[f].refs++
}

func (s *State) newFile(f file) int32 {
	s.files = append(s.files, f)
	return int32(len(s.files) - 1)
}

func (s *State) newEnd(e endpoint) int32 {
	s.ends = append(s.ends, e)
	return int32(len(s.ends) - 1)
}

// tcpOf is the endpoint behind a descriptor, or the errno of a socket call on it.
func (s *State) tcpOf(p, fd int32) (e, errno int32) {
	f := s.fileOf(p, fd)
	switch {
	case f == none:
		return none, ebadf
	case s.files[f].kind != tcpSocket:
		return none, enotsock
	}
	return s.files[f].end, 0
}

// unref drops one reference to a description.
func (s *State) unref(f int32) {
	file := &s.files[f]
	if file.refs--; file.refs > 0 {
		return
	}
	s.forget(f)
	switch file.kind {
	case tcpSocket:
		s.release(file.end)
	case epollSet:
		file.items, file.ready = nil, nil
	case unixSocket:
		s.hangUp(f)
	}
}
