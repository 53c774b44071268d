package socket

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/socksdirect/libsd/monitor"
	"github.com/socksdirect/libsd/monitor/wire"
)

// patience bounds loops that wait for another process; it measures nothing.
const patience = 30 * time.Second

// withMonitor runs a monitor for this process and the ones it starts, until the test ends.
func withMonitor(t testing.TB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.sock")
	d, err := monitor.New(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	t.Setenv(wire.EnvSocket, path)
	current.Lock()
	current.tried = time.Time{}
	current.Unlock()
	t.Cleanup(func() {
		stop()
		<-done
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			current.Lock()
			gone := current.domain == nil
			current.Unlock()
			if gone {
				return
			}
		}
		t.Error("the end of the monitor was not noticed")
	})
}

// untilOpened echoes until both directions are in rings.
func untilOpened(t testing.TB, conns ...*Conn) {
	t.Helper()
	opened := func(c *Conn) bool {
		c.wr.Lock()
		defer c.wr.Unlock()
		l := c.link.Load()
		return l != nil && l.sender.Opened()
	}
	p := make([]byte, 16)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		all := true
		for _, c := range conns {
			all = all && opened(c)
		}
		if all {
			return
		}
		if _, err := conns[0].Write(p); err != nil {
			t.Fatal(err)
		}
		if len(conns) == 2 {
			exchangeBack(t, conns[1], p)
		}
		if _, err := io.ReadFull(conns[0], p); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("never promoted")
}

func exchangeBack(t testing.TB, c *Conn, p []byte) {
	t.Helper()
	if _, err := io.ReadFull(c, p); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

func TestMonitorIntroducesBothEndsOfOneProcess(t *testing.T) {
	withMonitor(t)
	for range 20 {
		a, b := kernelPair(t)
		untilOpened(t, a, b)
		bothWays(t, a, b, 1<<20, func() {})
		a.Close()
		b.Close()
	}
}

// TestConnectionsOutliveTheMonitor stops the monitor between promotion and traffic.
func TestConnectionsOutliveTheMonitor(t *testing.T) {
	var a, b *Conn
	t.Run("monitor", func(t *testing.T) {
		withMonitor(t)
		a, b = kernelPair(t)
		untilOpened(t, a, b)
	})
	defer a.Close()
	defer b.Close()
	bothWays(t, a, b, 1<<20, func() {})
	c, d := kernelPair(t)
	defer c.Close()
	defer d.Close()
	bothWays(t, c, d, 1<<20, func() {})
}

const echoEnv = "SDIRECT_TEST_ECHO"

// echo is the other process: it serves one connection at a time until it is killed.
func echo() error {
	l, err := listen()
	if err != nil {
		return err
	}
	os.Stdout.WriteString(l.Addr().String() + "\n")
	for {
		c, err := l.AcceptConn()
		if err != nil {
			return err
		}
		io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		c.Close()
	}
}

// goEcho is this test binary as the other process.
func goEcho() *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), echoEnv+"=1")
	cmd.Stderr = os.Stderr
	return cmd
}

// startEcho starts the other process and gives its address.
func startEcho(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	buf := make([]byte, 64)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n-1])
}

func TestStreamThroughAnotherProcess(t *testing.T) {
	withMonitor(t)
	addr := startEcho(t, goEcho())
	for range 3 {
		c, err := dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		untilOpened(t, c)
		bothEnds(t, c, *streamBytes)
		c.Close()
	}
}

// bothEnds sends n bytes into an echo and checks what comes back.
func bothEnds(t *testing.T, c *Conn, n int64) {
	t.Helper()
	sent := make(chan error)
	go func() { sent <- errors.Join(send(c, 5, n), c.CloseWrite()) }()
	err := receive(c, 5, n, true)
	if err := errors.Join(err, <-sent); err != nil {
		t.Error(err)
	}
}

// TestPeerProcessIsKilled kills the peer in the middle of a stream: reads must end, and with an
// error, because bytes of ours were lost.
func TestPeerProcessIsKilled(t *testing.T) {
	withMonitor(t)
	for range 5 {
		cmd := goEcho()
		addr := startEcho(t, cmd)
		c, err := dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		untilOpened(t, c)
		cmd.Process.Signal(syscall.SIGSTOP)
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
			t.Fatalf("not stopped: %v", err)
		}
		if _, err := c.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		cmd.Process.Kill()
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{c}); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read from the dead: %v", err)
		}
		if _, err := c.Write([]byte{1}); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write to the dead: %v", err)
		}
		c.Close()
	}
}
