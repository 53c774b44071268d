package tests

import (
	"testing"
	"time"

	"github.com/socksdirect/libsd/tests/harness"
)

// TestIdle: 1,000 established connections that have carried messages and now carry none cost no
// processor time in 10 s: not one tick, 10 ms, in all processes together, monitor included.
func TestIdle(t *testing.T) {
	const count, settle, tick = 1000, 2 * time.Second, 10 * time.Millisecond
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		prog := harness.C(t, "idle")
		server := harness.Start(t, harness.Command(m.Server, prog, "server", itoa(count)))
		client := harness.Start(t, harness.Command(m.Client, prog, "client", itoa(count), server.Port(t)))
		said, err := client.Line("IDLE ")
		if err != nil {
			t.Fatal(err)
		}
		t.Log(said)
		wantShare(t, m, said)
		pids := []int{server.Cmd.Process.Pid, client.Cmd.Process.Pid}
		if m.Client || m.Server {
			pids = append(pids, harness.MonitorPID())
		}
		time.Sleep(settle) // what the last messages started may end
		before := cpuTime(t, pids)
		time.Sleep(harness.Size(3*time.Second, 10*time.Second))
		used := cpuTime(t, pids) - before
		t.Logf("%v of processor time while idle", used)
		if used >= tick {
			t.Errorf("%v of processor time while idle", used)
		}
		memory := 0
		for _, pid := range pids {
			memory += harness.Memory(t, pid)
		}
		t.Logf("%d bytes of memory in all processes, %d for each connection", memory, memory/count)
		if err := client.Stdin.Close(); err != nil {
			t.Fatal(err)
		}
		client.Wait(t, time.Minute)
		if err := server.Stdin.Close(); err != nil {
			t.Fatal(err)
		}
		server.Wait(t, time.Minute)
	})
}

func cpuTime(t *testing.T, pids []int) (sum time.Duration) {
	t.Helper()
	for _, pid := range pids {
		sum += harness.CPUTime(t, pid)
	}
	return sum
}
