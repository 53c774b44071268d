package monitor

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

// patience bounds waits for things that must happen; it is not a measurement.
const patience = 30 * time.Second

// socketPath is a place for a socket, short enough for sun_path.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "m.sock")
}

// start runs a Daemon at path until the test ends or stop is called.
func start(t *testing.T, path string) (stop func()) {
	t.Helper()
	level := slog.LevelInfo
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level}))
	d, err := New(path, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// member is a registered process as its peer sees it.
type member struct {
	*wire.Client
	proc   uint32
	bell   []byte // its own bell page
	bellFD int
}

func join(t *testing.T, path string, key uint64) *member {
	t.Helper()
	c, err := wire.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(patience))
	w, err := c.Hello(key)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{Client: c, proc: w.Proc, bellFD: w.Bell}
	if w.Bell != wire.NoFD {
		t.Cleanup(func() { unix.Close(w.Bell) })
		m.bell = mapBell(t, dup(t, w.Bell))
	}
	return m
}

func dup(t *testing.T, fd int) int {
	t.Helper()
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mapBell(t *testing.T, fd int) []byte {
	t.Helper()
	defer unix.Close(fd)
	if err := shm.CheckSealed(fd, queue.BellPageSize); err != nil {
		t.Fatal(err)
	}
	mem, err := shm.Map(fd, queue.BellPageSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shm.Unmap(mem) })
	return mem
}

func (m *member) page() *queue.BellPage { return shm.At[queue.BellPage](m.bell, 0) }

// next is the next message, which must come.
func (m *member) next(t *testing.T) wire.Event {
	t.Helper()
	e, err := m.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// end is one end of a TCP connection.
type end struct {
	*net.TCPConn
	fd     int
	cookie uint64
	role   uint32
}

func (e *end) pair() wire.Pair {
	return wire.Pair{Local: addrPort(e.LocalAddr()), Remote: addrPort(e.RemoteAddr())}
}

func addrPort(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

func (m *member) offer(t *testing.T, e *end) {
	t.Helper()
	if err := m.Offer(e.fd, e.cookie, e.role, e.pair()); err != nil {
		t.Fatal(err)
	}
}

// connect makes a TCP connection; listen is an address without a port.
func connect(t *testing.T, network, listen string) (client, server *end) {
	t.Helper()
	l, err := net.Listen(network, net.JoinHostPort(listen, "0"))
	if err != nil {
		t.Skipf("no %s here: %v", network, err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	target := listen
	if listen == "::" {
		target = "127.0.0.1"
	}
	c, err := net.Dial("tcp", net.JoinHostPort(target, port))
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return newEnd(t, c, queue.RoleConnect), newEnd(t, s, queue.RoleAccept)
}

func newEnd(t *testing.T, c net.Conn, role uint32) *end {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	e, err := endOf(c, role)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func endOf(c net.Conn, role uint32) (*end, error) {
	e := &end{TCPConn: c.(*net.TCPConn), role: role}
	raw, err := e.SyscallConn()
	if err != nil {
		return nil, err
	}
	var optErr error
	err = raw.Control(func(fd uintptr) {
		e.fd = int(fd)
		e.cookie, optErr = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_COOKIE)
	})
	return e, errors.Join(err, optErr)
}

// pairUp offers both ends and returns the introductions.
func pairUp(t *testing.T, a, b *member, client, server *end) (atClient, atServer wire.Event) {
	t.Helper()
	a.offer(t, client)
	b.offer(t, server)
	atClient, atServer = a.next(t), b.next(t)
	for _, e := range []wire.Event{atClient, atServer} {
		if e.Type != queue.MsgIntro {
			t.Fatalf("got message %d, status %q: want Intro", e.Type, wire.StatusText(e.Status))
		}
	}
	return atClient, atServer
}
