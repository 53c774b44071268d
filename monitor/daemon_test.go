package monitor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
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
	proc uint32
	bell []byte // its own bell page
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
	m := &member{Client: c, proc: w.Proc}
	if w.Bell != wire.NoFD {
		m.bell = mapBell(t, w.Bell)
	}
	return m
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
	e := &end{TCPConn: c.(*net.TCPConn), role: role}
	raw, err := e.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var optErr error
	raw.Control(func(fd uintptr) {
		e.fd = int(fd)
		e.cookie, optErr = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_COOKIE)
	})
	if optErr != nil {
		t.Fatal(optErr)
	}
	return e
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

func TestIntroduction(t *testing.T) {
	path := socketPath(t)
	start(t, path)
	for _, tc := range []struct{ name, network, listen string }{
		{"IPv4", "tcp4", "127.0.0.1"},
		{"IPv6", "tcp6", "::1"},
		{"v4-mapped", "tcp", "::"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := join(t, path, 0), join(t, path, 0)
			client, server := connect(t, tc.network, tc.listen)
			ia, ib := pairUp(t, a, b, client, server)
			defer wire.CloseAll([]int{ia.Arena, ib.Arena})
			if ia.Arena == wire.NoFD || ib.Arena == wire.NoFD {
				t.Fatal("no descriptors with the first introduction")
			}
			if ia.End != 0 || ib.End != 1 || ia.Peer != b.proc || ib.Peer != a.proc || ia.Slot != ib.Slot {
				t.Errorf("introductions do not fit: %+v %+v", ia.Msg, ib.Msg)
			}
			checkArena(t, ia, [2]uint64{client.cookie, server.cookie})
			bellOfB := mapBell(t, ia.PeerBell)
			if got := shm.At[queue.BellPage](bellOfB, 0).Key; got != b.page().Key || got == 0 {
				t.Errorf("peer's bell page has key %d, want %d", got, b.page().Key)
			}
			mapBell(t, ib.PeerBell)
			waitMail(t, a)
			waitMail(t, b)

			second, secondPeer := connect(t, tc.network, tc.listen)
			ia2, _ := pairUp(t, a, b, second, secondPeer)
			if ia2.Msg.Arena != ia.Msg.Arena || ia2.Slot == ia.Slot || ia2.Arena != wire.NoFD {
				t.Errorf("second introduction: %+v", ia2)
			}
		})
	}
}

// waitMail waits for the monitor's mark, which follows the message.
func waitMail(t *testing.T, m *member) {
	t.Helper()
	for deadline := time.Now().Add(patience); shm.Load32(&m.page().Mail) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("Mail was never raised")
		}
		time.Sleep(time.Millisecond)
	}
}

func checkArena(t *testing.T, e wire.Event, cookies [2]uint64) {
	t.Helper()
	if err := shm.CheckSealed(e.Arena, queue.ArenaSize); err != nil {
		t.Fatal(err)
	}
	mem, err := shm.Map(e.Arena, queue.ArenaSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shm.Unmap(mem) })
	h := shm.At[queue.ArenaHeader](mem, 0)
	if h.ABI != queue.ABIHash || h.Arena != e.Msg.Arena || h.Slots != queue.ArenaSlots {
		t.Errorf("header %+v", *h)
	}
	s := shm.At[queue.Slot](mem, queue.CtlOff+int(e.Slot)*queue.SlotSize)
	want := queue.Slot{Hdr: queue.SlotHeader{Cookie: cookies, Epoch: 1}}
	if !bytes.Equal(shm.Bytes(s), shm.Bytes(&want)) {
		t.Errorf("slot is not fresh: %+v", s.Hdr)
	}
	if flags, _ := unix.FcntlInt(uintptr(e.Arena), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
		t.Error("arena survives exec")
	}
}

func TestOneProcessAtBothEnds(t *testing.T) {
	path := socketPath(t)
	start(t, path)
	a := join(t, path, 0)
	client, server := connect(t, "tcp4", "127.0.0.1")
	a.offer(t, client)
	a.offer(t, server)
	first, second := a.next(t), a.next(t)
	wire.CloseAll([]int{first.Arena, first.PeerBell})
	if first.End != 0 || second.End != 1 || first.Peer != a.proc || first.Slot != second.Slot || second.Arena != wire.NoFD {
		t.Errorf("%+v %+v", first, second)
	}
}

func TestForkedChildSharesThePage(t *testing.T) {
	path := socketPath(t)
	start(t, path)
	parent := join(t, path, 0)
	child := join(t, path, parent.page().Key)
	if child.proc != parent.proc || child.bell != nil {
		t.Errorf("child is process %d with a page of its own, parent %d", child.proc, parent.proc)
	}
	stranger := join(t, path, 12345)
	if stranger.proc == parent.proc || stranger.bell == nil {
		t.Error("an unknown key must give a new page")
	}
}

func TestRefusals(t *testing.T) {
	path := socketPath(t)
	start(t, path)
	a := join(t, path, 0)
	client, server := connect(t, "tcp4", "127.0.0.1")
	for _, tc := range []struct {
		name string
		end  end
		pair wire.Pair
		want uint32
	}{
		{"wrong descriptor", end{fd: server.fd, cookie: client.cookie}, client.pair(), queue.StatusNotYours},
		{"descriptor that is no socket", end{fd: 0, cookie: client.cookie}, client.pair(), queue.StatusNotYours},
		{"closed descriptor", end{fd: 1 << 20, cookie: client.cookie}, client.pair(), queue.StatusNotYours},
		{"wrong cookie", end{fd: client.fd, cookie: client.cookie + 1}, client.pair(), queue.StatusNotYours},
		{"other addresses", end{fd: client.fd, cookie: client.cookie}, server.pair(), queue.StatusNotYours},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := a.Offer(tc.end.fd, tc.end.cookie, tc.end.role, tc.pair); err != nil {
				t.Fatal(err)
			}
			if e := a.next(t); e.Type != queue.MsgRefuse || e.Status != tc.want || e.Cookie != tc.end.cookie {
				t.Errorf("got %+v, want status %d", e.Msg, tc.want)
			}
		})
	}
}

func TestSlotReturns(t *testing.T) {
	for _, tc := range []struct {
		name  string
		leave func(t *testing.T, m *member, e *end, intro wire.Event)
	}{
		{"after Gone", func(t *testing.T, m *member, e *end, intro wire.Event) {
			e.Close()
			if err := m.Gone(e.cookie, intro.Msg.Arena, intro.Slot); err != nil {
				t.Fatal(err)
			}
		}},
		{"after the registration", func(t *testing.T, m *member, e *end, _ wire.Event) {
			e.Close()
			m.Close()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := socketPath(t)
			start(t, path)
			a, b := join(t, path, 0), join(t, path, 0)
			client, server := connect(t, "tcp4", "127.0.0.1")
			ia, ib := pairUp(t, a, b, client, server)
			mem, err := shm.Map(ia.Arena, queue.ArenaSize)
			if err != nil {
				t.Fatal(err)
			}
			defer shm.Unmap(mem)
			ring := mem[queue.RingOff+int(ia.Slot)*2*queue.DirStride:]
			ring[0], ring[2*queue.DirStride-1] = 1, 1
			tc.leave(t, a, client, ia)
			tc.leave(t, b, server, ib)
			waitStat(t, path, func(st *wire.Stat) bool { return len(st.Connections) == 0 })
			if ring[0] != 0 || ring[2*queue.DirStride-1] != 0 {
				t.Error("memory of the rings was kept")
			}
		})
	}
}

// TestHeldSocketKeepsItsSlot closes one of two descriptors of an anchor, as a parent does whose
// forked child goes on.
func TestHeldSocketKeepsItsSlot(t *testing.T) {
	path := socketPath(t)
	start(t, path)
	a, b := join(t, path, 0), join(t, path, 0)
	client, server := connect(t, "tcp4", "127.0.0.1")
	ia, ib := pairUp(t, a, b, client, server)
	copied, err := unix.FcntlInt(uintptr(client.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	server.Close()
	a.Gone(client.cookie, ia.Msg.Arena, ia.Slot)
	b.Gone(server.cookie, ib.Msg.Arena, ib.Slot)
	b.Note(server.cookie, queue.StatusOption, server.pair()) // marks that Gone was read
	st := waitStat(t, path, func(st *wire.Stat) bool { return len(st.Kept) == 1 })
	if len(st.Connections) != 1 {
		t.Error("slot was given away while a descriptor of the anchor was open")
	}
	unix.Close(copied)
	a.Gone(client.cookie, ia.Msg.Arena, ia.Slot)
	waitStat(t, path, func(st *wire.Stat) bool { return len(st.Connections) == 0 })
}

// waitStat asks until ok says so, and returns that answer.
func waitStat(t *testing.T, path string, ok func(*wire.Stat) bool) *wire.Stat {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		st, err := wire.Query(path)
		if err != nil {
			t.Fatal(err)
		}
		if ok(st) {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("never came: %+v", st)
		}
	}
}

func TestOtherLayoutIsRejected(t *testing.T) {
	path := socketPath(t)
	start(t, path)
	c, err := wire.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(&queue.Msg{Type: queue.MsgHello, ABI: queue.ABIHash + 1}); err != nil {
		t.Fatal(err)
	}
	m, _, err := c.Conn.Recv()
	if err != nil || m.Type != queue.MsgWelcome || m.Status != queue.StatusABI {
		t.Fatalf("%+v, %v", m, err)
	}
	if _, _, err := c.Conn.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("%v: want the monitor to hang up", err)
	}
}

func TestSecondMonitorSaysWhoIsFirst(t *testing.T) {
	path := socketPath(t)
	start(t, path)
	_, err := New(path, slog.New(slog.DiscardHandler))
	var running *RunningError
	if !errors.As(err, &running) || strings.TrimSpace(running.PID) == "" {
		t.Fatalf("got %v", err)
	}
}

func TestStaleSocketIsReplacedAndOursRemoved(t *testing.T) {
	path := socketPath(t)
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	stop := start(t, path)
	join(t, path, 0)
	stop()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("socket is still there: %v", err)
	}
}

func TestFileInPlaceOfTheSocketStays(t *testing.T) {
	path := socketPath(t)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(path, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("got %v", err)
	}
}

func TestRestartedMonitorTakesNewConnections(t *testing.T) {
	path := socketPath(t)
	stop := start(t, path)
	a := join(t, path, 0)
	stop()
	if _, err := a.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("%v: want EOF from a stopped monitor", err)
	}
	start(t, path)
	a, b := join(t, path, 0), join(t, path, 0)
	client, server := connect(t, "tcp4", "127.0.0.1")
	pairUp(t, a, b, client, server)
}

func TestSlotSizes(t *testing.T) {
	if n := len(encode(&queue.Slot{})); n != queue.SlotSize {
		t.Errorf("a slot encodes to %d bytes, SlotSize is %d", n, queue.SlotSize)
	}
}
