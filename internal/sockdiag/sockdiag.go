// Package sockdiag asks the kernel about one TCP socket by its addresses: sock_diag(7), an exact
// lookup, no walk over the table. Any user may ask about any socket of the network namespace.
package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// States of a TCP socket that callers tell apart. Source: include/net/tcp_states.h.
const (
	StateEstablished = 1
	StateTimeWait    = 6
	StateCloseWait   = 8
)

// Socket is what the kernel says of one connection's end.
type Socket struct {
	Inode  uint32 // 0: no process holds it any more, or none has accepted it yet
	Cookie uint64 // SO_COOKIE
	State  uint8
	RQueue uint32 // bytes received and not read
	WQueue uint32 // bytes written and not acknowledged

	ReadShut bool // shut for receiving: by shutdown(SHUT_RD), or by close before it sends FIN
}

// Held tells whether a descriptor of this socket exists, with the given cookie.
func (s Socket) Held(cookie uint64) bool { return s.Inode != 0 && s.Cookie == cookie }

// Conn is a netlink socket for queries, close-on-exec. It is safe for concurrent use.
type Conn struct {
	mu  sync.Mutex
	fd  int
	seq uint32
}

// Open makes a Conn for the network namespace of the calling thread.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket NETLINK_SOCK_DIAG", err)
	}
	// The kernel answers within sendto; the bound is for the day when it does not.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("setsockopt SO_RCVTIMEO", err)
	}
	return &Conn{fd: fd}, nil
}

// Close releases the descriptor.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// Find looks up the socket with exactly these addresses, in any state but listening. IPv4 finds
// v4-mapped IPv6 sockets as well. A socket bound to a device (link-local IPv6 among them) is not
// found. The second result is false if there is none.
func (c *Conn) Find(local, remote netip.AddrPort) (Socket, bool, error) {
	local, remote = unmap(local), unmap(remote)
	if local.Addr().Is4() != remote.Addr().Is4() {
		return Socket{}, false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	if err := unix.Sendto(c.fd, request(c.seq, local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return Socket{}, false, os.NewSyscallError("sock_diag request", err)
	}
	buf := make([]byte, 4096)
	// An answer to an earlier request can be left over only if that one timed out.
	for range 8 {
		n, _, err := unix.Recvfrom(c.fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Socket{}, false, os.NewSyscallError("sock_diag answer", err)
		}
		if n < headerLen || binary.NativeEndian.Uint32(buf[8:]) != c.seq {
			continue
		}
		return parse(buf[:n], local, remote)
	}
	return Socket{}, false, errors.New("sock_diag: no answer")
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// Lengths in bytes of struct nlmsghdr, inet_diag_req_v2 and inet_diag_msg, and the offset of
// inet_diag_sockid in both. Source: linux/netlink.h, linux/inet_diag.h.
const (
	headerLen = 16
	reqLen    = 56
	msgLen    = 72
	idOffReq  = 8
	idOffMsg  = 4

	attrHeaderLen = 4 // struct rtattr
	attrShutdown  = 8 // INET_DIAG_SHUTDOWN: a byte, sk_shutdown
	rcvShutdown   = 1 // include/net/sock.h
)

func request(seq uint32, local, remote netip.AddrPort) []byte {
	b := make([]byte, headerLen+reqLen)
	ne := binary.NativeEndian
	ne.PutUint32(b[0:], uint32(len(b)))
	ne.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	ne.PutUint16(b[6:], unix.NLM_F_REQUEST)
	ne.PutUint32(b[8:], seq)
	req := b[headerLen:]
	req[0] = unix.AF_INET6
	if local.Addr().Is4() {
		req[0] = unix.AF_INET
	}
	req[1] = unix.IPPROTO_TCP
	req[2] = 1 << (attrShutdown - 1)
	ne.PutUint32(req[4:], 0xffffffff) // all states
	id := req[idOffReq:]
	binary.BigEndian.PutUint16(id[0:], local.Port())
	binary.BigEndian.PutUint16(id[2:], remote.Port())
	copy(id[4:20], local.Addr().AsSlice())
	copy(id[20:36], remote.Addr().AsSlice())
	ne.PutUint64(id[40:], ^uint64(0)) // INET_DIAG_NOCOOKIE: whichever socket is there
	return b
}

func parse(b []byte, local, remote netip.AddrPort) (Socket, bool, error) {
	ne := binary.NativeEndian
	body := b[headerLen:]
	switch typ := ne.Uint16(b[4:]); {
	case typ == unix.NLMSG_ERROR && len(body) >= 4:
		errno := unix.Errno(-int32(ne.Uint32(body)))
		if errno == unix.ENOENT {
			return Socket{}, false, nil
		}
		return Socket{}, false, os.NewSyscallError("sock_diag", errno)
	case typ != unix.SOCK_DIAG_BY_FAMILY || len(body) < msgLen:
		return Socket{}, false, fmt.Errorf("sock_diag: answer of type %d with %d bytes", typ, len(body))
	}
	id := body[idOffMsg:]
	if address(body[0], id[4:20], id[0:]) != local || address(body[0], id[20:36], id[2:]) != remote {
		// The kernel falls back to a listener on the local port.
		return Socket{}, false, nil
	}
	return Socket{
		State:  body[1],
		Cookie: uint64(ne.Uint32(id[40:])) | uint64(ne.Uint32(id[44:]))<<32,
		RQueue: ne.Uint32(body[56:]),
		WQueue: ne.Uint32(body[60:]),
		Inode:  ne.Uint32(body[68:]),

		ReadShut: shutdown(body[msgLen:])&rcvShutdown != 0,
	}, true, nil
}

// shutdown finds the attribute INET_DIAG_SHUTDOWN; 0 if there is none (a socket in TIME_WAIT).
func shutdown(attrs []byte) byte {
	for len(attrs) > attrHeaderLen {
		size := int(binary.NativeEndian.Uint16(attrs))
		if size <= attrHeaderLen || size > len(attrs) {
			return 0
		}
		if binary.NativeEndian.Uint16(attrs[2:]) == attrShutdown {
			return attrs[attrHeaderLen]
		}
		attrs = attrs[min((size+3)&^3, len(attrs)):]
	}
	return 0
}

func address(family byte, ip, port []byte) netip.AddrPort {
	p := binary.BigEndian.Uint16(port)
	if family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[:4])), p)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(ip)).Unmap(), p)
}
