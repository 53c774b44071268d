package tests

import (
	"testing"
	"time"

	"github.com/socksdirect/libsd/tests/harness"
)

// TestSelfPair: a single thread writes 2 MiB to a connection and then reads it back at the other end.
func TestSelfPair(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		if m.Client != m.Server {
			t.Skip("both ends are in one program")
		}
		for _, family := range []string{"4", "6"} {
			cmd := harness.Command(m.Client, harness.C(t, "selfpair"), itoa(2<<20), "20", family)
			if m.Both() {
				cmd.Env = append(cmd.Env, "SD_WANT_PROMOTED=1")
			}
			out := harness.Run(t, time.Minute, cmd)
			t.Log(out)
			wantShare(t, m, out)
		}
	})
}
