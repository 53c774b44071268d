package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestRun runs scripts that go wrong, through all of the runner.
func TestRun(t *testing.T) {
	t.Chdir("../..")
	r, err := prepare(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(r.source, "inside.sh")
	r.source = t.TempDir()
	if err := os.Symlink(inside, filepath.Join(r.source, "inside.sh")); err != nil {
		t.Fatal(err)
	}
	unpacks := "#!/bin/sh -e\n[ $2 = here ]\nmkdir -p $1/$2\necho ok a >$1/$2/it\n"
	err = errors.Join(os.Mkdir(filepath.Join(r.source, "scripts"), 0o755),
		os.WriteFile(filepath.Join(r.source, "sources.sh"), []byte(unpacks), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, script, fails string }{
		{"good", "echo ok a; ip -br link show lo | grep -q UP && echo ok lo; [ $(ls -d /proc/[0-9]* | wc -l) -lt 12 ] && echo ok proc", ""},
		{"hangs", "echo ok a; trap '' TERM; setsid sleep 1000 & sleep 1000", "did not end within 3s"},
		{"dies", "echo ok a; kill -9 $$", "ended with 137"},
		{"few", "echo nothing", "0 tests ran, there must be 1"},
		{"differs", `[ -z "$LD_PRELOAD" ] && echo ok a || echo not ok a - preloaded`, "a: pass natively, fail under libsd: preloaded"},
		{"leaves", `[ -z "$LD_PRELOAD" ] && echo ok a; echo ok b`, "a: pass natively, missing under libsd"},
		{"flaky", `runs=../../runs; echo >>$runs; if [ $(wc -l <$runs) = 2 ] || [ $(wc -l <$runs) = 3 ]; then echo not ok a; else echo ok a; fi`, ""},
		{"missing", "", "natively: 0 tests ran"},
		{"uninstalled", "echo ok a", "a package of [no-such-package-anywhere] is missing"},
		{"unpacked", "cat $SOURCES/here/it", ""},
		{"sourceless", "echo ok a", "the source of no-such-source is missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := Suite{Name: tc.name, Limit: time.Minute, Baseline: 1, Kernel: true}
			switch tc.name {
			case "hangs":
				s.Limit = 3 * time.Second
			case "uninstalled":
				s.Packages = []string{"no-such-package-anywhere"}
			case "unpacked":
				s.Sources = []string{"here"}
			case "sourceless":
				s.Sources = []string{"no-such-source"}
			}
			if tc.script != "" {
				if err := os.WriteFile(filepath.Join(r.source, "scripts", tc.name+".sh"), []byte(tc.script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			failures, _ := r.both(s)
			expect(t, "failures", failures, tc.fails)
			if tc.name != "good" {
				return
			}
			s.Kernel = false
			failures, _ = r.both(s)
			expect(t, "failures", failures, "no connection was promoted")
		})
	}
}
