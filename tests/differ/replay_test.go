package differ

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/socksdirect/libsd/model"
	"github.com/socksdirect/libsd/tests/harness"
)

// TestReplays runs the programs of testdata, counter-examples of earlier days, natively and under libsd.
func TestReplays(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no replays: %v", err)
	}
	for _, sd := range []bool{false, true} {
		if sd && harness.SDirect() == "" {
			continue
		}
		st, mode := style{}, "native"
		if sd {
			st, mode = libsd, "libsd"
		}
		a, err := startAgent(harness.Command(sd, harness.C(t, "agent")))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			t.Run(mode+"/"+strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
				p := readProgram(t, name)
				for range harness.Size(20, 2000) { // what is promoted when is a race
					if transcript, err := a.try(st, p); err != nil {
						t.Fatalf("\n%s%v", transcript, err)
					}
				}
			})
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	}
}

func readProgram(t *testing.T, name string) *program {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlan(style{}, newCoverage())
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		op, err := model.ParseOp(line)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p.add(true, op.Proc, op.Kind, op.Arg[:]...)
	}
	return &p.program
}
