package apps

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/socksdirect/libsd/tests/harness"
)

// rounds runs a load on both kinds of servers in turn, judges each recorded history, and logs what
// recording costs: the ratio of the medians.
func rounds(t *testing.T, load func(t *testing.T, m harness.Mode) float64) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		if !m.Both() {
			return // nothing new: both ends are to be recorded
		}
		var plain, recorded []float64
		for range harness.Size(1, 7) {
			t.Run("plain", func(t *testing.T) { plain = append(plain, load(t, m)) })
			dir := harness.Dir(t)
			setup := *m.Setup()
			setup.Trace = dir
			t.Run("recorded", func(t *testing.T) { recorded = append(recorded, load(t, m.In(&setup))) })
			judge(t, dir)
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
		slices.Sort(plain)
		slices.Sort(recorded)
		t.Logf("medians of %d: plain %.0f/s, recorded %.0f/s: %.1f %% less", len(plain), plain[len(plain)/2],
			recorded[len(recorded)/2], 100*(1-recorded[len(recorded)/2]/plain[len(plain)/2]))
	})
}

// judge demands that the history is correct and that it is one of much traffic.
func judge(t *testing.T, dir string) {
	t.Helper()
	out, err := exec.Command(harness.SDirect(), "trace", "check", dir).CombinedOutput()
	n := regexp.MustCompile(`(?m)^(\d+) bytes received as they were sent; 0 compared by number only`).FindSubmatch(out)
	if err != nil || n == nil {
		t.Errorf("%v\n%s", err, out)
		return
	}
	if bytes, err := strconv.Atoi(string(n[1])); err != nil || bytes < 1<<20 {
		t.Errorf("%d bytes, %v\n%s", bytes, err, out)
	}
	t.Logf("%s", out)
}

func TestTraceRedis(t *testing.T) {
	rounds(t, func(t *testing.T, m harness.Mode) float64 {
		r := startRedis(t, m)
		rates := r.bench(t, "-t", "set,get", "-c", "50", "-n", harness.Size("20000", "200000"))
		return 2 / (1/rates["SET"] + 1/rates["GET"])
	})
}

func TestTraceNginx(t *testing.T) {
	rounds(t, func(t *testing.T, m harness.Mode) float64 {
		return wrk(t, m, startNginx(t, m).direct)
	})
}
