package tests

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/socksdirect/libsd/tests/harness"
)

// TestKill: kill -9 of either end at a random moment of full traffic, 500 times with -full. The
// other end sees a correct beginning of the stream and then EOF or ECONNRESET; afterwards the
// monitor holds nothing more than before.
func TestKill(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		r := rand.New(rand.NewPCG(1, 2))
		ended := map[string]int{}
		var descriptors, mappings int
		for i := range harness.Size(20, 500) + 1 {
			if ok := t.Run("", func(t *testing.T) { killOne(t, m, r, i%2 == 0, ended) }); !ok {
				t.FailNow()
			}
			if i == 0 && (m.Client || m.Server) { // after a first round, for what is made once
				harness.Clean(t)
				descriptors, mappings = harness.Holdings(t, harness.MonitorPID())
			}
		}
		t.Logf("ends: %v", ended)
		if !m.Client && !m.Server {
			return
		}
		harness.Clean(t)
		harness.Until(t, func() error {
			if d, p := harness.Holdings(t, harness.MonitorPID()); d > descriptors || p > mappings {
				return fmt.Errorf("the monitor holds %d descriptors and %d mappings, %d and %d after the first round", d, p, descriptors, mappings)
			}
			return nil
		})
	})
}

func killOne(t *testing.T, m harness.Mode, r *rand.Rand, killClient bool, ended map[string]int) {
	prog, seed, mark := harness.C(t, "killer"), fmt.Sprint(r.Uint64()), fmt.Sprint(1+r.IntN(8<<20))
	pause := time.Duration(r.IntN(3000)) * time.Microsecond
	server := harness.Start(t, harness.Command(m.Server, prog, "server", seed, mark))
	client := harness.Start(t, harness.Command(m.Client, prog, "client", seed, mark, server.Port(t)))
	victim, survivor := server, client
	if killClient {
		victim, survivor = client, server
	}
	if _, err := survivor.Line("MARK"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(pause) // the random moment
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	end, err := survivor.Line("END ")
	if err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t, m, survivor.Cmd.Process.Pid)
	if err := survivor.Stdin.Close(); err != nil {
		t.Fatal(err)
	}
	survivor.Wait(t, harness.Patience)
	var rx uint64
	var how, send string
	if _, err := fmt.Sscanf(end, "rx=%d how=%s send=%s", &rx, &how, &send); err != nil {
		t.Fatalf("%q: %v", end, err)
	}
	ended[how+"/"+send]++
}

// wantNothingLeft looks at what a connection to a dead process has left when the survivor, which
// lives on, has closed its end: no slot or arena with the monitor, no bell that somebody is said to
// sleep on, and no more bells than the survivor has threads.
func wantNothingLeft(t *testing.T, m harness.Mode, survivor int) {
	t.Helper()
	if !m.Both() {
		return
	}
	harness.Until(t, func() error {
		st := harness.Stat(t)
		if c, a := len(st.Connections), st.Monitor.Arenas; c+a != 0 {
			return fmt.Errorf("the monitor has %d slots in %d arenas", c, a)
		}
		return nil
	})
	if owned, parked := harness.Bells(t, survivor); parked != 0 || owned > 1 {
		t.Errorf("%d bells are owned by a process with one thread, %d have sleepers", owned, parked)
	}
}
