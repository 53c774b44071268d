package golibs

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/socksdirect/libsd/monitor"
	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/socket"
)

// TestMain runs all tests beside a monitor of their own.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "golibs")
	if err != nil {
		panic(err)
	}
	path := filepath.Join(dir, "m.sock")
	os.Setenv(wire.EnvSocket, path)
	d, err := monitor.New(path, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	go d.Run(context.Background())
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// dialer dials with package socket and remembers the connections.
type dialer struct {
	mu    sync.Mutex
	conns []*socket.Conn
}

func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&socket.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, address)
	if err == nil {
		d.mu.Lock()
		d.conns = append(d.conns, c.(*socket.Conn))
		d.mu.Unlock()
	}
	return c, err
}

// promoted tells whether all connections are.
func (d *dialer) promoted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		if !c.Promoted() {
			return false
		}
	}
	return len(d.conns) > 0
}

// libsd is the environment that puts a program under libsd.so.
func libsd(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "run", "./cmd/sdirect", "lib", "--dir", dir)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return append(os.Environ(), "LD_PRELOAD="+filepath.Join(dir, "libsd.so"))
}
