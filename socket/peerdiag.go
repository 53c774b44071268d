package socket

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Offsets and sizes of linux/inet_diag.h, which x/sys does not have.
const (
	sockDiagByFamily = 20
	diagRequestSize  = unix.SizeofNlMsghdr + 56 // nlmsghdr, inet_diag_req_v2
	diagInodeOffset  = unix.SizeofNlMsghdr + 68 // idiag_inode in inet_diag_msg
)

// fullyClosed asks the kernel whether the peer's socket of a connection on this host has lost its
// last holder: then it has no inode, or does not exist. A question that cannot be asked counts as
// no: the anchor will tell.
func fullyClosed(local, remote netip.AddrPort) bool {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if unix.Sendto(fd, diagRequest(remote, local), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return false
	}
	var answer [512]byte
	n, _, err := unix.Recvfrom(fd, answer[:], 0)
	if err != nil || n < unix.SizeofNlMsghdr {
		return false
	}
	switch binary.NativeEndian.Uint16(answer[4:]) {
	case unix.NLMSG_ERROR:
		errno := -int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:]))
		return n >= unix.SizeofNlMsghdr+4 && errno == int32(unix.ENOENT)
	case sockDiagByFamily:
		return n >= diagInodeOffset+4 && binary.NativeEndian.Uint32(answer[diagInodeOffset:]) == 0
	}
	return false
}

// diagRequest asks for exactly the TCP socket with these addresses.
func diagRequest(local, remote netip.AddrPort) []byte {
	b := make([]byte, diagRequestSize)
	binary.NativeEndian.PutUint32(b[0:], diagRequestSize)
	binary.NativeEndian.PutUint16(b[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	r := b[unix.SizeofNlMsghdr:]
	l, p := local.Addr().Unmap(), remote.Addr().Unmap()
	r[0], r[1] = unix.AF_INET6, unix.IPPROTO_TCP
	if l.Is4() {
		r[0] = unix.AF_INET
	}
	binary.NativeEndian.PutUint32(r[4:], ^uint32(0)) // any state
	binary.BigEndian.PutUint16(r[8:], local.Port())
	binary.BigEndian.PutUint16(r[10:], remote.Port())
	copy(r[12:28], l.AsSlice())
	copy(r[28:44], p.AsSlice())
	binary.NativeEndian.PutUint64(r[48:], ^uint64(0)) // any cookie
	return b
}
