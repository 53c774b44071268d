package tests

import (
	"strings"
	"testing"
	"time"

	"github.com/socksdirect/libsd/tests/harness"
)

// TestContract: every check of tests/prog/contract*.c, with the peer in another process and in
// another thread, connecting and accepting.
func TestContract(t *testing.T) {
	harness.EachMode(t, contractBothRoles)
}

func contractBothRoles(t *testing.T, m harness.Mode) {
	for _, role := range []string{"client", "server"} {
		ours, peers := m.Client, m.Server
		if role == "server" {
			ours, peers = m.Server, m.Client
		}
		t.Run("process_"+role, func(t *testing.T) { contract(t, m, ours, peers, "process", role, "4") })
		if ours == peers {
			t.Run("thread_"+role, func(t *testing.T) { contract(t, m, ours, peers, "thread", role, "6") })
		}
	}
}

func contract(t *testing.T, m harness.Mode, ours, peers bool, peer, role, family string) {
	prog := harness.C(t, "contract")
	names := strings.Fields(harness.Run(t, harness.Patience, harness.Command(false, prog, "list")))
	outsider, module := harness.Static(t, "outsider"), harness.Module(t, "module")
	prefix := "env -u LD_PRELOAD"
	if peers {
		prefix = strings.Join(m.Setup().Prefix(), " ")
	}
	var lanes [6]*harness.Proc // checks wait most of the time
	for i := range lanes {
		args := []string{prog, "run", peer, role, family}
		for j := i; j < len(names); j += len(lanes) {
			args = append(args, names[j])
		}
		cmd := m.Setup().Command(ours, args...)
		if m.Both() {
			cmd.Env = append(cmd.Env, "SD_WANT_PROMOTED=1")
		}
		if ours && !m.Setup().NoMonitor {
			cmd.Env = append(cmd.Env, "SD_WANT_OWN_PROMOTED=1")
		}
		cmd.Env = append(cmd.Env, "SD_PEER_PREFIX="+prefix, "SD_OUTSIDER="+outsider, "SD_MODULE="+module)
		lanes[i] = harness.Start(t, cmd)
	}
	ran := 0
	for _, p := range lanes {
		out, err := p.End(20 * time.Minute) // each check has its own, short limit
		ran += report(t, out)
		if err != nil && !t.Failed() {
			t.Error(err)
		}
	}
	if ran != len(names) {
		t.Errorf("%d of %d checks ran", ran, len(names))
	}
}

// report turns TAP lines into subtests; comments belong to the line that follows.
func report(t *testing.T, tap string) (checks int) {
	var notes strings.Builder
	for line := range strings.Lines(tap) {
		line = strings.TrimSpace(line)
		verdict, name, ok := strings.Cut(line, " - ")
		if !ok || !strings.HasPrefix(verdict, "ok ") && !strings.HasPrefix(verdict, "not ok ") {
			notes.WriteString(line + "\n")
			continue
		}
		checks++
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(verdict, "not ok") {
				t.Error("\n" + notes.String())
			} else if notes.Len() > 0 {
				t.Log(notes.String())
			}
		})
		notes.Reset()
	}
	return checks
}
