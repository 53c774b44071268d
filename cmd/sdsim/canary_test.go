//go:build sim

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/socksdirect/libsd/sim/canary"
)

// planted is a sdsim with all canaries.
func planted(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	overlay, err := canary.Overlay(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "sdsim")
	build := exec.Command("go", "build", "-tags", "sim", "-overlay", overlay, "-o", bin, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// TestCanaries: every recording still fails with its bug and only with it.
func TestCanaries(t *testing.T) {
	bin := planted(t)
	t.Run("recordings", func(t *testing.T) {
		out, err := exec.Command(bin, "hunt", "--replay", "../../sim/scene/testdata,../../sim/csim/testdata/monitor").CombinedOutput()
		if t.Logf("%s", out); err != nil {
			t.Error(err)
		}
	})
	t.Run("explored", func(t *testing.T) { explored(t, bin) })
	t.Run("publishing by exchange to who sleeps", func(t *testing.T) {
		onlyTSO(t, bin, "run", "c-echo", "--quiet", "--seeds", "1-2000", "--canary", "c-careless")
	})
}

// explored: explorations with the decisions left out that make no difference find every bug that their
// scenes can show.
func explored(t *testing.T, bin string) {
	for _, c := range []struct{ scene, bugs string }{
		{"park", "bell-no-recheck parked-first bell-clear-late park-early-end"},
		{"park-signal", "bell-parked-store bell-summary-store park-no-relook park-early-end"},
		{"segment-2", "publish-first gen-before-base gen-before-tail beyond-base absolute-offset leave-early stuck-segment stale-head stale-segment last-part-unpublished"},
		{"promote", "publish-first gen-before-base open-before-tail absolute-offset"},
	} {
		for _, bug := range strings.Fields(c.bugs) {
			if out, failed := runPlanted(t, bin, "explore", c.scene, "--canary", bug); !failed {
				t.Errorf("%s does not show %s:\n%s", c.scene, bug, out)
			}
		}
	}
	// Without the membarrier, and without the second look before a sleep has no bound, runs fail under
	// total store order, and none does under sequential consistency: this is why store buffers are modelled.
	onlyTSO(t, bin, "explore", "token-2x1", "--canary", "token-no-membarrier")
	for _, bug := range []string{"park-no-relook", "park-early-end", "bell-parked-store", "bell-summary-store"} {
		onlyTSO(t, bin, "explore", "park", "--canary", bug)
	}
}

// onlyTSO: a command fails under total store order and not under sequential consistency.
func onlyTSO(t *testing.T, bin string, args ...string) {
	t.Helper()
	if out, failed := runPlanted(t, bin, args...); !failed {
		t.Errorf("%v passes:\n%s", args, out)
	}
	if out, failed := runPlanted(t, bin, append(args, "--sc")...); failed {
		t.Errorf("%v fails under sequential consistency:\n%s", args, out)
	}
}

// runPlanted runs a command that fails if it finds a failure; any other error fails the test.
func runPlanted(t *testing.T, bin string, args ...string) (out string, failed bool) {
	t.Helper()
	cmd := exec.Command(bin, args...)
	cmd.Dir = t.TempDir() // where the recording goes
	text, err := cmd.CombinedOutput()
	failed = strings.Contains(string(text), "FAILED")
	if failed != (err != nil) {
		t.Fatalf("%v: %v\n%s", args, err, text)
	}
	return string(text), failed
}
