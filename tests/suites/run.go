package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/socksdirect/libsd/monitor/wire"
)

// runner runs suites and keeps what they leave below dir.
type runner struct {
	dir     string // absolute, open to all users: servers give up root
	source  string // this package's folder
	sdirect string
}

func (r *runner) sources() string { return filepath.Join(r.dir, "sources") }

// command is the suite's command line; dir is where it may leave files.
func (r *runner) command(s Suite, dir string) []string {
	if len(s.Command) == 0 {
		return []string{"bash", filepath.Join(r.source, "scripts", s.Name+".sh")}
	}
	command := slices.Clone(s.Command)
	for i, arg := range command {
		if arg == junit {
			command[i] = filepath.Join(dir, "junit.xml")
		}
	}
	return command
}

// run runs a suite once, in namespaces of its own, and stores the result beside its log. Repetitions count from 1.
func (r *runner) run(s Suite, libsd bool, repetition int) (*Result, error) {
	way, sdirect := "native", ""
	if libsd {
		way, sdirect = "libsd", r.sdirect
	}
	if repetition > 0 {
		way = fmt.Sprintf("%s-%d", way, repetition)
	}
	dir := filepath.Join(r.dir, s.Name, way)
	if err := os.MkdirAll(filepath.Join(dir, "work"), 0o755); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Limit)
	defer cancel()
	args := []string{"--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--", filepath.Join(r.source, "inside.sh"), dir, sdirect}
	cmd := exec.CommandContext(ctx, "unshare", append(args, r.command(s, dir)...)...)
	// Suites name temporary files by their process's number, and other namespaces have the same numbers. Not
	// below dir: addresses of Unix sockets are short.
	tmp, err := os.MkdirTemp("", "sd-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp) // also of a suite that was killed
	if err := os.Chmod(tmp, 0o777|os.ModeSticky); err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), "SOURCES="+r.sources(), "TMPDIR="+tmp)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	began := time.Now()
	err = cmd.Run()
	res := &Result{Suite: s.Name, Libsd: libsd, Tests: map[string]Test{}, Seconds: time.Since(began).Seconds()}
	res.TimedOut = ctx.Err() != nil
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	res.Code = cmd.ProcessState.ExitCode()
	if res.Code == 125 {
		return nil, fmt.Errorf("%s: no namespaces or no monitor: see %s", s.Name, dir)
	}
	return res, errors.Join(res.collect(s, dir), store(filepath.Join(dir, "result.json"), res))
}

// collect reads what a run has left in dir. After one that did not end there may be nothing.
func (res *Result) collect(s Suite, dir string) error {
	file, read := "log", res.readTAP
	if len(s.Command) > 0 {
		file, read = "junit.xml", res.readJUnit
	}
	switch f, err := os.Open(filepath.Join(dir, file)); {
	case err == nil:
		defer f.Close()
		if err := read(f); err != nil && !res.TimedOut {
			return err
		}
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if !res.Libsd || res.TimedOut {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(dir, "stat.json"))
	if err != nil {
		return err
	}
	var st wire.Stat
	if err := json.Unmarshal(b, &st); err != nil {
		return err
	}
	res.Counters = st.Totals
	return nil
}

func store(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
