package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// underLibsd builds libsd.so and the echo program, and gives a command that runs it.
func underLibsd(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no C compiler")
	}
	dir := t.TempDir()
	lib, bin := filepath.Join(dir, "libsd.so"), filepath.Join(dir, "echo")
	sources, err := filepath.Glob("../preload/*.c")
	if err != nil || len(sources) == 0 {
		t.Skip("no sources of libsd.so")
	}
	for _, build := range [][]string{
		append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", "-o", lib}, sources...),
		{"-O2", "-o", bin, "testdata/echo.c"},
	} {
		if out, err := exec.Command(cc, build...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+lib)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestStreamThroughAProgramUnderLibsd(t *testing.T) {
	withMonitor(t)
	t.Run("Go connects", func(t *testing.T) {
		addr := startEcho(t, underLibsd(t, "listen"))
		for range 3 {
			c, err := dial(addr)
			if err != nil {
				t.Fatal(err)
			}
			untilOpened(t, c)
			bothEnds(t, c, *streamBytes)
			wasRead(t, c)
			c.Close()
		}
	})
	t.Run("Go accepts", func(t *testing.T) {
		l, err := listen()
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		cmd := underLibsd(t, "connect", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		c, err := l.AcceptConn()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		untilOpened(t, c)
		bothEnds(t, c, *streamBytes)
		wasRead(t, c)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestPeerDiesBehindItsBytes: FIN waits behind bytes that are not read, and a write that waits for room is
// to be told nevertheless.
func TestPeerDiesBehindItsBytes(t *testing.T) {
	withMonitor(t)
	l, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := underLibsd(t, "flood", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	c, err := l.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	untilOpened(t, c)
	if _, err := c.Write([]byte("F")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("full"))); err != nil {
		t.Fatal(err)
	}
	for n := 1; n > 0; {
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err = c.Write(make([]byte, 1<<20)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	c.SetWriteDeadline(time.Time{})
	wrote := make(chan error)
	go func() {
		_, err := c.Write([]byte{1})
		wrote <- err
	}()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a write that waited: %v", err)
	}
	if _, err := c.Write([]byte{1}); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("the next write: %v", err)
	}
}

// wasRead demands that the peer's direction went through a ring as well.
func wasRead(t *testing.T, c *Conn) {
	t.Helper()
	if c.link.Load().recver.Head() == 0 {
		t.Error("the peer never left TCP")
	}
}
