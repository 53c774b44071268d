package apps

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/socksdirect/libsd/tests/harness"
)

// cost is what a load achieved: requests per second, and µs of processor time of server and client for
// each request, which depends less on what else the machine does.
type cost struct{ rate, cpu float64 }

func medians(all []cost) (m cost) {
	slices.SortFunc(all, func(a, b cost) int { return cmp.Compare(a.rate, b.rate) })
	m.rate = all[len(all)/2].rate
	slices.SortFunc(all, func(a, b cost) int { return cmp.Compare(a.cpu, b.cpu) })
	m.cpu = all[len(all)/2].cpu
	return m
}

// cpuTime is the processor time of programs that have ended, and of their children.
func cpuTime(ended ...*harness.Proc) (d time.Duration) {
	for _, p := range ended {
		d += p.Cmd.ProcessState.UserTime() + p.Cmd.ProcessState.SystemTime()
	}
	return d
}

// rounds runs a load plain and recorded in turn, judges each history, and logs what recording costs:
// the ratios of the medians.
func rounds(t *testing.T, load func(t *testing.T, m harness.Mode) cost) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		if !m.Both() {
			return // nothing new: both ends are to be recorded
		}
		var plain, recorded []cost
		for round := range harness.Size(1, 7) {
			t.Run("plain", func(t *testing.T) { plain = append(plain, load(t, m)) })
			dir := harness.Dir(t)
			setup := *m.Setup()
			setup.Trace = dir
			t.Run("recorded", func(t *testing.T) { recorded = append(recorded, load(t, m.In(&setup))) })
			judge(t, dir)
			if round == 0 {
				replay(t, dir)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
		p, r := medians(plain), medians(recorded)
		t.Logf("medians of %d: plain %.0f/s, recorded %.0f/s: %.1f %% less; processor time %.2f and %.2f µs: %.1f %% more",
			len(plain), p.rate, r.rate, 100*(1-r.rate/p.rate), p.cpu, r.cpu, 100*(r.cpu/p.cpu-1))
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

// replay demands the same events for the same seed, and others for another one.
func replay(t *testing.T, dir string) {
	t.Helper()
	one, again, other := harness.Replayed(t, dir, 1), harness.Replayed(t, dir, 1), harness.Replayed(t, dir, 2)
	if one != again || one == other {
		t.Errorf("replayed twice and with another seed:\n%s\n%s\n%s", one, again, other)
	}
}

func TestTraceRedis(t *testing.T) {
	n := harness.Size(20000, 200000)
	rounds(t, func(t *testing.T, m harness.Mode) cost {
		r := startRedis(t, m)
		bench := harness.Start(t, m.ClientCommand("redis-benchmark", "-h", "127.0.0.1", "-p", r.port, "-t", "set,get", "-c", "50", "-n", fmt.Sprint(n), "--csv"))
		began := time.Now()
		bench.Wait(t, limit)
		rate := float64(2*n) / time.Since(began).Seconds()
		if err := r.server.Stop(); err != nil {
			t.Fatal(err)
		}
		return cost{rate, float64(cpuTime(bench, r.server).Microseconds()) / float64(2*n)}
	})
}

func TestTraceNginx(t *testing.T) {
	rounds(t, func(t *testing.T, m harness.Mode) cost {
		n := startNginx(t, m)
		load := harness.Start(t, m.ClientCommand("wrk", "-t2", "-c32", "-d"+harness.Size("1s", "3s"), "http://127.0.0.1:"+n.direct+"/small"))
		out := load.Wait(t, limit)
		rate, requests := wrkResult(t, out)
		if err := n.master.Stop(); err != nil {
			t.Fatal(err)
		}
		return cost{rate, float64(cpuTime(load, n.master).Microseconds()) / requests}
	})
}
