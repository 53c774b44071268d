package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/socksdirect/libsd/monitor/wire"
)

// Setup is what programs find around them: who they are and which monitor is theirs.
type Setup struct {
	SDirect   string // "" in a native run
	Socket    string // of the monitor; "": the place that sdirect chooses
	NoMonitor bool   // none is started, whether or not there is one
	Trace     string // directory into which all programs under libsd are recorded; "": none
	UID       uint32 // 0: the user who runs the tests
	Env       []string
}

// Command is a command line, under libsd if sd.
func (s *Setup) Command(sd bool, args ...string) *exec.Cmd {
	if sd {
		args = append(s.Prefix(), args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = cmd.Environ()
	if s.Socket != "" {
		cmd.Env = append(cmd.Env, wire.EnvSocket+"="+s.Socket)
	}
	if sd {
		cmd.Env = append(cmd.Env, strings.Fields(os.Getenv("SD_RUN_ENV"))...)
	}
	cmd.Env = append(cmd.Env, s.Env...)
	if s.UID != 0 {
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: s.UID, Gid: s.UID}}
	}
	return cmd
}

// Prefix is the beginning of a command line under libsd.
func (s *Setup) Prefix() []string {
	args := []string{s.SDirect, "run"}
	if s.NoMonitor {
		args = append(args, "--no-monitor")
	}
	if s.Trace != "" {
		args = append(args, "--trace", s.Trace)
	}
	return append(args, "--")
}

func (s *Setup) stat() (*wire.Stat, error) {
	out, err := s.Command(false, s.SDirect, "stat", "--json").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("sdirect stat: %w", err)
	}
	st := new(wire.Stat)
	if err := json.Unmarshal(out, st); err != nil {
		return nil, fmt.Errorf("sdirect stat: %w", err)
	}
	return st, nil
}

// Stat asks the setup's monitor.
func (s *Setup) Stat(t *testing.T) *wire.Stat {
	t.Helper()
	st, err := s.stat()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// Unserved waits until no monitor serves the setup: one that was killed may take a while to die.
func (s *Setup) Unserved(t *testing.T) {
	t.Helper()
	Until(t, func() error {
		if st, err := s.stat(); err == nil {
			return fmt.Errorf("monitor %d answers", st.Monitor.PID)
		}
		return nil
	})
}

// Explain shows what the setup's monitor knows if the test has failed.
func (s *Setup) Explain(t *testing.T) {
	if !t.Failed() || s.SDirect == "" || s.NoMonitor {
		return
	}
	st, err := s.stat()
	b, _ := json.MarshalIndent(st, "", "  ")
	log, _ := os.ReadFile(s.Socket + ".log") // of one that sdirect run started
	t.Logf("the monitor: %v\n%s\n%s", err, b, tail(string(log)))
}

// Clean waits until the setup's monitor knows no process and no connection.
func (s *Setup) Clean(t *testing.T) {
	t.Helper()
	Until(t, func() error {
		st, err := s.stat()
		if err != nil {
			return err
		}
		if n, p, w := len(st.Connections), len(st.Processes), len(st.Waiting); n+p+w+st.Monitor.Arenas != 0 {
			return fmt.Errorf("the monitor still has %d connections, %d processes, %d offers, %d arenas", n, p, w, st.Monitor.Arenas)
		}
		return nil
	})
}

// OtherUser is a setup of another user, with a monitor of his own that sdirect run starts; it is
// ended with the test. Needs root.
func OtherUser(t *testing.T, uid uint32) *Setup {
	t.Helper()
	if run.setup.SDirect == "" {
		return &Setup{UID: uid}
	}
	dir := Dir(t)
	s := &Setup{SDirect: forAll(t), UID: uid, Socket: filepath.Join(dir, "monitor.sock")}
	if err := errors.Join(os.Chown(dir, int(uid), int(uid)), os.Chmod(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	s.Env = []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir}
	t.Cleanup(func() {
		if st, err := s.stat(); err == nil {
			if err := syscall.Kill(st.Monitor.PID, syscall.SIGTERM); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

// forAll is a sdirect that every user can execute, wherever the repository lies.
func forAll(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(run.dir, "for-all")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "sdirect")
	if _, err := os.Stat(to); err == nil {
		return to
	}
	if err := Copy(run.setup.SDirect, to); err != nil {
		t.Fatal(err)
	}
	lib, err := exec.Command(run.setup.SDirect, "lib").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := Copy(strings.TrimSpace(string(lib)), filepath.Join(dir, "libsd.so")); err != nil {
		t.Fatal(err)
	}
	return to
}

// Copy copies a program or library, for all to read and execute.
func Copy(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close(), os.Chmod(to, 0o755))
}
