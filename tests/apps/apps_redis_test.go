package apps

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/socksdirect/libsd/tests/harness"
)

type redis struct {
	mode   harness.Mode
	port   string
	server *harness.Proc
}

func (r redis) cli(t *testing.T, args ...string) string {
	t.Helper()
	all := append([]string{"redis-cli", "-h", "127.0.0.1", "-p", r.port}, args...)
	return strings.TrimSpace(harness.Run(t, limit, r.mode.ClientCommand(all...)))
}

// bench runs redis-benchmark and returns requests per second by test name.
func (r redis) bench(t *testing.T, args ...string) map[string]float64 {
	t.Helper()
	all := append([]string{"redis-benchmark", "-h", "127.0.0.1", "-p", r.port, "--csv"}, args...)
	out := harness.Run(t, limit, r.mode.ClientCommand(all...))
	rates := map[string]float64{}
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSpace(line), ",")
		name := strings.Trim(f[0], `"`)
		if len(f) < 2 || name == "test" {
			continue
		}
		rate, err := strconv.ParseFloat(strings.Trim(f[1], `"`), 64)
		if err != nil || rate <= 0 {
			t.Errorf("redis-benchmark said %q", line)
		}
		rates[name] = rate
	}
	if bad := regexp.MustCompile(`(?i)error|refused|reset|closed`).FindString(out); bad != "" {
		t.Errorf("redis-benchmark: %s", out)
	}
	return rates
}

func startRedis(t *testing.T, m harness.Mode) redis {
	harness.Require(t, "redis-server", "redis-cli", "redis-benchmark")
	r := redis{mode: m, port: harness.FreePort(t)}
	r.server = harness.Start(t, m.ServerCommand("redis-server", "--port", r.port, "--bind", "127.0.0.1",
		"--dir", harness.Dir(t), "--save", "", "--appendonly", "no", "--daemonize", "no"))
	harness.Serving(t, r.port)
	return r
}

// defaultTests is how many results redis-benchmark 7.0 prints without -t.
const defaultTests = 20

// TestRedisBenchmark: all default tests, one connection and fifty, with and without pipelining.
func TestRedisBenchmark(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		r := startRedis(t, m)
		for _, load := range []struct{ c, p, small, full string }{
			{"1", "1", "1000", "20000"},
			{"50", "1", "5000", "100000"},
			{"1", "16", "4000", "100000"},
			{"50", "16", "10000", "200000"},
		} {
			rates := r.bench(t, "-c", load.c, "-P", load.p, "-n", harness.Size(load.small, load.full))
			if len(rates) < defaultTests {
				t.Errorf("-c %s -P %s: %d results, expected %d: %v", load.c, load.p, len(rates), defaultTests, rates)
			}
			t.Logf("-c %s -P %s: SET %.0f/s GET %.0f/s", load.c, load.p, rates["SET"], rates["GET"])
		}
		harness.Promoted(t, m)
	})
}

// TestRedisSave: BGSAVE forks a child while fifty connections write; what was written is read back.
func TestRedisSave(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		r := startRedis(t, m)
		keys := harness.Size(20000, 200000)
		load := harness.Start(t, m.ClientCommand("redis-benchmark", "-h", "127.0.0.1", "-p", r.port, "-q",
			"-t", "set", "-c", "50", "-n", fmt.Sprint(keys*10), "-r", fmt.Sprint(keys), "-d", "100"))
		if m.Both() { // a fork must meet promoted connections
			harness.Until(t, func() error {
				if harness.Stat(t).Counters["promoted"] == 0 {
					return errors.New("no connection was promoted")
				}
				return nil
			})
		}
		for range 3 {
			if out := r.cli(t, "bgsave"); !strings.Contains(out, "Background saving started") {
				t.Errorf("bgsave: %s", out)
			}
			harness.Until(t, func() error {
				if info := r.cli(t, "info", "persistence"); !strings.Contains(info, "rdb_bgsave_in_progress:0") ||
					!strings.Contains(info, "rdb_last_bgsave_status:ok") {
					return fmt.Errorf("%s", info)
				}
				return nil
			})
		}
		load.Wait(t, limit)
		size, err := strconv.Atoi(r.cli(t, "dbsize"))
		if err != nil || size < keys/2 || size > keys {
			t.Errorf("dbsize: %d, %v", size, err)
		}
	})
}

// TestRedisCommands: replies of redis-cli are right, small and large, and a pipe of commands is counted.
func TestRedisCommands(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		r := startRedis(t, m)
		const lines = 20000
		load := harness.Start(t, m.ClientCommand("redis-cli", "-h", "127.0.0.1", "-p", r.port, "--pipe"))
		for i := range lines {
			if _, err := fmt.Fprintf(load.Stdin, "SET key:%d value:%d\r\n", i, i); err != nil {
				t.Fatal(err)
			}
		}
		if err := load.Stdin.Close(); err != nil {
			t.Fatal(err)
		}
		if out := load.Wait(t, limit); !strings.Contains(out, fmt.Sprintf("errors: 0, replies: %d", lines)) {
			t.Errorf("--pipe: %s", out)
		}
		for _, try := range [][2]string{
			{"dbsize", fmt.Sprint(lines)},
			{"get key:777", "value:777"},
			{"setrange big 3000000 x", "3000001"},
			{"strlen big", "3000001"},
			{"incr n", "1"},
		} {
			if got := r.cli(t, strings.Fields(try[0])...); got != try[1] {
				t.Errorf("%s: %q, expected %q", try[0], got, try[1])
			}
		}
		if got := len(r.cli(t, "--raw", "getrange", "big", "0", "-1")); got != 3000001 {
			t.Errorf("a value of 3,000,001 bytes came back with %d", got)
		}
	})
}
