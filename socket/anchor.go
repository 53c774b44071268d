//go:build !sim

package socket

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/queue"
)

// samples bounds how often a counter is sampled anew because the anchor moved meanwhile.
const samples = 1000

var errMoving = errors.New("socket: the anchor's counters do not come to rest")

// anchor is the kernel's side of a connection. Its methods take no lock of package net, so that
// they run beside the watcher, which holds net's read lock while it waits.
type anchor struct {
	*net.TCPConn
	raw syscall.RawConn
}

func newAnchor(c *net.TCPConn) (anchor, error) {
	raw, err := c.SyscallConn()
	return anchor{c, raw}, err
}

// written is how many bytes of the stream were handed to the kernel. Precondition: nobody writes.
// connecting says that this end called connect, whose SYN the kernel counts.
func (a anchor) written(connecting bool) (n uint64, err error) {
	ctlErr := a.raw.Control(func(fd uintptr) {
		for range samples {
			var before, after *unix.TCPInfo
			var queued int
			if before, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err != nil {
				return
			}
			if queued, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err != nil {
				return
			}
			if after, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err != nil {
				return
			}
			if before.Bytes_acked == after.Bytes_acked {
				n = after.Bytes_acked + uint64(queued)
				if connecting {
					n--
				}
				return
			}
		}
		err = errMoving
	})
	return n, errors.Join(ctlErr, err)
}

// counts is how many bytes have come, and how many of them are to be read. FIN is among the former. back: the sender
// has gone back to TCP, so that an urgent byte may be in the queue, and FIN behind bytes: it is among the latter, too.
func (a anchor) counts(back bool) (came, queued uint64, err error) {
	inq := inq
	if back {
		inq = inqWithFin
	}
	ctlErr := a.raw.Control(func(fd uintptr) {
		for range samples {
			var before, after *unix.TCPInfo
			var q int
			if before, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err != nil {
				return
			}
			if q, err = inq(int(fd)); err == unix.EAGAIN {
				continue
			} else if err != nil {
				return
			}
			if after, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err != nil {
				return
			}
			if before.Bytes_received == after.Bytes_received {
				came, queued = after.Bytes_received, uint64(q)
				return
			}
		}
		err = errMoving
	})
	return came, queued, errors.Join(ctlErr, err)
}

// queued is how many bytes can be read.
func (a anchor) queued() (n int, err error) {
	ctlErr := a.raw.Control(func(fd uintptr) { n, err = inq(int(fd)) })
	return n, errors.Join(ctlErr, err)
}

// inq is SIOCINQ, which ends at an urgent byte that is not in line, and does not count FIN.
func inq(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.SIOCINQ) }

// inqWithFin does not end at an urgent byte, and counts FIN behind bytes as one: TCP_INQ (Linux 4.18) tells of it in
// every state. Of an empty queue it is not asked, which would take the socket's error. EAGAIN: ask again.
func inqWithFin(fd int) (int, error) {
	defer setting(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE)()
	defer setting(fd, unix.IPPROTO_TCP, unix.TCP_INQ)()
	if q, err := inq(fd); q <= 0 || err != nil {
		return q, err
	}
	control := make([]byte, unix.CmsgSpace(256))
	_, n, _, _, err := unix.Recvmsg(fd, nil, control, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil {
		return 0, unix.EAGAIN
	}
	for b := control[:n]; len(b) > 0; {
		var h unix.Cmsghdr
		var data []byte
		if h, data, b, err = unix.ParseOneSocketControlMessage(b); err != nil {
			return 0, err
		}
		if h.Level == unix.IPPROTO_TCP && h.Type == unix.TCP_CM_INQ {
			return int(binary.NativeEndian.Uint32(data)), nil
		}
	}
	return 0, unix.EAGAIN
}

// setting switches an option on, and returns how to put it back.
func setting(fd, level, option int) (back func()) {
	was, err := unix.GetsockoptInt(fd, level, option)
	if err != nil || was != 0 {
		return func() {}
	}
	unix.SetsockoptInt(fd, level, option, 1)
	return func() { unix.SetsockoptInt(fd, level, option, 0) }
}

// buffers is what the socket's buffers hold, as far as the program has set them.
func (a anchor) buffers() (send, recv uint32) {
	const sendLock, recvLock = 1, 2 // SOCK_SNDBUF_LOCK, SOCK_RCVBUF_LOCK
	send, recv = queue.SendBuf, queue.RecvBuf
	a.raw.Control(func(s uintptr) {
		set, err := unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_BUF_LOCK)
		if err != nil {
			set = sendLock | recvLock // a kernel that does not tell
		}
		if n, err := unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_SNDBUF); err == nil && set&sendLock != 0 {
			send = uint32(n)
		}
		if n, err := unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_RCVBUF); err == nil && set&recvLock != 0 {
			recv = uint32(n)
		}
	})
	return send, recv
}

// recv reads without waiting; syscall.EAGAIN when nothing is there, n = 0 at FIN.
func (a anchor) recv(p []byte, flags int) (n int, err error) {
	ctlErr := a.raw.Control(func(fd uintptr) {
		for {
			n, _, err = unix.Recvfrom(int(fd), p, flags|unix.MSG_DONTWAIT)
			if err != unix.EINTR {
				return
			}
		}
	})
	if ctlErr != nil {
		return 0, ctlErr
	}
	return max(n, 0), err
}

// cookie is the kernel's identity of the socket, unique for the life of the host.
func (a anchor) cookie() (cookie uint64, fd int, err error) {
	ctlErr := a.raw.Control(func(s uintptr) {
		fd = int(s)
		cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	})
	return cookie, fd, errors.Join(ctlErr, os.NewSyscallError("getsockopt", err))
}

// state is the TCP state; an error means that the anchor was closed here.
func (a anchor) state() (s uint8, err error) {
	err = a.raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if s = tcpClose; err == nil {
			s = info.State
		}
	})
	return s, err
}

// takeError is the error that the kernel keeps for one call, or nil.
func (a anchor) takeError() (pending error) {
	err := a.raw.Control(func(fd uintptr) {
		if errno, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && errno != 0 {
			pending = syscall.Errno(errno)
		}
	})
	if err != nil {
		return err
	}
	return pending
}
