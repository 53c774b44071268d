package differ

import (
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/socksdirect/libsd/model"
	"github.com/socksdirect/libsd/tests/harness"
)

var count = flag.Int("programs", 0, "how many programs to run in each mode; 0: 2,000, or 200,000 with -full")

func programs() int {
	if *count > 0 {
		return *count
	}
	return harness.Size(2000, 200_000)
}

// TestKernel: the model against the kernel.
func TestKernel(t *testing.T) {
	run(t, style{}, programs(), func() (*agent, error) {
		return startAgent(harness.Command(false, harness.C(t, "agent")))
	})
}

// libsd is what runs under libsd leave out, and how late they may be; docs/testing.md has the reasons.
var libsd = style{warm: true, late: true, excluded: []model.Kind{model.Exec, model.Pair, model.Pass, model.Take},
	without: map[string]bool{"fork: vfork and exec": true}, unmet: []string{"unix"}}

// TestLibsd: the same programs with every process under libsd.
func TestLibsd(t *testing.T) {
	if harness.SDirect() == "" {
		t.Skip("SD_MODES selects native runs only")
	}
	run(t, libsd, programs(), func() (*agent, error) {
		return startAgent(harness.Command(true, harness.C(t, "agent")))
	})
}

const workers = 2

func setChecks(t *testing.T, programs int) {
	t.Helper()
	for name, value := range map[string]string{"rapid.checks": fmt.Sprint(programs), "rapid.nofailfile": "true", "rapid.shrinktime": "0s"} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
}

// run draws programs, runs them with several interpreters, and judges.
func run(t *testing.T, st style, programs int, start func() (*agent, error)) {
	setChecks(t, programs/workers)
	c := newCoverage()
	t.Run("programs", func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				a, err := start()
				if err != nil {
					t.Fatal(err)
				}
				var failed *failure
				defer func() {
					if failed != nil {
						failed.keep(t, st, 0, a.try)
					}
					if err := a.stop(); err != nil {
						t.Error(err)
					}
				}()
				rapid.Check(t, func(rt *rapid.T) {
					p := draw(rt, st, c, w)
					transcript, err := a.try(st, p)
					if errors.Is(err, errAgent) {
						t.Fatalf("%v\n%v", err, p) // nothing can be shrunk any more
					}
					if err != nil {
						if failed == nil { // rapid may run it again, and then it may go otherwise
							failed = &failure{p, transcript, err}
						}
						rt.Fatalf("\n%s%v", transcript, err)
					}
				})
			})
		}
	})
	if !t.Failed() {
		c.reportAspects(t, st, c.report(t, st))
	}
}

// try runs a program and judges it; on a slow machine a brief one may have to be run again.
func (a *agent) try(st style, p *program) (transcript string, err error) {
	const synAgain, tries = 900 * time.Millisecond, 20
	for range tries {
		start := time.Now()
		outs, backs, err := a.run(p)
		if err != nil {
			return "", fmt.Errorf("%w: %w", errAgent, err)
		}
		if !p.brief || time.Since(start) < synAgain {
			return p.judge(st.late, outs, backs)
		}
	}
	return "", fmt.Errorf("%w: %d times it took longer than %v", errAgent, tries, synAgain)
}

var errAgent = errors.New("the interpreter failed")

// failure is a program that the model did not allow.
type failure struct {
	program    *program
	transcript string
	err        error
}

// keep takes out of a failed program what it fails without, but for some operations at its start, and
// writes the rest where replays are. A program that does not fail again is written whole, and what it did
// once is told.
func (f *failure) keep(t *testing.T, st style, fixed int, try func(style, *program) (string, error)) {
	fails := func(p *program) bool {
		_, err := try(st, p)
		return err != nil && !errors.Is(err, errAgent)
	}
	p := f.program.minimize(st, fixed, fails)
	transcript, err := try(st, p)
	name := filepath.Join("testdata", st.dir, fmt.Sprintf("new-%08x.txt", crc32.ChecksumIEEE([]byte(p.String()))))
	if err := os.WriteFile(name, []byte(p.String()), 0o644); err != nil {
		t.Error(err)
	}
	if err == nil {
		t.Logf("this program failed once only:\n%s%v", f.transcript, f.err)
		return
	}
	t.Logf("%s:\n%s%v", name, transcript, err)
}
