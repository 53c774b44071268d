// Package harness runs programs natively and under libsd, one monitor for each test run.
//
// Environment: SD_MODES (comma-separated: native, client, server, both; default all), SD_FULL=1
// (acceptance sizes), SD_SDIRECT (path of sdirect; default bin/sdirect of this repository), SD_PROGRAMS
// (directory of the built test programs; default one of this test run).
package harness

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var full = flag.Bool("full", os.Getenv("SD_FULL") == "1", "run the sizes of the acceptance list")

// Full tells whether to run acceptance sizes.
func Full() bool { return *full }

// Size is the small size, or the full one.
func Size[T any](small, acceptance T) T {
	if *full {
		return acceptance
	}
	return small
}

// Mode says which side of a connection runs under libsd.
type Mode struct {
	Name           string
	Client, Server bool
	setup          *Setup // nil: that of the test run
}

// Both tells whether connections must be promoted.
func (m Mode) Both() bool { return m.Client && m.Server && !m.Setup().NoMonitor }

// Setup is how the mode's programs run.
func (m Mode) Setup() *Setup {
	if m.setup == nil {
		return &run.setup
	}
	return m.setup
}

// In is the mode in another setup.
func (m Mode) In(s *Setup) Mode {
	m.setup = s
	return m
}

// ClientCommand is a command line of the client's side.
func (m Mode) ClientCommand(args ...string) *exec.Cmd { return m.Setup().Command(m.Client, args...) }

// ServerCommand is a command line of the server's side.
func (m Mode) ServerCommand(args ...string) *exec.Cmd { return m.Setup().Command(m.Server, args...) }

var allModes = []Mode{
	{Name: "native"},
	{Name: "client", Client: true},
	{Name: "server", Server: true},
	{Name: "both", Client: true, Server: true},
}

var run struct {
	root, dir string
	modes     []Mode
	setup     Setup
	monitor   *Monitor
}

// Main is the TestMain of every package that uses the harness.
func Main(m *testing.M) {
	flag.Parse()
	code, err := mainCode(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		code = 2
	}
	os.Exit(code)
}

func mainCode(m *testing.M) (code int, err error) {
	_, file, _, _ := runtime.Caller(0)
	run.root = filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if run.modes, err = selectModes(os.Getenv("SD_MODES")); err != nil {
		return 0, err
	}
	if run.dir, err = os.MkdirTemp("", "sdtest-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(run.dir)
	if err := os.Chmod(run.dir, 0o755); err != nil { // servers that drop their user read files here
		return 0, err
	}
	if slices.ContainsFunc(run.modes, func(m Mode) bool { return m.Client || m.Server }) {
		if err := findProgram(); err != nil {
			return 0, err
		}
		run.monitor = &Monitor{Setup: &run.setup}
		if err := run.monitor.start(); err != nil {
			return 0, err
		}
		defer func() {
			if stopErr := run.monitor.proc.Stop(); err == nil {
				err = stopErr
			}
		}()
	}
	return m.Run(), nil
}

func selectModes(list string) ([]Mode, error) {
	if list == "" {
		return allModes, nil
	}
	var modes []Mode
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(allModes, func(m Mode) bool { return m.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("SD_MODES: no mode %q", name)
		}
		modes = append(modes, allModes[i])
	}
	return modes, nil
}

// EachMode runs a test in every selected mode.
func EachMode(t *testing.T, f func(t *testing.T, m Mode)) {
	for _, m := range run.modes {
		t.Run(m.Name, func(t *testing.T) { f(t, m) })
	}
}

// Require fails the test when a third-party program is not installed.
func Require(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("%s is not installed: run tests/install-deps.sh", p)
		}
	}
}

// Dir is a directory of the test run that every user may enter.
func Dir(t *testing.T) string {
	t.Helper()
	d, err := os.MkdirTemp(run.dir, "t-")
	if err == nil {
		err = os.Chmod(d, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Root is the root of the repository.
func Root() string { return run.root }
