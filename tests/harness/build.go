package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var building sync.Mutex

// Programs is the directory of what was built: of the test run that runs this one, or our own.
func Programs() string {
	if dir := os.Getenv("SD_PROGRAMS"); dir != "" {
		return dir
	}
	return filepath.Join(run.dir, "bin")
}

// once builds a program the first time it is asked for; it lives as long as the test run.
func once(t *testing.T, name string, build func(out string) *exec.Cmd) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	out := filepath.Join(Programs(), name)
	if _, err := os.Stat(out); err == nil {
		return out
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := build(out)
	cmd.Dir = run.root
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, b)
	}
	return out
}

// C builds tests/prog/NAME*.c.
func C(t *testing.T, name string) string {
	t.Helper()
	return compiled(t, name)
}

// Static builds it without a loader, which could preload something.
func Static(t *testing.T, name string) string {
	t.Helper()
	return compiled(t, name, "-static")
}

// Module builds it for dlopen, with a RUNPATH to where it lies.
func Module(t *testing.T, name string) string {
	t.Helper()
	return compiled(t, name, "-shared", "-fPIC", "-Wl,--enable-new-dtags,-rpath,$ORIGIN")
}

func compiled(t *testing.T, name string, flags ...string) string {
	t.Helper()
	src, err := filepath.Glob(filepath.Join(run.root, "tests", "prog", name+"*.c"))
	if err != nil || len(src) == 0 {
		t.Fatalf("no sources of %s: %v", name, err)
	}
	return once(t, name, func(out string) *exec.Cmd {
		args := []string{"-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Wno-unused-result", "-pthread", "-o", out}
		return exec.Command("gcc", slices.Concat(flags, args, src)...)
	})
}

// Go builds the main package tests/NAME without cgo.
func Go(t *testing.T, name string) string {
	t.Helper()
	return once(t, name, func(out string) *exec.Cmd {
		cmd := exec.Command("go", "build", "-o", out, "./tests/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		return cmd
	})
}

// Replay builds sdreplay, which has the simulator in it.
func Replay(t *testing.T) string {
	t.Helper()
	return once(t, "sdreplay", func(out string) *exec.Cmd {
		cmd := exec.Command("go", "build", "-tags", "sim", "-o", out, "./cmd/sdreplay")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
		return cmd
	})
}

// Replayed is the last line of a replay of the history in dir: seed and hash.
func Replayed(t *testing.T, dir string, seed int) string {
	t.Helper()
	out := Run(t, 5*time.Minute, Command(false, Replay(t), "-seed", strconv.Itoa(seed), "-connections", "40", "-steps", "500", dir))
	t.Log(out)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}
