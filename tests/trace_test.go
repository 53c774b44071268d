package tests

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/socksdirect/libsd/tests/harness"
)

// recorded is a command line that records into dir; without sd on the kernel alone.
func recorded(sd bool, dir string, args ...string) *exec.Cmd {
	cmd := harness.Command(false, append([]string{harness.SDirect(), "run", "--trace", dir, "--"}, args...)...)
	if !sd {
		cmd.Env = append(cmd.Env, "SDIRECT_OFF=1")
	}
	return cmd
}

// judged is what trace check says of dir.
func judged(t *testing.T, dir string) (string, error) {
	t.Helper()
	out, err := exec.Command(harness.SDirect(), "trace", "check", dir).CombinedOutput()
	return string(out), err
}

// TestTraceOfTraffic: random bytes in random chunks by each kind of loop, on the kernel and on rings,
// are judged right, every one of them.
func TestTraceOfTraffic(t *testing.T) {
	if harness.SDirect() == "" {
		t.Skip("needs sdirect")
	}
	program := harness.C(t, "traffic")
	for _, sd := range []bool{false, true} {
		for _, mode := range []string{"block", "et", "poll", "select", "fork"} {
			name := map[bool]string{false: "kernel-", true: "rings-"}[sd] + mode
			t.Run(name, func(t *testing.T) {
				dir := harness.Dir(t)
				s := harness.Start(t, recorded(sd, dir, program, "server", mode, "4", "3000000", trafficSeed, "4"))
				c := harness.Start(t, recorded(sd, dir, program, "client", mode, "4", "3000000", trafficSeed, "4", s.Port(t)))
				c.Wait(t, time.Minute)
				s.Wait(t, time.Minute)
				out, err := judged(t, dir)
				if err != nil || !strings.Contains(out, "4 connections with both ends") ||
					!strings.Contains(out, "24000000 bytes received as they were sent; 0 compared by number only; 0 not compared") {
					t.Errorf("%v: %s", err, out)
				}
				if mode != "et" {
					return
				}
				if one, again := harness.Replayed(t, dir, 1), harness.Replayed(t, dir, 1); one != again {
					t.Errorf("the same seed gave other events: %s, %s", one, again)
				}
			})
		}
	}
}

// TestTraceOfKilled: what a program did before kill -9 is there.
func TestTraceOfKilled(t *testing.T) {
	if harness.SDirect() == "" {
		t.Skip("needs sdirect")
	}
	program := harness.C(t, "traffic")
	for _, sd := range []bool{false, true} {
		dir := harness.Dir(t)
		s := harness.Start(t, recorded(sd, dir, program, "server", "block", "2", "1000000000000", trafficSeed, "4"))
		c := harness.Start(t, recorded(sd, dir, program, "client", "block", "2", "1000000000000", trafficSeed, "4", s.Port(t)))
		harness.Until(t, func() error {
			out, err := judged(t, dir)
			if n := regexp.MustCompile(`(?m)^(\d+) bytes received`).FindStringSubmatch(out); err == nil && (n == nil || len(n[1]) < 7) {
				err = errors.New("few bytes yet: " + out)
			}
			return err
		})
		if err := c.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) { // ECONNRESET may have ended it
			t.Fatal(err)
		}
		if out, err := judged(t, dir); err != nil || !strings.Contains(out, "2 connections with both ends") {
			t.Errorf("%v: %s", err, out)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.sdt"))
		if err != nil || len(files) != 2 {
			t.Errorf("%d files, %v", len(files), err)
		}
	}
}

// TestTraceImport: logs of strace, with whole strings and with abbreviated ones, are histories too.
func TestTraceImport(t *testing.T) {
	if harness.SDirect() == "" {
		t.Skip("needs sdirect")
	}
	harness.Require(t, "strace")
	program := harness.C(t, "traffic")
	for _, mode := range []string{"block", "et"} { // a forked child gets EINTR from strace
		for size, want := range map[string]string{
			"32":     "; 0 not compared",
			"100000": "400000 bytes received as they were sent; 0 compared by number only; 0 not compared",
		} {
			t.Run(mode+"-"+size, func(t *testing.T) {
				dir := harness.Dir(t)
				logs := []string{filepath.Join(dir, "server"), filepath.Join(dir, "client")}
				strace := func(log string, args ...string) *harness.Proc {
					return harness.Start(t, harness.Command(false, append([]string{"strace", "-f", "-ttt", "-yy", "-T", "-s", size, "-o", log, program}, args...)...))
				}
				s := strace(logs[0], "server", mode, "2", "100000", trafficSeed, "4")
				c := strace(logs[1], "client", mode, "2", "100000", trafficSeed, "4", s.Port(t))
				c.Wait(t, time.Minute)
				s.Wait(t, time.Minute)
				traces := filepath.Join(dir, "t")
				harness.Run(t, time.Minute, harness.Command(false, append([]string{harness.SDirect(), "trace", "import", "--out", traces}, logs...)...))
				if out, err := judged(t, traces); err != nil || !strings.Contains(out, "2 connections with both ends") || !strings.Contains(out, want) {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
	}
}
