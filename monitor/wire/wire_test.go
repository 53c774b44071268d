package wire

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/queue"
)

func TestMsgSizeIsTheStructure(t *testing.T) {
	if got := reflect.TypeFor[queue.Msg]().Size(); got != MsgSize {
		t.Fatalf("sizeof(queue.Msg) = %d, MsgSize = %d", got, MsgSize)
	}
}

// TestEncodingFollowsOffsets sets one byte of the packet for each field and finds it in that field.
func TestEncodingFollowsOffsets(t *testing.T) {
	typ := reflect.TypeFor[queue.Msg]()
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Name == "_" {
			continue
		}
		b := make([]byte, MsgSize)
		b[f.Offset] = 7
		m, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		v := reflect.ValueOf(m).Field(i)
		if f.Type.Kind() == reflect.Array {
			v = v.Index(0)
		}
		if v.Uint() != 7 {
			t.Errorf("%s at offset %d: got %d", f.Name, f.Offset, v.Uint())
		}
		if got := Encode(&m); string(got) != string(b) {
			t.Errorf("%s: encodes to %x", f.Name, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(make([]byte, MsgSize))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if (err == nil) != (len(b) == MsgSize) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		PairOf(&m)
	})
}

func TestPairNormalisesMappedAddresses(t *testing.T) {
	four := netip.MustParseAddrPort("127.0.0.1:80")
	mapped := netip.MustParseAddrPort("[::ffff:127.0.0.1]:80")
	var m queue.Msg
	SetPair(&m, Pair{Local: four, Remote: mapped})
	if p := PairOf(&m); p.Local != four || p.Remote != four {
		t.Fatalf("got %v", p)
	}
}

// socketPair is two connected sockets as Dial and accept make them.
func socketPair(t *testing.T) (a, b *Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]*Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = NewConn(c.(*net.UnixConn))
		t.Cleanup(func() { c.Close() })
	}
	return conns[0], conns[1]
}

func TestDescriptorsTravelCloseOnExec(t *testing.T) {
	a, b := socketPair(t)
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := a.Send(&queue.Msg{Type: queue.MsgIntro, Cookie: 9}, int(f.Fd()), int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	m, fds, err := b.Recv()
	if err != nil || m.Cookie != 9 || len(fds) != 2 {
		t.Fatalf("%v %v %v", m, fds, err)
	}
	defer CloseAll(fds)
	if flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v: want FD_CLOEXEC", flags, err)
	}
}

func TestTrySendDoesNotWait(t *testing.T) {
	a, _ := socketPair(t)
	for range 1 << 16 {
		if err := a.TrySend(&queue.Msg{}); err != nil {
			if !errors.Is(err, unix.EAGAIN) {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("a socket that nobody reads took 65536 messages")
}

func TestDirectoryOfASocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sdirect")
	if err := MakeDir(dir); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(dir); err != nil {
		t.Fatalf("second time: %v", err)
	}
	if err := CheckDir(dir, os.Geteuid()+1); err == nil || !strings.Contains(err.Error(), "belongs to uid") {
		t.Errorf("other owner: %v", err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(dir); err == nil || !strings.Contains(err.Error(), "run chmod") {
		t.Errorf("open to everybody: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(file); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("file: %v", err)
	}
}

func TestSocketPathObeysTheEnvironment(t *testing.T) {
	t.Setenv(EnvSocket, "/x/y.sock")
	if p, err := SocketPath(); err != nil || p != "/x/y.sock" {
		t.Errorf("%q, %v", p, err)
	}
	t.Setenv(EnvSocket, "")
	if p, err := SocketPath(); err != nil || !strings.Contains(p, "/net-") {
		t.Errorf("%q, %v", p, err)
	}
}
