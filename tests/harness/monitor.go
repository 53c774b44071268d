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

func socketPath() string { return filepath.Join(run.dir, "monitor.sock") }

// SDirect is the path of the sdirect program, "" in a native run.
func SDirect() string { return run.sdirect }

func startMonitor() error {
	run.sdirect = os.Getenv("SD_SDIRECT")
	if run.sdirect == "" {
		run.sdirect = filepath.Join(run.root, "bin", "sdirect")
	}
	if _, err := os.Stat(run.sdirect); err != nil {
		return fmt.Errorf("%w: run make build, or set SD_MODES=native", err)
	}
	var err error
	if run.monitor, err = start(Command(false, run.sdirect, "monitor")); err != nil {
		return err
	}
	deadline := time.Now().Add(Patience)
	for {
		_, err := stat()
		if err == nil {
			return nil
		}
		select {
		case <-run.monitor.done:
			return fmt.Errorf("the monitor ended: %v\n%s", run.monitor.err, run.monitor.Output())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the monitor does not answer: %w\n%s", err, run.monitor.Output())
		}
	}
}

func stat() (*wire.Stat, error) {
	out, err := Command(false, run.sdirect, "stat", "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("sdirect stat: %w", err)
	}
	st := new(wire.Stat)
	if err := json.Unmarshal(out, st); err != nil {
		return nil, fmt.Errorf("sdirect stat: %w", err)
	}
	return st, nil
}

// Stat asks the monitor.
func Stat(t *testing.T) *wire.Stat {
	t.Helper()
	st, err := stat()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// MonitorPID is the process of the monitor.
func MonitorPID() int { return run.monitor.Cmd.Process.Pid }

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

// Clean waits until the monitor knows no process and no connection.
func Clean(t *testing.T) {
	t.Helper()
	Until(t, func() error {
		st, err := stat()
		if err != nil {
			return err
		}
		if n, p, w := len(st.Connections), len(st.Processes), len(st.Waiting); n+p+w+st.Monitor.Arenas != 0 {
			return fmt.Errorf("the monitor still has %d connections, %d processes, %d offers, %d arenas", n, p, w, st.Monitor.Arenas)
		}
		return nil
	})
}
