package monitor

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
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
	keepsSlot(t, func(_ *member, e *end, _ wire.Event) (release func()) {
		fd := dup(t, e.fd)
		return func() { unix.Close(fd) }
	})
}

// TestClaimKeepsASlot: a forked child's socket is in state CLOSE, so that only its claim tells of it.
// The claim dies with the descriptor, as with a process.
func TestClaimKeepsASlot(t *testing.T) {
	for _, everything := range []bool{false, true} {
		keepsSlot(t, func(m *member, e *end, intro wire.Event) (release func()) {
			f, err := reopen(m.bellFD)
			if err != nil {
				t.Fatal(err)
			}
			lock := unix.Flock_t{Type: unix.F_RDLCK, Start: queue.ClaimAll, Len: 1}
			if everything {
				err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
			} else {
				err = queue.Claim(int(f.Fd()), intro.Msg.Arena, intro.Slot, int(intro.End))
			}
			if err != nil {
				t.Fatal(err)
			}
			return func() { f.Close() }
		})
	}
}

// keepsSlot has both processes give a slot up while what hold did lasts.
func keepsSlot(t *testing.T, hold func(*member, *end, wire.Event) (release func())) {
	path := socketPath(t)
	start(t, path)
	a, b := join(t, path, 0), join(t, path, 0)
	client, server := connect(t, "tcp4", "127.0.0.1")
	ia, ib := pairUp(t, a, b, client, server)
	release := hold(a, client, ia)
	client.Close()
	server.Close()
	a.Gone(client.cookie, ia.Msg.Arena, ia.Slot)
	b.Gone(server.cookie, ib.Msg.Arena, ib.Slot)
	b.Note(server.cookie, queue.StatusOption, server.pair()) // marks that Gone was read
	st := waitStat(t, path, func(st *wire.Stat) bool { return len(st.Kept) == 1 })
	if len(st.Connections) != 1 {
		t.Error("slot was given away")
	}
	release()
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
	again, b := showPage(t, path, a), join(t, path, 0)
	client, server := connect(t, "tcp4", "127.0.0.1")
	_, atServer := pairUp(t, again, b, client, server)
	if key := shm.At[queue.BellPage](mapBell(t, atServer.PeerBell), 0).Key; key != a.page().Key {
		t.Error("peer was not given the page that the process kept")
	}
	waitMail(t, a)
}

// showPage registers as a process does that has a page from an earlier monitor.
func showPage(t *testing.T, path string, old *member) *member {
	t.Helper()
	c, err := wire.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(patience))
	if err := c.Send(&queue.Msg{Type: queue.MsgHello, ABI: queue.ABIHash, Key: old.page().Key}, old.bellFD); err != nil {
		t.Fatal(err)
	}
	m, fds, err := c.Conn.Recv()
	if err != nil || m.Status != queue.StatusOK || len(fds) != 0 {
		t.Fatalf("%+v, %d descriptors, %v: want Welcome without a new page", m, len(fds), err)
	}
	return &member{Client: c, proc: m.Proc, bell: old.bell, bellFD: old.bellFD}
}

func TestOnlyASoundPageIsTakenOver(t *testing.T) {
	path := socketPath(t)
	start(t, path)
	file, err := os.Create(filepath.Join(t.TempDir(), "page"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sealed, err := shm.CreateSealed("test", queue.BellPageSize)
	if err != nil {
		t.Fatal(err)
	}
	defer sealed.Close()
	for name, fd := range map[string]int{"file that can shrink": int(file.Fd()), "page without a layout": int(sealed.Fd())} {
		t.Run(name, func(t *testing.T) {
			c, err := wire.Dial(path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Send(&queue.Msg{Type: queue.MsgHello, ABI: queue.ABIHash, Key: 5}, fd); err != nil {
				t.Fatal(err)
			}
			m, fds, err := c.Conn.Recv()
			defer wire.CloseAll(fds)
			if err != nil || m.Status != queue.StatusOK || len(fds) != 1 {
				t.Errorf("%+v, %d descriptors, %v: want a page of the monitor's own", m, len(fds), err)
			}
		})
	}
}

func TestSlotSizes(t *testing.T) {
	if n := len(encode(&queue.Slot{})); n != queue.SlotSize {
		t.Errorf("a slot encodes to %d bytes, SlotSize is %d", n, queue.SlotSize)
	}
}
