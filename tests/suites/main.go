// Program suites runs the tests of others, natively and under libsd, and compares test by test:
//
//	go run ./tests/suites [--bounded] [--only NAME,...] [--list] [--dir DIR]
//
// It fails when a suite is missing, does not end, runs too few tests, has a test that passes natively and
// does not under libsd, or moves nothing to shared memory. A test that differs is repeated both ways: only one that then fails
// natively too, and passes under libsd, is forgiven. Each run has network and process namespaces and a
// monitor of its own. Needs root, Debian and bin/sdirect.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const repetitions = 4 // of a suite in which a test differs

func main() {
	runtime.LockOSThread() // a suite is killed when the thread that started it ends
	// Who is started in a shell's background ignores SIGINT, and so would all tests if it were not caught here.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() { <-interrupted; os.Exit(130) }()
	bounded := flag.Bool("bounded", false, "only the suites that are part of make test")
	only := flag.String("only", "", "only these, comma-separated")
	list := flag.Bool("list", false, "print the suites and end")
	dir := flag.String("dir", "", "where to keep logs and results (default: a new temporary directory)")
	flag.Parse()
	chosen, err := choose(suites, *bounded, *only)
	if err == nil && flag.NArg() > 0 {
		err = fmt.Errorf("what is %q?", flag.Arg(0))
	}
	if err == nil && *list {
		printSuites(chosen)
		return
	}
	var failed []string
	if err == nil {
		failed, err = runAll(chosen, *dir)
	}
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "suites:", err)
		os.Exit(2)
	case len(failed) > 0:
		fmt.Printf("\nFAILED: %s\n", strings.Join(failed, " "))
		os.Exit(1)
	}
	fmt.Println("\nall the same with and without libsd")
}

// choose picks suites by name, or the bounded ones. Choosing none is an error.
func choose(all []Suite, bounded bool, only string) (chosen []Suite, err error) {
	names := strings.FieldsFunc(only, func(r rune) bool { return r == ',' })
	for _, name := range names {
		if !slices.ContainsFunc(all, func(s Suite) bool { return s.Name == name }) {
			return nil, fmt.Errorf("there is no suite %q", name)
		}
	}
	for _, s := range all {
		if (len(names) == 0 || slices.Contains(names, s.Name)) && (s.Bounded || !bounded) {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("no suite is chosen")
	}
	return chosen, nil
}

func printSuites(all []Suite) {
	for _, s := range all {
		fmt.Printf("%-28s at least %4d tests, at most %v each way; %s\n", s.Name, s.Baseline, s.Limit, strings.Join(s.Packages, " "))
	}
}

// runAll runs suites both ways and returns the names of those that failed.
func runAll(chosen []Suite, dir string) (failed []string, err error) {
	r, err := prepare(dir)
	if err != nil {
		return nil, err
	}
	fmt.Println("logs and results:", r.dir)
	for _, s := range chosen {
		failures, notes := r.both(s)
		if err := store(filepath.Join(r.dir, s.Name, "difference.json"), map[string][]string{"failures": failures, "notes": notes}); err != nil {
			return nil, err
		}
		for _, n := range notes {
			fmt.Println("    note:", n)
		}
		for _, f := range failures {
			fmt.Println("    FAIL:", f)
		}
		if len(failures) > 0 {
			failed = append(failed, s.Name)
		}
	}
	return failed, nil
}

// both runs a suite natively and under libsd, and while tests differ that no repetition has shown to be flaky, both again. What
// keeps it from running is a failure like any other.
func (r *runner) both(s Suite) (failures, notes []string) {
	fmt.Printf("\n== %s\n", s.Name)
	if err := os.MkdirAll(filepath.Join(r.dir, s.Name), 0o755); err != nil {
		return []string{err.Error()}, nil
	}
	if err := errors.Join(install(s.Packages), r.unpack(s.Sources)); err != nil {
		return []string{err.Error()}, nil
	}
	var natives, libsds []*Result
	for range 1 + repetitions {
		for _, libsd := range []bool{false, true} {
			runs := &natives
			if libsd {
				runs = &libsds
			}
			res, err := r.run(s, libsd, len(*runs))
			if err != nil {
				return []string{err.Error()}, nil
			}
			res.print()
			*runs = append(*runs, res)
		}
		failures, notes = judge(s, natives, libsds)
		if len(failures) == 0 || natives[0].TimedOut || libsds[0].TimedOut || len(differing(natives[0], libsds[0])) == 0 {
			break
		}
	}
	return failures, notes
}

// install brings Debian packages that are missing, or says what to install.
func install(packages []string) error {
	cmd := exec.Command("tests/install-deps.sh", append([]string{"packages"}, packages...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("a package of %v is missing: %w", packages, err)
	}
	return nil
}

// unpack brings sources, which all runs share.
func (r *runner) unpack(sources []string) error {
	for _, name := range sources {
		if _, err := os.Stat(filepath.Join(r.sources(), name)); err == nil {
			continue
		}
		cmd := exec.Command(filepath.Join(r.source, "sources.sh"), r.sources(), name)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("the source of %s is missing: %w", name, err)
		}
	}
	return nil
}

// prepare makes the directory of results, and in it a libsd that every user can load.
func prepare(dir string) (*runner, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("namespaces need root; as root on Debian: make suites")
	}
	source, err := filepath.Abs("tests/suites")
	if err == nil {
		_, err = os.Stat(filepath.Join(source, "inside.sh"))
	}
	if err == nil {
		_, err = os.Stat("bin/sdirect")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: run make build, then this, in the root of the repository", err)
	}
	if dir == "" {
		dir, err = os.MkdirTemp("", "sd-suites-")
	} else if dir, err = filepath.Abs(dir); err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return nil, err
	}
	r := &runner{dir: dir, source: source, sdirect: filepath.Join(dir, "bin", "sdirect")}
	if err := errors.Join(os.Chmod(dir, 0o755), os.MkdirAll(filepath.Join(dir, "bin"), 0o755)); err != nil {
		return nil, err
	}
	for _, name := range []string{"sdirect", "libsd.so"} {
		b, err := os.ReadFile(filepath.Join("bin", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "bin", name), b, 0o755)
		}
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}
