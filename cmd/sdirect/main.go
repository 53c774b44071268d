// Command sdirect runs programs with their local TCP connections moved to shared memory, and the
// monitor that introduces them to each other.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/socksdirect/libsd/monitor"
)

// Exit codes. Those of run for a program that cannot be started are the shells'.
const (
	exitFailure    = 1
	exitRunning    = 3   // another monitor serves the socket
	exitOwn        = 125 // run failed before it came to the program
	exitCannotExec = 126
	exitNotFound   = 127
)

// exitError is an error that ends sdirect with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func main() {
	err := newRootCmd().Execute()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "sdirect:", err)
	os.Exit(exitCode(err))
}

func exitCode(err error) int {
	var exit *exitError
	var running *monitor.RunningError
	switch {
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &running):
		return exitRunning
	}
	return exitFailure
}

// newRootCmd is the command tree. Each command is in a file of its own.
func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "sdirect",
		Short: "Local TCP connections of unmodified programs, through shared memory",
		Long: `sdirect runs programs whose TCP connections to each other on this machine move to shared
memory once they have proved worth it. Everything else stays on the kernel's TCP.

  sdirect run -- redis-server &
  sdirect run -- redis-benchmark
  sdirect stat`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newRunCmd(), newMonitorCmd(), newStatCmd(), newDoctorCmd(), newLibCmd(), newTraceCmd(), newBenchCmd(), newDemoCmd())
	return root
}
