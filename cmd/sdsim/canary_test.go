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

// TestCanaries: every recording still fails with its bug and only with it; and two bugs are there
// under total store order which do not exist under sequential consistency: this is why store buffers
// are modelled.
func TestCanaries(t *testing.T) {
	bin := planted(t)
	t.Run("recordings", func(t *testing.T) {
		out, err := exec.Command(bin, "hunt", "--replay", "../../sim/scene/testdata,../../sim/csim/testdata/monitor").CombinedOutput()
		if t.Logf("%s", out); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		name string
		args []string
	}{
		{"the membarrier, all interleavings", []string{"explore", "token-2x1", "--canary", "token-no-membarrier"}},
		{"publishing by exchange to who sleeps", []string{"run", "c-echo", "--quiet", "--seeds", "1-2000", "--canary", "c-careless"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, sc := range []bool{false, true} {
				cmd := exec.Command(bin, c.args...)
				if sc {
					cmd.Args = append(cmd.Args, "--sc")
				}
				cmd.Dir = t.TempDir() // where the recording goes
				out, err := cmd.CombinedOutput()
				if failed := strings.Contains(string(out), "FAILED"); failed == sc || failed != (err != nil) {
					t.Errorf("under sequential consistency %v: %v\n%s", sc, err, out)
				}
			}
		})
	}
}
