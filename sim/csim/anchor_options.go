//go:build sim && cgo

package csim

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// States of tcp_info.
const (
	established = 1
	finWait1    = 4
	finWait2    = 5
	closedState = 7
	closeWait   = 8
	lastAck     = 9
)

func (e *end) tcpState() byte {
	switch {
	case e.reset:
		return closedState
	case e.finSent && e.finCame:
		return lastAck
	case e.finSent && e.peer.finCame:
		return finWait2
	case e.finSent:
		return finWait1
	case e.finCame:
		return closeWait
	}
	return established
}

// counted is what bytes_received says: FIN is one of them.
func (e *end) counted() uint64 {
	if e.finCame {
		return e.received + 1
	}
	return e.received
}

func (e *end) getsockopt(level, option int, v, n addr) int64 {
	switch {
	case level == unix.IPPROTO_TCP && option == unix.TCP_INFO:
		// The caller's struct may be shorter than ours, and is zero.
		const ackedAt, receivedAt = 120, 128
		*at[byte](v) = e.tcpState()
		*at[uint64](v + ackedAt) = e.acked
		*at[uint64](v + receivedAt) = e.counted()
		if e.role == 0 {
			*at[uint64](v + ackedAt)++ // the SYN
		}
	case level == unix.IPPROTO_TCP && option == unix.TCP_NODELAY:
		*at[int32](v) = 1
	case option == unix.SO_BUF_LOCK:
		*at[int32](v) = 0
		if e.sndbuf != 0 {
			*at[int32](v) = 3 // SOCK_BUF_LOCK_MASK
		}
	case option == unix.SO_SNDBUF:
		*at[int32](v) = 2 * e.sndbuf // the C core halves it for windows below 4096
	case option == unix.SO_RCVBUF:
		*at[int32](v) = e.rcvbuf
	case option == unix.SO_PROTOCOL:
		*at[int32](v) = unix.IPPROTO_TCP
	case option == unix.SO_COOKIE:
		*at[uint64](v) = e.cookie
	case option == unix.SO_ERROR:
		*at[int32](v) = int32(e.err)
		e.err = 0
	case option == unix.SO_RCVLOWAT:
		*at[int32](v) = 1
	case level == unix.SOL_SOCKET && option == unix.SO_OOBINLINE: // nothing urgent is ever sent
		*at[int32](v) = 0
	case level == unix.IPPROTO_TCP && option == unix.TCP_INQ:
		*at[int32](v) = 0
		if e.inq {
			*at[int32](v) = 1
		}
	case level == unix.SOL_SOCKET && option == unix.SO_ATTACH_FILTER:
		*at[uint32](n) = 0
	case level == unix.SOL_SOCKET && option == unix.SO_PEEK_OFF:
		*at[int32](v) = -1
	case onlyTCP(level, option):
		*at[int32](v) = 0
	case option == unix.SO_RCVTIMEO:
		putTimeval(v, e.rcvtimeo)
	case option == unix.SO_SNDTIMEO:
		putTimeval(v, e.sndtimeo)
	default:
		panic(fmt.Sprint("getsockopt ", level, " ", option))
	}
	return 0
}

// onlyTCP is the options that keep a connection on the kernel: nobody sets them here.
func onlyTCP(level, option int) bool {
	if level == unix.IPPROTO_TCP {
		return option == unix.TCP_ULP || option == unix.TCP_REPAIR
	}
	switch option {
	case unix.SO_TIMESTAMP_OLD, unix.SO_TIMESTAMP_NEW, unix.SO_TIMESTAMPNS_OLD, unix.SO_TIMESTAMPNS_NEW,
		unix.SO_TIMESTAMPING_OLD, unix.SO_TIMESTAMPING_NEW, unix.SO_ZEROCOPY:
		return true
	}
	return false
}

func putTimeval(v addr, d time.Duration) {
	*at[int64](v) = int64(d / time.Second)
	*at[int64](v + 8) = int64(d % time.Second / time.Microsecond)
}

func (e *end) setsockopt(level, option int, v addr) {
	switch {
	case level == unix.SOL_SOCKET && option == unix.SO_LINGER:
		e.linger0 = *at[int32](v) != 0 && *at[int32](v + 4) == 0
	case level == unix.IPPROTO_TCP && option == unix.TCP_INQ:
		e.inq = *at[int32](v) != 0
	}
}

// putInq writes TCP_CM_INQ, the only control message there is, where the msghdr m wants it: FIN behind bytes is one.
func putInq(m addr, e *end) {
	h := unix.Cmsghdr{Level: unix.IPPROTO_TCP, Type: unix.TCP_CM_INQ}
	h.SetLen(unix.CmsgLen(4))
	control := *at[addr](m + 32)
	*at[unix.Cmsghdr](control) = h
	*at[int32](control + unix.SizeofCmsghdr) = int32(len(e.queue))
	if e.finCame {
		*at[int32](control + unix.SizeofCmsghdr)++
	}
	*at[int64](m + 40) = int64(unix.CmsgSpace(4))
}
