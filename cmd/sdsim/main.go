// Command sdsim runs the code that ships on a simulated machine: docs/testing.md. Build it with
// -tags sim.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/socksdirect/libsd/internal/shm"
	_ "github.com/socksdirect/libsd/sim/scene" // registers the scenarios of the Go code
)

// errFound is returned after a failure was reported.
var errFound = errors.New("")

// prepare makes the C core ready, in a build that has it.
var prepare = func() error { return nil }

func main() {
	root := &cobra.Command{
		Use:           "sdsim",
		Short:         "Deterministic simulation of libsd's data plane and control plane",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if !shm.Simulated {
				return errors.New("sdsim: build with -tags sim (make build does)")
			}
			return prepare()
		},
	}
	root.AddCommand(list(), run(), replay(), shrink(), canaries(), hunt(), explore())
	if err := root.Execute(); err != nil {
		if err != errFound {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
}
