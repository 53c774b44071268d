package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/socksdirect/libsd/monitor/wire"
)

// built is a sdirect with its library beside it, or why there is none.
var built struct {
	path string
	err  error
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		panic(err)
	}
	built.path = filepath.Join(dir, "sdirect")
	built.err = buildProgram(dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func buildProgram(dir string) error {
	for _, args := range [][]string{
		{"go", "build", "-o", filepath.Join(dir, "sdirect"), "."},
		{filepath.Join(dir, "sdirect"), "lib", "--dir", dir},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return errors.New(string(out))
		}
	}
	return nil
}

// testSocket is a directory for a monitor of the test's own; a monitor in it is ended with the test.
func testSocket(t *testing.T) (socket string) {
	t.Helper()
	if built.err != nil {
		t.Skip("needs a Go and a C compiler: ", built.err)
	}
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "m.sock")
	t.Cleanup(func() {
		if st, err := wire.Query(socket); err == nil {
			syscall.Kill(st.Monitor.PID, syscall.SIGKILL)
		}
		os.RemoveAll(dir)
	})
	return socket
}

// sdirect runs it to its end.
func sdirect(socket string, args ...string) (stdout, stderr string, code int) {
	cmd := exec.Command(built.path, args...)
	cmd.Env = append(os.Environ(), wire.EnvSocket+"="+socket)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.Run()
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func TestRunExitCodes(t *testing.T) {
	socket := testSocket(t)
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("exit $1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args []string
		want int
	}{
		{"the program's", []string{"sh", "-c", "exit 7"}, 7},
		{"script without interpreter line", []string{script, "9"}, 9},
		{"not found", []string{"no-such-program"}, 127},
		{"no such path", []string{"/no/such/program"}, 127},
		{"not executable", []string{"/etc/passwd"}, 126},
		{"directory", []string{"/etc"}, 126},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, errOut, code := sdirect(socket, append([]string{"run", "--"}, tc.args...)...); code != tc.want {
				t.Errorf("code %d, want %d: %s", code, tc.want, errOut)
			}
		})
	}
	if _, errOut, code := sdirect("/no/such/dir/m.sock", "run", "true"); code != 125 || !strings.Contains(errOut, "--no-monitor") {
		t.Errorf("no monitor possible: code %d: %s", code, errOut)
	}
	if _, errOut, code := sdirect("/no/such/dir/m.sock", "run", "--no-monitor", "true"); code != 0 {
		t.Errorf("no monitor wanted: code %d: %s", code, errOut)
	}
}

func TestRunSetsTheEnvironment(t *testing.T) {
	socket := testSocket(t)
	t.Setenv("LD_PRELOAD", "libc.so.6")
	out, errOut, _ := sdirect(socket, "run", "sh", "-c", "echo $LD_PRELOAD; echo $SDIRECT_SOCKET")
	lib := filepath.Join(filepath.Dir(built.path), "libsd.so")
	if want := lib + ":libc.so.6\n" + socket + "\n"; out != want {
		t.Errorf("got %q, want %q (%s)", out, want, errOut)
	}
}

// TestRunLeavesNoChild would find the monitor among the children of the program that run became.
func TestRunLeavesNoChild(t *testing.T) {
	socket := testSocket(t)
	out, errOut, _ := sdirect(socket, "run", "sh", "-c", "cat /proc/self/task/*/children /proc/$$/task/$$/children; echo pid $$")
	st, err := wire.Query(socket)
	if err != nil {
		t.Fatalf("run started no monitor: %v: %s", err, errOut)
	}
	if strings.Contains(" "+out, " "+strconv.Itoa(st.Monitor.PID)+" ") {
		t.Errorf("monitor %d is a child of the program: %s", st.Monitor.PID, out)
	}
}

func TestManyRunsStartOneMonitor(t *testing.T) {
	socket := testSocket(t)
	var runs []*exec.Cmd
	for range 4 {
		cmd := exec.Command(built.path, "run", "true")
		cmd.Env = append(os.Environ(), wire.EnvSocket+"="+socket)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		runs = append(runs, cmd)
	}
	for _, cmd := range runs {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	log, err := os.ReadFile(logPath(socket))
	if n := strings.Count(string(log), "msg=serving"); n != 1 || err != nil {
		t.Errorf("%d monitors served (%v):\n%s", n, err, log)
	}
}

func TestMonitorInTheForeground(t *testing.T) {
	socket := testSocket(t)
	if _, errOut, code := sdirect(socket, "monitor", "--background"); code != 0 {
		t.Fatal(errOut)
	}
	if _, errOut, code := sdirect(socket, "monitor"); code != 3 || !strings.Contains(errOut, "already (pid ") {
		t.Errorf("second monitor: code %d: %s", code, errOut)
	}
	if _, errOut, code := sdirect(socket, "monitor", "--log-level", "loud"); code != 1 || !strings.Contains(errOut, "debug, info") {
		t.Errorf("bad level: code %d: %s", code, errOut)
	}
}

func TestStat(t *testing.T) {
	socket := testSocket(t)
	if _, errOut, code := sdirect(socket, "stat"); code != 1 || !strings.Contains(errOut, "start one with") {
		t.Errorf("no monitor: code %d: %s", code, errOut)
	}
	sdirect(socket, "monitor", "--background")
	out, errOut, _ := sdirect(socket, "stat", "--json")
	var st wire.Stat
	if err := json.Unmarshal([]byte(out), &st); err != nil || st.Monitor.PID == 0 {
		t.Errorf("%v: %s%s", err, out, errOut)
	}
}

func TestPrintStat(t *testing.T) {
	st := &wire.Stat{
		Processes: []wire.ProcessStat{{PID: 10, UID: 1000, Name: "redis-server"}},
		Connections: []wire.ConnectionStat{{
			Local: "127.0.0.1:5000", Remote: "127.0.0.1:6379", PID: [2]int{20, 10}, Name: [2]string{"cli", "redis-server"},
			Dir: [2]wire.DirStat{{Path: "shm", Class: "hot", Total: 7}, {Path: "kernel", Reason: "left the ring at byte 9", Total: 9}},
		}},
		Kept:     []wire.KeptStat{{Local: "127.0.0.1:5001", Remote: "127.0.0.1:80", PID: 20, Name: "cli", Reason: "forbidden by policy"}},
		Counters: map[string]uint64{"promoted": 2, "park": 0},
	}
	var out bytes.Buffer
	if err := printStat(&out, st); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"shm/hot", "7/9", "cli(20) -> redis-server(10)", "left the ring at byte 9", "forbidden by policy", "promoted 2\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
