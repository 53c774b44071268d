package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/socksdirect/libsd/monitor/wire"
)

// SDirect is the path of the sdirect program, "" in a native run.
func SDirect() string { return run.setup.SDirect }

func findProgram() error {
	run.setup.SDirect = os.Getenv("SD_SDIRECT")
	if run.setup.SDirect == "" {
		run.setup.SDirect = filepath.Join(run.root, "bin", "sdirect")
	}
	if _, err := os.Stat(run.setup.SDirect); err != nil {
		return fmt.Errorf("%w: run make build, or set SD_MODES=native", err)
	}
	run.setup.Socket = filepath.Join(run.dir, "monitor.sock")
	return nil
}

// Monitor is a monitor in the foreground, and the setup whose programs find it.
type Monitor struct {
	*Setup
	proc *Proc
}

// NewMonitor starts a monitor of the test's own; it is ended with the test.
func NewMonitor(t *testing.T) *Monitor {
	t.Helper()
	m := &Monitor{Setup: &Setup{SDirect: run.setup.SDirect, Socket: filepath.Join(Dir(t), "monitor.sock")}}
	m.Start(t)
	t.Cleanup(func() {
		if err := m.proc.Kill(); err == nil && t.Failed() {
			t.Logf("output of the monitor:\n%s", tail(m.proc.Output()))
		}
	})
	return m
}

// Start starts it, for the first time or after Kill.
func (m *Monitor) Start(t *testing.T) {
	t.Helper()
	if err := m.start(); err != nil {
		t.Fatal(err)
	}
}

// Kill kills it with SIGKILL.
func (m *Monitor) Kill(t *testing.T) {
	t.Helper()
	if err := m.proc.Kill(); err != nil {
		t.Fatal(err)
	}
}

func (m *Monitor) start() (err error) {
	if m.proc, err = start(m.Command(false, m.SDirect, "monitor")); err != nil {
		return err
	}
	deadline := time.Now().Add(Patience)
	for {
		_, err := m.stat()
		if err == nil {
			return nil
		}
		select {
		case <-m.proc.done:
			return fmt.Errorf("the monitor ended: %v\n%s", m.proc.err, m.proc.Output())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the monitor does not answer: %w\n%s", err, m.proc.Output())
		}
	}
}

// Stat asks the monitor of the test run.
func Stat(t *testing.T) *wire.Stat {
	t.Helper()
	return run.setup.Stat(t)
}

// MonitorPID is the process of the monitor of the test run.
func MonitorPID() int { return run.monitor.proc.Cmd.Process.Pid }

// Promoted fails the test if both sides run under libsd and none of the live processes has ever
// moved a direction to shared memory. Call it while the server still runs.
func Promoted(t *testing.T, m Mode) {
	t.Helper()
	if !m.Both() {
		return
	}
	if st := Stat(t); st.Counters["promoted"] == 0 {
		b, _ := json.MarshalIndent(st, "", "  ")
		t.Errorf("no connection was promoted: all of this ran on the kernel\n%s", b)
	}
}

// Clean waits until the monitor of the test run knows no process and no connection.
func Clean(t *testing.T) {
	t.Helper()
	run.setup.Clean(t)
}
