//go:build sim && cgo

package csim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// file is an open file description. It is closed with the last descriptor of it, in processes and in messages.
type file interface {
	poll() uint16 // what holds now, of poll(2)
	close()
	held() *int // by so many descriptors
}

// holders counts the descriptors of a file.
type holders int

func (h *holders) held() *int { return (*int)(h) }

// dgram is a datagram socket: a bell's, or one that rings bells. Datagrams are empty, so it keeps a count.
type dgram struct {
	holders
	w    *World
	name string
	n    int
}

const dgramQueue = 11 // net.unix.max_dgram_qlen + 1

func (d *dgram) poll() uint16 {
	if d.n > 0 {
		return unix.POLLIN
	}
	return 0
}

func (d *dgram) close() { d.name = "" }

// netlink is a NETLINK_SOCK_DIAG socket with the reply to its last request.
type netlink struct {
	holders
	reply []byte
}

func (*netlink) poll() uint16 { return 0 }
func (*netlink) close()       {}

func errno(e unix.Errno) int64 { return -int64(e) }

// syscall does what the kernel does.
func (t *Thread) syscall(n int, a [6]int64) int64 {
	p, w := t.p, t.p.w
	switch n {
	case unix.SYS_FUTEX:
		return t.futex(a)
	case unix.SYS_PPOLL:
		return t.ppoll(addr(a[0]), int(a[1]), addr(a[2]))
	case sysNap:
		t.Block("nap", nil, time.Duration(a[0]))
		return 0
	case unix.SYS_SCHED_YIELD:
		t.Spin("yield")
		return 0
	case unix.SYS_PIDFD_OPEN: // Linux before 5.3: then kill tells
		return errno(unix.ENOSYS)
	case unix.SYS_GETPPID:
		return 1
	case unix.SYS_KILL:
		t.Step("kill")
		if a[1] == 0 && w.Alive(uint32(a[0])) {
			return 0
		}
		return errno(unix.ESRCH)
	case unix.SYS_GETTID:
		return int64(t.ID + 1000)
	case unix.SYS_FCNTL: // a claim: no point of its own, there is one on either side of it
		if a[1] == unix.F_OFD_SETLK || a[1] == unix.F_OFD_GETLK {
			m, ok := p.fds[int(a[0])].(*memfd)
			if !ok {
				return errno(unix.EBADF)
			}
			return m.lock(a[1], addr(a[2]))
		}
	case unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_PWAIT2: // these sleep
		if s, ok := p.fds[int(a[0])].(*epollSet); ok {
			return t.onEpoll(s, n, a)
		}
	}
	switch {
	case t.quiet:
	case p.private(n, a):
		t.SyscallOn(names[n], uint64(p.PID))
	default:
		t.Syscall(names[n])
	}
	w.Changed()
	switch n {
	case unix.SYS_GETRANDOM:
		w.cookies++
		*at[uint64](addr(a[0])) = 0xbe11<<32 | w.cookies
		return 8
	case unix.SYS_RT_SIGACTION:
		clear(addr(a[2]).bytes(32)) // all default
		return 0
	case unix.SYS_TGKILL:
		return 0
	case unix.SYS_SOCKET:
		if a[0] == unix.AF_NETLINK {
			return int64(p.put(3, &netlink{}))
		}
		if a[1]&0xf == unix.SOCK_SEQPACKET {
			return int64(p.put(3, &packets{w: w, owner: p}))
		}
		d := &dgram{w: w}
		w.dgrams = append(w.dgrams, d)
		return int64(p.put(3, d))
	case unix.SYS_EPOLL_CREATE1:
		s := &epollSet{w: w}
		w.sets = append(w.sets, s)
		return int64(p.put(3, s))
	case unix.SYS_EVENTFD2:
		return int64(p.put(3, &eventfd{w: w, n: uint64(a[0])}))
	case unix.SYS_OPENAT:
		return p.open(text(addr(a[1])))
	case unix.SYS_MMAP:
		if m, ok := p.fds[int(a[4])].(*memfd); ok {
			p.mapping(m)
			return int64(m.at)
		}
		return errno(unix.EBADF)
	}
	f := p.fds[int(a[0])]
	if f == nil {
		return errno(unix.EBADF)
	}
	switch n {
	case unix.SYS_CLOSE:
		p.closeFD(int(a[0]))
		return 0
	case unix.SYS_FCNTL:
		return p.fcntl(f, int(a[1]), a[2])
	}
	switch f := f.(type) {
	case *dgram:
		return t.onBell(f, n, a)
	case *netlink:
		return w.diag(f, n, a)
	case *end:
		return t.onTCP(f, n, a)
	case *epollSet:
		return t.onEpoll(f, n, a)
	case *packets:
		return t.onPackets(f, n, a)
	case *eventfd:
		return f.call(n, a)
	}
	panic("no such file")
}

// private tells that a call is about nothing but the process's own table of descriptors.
func (p *Process) private(n int, a [6]int64) bool {
	switch n {
	case unix.SYS_GETRANDOM, unix.SYS_RT_SIGACTION, unix.SYS_SOCKET, unix.SYS_FCNTL:
		return true
	case unix.SYS_CLOSE:
		d, ok := p.fds[int(a[0])].(*dgram)
		return ok && d.name == ""
	}
	return false
}

var names = map[int]string{
	unix.SYS_GETRANDOM: "getrandom", unix.SYS_RT_SIGACTION: "rt_sigaction", unix.SYS_TGKILL: "tgkill",
	unix.SYS_SOCKET: "socket", unix.SYS_CLOSE: "close", unix.SYS_FCNTL: "fcntl", unix.SYS_BIND: "bind",
	unix.SYS_SENDTO: "sendto", unix.SYS_RECVFROM: "recvfrom", unix.SYS_RECVMMSG: "recvmmsg", unix.SYS_SENDMSG: "sendmsg",
	unix.SYS_RECVMSG: "recvmsg", unix.SYS_GETSOCKOPT: "getsockopt", unix.SYS_SETSOCKOPT: "setsockopt",
	unix.SYS_IOCTL: "ioctl", unix.SYS_SHUTDOWN: "shutdown", unix.SYS_GETSOCKNAME: "getsockname",
	unix.SYS_GETPEERNAME: "getpeername", unix.SYS_EPOLL_CREATE1: "epoll_create", unix.SYS_EPOLL_CTL: "epoll_ctl",
	unix.SYS_CONNECT: "connect", unix.SYS_MMAP: "mmap", unix.SYS_OPENAT: "open",
	unix.SYS_EVENTFD2: "eventfd", unix.SYS_READ: "read", unix.SYS_WRITE: "write",
}

// put gives f the lowest free descriptor from low on.
func (p *Process) put(low int, f file) int {
	for p.fds[low] != nil {
		low++
	}
	p.fds[low] = f
	*f.held()++
	return low
}

// numbers are those of its descriptors.
func (p *Process) numbers() []int { return slices.Sorted(maps.Keys(p.fds)) }

// mapping keeps an open file description open, as long as the process or a child of it lives.
func (p *Process) mapping(m *memfd) {
	p.mapped = append(p.mapped, m)
	*m.held()++
}

func (p *Process) closeFD(fd int) {
	f := p.fds[fd]
	delete(p.fds, fd)
	p.w.drop(f)
}

// drop gives one descriptor of f up.
func (w *World) drop(f file) {
	if *f.held()--; *f.held() > 0 {
		return
	}
	w.forget(f)
	f.close()
	w.Changed()
}

func (p *Process) fcntl(f file, cmd int, arg int64) int64 {
	switch cmd {
	case unix.F_DUPFD_CLOEXEC:
		return int64(p.put(int(arg), f))
	case unix.F_GETFL:
		if e, ok := f.(*end); ok && e.nonblock {
			return unix.O_NONBLOCK | unix.O_RDWR
		}
		return unix.O_RDWR
	}
	panic(fmt.Sprint("fcntl ", cmd))
}

func (t *Thread) onBell(d *dgram, n int, a [6]int64) int64 {
	switch n {
	case unix.SYS_BIND:
		d.name = string(addr(a[1]).bytes(int(a[2])))
		return 0
	case unix.SYS_SENDTO:
		return t.p.w.ring(string(addr(a[4]).bytes(int(a[5]))))
	case unix.SYS_RECVFROM:
		if d.n == 0 {
			return errno(unix.EAGAIN)
		}
		d.n--
		return 0
	case unix.SYS_RECVMMSG:
		if d.n == 0 {
			return errno(unix.EAGAIN)
		}
		took := min(d.n, int(a[2]))
		d.n -= took
		return int64(took)
	}
	panic(fmt.Sprint("system call ", n, " on a bell"))
}

// ring sends an empty datagram to a bell.
func (w *World) ring(name string) int64 {
	for _, to := range w.dgrams {
		if to.name != name {
			continue
		}
		if to.n >= dgramQueue {
			return errno(unix.EAGAIN)
		}
		to.n++
		w.happened(to)
		w.Cover("bell rung")
		return 0
	}
	return errno(unix.ECONNREFUSED)
}

func (t *Thread) futex(a [6]int64) int64 {
	word := at[uint32](addr(a[0]))
	timeout := time.Duration(-1)
	if a[3] != 0 {
		timeout = timespec(addr(a[3]))
	}
	switch a[1] &^ futexPrivate {
	case futexWait:
		t.FutexWait(word, uint32(a[2]), timeout)
	case futexWake:
		t.FutexWake(word, int(a[2]))
	}
	return 0
}

func timespec(a addr) time.Duration {
	return time.Duration(*at[int64](a)*1e9 + *at[int64](a + 8))
}

type pollfd struct {
	fd              int32
	events, revents int16
}

const always = unix.POLLERR | unix.POLLHUP | unix.POLLNVAL

// ppoll sleeps until one of n descriptors shows what is asked for.
func (t *Thread) ppoll(fds addr, n int, ts addr) int64 {
	look := func() (ready int64) {
		for i := range n {
			f := at[pollfd](fds + addr(i*8))
			f.revents = 0
			if f.fd < 0 {
				continue
			}
			if of := t.p.fds[int(f.fd)]; of == nil {
				f.revents = unix.POLLNVAL
			} else {
				f.revents = int16(of.poll()) & (f.events | always)
			}
			if f.revents != 0 {
				ready++
			}
		}
		return ready
	}
	if ts != 0 && timespec(ts) == 0 {
		t.Syscall("poll")
		return look()
	}
	timeout := time.Duration(-1)
	if ts != 0 {
		timeout = timespec(ts)
	} else {
		t.p.w.Cover("sleep without a limit")
	}
	start := t.p.w.Now()
	t.Block("ppoll", func() bool { return look() > 0 }, timeout)
	r := look()
	if r == 0 && (timeout < 0 || time.Duration(t.p.w.Now()-start) < timeout) {
		return errno(unix.EINTR)
	}
	return r
}

// Operations of futex(2).
const (
	futexWait    = 0
	futexWake    = 1
	futexPrivate = 128
)
