package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/internal/cbuild"
	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/internal/sockdiag"
	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

// examineMachine tries everything that sdirect needs of the machine.
func examineMachine() []finding {
	var all []finding
	for _, check := range []func() finding{
		checkKernel, checkMemfd, checkPeerPidfd, checkDiag, checkMembarrier, checkProc,
		checkFiles, checkAddressSpace, checkLibrary, checkMonitor,
	} {
		all = append(all, check())
	}
	return all
}

func checkKernel() finding {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return finding{bad, "uname: " + err.Error()}
	}
	release := unix.ByteSliceToString(u.Release[:])
	var major, minor int
	fmt.Sscanf(release, "%d.%d", &major, &minor)
	if major < 5 || major == 5 && minor < 11 {
		return finding{bad, "kernel " + release + ": 5.11 or newer is needed (pidfd, close_range)"}
	}
	return finding{good, "kernel " + release}
}

func checkMemfd() finding {
	f, err := shm.CreateSealed("sdirect-doctor", queue.ArenaSize)
	if err != nil {
		return finding{bad, fmt.Sprintf("no sealed shared memory of %d MiB (sparse): %v", queue.ArenaSize>>20, err)}
	}
	f.Close()
	return finding{good, "memfd with seals"}
}

func checkPeerPidfd() finding {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return finding{bad, "socketpair: " + err.Error()}
	}
	defer wire.CloseAll(fds[:])
	pidfd, err := unix.GetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if err != nil {
		return finding{note, "no SO_PEERPIDFD (kernel 6.5): pidfd_open is used, which cannot tell a reused pid in the moment of connecting"}
	}
	unix.Close(pidfd)
	return finding{good, "SO_PEERPIDFD"}
}

// checkDiag looks up a connection of its own.
func checkDiag() finding {
	diag, err := sockdiag.Open()
	if err != nil {
		return finding{bad, err.Error() + ": the kernel needs CONFIG_INET_DIAG; in a container, allow AF_NETLINK sockets"}
	}
	defer diag.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return finding{bad, "no TCP on 127.0.0.1: " + err.Error() + " (is the interface lo up?)"}
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return finding{bad, "no TCP on 127.0.0.1: " + err.Error()}
	}
	defer c.Close()
	s, found, err := diag.Find(c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort())
	if err != nil || !found || s.Inode == 0 {
		return finding{bad, fmt.Sprintf("sock_diag does not find a connection of ours (%v): the kernel needs CONFIG_INET_TCP_DIAG", err)}
	}
	return finding{good, "sock_diag"}
}

func checkMembarrier() finding {
	if err := shm.RegisterBarrier(); err != nil {
		return finding{note, "no membarrier (" + err.Error() + "): waiters rely on bounded first sleeps"}
	}
	return finding{good, "membarrier"}
}

// checkProc tells what keeps a monitor of the same user from proving who holds a connection.
func checkProc() finding {
	if _, err := os.Readlink("/proc/self/fd/0"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return finding{bad, "cannot read /proc/self/fd: " + err.Error() + ": mount /proc"}
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err == nil && dumpable != 1 && os.Geteuid() != 0 {
		return finding{note, "processes here are not dumpable: only root's monitor can prove what they hold"}
	}
	what := "/proc shows descriptors"
	if scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil {
		what += ", yama ptrace_scope " + strings.TrimSpace(string(scope)) + " (does not matter: nothing is traced)"
	}
	return finding{good, what}
}

func checkFiles() finding {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return finding{bad, "RLIMIT_NOFILE: " + err.Error()}
	}
	const enough = 4096
	if r.Max < enough {
		return finding{note, fmt.Sprintf("RLIMIT_NOFILE is %d: the monitor needs 3 descriptors for a process and 1 for a pair; raise it with ulimit -n", r.Max)}
	}
	return finding{good, fmt.Sprintf("RLIMIT_NOFILE %d", r.Max)}
}

func checkAddressSpace() finding {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &r); err != nil {
		return finding{bad, "RLIMIT_AS: " + err.Error()}
	}
	if r.Cur < 4*queue.ArenaSize {
		return finding{note, fmt.Sprintf("RLIMIT_AS is %d MiB: each peer of a process takes %d MiB of addresses (not of memory); raise it with ulimit -v", r.Cur>>20, queue.ArenaSize>>20)}
	}
	return finding{good, "RLIMIT_AS leaves room for arenas"}
}

func checkLibrary() finding {
	lib, err := cbuild.Data.Find()
	if err == nil {
		return finding{good, lib}
	}
	if _, ccErr := exec.LookPath("cc"); ccErr != nil {
		return finding{bad, "libsd.so is not built and there is no C compiler: install gcc, or copy libsd.so of the same version beside sdirect"}
	}
	return finding{bad, "libsd.so: " + err.Error()}
}

func checkMonitor() finding {
	socket, err := monitorSocket()
	if err != nil {
		return finding{bad, err.Error()}
	}
	st, err := wire.Query(socket)
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED):
		return finding{note, "no monitor serves " + socket + ": sdirect run starts one"}
	case err != nil:
		return finding{bad, "monitor at " + socket + ": " + err.Error()}
	case st.Monitor.ABI != fmt.Sprintf("%016x", queue.ABIHash):
		return finding{bad, fmt.Sprintf("monitor at %s (pid %d) is of another version: restart it", socket, st.Monitor.PID)}
	}
	return finding{good, fmt.Sprintf("monitor at %s, pid %d, uid %d", socket, st.Monitor.PID, st.Monitor.UID)}
}
