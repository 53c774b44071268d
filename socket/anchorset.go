//go:build !sim

package socket

import (
	"os"

	"golang.org/x/sys/unix"
)

// anchorSet is one epoll set with the anchors of all promoted connections of a domain. One goroutine
// waits for it in the netpoller: a connection costs none.
type anchorSet struct{ file *os.File }

func newAnchorSet() (anchorSet, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return anchorSet{}, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // what os takes for: can be polled
		unix.Close(fd)
		return anchorSet{}, os.NewSyscallError("fcntl", err)
	}
	return anchorSet{os.NewFile(uintptr(fd), "anchors")}, nil
}

// control adds an anchor, under the number of a member of the bell, or removes it. The set reports
// each arrival and the state at the start.
func (s anchorSet) control(op int, a anchor, member uint32) error {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	set := -1
	if err := raw.Control(func(fd uintptr) { set = int(fd) }); err != nil {
		return err
	}
	ctlErr := a.raw.Control(func(fd uintptr) {
		err = unix.EpollCtl(set, op, int(fd), &unix.EpollEvent{
			Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(member),
		})
	})
	if ctlErr != nil {
		return ctlErr
	}
	return os.NewSyscallError("epoll_ctl", err)
}

// watch calls f with the member of each anchor on which something happened, until the set is closed.
func (s anchorSet) watch(f func(member uint32)) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return
	}
	events := make([]unix.EpollEvent, 64)
	raw.Read(func(set uintptr) bool {
		for {
			n, err := unix.EpollWait(int(set), events, 0)
			if err != nil && err != unix.EINTR || err == nil && n == 0 {
				return err != nil
			}
			for _, e := range events[:max(n, 0)] {
				f(uint32(e.Fd))
			}
		}
	})
}

func (s anchorSet) close() { s.file.Close() }
