package socket

import (
	"net"
	"os"
	"testing"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

// TestMain keeps a monitor of the machine out of the tests: they introduce by hand, or start one.
func TestMain(m *testing.M) {
	if os.Getenv(echoEnv) != "" {
		if err := echo(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
		}
		os.Exit(1)
	}
	os.Setenv(wire.EnvSocket, "/nonexistent/sdirect.sock")
	os.Exit(m.Run())
}

// byHand is a domain without a monitor, with one arena for both ends of every test connection.
type byHand struct {
	*domain
	shared sharedArena
	slots  shm.Counter
}

func newByHand(t testing.TB) *byHand {
	t.Helper()
	page, err := queue.NewPage(sealedMemory(t, queue.BellPageSize))
	if err != nil {
		t.Fatal(err)
	}
	arena, err := queue.NewArena(sealedMemory(t, queue.ArenaSize))
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDomain(page)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.sock.Close()
		d.anchors.close()
	})
	return &byHand{domain: d, shared: sharedArena{arena, page}}
}

// sealedMemory stays mapped until the test binary ends, as in production.
func sealedMemory(t testing.TB, size int) []byte {
	t.Helper()
	f, err := shm.CreateSealed("test", int64(size))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, err := shm.Map(int(f.Fd()), size)
	if err != nil {
		t.Fatal(err)
	}
	return mem
}

func listen() (*Listener, error) {
	l, err := Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return l.(*Listener), nil
}

func dial(address string) (*Conn, error) {
	c, err := Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return c.(*Conn), nil
}

// kernelPair is a connection that nobody promotes.
func kernelPair(t testing.TB) (client, server *Conn) {
	t.Helper()
	l, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

// introduce promotes both ends of a pair as the monitor would.
func (d *byHand) introduce(t testing.TB, client, server *Conn) {
	t.Helper()
	slot := d.slots.Add(1) - 1
	for end, c := range []*Conn{client, server} {
		if !c.promote(d.shared, place{slot: slot, end: end}) {
			t.Fatal("promotion failed")
		}
	}
}

// promotedPair is a connection whose next bytes go through rings.
func (d *byHand) promotedPair(t testing.TB) (client, server *Conn) {
	t.Helper()
	client, server = kernelPair(t)
	client.dom, server.dom = d.domain, d.domain
	client.offered.Store(true)
	server.offered.Store(true)
	d.introduce(t, client, server)
	return client, server
}

func pipe(client, server *Conn) (net.Conn, net.Conn, func(), error) {
	return client, server, func() { client.Close(); server.Close() }, nil
}
