package monitor

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

// envRole makes the test binary play a process of its own: "hello" registers and says what it was
// told; "connect ADDRESS" also offers a connection and then waits to be killed; "dial" connects the socket
// that it inherits, and ends.
const envRole = "SD_TEST_ROLE"

const inheritedFD = 3 // the first of ExtraFiles

func TestMain(m *testing.M) {
	if role := os.Getenv(envRole); role != "" {
		if err := play(role); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func play(role string) error {
	if role == "dial" {
		return unix.Connect(inheritedFD, &unix.SockaddrUnix{Name: os.Getenv(wire.EnvSocket)})
	}
	c, err := wire.Dial("")
	if err != nil {
		return err
	}
	_, err = c.Hello(0)
	var refused *wire.RefusedError
	if errors.As(err, &refused) {
		fmt.Println("refused", refused.Status)
		return nil
	}
	if err != nil {
		return err
	}
	address, ok := strings.CutPrefix(role, "connect ")
	if !ok {
		fmt.Println("welcome")
		return nil
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	e, err := endOf(conn, queue.RoleConnect)
	if err != nil {
		return err
	}
	if err := c.Offer(e.fd, e.cookie, e.role, e.pair()); err != nil {
		return err
	}
	fmt.Println("offered")
	os.Stdin.Read(make([]byte, 1)) // until we are killed, or the test is
	return nil
}

// player starts a process in a role. Its standard input stays open until the test ends.
func player(t *testing.T, path, role string, attr *syscall.SysProcAttr) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if attr != nil && attr.Credential != nil {
		exe = copyForAll(t, exe)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envRole+"="+role, wire.EnvSocket+"="+path)
	cmd.SysProcAttr = attr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) {
		t.Skip("needs root: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

// copyForAll places the test binary where another user can execute it.
func copyForAll(t *testing.T, exe string) string {
	t.Helper()
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(filepath.Dir(socketPath(t)), "player")
	if err := errors.Join(os.WriteFile(path, b, 0o755), os.Chmod(filepath.Dir(path), 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

func says(t *testing.T, s *bufio.Scanner) string {
	t.Helper()
	if !s.Scan() {
		t.Fatalf("the process said nothing: %v", s.Err())
	}
	return s.Text()
}

// TestDeath kills a process with a connection. What it left must be cleared: its bells, its peer's
// sleep, and with the peer's end the slot and the arena. What it counted stays.
func TestDeath(t *testing.T) {
	path := socketPath(t)
	start(t, path)
	me := join(t, path, 0)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd, out := player(t, path, "connect "+l.Addr().String(), nil)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	mine := newEnd(t, conn, queue.RoleAccept)
	if got := says(t, out); got != "offered" {
		t.Fatal(got)
	}
	me.offer(t, mine)
	intro := me.next(t)
	if intro.Type != queue.MsgIntro {
		t.Fatalf("got %+v", intro.Msg)
	}
	defer wire.CloseAll([]int{intro.Arena})

	page := mapBell(t, intro.PeerBell)
	shm.Store64(&shm.At[queue.BellPage](page, 0).Count[queue.CountPromoted], 3)
	theirs := shm.At[queue.Bell](page, queue.BellOff+3*64)
	shm.Store32(&theirs.Owner, uint32(cmd.Process.Pid))
	asleep := sleepOn(t, me)
	cmd.Process.Kill()
	cmd.Wait()

	asleep.SetReadDeadline(time.Now().Add(patience))
	if _, err := asleep.Read(make([]byte, 1)); err != nil {
		t.Fatal("the peer of the dead was not woken: ", err)
	}
	if owner := shm.Load32(&theirs.Owner); owner != 0 {
		t.Errorf("bell of the dead still belongs to %d", owner)
	}
	mine.Close()
	if err := me.Gone(mine.cookie, intro.Msg.Arena, intro.Slot); err != nil {
		t.Fatal(err)
	}
	waitStat(t, path, func(st *wire.Stat) bool {
		return len(st.Connections) == 0 && len(st.Processes) == 1 && st.Monitor.Arenas == 0 &&
			st.Counters["promoted"] == 0 && st.Totals["promoted"] == 3
	})
}

// TestHelloOfTheDead: a process connects and is dead, and waited for, when its Hello is read. Whom it may have
// marked and not rung for is woken.
func TestHelloOfTheDead(t *testing.T) {
	path := socketPath(t)
	start(t, path)
	parent, peer := join(t, path, 0), join(t, path, 0)
	client, server := connect(t, "tcp4", "127.0.0.1")
	atClient, atServer := pairUp(t, parent, peer, client, server)
	defer wire.CloseAll([]int{atClient.Arena, atClient.PeerBell, atServer.Arena, atServer.PeerBell})
	asleep := sleepOn(t, peer)

	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	sock := os.NewFile(uintptr(fd), "registration")
	defer sock.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), envRole+"=dial", wire.EnvSocket+"="+path)
	child.ExtraFiles = []*os.File{sock}
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conn, err := net.FileConn(sock)
	if err != nil {
		t.Fatal(err)
	}
	dead := wire.NewConn(conn.(*net.UnixConn))
	defer dead.Close()
	hello := &queue.Msg{Type: queue.MsgHello, ABI: queue.ABIHash, Key: parent.page().Key}
	if err := dead.Send(hello); err != nil {
		t.Fatal(err)
	}
	asleep.SetReadDeadline(time.Now().Add(patience))
	if _, err := asleep.Read(make([]byte, 1)); err != nil {
		t.Fatal("the peer of the dead was not woken: ", err)
	}
}

// sleepOn makes a bell in m's page on which somebody sleeps, and returns its socket.
func sleepOn(t *testing.T, m *member) *net.UnixConn {
	t.Helper()
	nonce := queue.NewNonce()
	sock, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: queue.BellAddress(nonce), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close() })
	b := shm.At[queue.Bell](m.bell, queue.BellOff)
	shm.Store64(&b.Nonce, nonce)
	shm.Store32(&b.Owner, uint32(os.Getpid()))
	shm.Store32(&b.Parked, 1)
	return sock
}

func TestOtherNamespaceIsRefused(t *testing.T) {
	path := socketPath(t)
	start(t, path)
	_, out := player(t, path, "hello", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET})
	if got, want := says(t, out), fmt.Sprint("refused ", queue.StatusNamespace); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRootServesOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path := socketPath(t)
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	start(t, path)
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	_, out := player(t, path, "hello", nobody)
	if got := says(t, out); got != "welcome" {
		t.Errorf("got %q", got)
	}
}

// TestSilentProcessHoldsNobodyUp fills the queue of a process that reads nothing.
func TestSilentProcessHoldsNobodyUp(t *testing.T) {
	path := socketPath(t)
	start(t, path)
	silent, a, b := join(t, path, 0), join(t, path, 0), join(t, path, 0)
	client, server := connect(t, "tcp4", "127.0.0.1")
	for range 4096 {
		if err := silent.Offer(1<<20, 1, queue.RoleConnect, client.pair()); err != nil {
			t.Fatal(err)
		}
	}
	silent.offer(t, client)
	b.offer(t, server)
	if e := b.next(t); e.Type != queue.MsgRefuse || e.Status != queue.StatusLimit {
		t.Errorf("peer of the silent one got %+v", e.Msg)
	}
	client, server = connect(t, "tcp4", "127.0.0.1")
	pairUp(t, a, b, client, server)
}
