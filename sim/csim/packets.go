//go:build sim && cgo

package csim

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/queue"
)

// packets is one end of a registration socket: AF_UNIX, SOCK_SEQPACKET.
type packets struct {
	holders
	w       *World
	owner   *Process // who made it; nil: the monitor
	peer    *packets // nil before connect
	queue   []packet // to read
	closed  bool
	timeout time.Duration
}

type packet struct {
	m   queue.Msg
	fds []file // of SCM_RIGHTS
}

// packetQueue is how many messages may be unread: few, so that a full queue is met.
const packetQueue = 4

func (s *packets) poll() uint16 {
	if len(s.queue) > 0 || s.hungUp() {
		return unix.POLLIN
	}
	return 0
}

// hungUp tells that nothing more comes than what is queued.
func (s *packets) hungUp() bool { return s.peer == nil || s.peer.closed }

func (s *packets) close() {
	s.closed = true
	for _, m := range s.queue {
		s.w.dropAll(m.fds)
	}
	s.queue = nil
}

func (w *World) dropAll(fds []file) {
	for _, f := range fds {
		w.drop(f)
	}
}

// send queues m at the other end without waiting.
func (s *packets) send(m packet) int64 {
	switch {
	case s.hungUp():
		return errno(unix.EPIPE)
	case len(s.peer.queue) >= packetQueue:
		return errno(unix.EAGAIN)
	}
	for _, f := range m.fds {
		*f.held()++
	}
	s.peer.queue = append(s.peer.queue, m)
	s.w.Changed()
	return int64(msgSize)
}

// next takes what is to read; its descriptors are the caller's.
func (s *packets) next() packet {
	m := s.queue[0]
	s.queue = s.queue[1:]
	s.w.Changed()
	return m
}

func (t *Thread) onPackets(s *packets, n int, a [6]int64) int64 {
	w := t.p.w
	switch n {
	case unix.SYS_CONNECT:
		if w.monitor == nil {
			return errno(unix.ECONNREFUSED)
		}
		s.peer = &packets{w: w, peer: s}
		*s.peer.held() = 1
		w.monitor.arrived(s.peer)
		return 0
	case unix.SYS_SETSOCKOPT:
		s.timeout = time.Duration(*at[int64](addr(a[3]))*1e9 + *at[int64](addr(a[3]) + 8)*1e3)
		return 0
	case unix.SYS_SENDMSG:
		h := msghdr(a[1])
		m := packet{m: *at[queue.Msg](h.bytes())}
		for _, fd := range h.rights() {
			m.fds = append(m.fds, t.p.fds[int(fd)])
		}
		r := s.send(m)
		if r == errno(unix.EAGAIN) && t.Block("sendmsg", func() bool { return s.hungUp() || len(s.peer.queue) < packetQueue }, timeout(s.timeout)) {
			r = s.send(m)
		}
		return r
	case unix.SYS_RECVMSG:
		if a[2]&unix.MSG_DONTWAIT == 0 {
			t.Block("recvmsg", func() bool { return s.poll() != 0 }, timeout(s.timeout))
		}
		switch {
		case len(s.queue) > 0:
			m, h := s.next(), msghdr(a[1])
			*at[queue.Msg](h.bytes()) = m.m
			var fds []int32
			for _, f := range m.fds {
				fds = append(fds, int32(t.p.put(3, f)))
			}
			w.dropAll(m.fds)
			h.setRights(fds)
			return msgSize
		case s.hungUp():
			return 0
		}
		return errno(unix.EAGAIN)
	}
	panic(fmt.Sprint("system call ", n, " on a registration socket"))
}

const msgSize = 120 // bytes of a queue.Msg

// msghdr is where a struct msghdr lies, with one message in its iovec and room for two descriptors.
type msghdr addr

const cmsgHeader = 16

func (h msghdr) bytes() addr { return *at[addr](*at[addr](addr(h) + 16)) }

func (h msghdr) rights() []int32 {
	control := *at[addr](addr(h) + 32)
	if control == 0 || *at[uint64](addr(h) + 40) == 0 {
		return nil
	}
	n := (*at[uint64](control) - cmsgHeader) / 4
	fds := make([]int32, n)
	for i := range fds {
		fds[i] = *at[int32](control + cmsgHeader + addr(4*i))
	}
	return fds
}

func (h msghdr) setRights(fds []int32) {
	control := *at[addr](addr(h) + 32)
	*at[uint64](addr(h) + 40) = 0
	if len(fds) == 0 {
		return
	}
	*at[uint64](control) = cmsgHeader + uint64(4*len(fds))
	*at[int32](control + 8) = unix.SOL_SOCKET
	*at[int32](control + 12) = unix.SCM_RIGHTS
	for i, fd := range fds {
		*at[int32](control + cmsgHeader + addr(4*i)) = fd
	}
	*at[uint64](addr(h) + 40) = cmsgHeader + 8
}
