package tests

import (
	"os"
	"testing"

	"github.com/socksdirect/libsd/tests/harness"
)

// Two users who are not root.
const nobody, somebody = 65534, 65533

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if harness.Full() {
		t.Fatal("only root can run programs as other users")
	}
	t.Skip("only root can run programs as other users")
}

// TestOrdinaryUser: everything works for a user without privileges; sdirect run starts his monitor.
func TestOrdinaryUser(t *testing.T) {
	needRoot(t)
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		user := harness.OtherUser(t, nobody)
		m = m.In(user)
		t.Run("contract", func(t *testing.T) { contractBothRoles(t, m) })
		for _, p := range []program{cProgram("block"), cProgram("et"), goProgram} {
			t.Run(p.name, func(t *testing.T) {
				for _, out := range exchange(t, m, p, p, 2, 64<<20, "4") {
					wantShare(t, m, out)
				}
			})
		}
		if !m.Client && !m.Server {
			return
		}
		user.Clean(t)
		if uid := user.Stat(t).Monitor.UID; uid != nobody {
			t.Errorf("the monitor is user %d's", uid)
		}
	})
}

// TestTwoUsers: each has a monitor. The death of one's is nothing to the other, neither sees the
// other's processes, and a connection from one to the other stays on the kernel.
func TestTwoUsers(t *testing.T) {
	needRoot(t)
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		var modes [2]harness.Mode
		var pair [2]*steady
		for i, uid := range []uint32{nobody, somebody} {
			modes[i] = m.In(harness.OtherUser(t, uid))
			pair[i] = startSteady(t, modes[i])
			pair[i].want(m, pair[i].open())
		}
		between := &steady{t: t, server: pair[1].server, client: harness.Start(t,
			modes[0].ClientCommand(harness.C(t, "steady"), "client", pair[1].server.Port(t)))}
		between.wantKernel(between.open())
		if m.Client || m.Server {
			for i, uid := range []int{nobody, somebody} {
				st := modes[i].Setup().Stat(t)
				if st.Monitor.UID != uid || len(st.Processes) == 0 {
					t.Errorf("user %d asks the monitor of %d, which has %d processes", uid, st.Monitor.UID, len(st.Processes))
				}
				for _, p := range st.Processes {
					if p.UID != uid {
						t.Errorf("the monitor of user %d knows process %d (%s) of user %d", uid, p.PID, p.Name, p.UID)
					}
				}
			}
			kill(t, modes[0].Setup().Stat(t).Monitor.PID)
			modes[0].Setup().Unserved(t)
		}
		pair[1].want(m, pair[1].open())
		pair[1].want(m, 0)
		pair[0].want(m, 0)
		pair[0].wantKernel(pair[0].open())
		if m.Client || m.Server { // the next program that he runs starts another monitor
			harness.Run(t, harness.Patience, modes[0].Setup().Command(true, "true"))
		}
		pair[0].wantNew(m)
		between.wantKernel(0)
		between.ask("stop")
		between.client.Wait(t, harness.Patience)
		pair[0].stop()
		pair[1].stop()
	})
}
