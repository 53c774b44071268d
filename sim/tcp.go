package sim

import "syscall"

// TCP states as tcp_info has them (net/tcp_states.h).
const (
	Established = 1
	FinWait1    = 4
	FinWait2    = 5
	Closed      = 7
	CloseWait   = 8
	LastAck     = 9
)

// sendBuffer is how many bytes may be on their way and unread: small, so that runs fill it.
const sendBuffer = 256

// Endpoint is one end of a kernel TCP connection on this host, without loss. What is sent is on its
// way until the network, or instantly, delivers it; FIN and RST follow the bytes before them.
//
//	Send ──▶ flight ──deliver──▶ peer.queue ──Recv──▶ program
type Endpoint struct {
	w    *World
	peer *Endpoint

	flight   []byte
	queue    []byte
	written  uint64 // bytes given to the kernel
	received uint64 // bytes that arrived
	arrivals uint64 // edges that epoll reports

	finSent  bool // after flight
	finCame  bool
	rstSent  bool // after flight
	reset    bool // came, or the peer is to be seen as gone
	shutRead bool
	closed   bool          // the last descriptor is
	inode    bool          // cleared by close, after FIN was sent
	linger0  bool          // close sends RST
	err      syscall.Errno // told once
	instant  bool          // no network between the ends
}

// Connect makes an established connection. Unless instant, a network delivers when the chooser likes.
func (w *World) Connect(instant bool) (connecting, accepted *Endpoint) {
	a, b := &Endpoint{w: w, inode: true, instant: instant}, &Endpoint{w: w, inode: true, instant: instant}
	a.peer, b.peer = b, a
	w.KernelState(func() uint64 { return mix(a.hash(), b.hash()) })
	if instant {
		return a, b
	}
	net := w.Process("net")
	for i, e := range []*Endpoint{a, b} {
		net.Go([]string{"out", "back"}[i], func(t *Thread) {
			for {
				t.Block("deliver", e.pending, -1)
				t.Checkpoint(0)
				n := len(e.flight)
				if n > 1 {
					n = w.Range(1, n, "deliver")
				}
				e.deliver(n)
			}
		}).Daemon = true
	}
	return a, b
}

func (e *Endpoint) hash() uint64 {
	h := mix(e.written, e.received)
	h = mix(h, uint64(len(e.flight))<<32|uint64(len(e.queue)))
	h = mix(h, e.arrivals<<16|uint64(e.err))
	for _, b := range []bool{e.finSent, e.finCame, e.rstSent, e.reset, e.shutRead, e.closed, e.inode, e.linger0} {
		h = h<<1 ^ b2u(b) ^ h>>63
	}
	return h
}

func (e *Endpoint) pending() bool {
	return len(e.flight) > 0 || !e.peer.reset && (e.rstSent || e.finSent && !e.peer.finCame)
}

func (e *Endpoint) sent() {
	if e.instant && e.pending() {
		e.deliver(len(e.flight))
	}
	e.w.changed()
}

// deliver moves n bytes to the peer, and what follows the last of them.
func (e *Endpoint) deliver(n int) {
	p := e.peer
	switch {
	case p.reset:
		e.flight = nil
		return
	case n > 0 && p.closed: // RST is the answer, after what is on its way
		e.flight, p.rstSent = nil, true
		p.sent()
	default:
		p.queue = append(p.queue, e.flight[:n]...)
		p.received += uint64(n)
		e.flight = append([]byte(nil), e.flight[n:]...)
	}
	if len(e.flight) == 0 {
		if e.rstSent {
			p.resets()
		} else if e.finSent {
			p.finCame = true
		}
	}
	p.arrivals++
	e.w.changed()
}

// resets is what RST does.
func (e *Endpoint) resets() {
	if e.reset {
		return
	}
	e.reset, e.err = true, syscall.ECONNRESET
	if e.finCame {
		e.err = syscall.EPIPE
	}
	e.arrivals++
}

// Close is the close of the last descriptor, or what the kernel does when its holder dies: FIN, or RST
// when bytes were not read. Between the two steps the peer may look.
func (e *Endpoint) Close() {
	if e.closed {
		return
	}
	e.closed, e.shutRead = true, true
	switch {
	case e.reset:
	case len(e.queue) > 0 || e.linger0:
		e.rstSent = true
		if e.linger0 {
			e.flight = nil
		}
	default:
		e.finSent = true
	}
	e.sent()
}

// Orphan is the second step of Close: the socket has no inode any more.
func (e *Endpoint) Orphan() { e.inode = false }

// CloseWrite is shutdown(SHUT_WR).
func (e *Endpoint) CloseWrite() syscall.Errno {
	if e.reset {
		return syscall.ENOTCONN
	}
	e.finSent = true
	e.sent()
	return 0
}

// CloseRead is shutdown(SHUT_RD).
func (e *Endpoint) CloseRead() syscall.Errno {
	if e.reset {
		return syscall.ENOTCONN
	}
	e.shutRead = true
	e.arrivals++
	e.w.changed()
	return 0
}

// Linger0 is SO_LINGER with a time of 0.
func (e *Endpoint) Linger0() { e.linger0 = true }

// Readable is POLLIN.
func (e *Endpoint) Readable() bool {
	return len(e.queue) > 0 || e.finCame || e.reset || e.shutRead
}

// Writable is POLLOUT.
func (e *Endpoint) Writable() bool { return e.reset || e.finSent || e.room() > 0 }

func (e *Endpoint) room() int { return sendBuffer - len(e.flight) - len(e.peer.queue) }

// Recv is recv(MSG_DONTWAIT), with MSG_PEEK if peek.
func (e *Endpoint) Recv(p []byte, peek bool) (n int, err syscall.Errno) {
	switch {
	case len(e.queue) > 0:
		n = copy(p, e.queue)
		if !peek {
			e.queue = append([]byte(nil), e.queue[n:]...)
			e.w.changed()
		}
	case e.finCame: // before the error: RST after FIN is for senders
	case e.err != 0:
		err, e.err = e.err, 0
	case e.reset, e.shutRead:
	default:
		err = syscall.EAGAIN
	}
	return n, err
}

// Send is send(MSG_DONTWAIT | MSG_NOSIGNAL).
func (e *Endpoint) Send(p []byte) (n int, err syscall.Errno) {
	switch {
	case e.err != 0:
		err, e.err = e.err, 0
	case e.reset, e.finSent:
		err = syscall.EPIPE
	default:
		if n = min(len(p), e.room()); n <= 0 {
			return 0, syscall.EAGAIN
		}
		e.written += uint64(n)
		e.flight = append(e.flight, p[:n]...)
		e.sent()
	}
	return n, err
}

// TakeError is SO_ERROR.
func (e *Endpoint) TakeError() (err syscall.Errno) {
	err, e.err = e.err, 0
	return err
}

// Written is how many bytes were given to the kernel, as the counters tell.
func (e *Endpoint) Written() uint64 { return e.written }

// Counts is how many bytes of the peer's stream have come, and how many of them are to be read.
func (e *Endpoint) Counts() (came, queued uint64) { return e.received, uint64(len(e.queue)) }

// Arrivals grows with each edge that epoll reports.
func (e *Endpoint) Arrivals() uint64 { return e.arrivals }

// Peer is the other end.
func (e *Endpoint) Peer() *Endpoint { return e.peer }

// State is tcpi_state.
func (e *Endpoint) State() uint8 {
	switch {
	case e.reset:
		return Closed
	case e.finSent && e.finCame:
		return LastAck
	case e.finSent && e.peer.finCame:
		return FinWait2
	case e.finSent:
		return FinWait1
	case e.finCame:
		return CloseWait
	}
	return Established
}

// Diag is what sock_diag tells of the socket: whether it is there at all, whether a process holds it,
// and whether it has stopped to receive.
func (e *Endpoint) Diag() (found, held, readShut bool) {
	gone := e.closed && (e.reset || e.rstSent || e.finCame && e.peer.finCame)
	return !gone, e.inode, e.shutRead || e.finCame
}
