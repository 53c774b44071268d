package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/socksdirect/libsd/internal/cbuild"
	"github.com/socksdirect/libsd/monitor/wire"
)

func newRunCmd() *cobra.Command {
	opt := runOptions{limit: 1 << 30}
	cmd := &cobra.Command{
		Use:   "run [flags] [--] PROG [ARGS...]",
		Short: "Run a program with its local TCP connections on shared memory",
		Long: `run replaces itself by PROG with libsd.so loaded. Both ends of a connection must be run so;
a connection whose other end is not stays on the kernel.

It uses the monitor at $SDIRECT_SOCKET if that is set, else root's if there is one, else your own,
which it starts in the background when it does not answer.

The exit code is PROG's; 127 if it is not found, 126 if it cannot be executed, 125 if sdirect failed.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return run(args, opt)
		},
	}
	cmd.Flags().SetInterspersed(false) // flags after PROG are PROG's
	cmd.Flags().StringVar(&opt.trace, "trace", "", "record all that the program does with TCP sockets in files in `DIR`; see sdirect trace")
	cmd.Flags().Var(&opt.limit, "trace-limit", "size of the file of one process, with its forked children; what comes after is counted")
	cmd.Flags().BoolVar(&opt.noMonitor, "no-monitor", false, "start no monitor: without one, all connections stay on the kernel")
	return cmd
}

type runOptions struct {
	noMonitor bool
	trace     string // directory, "": do not record
	limit     byteSize
}

// run does not return unless it failed.
func run(args []string, opt runOptions) error {
	prog, err := lookPath(args[0])
	if err != nil {
		return err
	}
	lib, err := cbuild.Data.Find()
	if err != nil {
		return &exitError{exitOwn, err}
	}
	if strings.ContainsAny(lib, ": ") {
		return &exitError{exitOwn, fmt.Errorf("the loader cannot preload %q: no colon or space may be in the path of sdirect or of the cache", lib)}
	}
	socket, err := monitorSocket()
	if err != nil {
		return &exitError{exitOwn, err}
	}
	if !opt.noMonitor {
		if err := ensureMonitor(socket); err != nil {
			return &exitError{exitOwn, fmt.Errorf("%w\n(run --no-monitor starts the program all the same, with TCP as usual)", err)}
		}
	}
	env := environment(os.Environ(), lib, socket)
	if opt.trace != "" {
		if env, err = traced(env, opt); err != nil {
			return &exitError{exitOwn, err}
		}
	}
	err = syscall.Exec(prog, args, env)
	if errors.Is(err, syscall.ENOEXEC) {
		// A script without an interpreter line: what execvp and shells do.
		err = syscall.Exec("/bin/sh", append([]string{"sh", prog}, args[1:]...), env)
	}
	return &exitError{exitCannotExec, fmt.Errorf("%s: %w", prog, err)}
}

// lookPath finds a program as a shell does.
func lookPath(name string) (string, error) {
	prog, err := exec.LookPath(name)
	switch {
	case err == nil || errors.Is(err, exec.ErrDot): // "." in PATH is the user's wish
		return prog, nil
	case errors.Is(err, fs.ErrPermission):
		return "", &exitError{exitCannotExec, err}
	case strings.Contains(name, "/") && !errors.Is(err, fs.ErrNotExist):
		return "", &exitError{exitCannotExec, err} // a directory, for example
	}
	return "", &exitError{exitNotFound, err}
}

// environment is env with lib preloaded before everything that is already, and the monitor's place.
func environment(env []string, lib, socket string) []string {
	preload := []string{lib}
	for _, v := range env {
		if list, ok := strings.CutPrefix(v, "LD_PRELOAD="); ok {
			// The loader takes spaces and colons for separators.
			others := strings.FieldsFunc(list, func(r rune) bool { return r == ':' || r == ' ' })
			preload = append(preload, slices.DeleteFunc(others, func(l string) bool { return l == lib })...)
		}
	}
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return strings.HasPrefix(v, "LD_PRELOAD=") || strings.HasPrefix(v, wire.EnvSocket+"=")
	})
	return append(env, "LD_PRELOAD="+strings.Join(preload, ":"), wire.EnvSocket+"="+socket)
}
