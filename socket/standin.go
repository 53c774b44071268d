package socket

import (
	"os"

	"golang.org/x/sys/unix"
)

// standIn is a socket pair whose near end is handed out in place of an anchor that the bytes have
// left. Both ends return at once, like a descriptor of package net.
type standIn struct{ near, far int }

// standInMost is more than the near end takes: the kernel doubles SO_SNDBUF, and begins a message of at
// most half of that when less is taken.
const standInMost = 4 * standInBuffer

const standInBuffer = 12 << 10

func newStandIn() (standIn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	s := standIn{fds[0], fds[1]}
	if err != nil {
		return s, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetsockoptInt(s.near, unix.SOL_SOCKET, unix.SO_SNDBUF, standInBuffer); err != nil {
		s.close()
		return s, os.NewSyscallError("setsockopt", err)
	}
	return s, nil
}

func (s standIn) close() {
	unix.Close(s.near)
	unix.Close(s.far)
}

// read lets f read p and, after it, the end of the stream if eof. taken is how many bytes f consumed.
func (s standIn) read(p []byte, eof bool, f func(fd uintptr) bool) (taken int, done bool) {
	put := 0
	if len(p) > 0 {
		n, _ := unix.Write(s.far, p) // what does not fit is for the next call
		put = max(n, 0)
	}
	if eof {
		unix.Shutdown(s.far, unix.SHUT_WR)
	}
	done = f(uintptr(s.near))
	left, err := unix.IoctlGetInt(s.near, unix.SIOCINQ)
	if err != nil {
		left = 0
	}
	return max(put-left, 0), done
}

// take gets what was written into the near end; 0 when there is no more.
func (s standIn) take(p []byte) int {
	n, _ := unix.Read(s.far, p)
	return max(n, 0)
}
