package socket

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
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

// wasRead demands that the peer's direction went through a ring as well.
func wasRead(t *testing.T, c *Conn) {
	t.Helper()
	if c.link.Load().recver.Head() == 0 {
		t.Error("the peer never left TCP")
	}
}
