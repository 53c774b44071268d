package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/socksdirect/libsd/tests/harness"
)

// TestSystemCalls: a sender to a running receiver makes no system call: a million messages cost
// fewer than one call in 500, start-up of the program and of sdirect included. The native run, where each
// message is a call, shows that the count counts.
func TestSystemCalls(t *testing.T) {
	harness.Require(t, "strace")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		messages := 1_000_000
		if !m.Both() {
			messages = harness.Size(50_000, messages)
		}
		prog, table := harness.C(t, "counter"), filepath.Join(harness.Dir(t), "calls")
		recv := harness.Start(t, harness.Command(m.Server, prog, "recv", itoa(messages)))
		send := harness.Command(m.Client, prog, "send", itoa(messages), recv.Port(t))
		traced := harness.Command(false, append([]string{"strace", "-f", "-c", "-o", table}, send.Args...)...)
		harness.Run(t, 10*time.Minute, traced)
		t.Log(recv.Wait(t, time.Minute))
		calls := totalCalls(t, table)
		t.Logf("%d system calls for %d messages", calls, messages)
		if m.Both() && calls > messages/500 {
			t.Errorf("%d system calls for %d messages", calls, messages)
		}
		if !m.Both() && calls < messages {
			t.Errorf("%d system calls for %d messages on the kernel: the count is wrong", calls, messages)
		}
	})
}

var totalLine = regexp.MustCompile(`(?m)^100\.00\s+\S+\s+(?:\S+\s+)?(\d+)\s+(?:\d+\s+)?total$`)

func totalCalls(t *testing.T, table string) int {
	t.Helper()
	b, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	f := totalLine.FindSubmatch(b)
	if f == nil {
		t.Fatalf("no total in\n%s", b)
	}
	t.Logf("%s", b)
	n, err := strconv.Atoi(string(f[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
