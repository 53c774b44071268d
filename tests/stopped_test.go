package tests

import (
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/socksdirect/libsd/tests/harness"
)

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// TestStopped: either end is stopped in mid-stream, for up to 300 ms, and goes on: rings fill and drain,
// senders and receivers go to sleep wherever they are, and no byte is lost.
func TestStopped(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		s := startSteady(t, m)
		s.want(m, s.open())
		s.want(m, s.open())
		r := rand.New(rand.NewPCG(3, 4))
		for i := range harness.Size(20, 200) {
			p := []*os.Process{s.client.Cmd.Process, s.server.Cmd.Process}[i%2]
			for _, sig := range []os.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
				if err := p.Signal(sig); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(r.IntN(300_000)) * time.Microsecond >> r.IntN(4))
			}
			s.want(m, i%2)
		}
		s.stop()
	})
}
