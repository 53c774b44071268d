package apps

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/socksdirect/libsd/tests/harness"
)

// capable is how many checks memccapable of Debian 12 makes.
const capable = 54

// TestMemcached: four server threads; the protocol test of libmemcached passes whole, and a load of
// eight connections stores every item.
func TestMemcached(t *testing.T) {
	harness.Require(t, "memcached", "memccapable", "memcslap")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		port := harness.FreePort(t)
		harness.Start(t, harness.Command(m.Server, "memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", port, "-t", "4", "-U", "0", "-m", "512"))
		harness.Serving(t, port)
		out := harness.Run(t, limit, harness.Command(m.Client, "memccapable", "-h", "127.0.0.1", "-p", port))
		if n := strings.Count(out, "[pass]"); n != capable || !strings.Contains(out, "All tests passed") {
			t.Errorf("memccapable: %d of %d passed\n%s", n, capable, out)
		}
		each := harness.Size(2000, 20000)
		for _, test := range []string{"set", "get"} {
			out := harness.Run(t, limit, harness.Command(m.Client, "memcslap", "--servers=127.0.0.1:"+port,
				"--concurrency=8", fmt.Sprintf("--execute-number=%d", each), "--test="+test))
			done := fmt.Sprintf(`Time to %s +%d keys by +8 threads`, test, 8*each)
			if !regexp.MustCompile(done).MatchString(out) || strings.Contains(strings.ToLower(out), "fail") {
				t.Errorf("memcslap %s: %s", test, out)
			}
		}
		stats := harness.Run(t, limit, harness.Command(m.Client, "memcstat", "--servers=127.0.0.1:"+port))
		if want := statLine(stats, "cmd_set"); want < 8*each {
			t.Errorf("cmd_set is %d, expected at least %d\n%s", want, 8*each, stats)
		}
		harness.Promoted(t, m)
	})
}

// statLine finds "name: value".
func statLine(stats, name string) (value int) {
	for line := range strings.Lines(stats) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			fmt.Sscan(rest, &value)
		}
	}
	return value
}
