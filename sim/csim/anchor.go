//go:build sim && cgo

package csim

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// end is one end of a kernel TCP connection. Bytes and FIN that were sent are on their way until
// deliver; a reset overtakes nothing.
//
//	sent ──▶ flight ──deliver──▶ peer.queue ──recv──▶ program
type end struct {
	holders
	w        *World
	peer     *end
	cookie   uint64
	role     int // 0 connected, 1 accepted
	flight   []byte
	queue    []byte
	acked    uint64 // bytes of ours that arrived at the peer
	received uint64
	edges    uint64 // that epoll reports to package socket
	finSent  bool   // after flight
	finCame  bool
	rstSent  bool // after flight
	reset    bool // came
	err      unix.Errno
	shutRead bool
	closed   bool // no descriptor is left
	inode    bool // cleared by close, after FIN was sent
	linger0  bool
	inq      bool // TCP_INQ
	nonblock bool
	rcvtimeo time.Duration
	sndtimeo time.Duration
	window   int   // bytes that queue holds at most; 0: all that is sent
	sndbuf   int32 // bytes allowed for by SO_SNDBUF; 0: the program has set neither
	rcvbuf   int32 // and by SO_RCVBUF
}

const siocAtMark = 0x8905

const sendBuffer = 4096 // bytes under way and unread, at most

// connect makes an established connection between two processes.
func (w *World) connect(a, b *Process) (fda, fdb int) {
	x, y := w.handshake()
	x.sndbuf = []int32{0, 0, 0, 0, 0, 20, 60, 150}[w.Choose(8, "buffers")]
	x.rcvbuf = x.sndbuf
	if w.Choose(2, "large window") == 1 {
		x.rcvbuf *= 8
	}
	y.sndbuf, y.rcvbuf = x.sndbuf, x.rcvbuf
	return a.put(3, x), y.accepted(b)
}

// handshake makes a connection whose end y nobody has accepted.
func (w *World) handshake() (x, y *end) {
	x, y = &end{w: w, role: 0, inode: true}, &end{w: w, role: 1}
	x.peer, y.peer = y, x
	for _, e := range []*end{x, y} {
		w.cookies++
		e.cookie = w.cookies
		w.ends = append(w.ends, e)
		w.KernelState(e.state)
	}
	return x, y
}

func (e *end) accepted(p *Process) (fd int) {
	e.inode = true
	return p.put(3, e)
}

func (e *end) state() uint64 {
	h := e.acked<<32 ^ e.received ^ uint64(len(e.queue))<<20
	for i, b := range []bool{e.finSent, e.finCame, e.rstSent, e.reset, e.shutRead, e.closed, e.inode} {
		if b {
			h ^= 1 << (40 + i)
		}
	}
	return h
}

// sent lets what is on its way arrive: at once, or when the network likes.
func (e *end) sent() {
	if e.w.network == nil {
		e.deliver(len(e.flight))
	}
}

// deliver moves n bytes, and what follows the last of them.
func (e *end) deliver(n int) {
	p := e.peer
	n = min(n, p.takes())
	if n > 0 && p.closed {
		e.flight, n = nil, 0
		e.reset, e.err = true, unix.ECONNRESET
		if e.finCame {
			e.err = unix.EPIPE
		}
		e.edges++
	}
	p.edges++
	p.queue = append(p.queue, e.flight[:n]...)
	p.received += uint64(n)
	e.acked += uint64(n)
	e.flight = slices.Clone(e.flight[n:])
	if len(e.flight) == 0 {
		if e.rstSent && !p.reset {
			p.reset, p.err = true, unix.ECONNRESET
			if p.finCame {
				p.err = unix.EPIPE
			}
		} else if e.finSent {
			p.finCame = true
		}
	}
	e.w.happened(e)
	e.w.happened(p)
}

// takes is how much may be sent to it now.
func (e *end) takes() int {
	if e.window == 0 {
		return math.MaxInt
	}
	return e.window - len(e.queue)
}

// pending tells whether something is on its way.
func (e *end) pending() bool {
	return len(e.flight) > 0 || e.finSent && !e.peer.finCame && !e.peer.reset || e.rstSent && !e.peer.reset
}

func (e *end) poll() (m uint16) {
	if len(e.queue) > 0 || e.finCame || e.reset || e.shutRead {
		m |= unix.POLLIN
	}
	if e.finCame || e.reset || e.shutRead {
		m |= unix.POLLRDHUP
	}
	if e.finCame && e.finSent || e.reset {
		m |= unix.POLLHUP
	}
	if e.err != 0 {
		m |= unix.POLLERR
	}
	if e.reset || e.finSent || e.room() >= sendBuffer/3 {
		m |= unix.POLLOUT
	}
	return m
}

func (e *end) room() int { return sendBuffer - len(e.flight) - len(e.peer.queue) }

// close is the last close. The inode goes a moment after FIN was sent.
func (e *end) close() {
	e.closed, e.shutRead = true, true
	if e.reset {
		e.inode = false
		return
	}
	if len(e.queue) > 0 || e.linger0 {
		e.rstSent = true
		if e.linger0 {
			e.flight = nil
		}
		e.flight = e.flight[:min(len(e.flight), e.peer.takes())]
	} else {
		e.finSent = true
	}
	e.sent()
	e.inode = false
}

func (t *Thread) onTCP(e *end, n int, a [6]int64) int64 {
	switch n {
	case unix.SYS_SENDMSG:
		return t.sendmsg(e, iovecs(addr(a[1])), int(a[2]))
	case unix.SYS_RECVMSG:
		n := t.recvmsg(e, iovecs(addr(a[1])), int(a[2]))
		if e.inq && n >= 0 {
			putInq(addr(a[1]), e)
		}
		return n
	case unix.SYS_RECVFROM:
		return t.recvmsg(e, [][]byte{addr(a[1]).bytes(int(a[2]))}, int(a[3]))
	case unix.SYS_GETSOCKOPT:
		return e.getsockopt(int(a[1]), int(a[2]), addr(a[3]), addr(a[4]))
	case unix.SYS_SETSOCKOPT:
		e.setsockopt(int(a[1]), int(a[2]), addr(a[3]))
		return 0
	case unix.SYS_IOCTL:
		switch a[1] {
		case unix.SIOCINQ:
			*at[int32](addr(a[2])) = int32(len(e.queue))
		case unix.SIOCOUTQ:
			*at[int32](addr(a[2])) = int32(len(e.flight))
		case siocAtMark:
			*at[int32](addr(a[2])) = 0 // nothing urgent is ever sent
		default:
			panic(fmt.Sprint("ioctl ", a[1]))
		}
		return 0
	case unix.SYS_SHUTDOWN:
		return errno(e.shutdown(int(a[1])))
	case unix.SYS_GETSOCKNAME:
		name(addr(a[1]), e)
		return 0
	case unix.SYS_GETPEERNAME:
		if e.reset {
			return errno(unix.ENOTCONN)
		}
		name(addr(a[1]), e.peer)
		return 0
	}
	panic(fmt.Sprint("system call ", n, " on a connection"))
}

// iovecs is what a msghdr points to.
func iovecs(m addr) (v [][]byte) {
	p, n := *at[addr](m + 16), *at[int64](m + 24)
	for i := range n {
		v = append(v, (*at[addr](p + addr(16*i))).bytes(int(*at[int64](p + addr(16*i) + 8))))
	}
	return v
}

func (t *Thread) sendmsg(e *end, v [][]byte, flags int) int64 {
	all, done := slices.Concat(v...), 0
	for {
		n, err := e.send(all[done:])
		if err != 0 && err != unix.EAGAIN {
			return errno(err)
		}
		if done += n; done == len(all) || e.nonblock || flags&unix.MSG_DONTWAIT != 0 {
			break
		}
		if !t.Block("sendmsg", func() bool { return e.poll()&(unix.POLLOUT|unix.POLLERR) != 0 }, timeout(e.sndtimeo)) {
			break
		}
	}
	if done == 0 && len(all) > 0 {
		return errno(unix.EAGAIN)
	}
	return int64(done)
}

func timeout(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

func (t *Thread) recvmsg(e *end, v [][]byte, flags int) int64 {
	for {
		n, err := e.recv(v, flags&unix.MSG_PEEK != 0)
		if err != unix.EAGAIN || e.nonblock || flags&unix.MSG_DONTWAIT != 0 {
			if err != 0 {
				return errno(err)
			}
			return int64(n)
		}
		if !t.Block("recvmsg", func() bool { return e.poll()&unix.POLLIN != 0 }, timeout(e.rcvtimeo)) {
			return errno(unix.EAGAIN)
		}
	}
}

// name writes the IPv4 address of an end: its port is its cookie.
func name(v addr, e *end) {
	b := v.bytes(16)
	clear(b)
	binary.NativeEndian.PutUint16(b, unix.AF_INET)
	binary.BigEndian.PutUint16(b[2:], uint16(e.cookie))
	copy(b[4:], []byte{127, 0, 0, 1})
}

// diag is sock_diag: the request names an end by its port.
func (w *World) diag(nl *netlink, n int, a [6]int64) int64 {
	const (
		portAt  = 16 + 8
		inodeAt = 16 + 68
		attrAt  = 16 + 72
	)
	b := addr(a[1]).bytes(int(a[2]))
	if n == unix.SYS_RECVFROM {
		return int64(copy(b, nl.reply))
	}
	port := uint64(binary.BigEndian.Uint16(b[portAt:]))
	nl.reply = make([]byte, attrAt+8)
	r := nl.reply
	if e := w.byPort(port); e == nil || e.gone() {
		r = r[:36]
		binary.NativeEndian.PutUint16(r[4:], unix.NLMSG_ERROR)
		binary.NativeEndian.PutUint32(r[16:], uint32(0xffffffff-unix.ENOENT+1))
	} else {
		binary.NativeEndian.PutUint16(r[4:], 20) // SOCK_DIAG_BY_FAMILY
		if e.inode {
			binary.NativeEndian.PutUint32(r[inodeAt:], uint32(port))
		}
		binary.NativeEndian.PutUint16(r[attrAt:], 5)
		binary.NativeEndian.PutUint16(r[attrAt+2:], 8) // INET_DIAG_SHUTDOWN
		if e.shutRead || e.finCame {
			r[attrAt+4] |= 1
		}
		if e.finSent {
			r[attrAt+4] |= 2
		}
	}
	binary.NativeEndian.PutUint32(r, uint32(len(r)))
	nl.reply = r
	return int64(len(b))
}

// gone tells that sock_diag does not find the socket: after RST, though a process may hold it, or closed
// both ways and by all.
func (e *end) gone() bool {
	return e.reset || e.closed && (e.rstSent || e.finCame && e.peer.finCame)
}

func (w *World) byCookie(cookie uint64) *end {
	for _, e := range w.ends {
		if e.cookie == cookie {
			return e
		}
	}
	return nil
}

func (w *World) byPort(port uint64) *end {
	for _, e := range w.ends {
		if uint64(uint16(e.cookie)) == port {
			return e
		}
	}
	return nil
}
