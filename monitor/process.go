package monitor

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

// process is what the kernel says of who connected. The pidfd keeps its number from being taken
// for somebody else's after its death.
type process struct {
	pid, uid int
	nsPID    int      // its number in its own pid namespace, which is what it writes as Bell.Owner
	pidfd    *os.File // pollable: readable when the process is dead
}

// identify asks the kernel who connected to the registration socket.
func identify(c *wire.Conn) (*process, error) {
	cred, err := c.PeerCred()
	if err != nil {
		return nil, err
	}
	if cred.Pid <= 0 {
		return nil, errors.New("process is not visible from the monitor's pid namespace")
	}
	fd, err := peerPidfd(c, int(cred.Pid))
	if err != nil {
		return nil, fmt.Errorf("pidfd of process %d: %w", cred.Pid, err)
	}
	// Non-blocking is what makes os.File wait for it in the poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	p := &process{pid: int(cred.Pid), uid: int(cred.Uid), pidfd: os.NewFile(uintptr(fd), "pidfd")}
	p.nsPID = nsPID(p.pid)
	if p.dead() {
		p.pidfd.Close()
		return nil, fmt.Errorf("process %d is dead already", p.pid)
	}
	return p, nil
}

// peerPidfd is SO_PEERPIDFD, or pidfd_open on kernels before 6.5. There a process that died within
// the moment since it connected could be mistaken for the next one with its number.
func peerPidfd(c *wire.Conn, pid int) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var optErr error
	if err := raw.Control(func(s uintptr) {
		fd, optErr = unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	}); err != nil {
		return -1, err
	}
	if errors.Is(optErr, unix.ENOPROTOOPT) {
		return unix.PidfdOpen(pid, 0)
	}
	return fd, optErr
}

// dead tells whether the process has exited, reaped or not.
func (p *process) dead() bool {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return true
	}
	dead := true
	if err := raw.Control(func(fd uintptr) { dead = readable(int(fd)) }); err != nil {
		return true
	}
	return dead
}

// waitDeath returns when the process is dead or its pidfd closed.
func (p *process) waitDeath() {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return
	}
	raw.Read(func(fd uintptr) bool { return readable(int(fd)) })
}

func readable(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n > 0 && err == nil
}

// admissible is the status that the kernel's view of the process allows: queue.StatusOK, or why not.
func (p *process) admissible(netns uint64) uint32 {
	ns, err := wire.NetNS(fmt.Sprint(p.pid))
	switch {
	case err != nil:
		return queue.StatusDenied // not dumpable, most likely: nothing could be proved either
	case ns != netns:
		return queue.StatusNamespace
	}
	return queue.StatusOK
}

// socketInode is the inode of the socket at descriptor fd of the process.
func (p *process) socketInode(fd uint32) (uint32, bool) {
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", p.pid, fd))
	if err != nil || p.dead() {
		return 0, false
	}
	var inode uint32
	n, err := fmt.Sscanf(link, "socket:[%d]", &inode)
	return inode, n == 1 && err == nil
}

// nsPID is the number of pid in its innermost pid namespace.
func nsPID(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return pid
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			inner := pid
			for _, f := range strings.Fields(rest) {
				fmt.Sscan(f, &inner)
			}
			return inner
		}
	}
	return pid
}
