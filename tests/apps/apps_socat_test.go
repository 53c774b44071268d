package apps

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/socksdirect/libsd/tests/harness"
)

// patience is how long a socat, in seconds, waits for the other direction when one has ended: not for
// half a second only, as it does by itself.
const patience = "20"

// TestSocat: listeners that fork for each connection, a program behind a socket pair, a program
// with the socket as its standard input and output, a relay; text and large files both ways.
func TestSocat(t *testing.T) {
	harness.Require(t, "socat", "sh", "md5sum", "cat")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		dir := harness.Dir(t)
		file, want := randomFile(t, dir, "random", harness.Size(5<<20, 50<<20))
		listen := func(action string) string {
			port := harness.FreePort(t)
			harness.Start(t, harness.Command(m.Server, "socat", "-t", patience, "TCP-LISTEN:"+port+",bind=127.0.0.1,fork,reuseaddr", action))
			harness.Serving(t, port)
			return port
		}
		cat := listen("EXEC:/bin/cat")
		relay := listen("TCP:127.0.0.1:" + cat)
		sum := listen("EXEC:/usr/bin/md5sum,nofork")
		shell := listen(`SYSTEM:while read l\; do echo got_$l\; done`)

		client := func(port, input string) string {
			t.Helper()
			cmd := harness.Command(m.Client, "socat", "-t", patience, "-", "TCP:127.0.0.1:"+port)
			cmd.Stdin = strings.NewReader(input)
			return output(t, cmd)
		}
		if got := client(shell, "x\ny\n"); got != "got_x\ngot_y\n" {
			t.Errorf("shell: %q", got)
		}
		client(shell, "the listener tells of the one before\n")
		if m.Server && harness.Stat(t).Counters["forked"] == 0 {
			t.Error("a server that forks before it reads is not seen in sdirect stat")
		}
		for i := range harness.Size(10, 100) {
			if got, text := client(relay, fmt.Sprintf("hello %d\n", i)), fmt.Sprintf("hello %d\n", i); got != text {
				t.Errorf("relay: %q, expected %q", got, text)
			}
			if got, text := client(shell, fmt.Sprintf("x%d\n", i)), fmt.Sprintf("got_x%d\n", i); got != text {
				t.Errorf("shell: %q, expected %q", got, text)
			}
		}
		for name, port := range map[string]string{"cat": cat, "relay": relay} {
			got := filepath.Join(dir, name)
			output(t, harness.Command(m.Client, "sh", "-c", `exec socat -t $0 - TCP:127.0.0.1:$1 <$2 >$3`, patience, port, file, got))
			if s := fileSum(t, got); s != want {
				t.Errorf("%s: SHA-256 is %s, expected %s", name, s, want)
			}
		}
		local := output(t, exec.Command("sh", "-c", `exec md5sum <$0`, file))
		if got := output(t, harness.Command(m.Client, "sh", "-c", `exec socat -t $0 - TCP:127.0.0.1:$1 <$2`, patience, sum, file)); got != local {
			t.Errorf("md5sum on the socket: %q, expected %q", got, local)
		}
		// No harness.Promoted: a connection that a fork inherits before promotion stays on the kernel.
	})
}

// output runs a short client and returns its standard output.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v: %v\n%s", cmd.Args, err, errs.String())
	}
	return string(out)
}
