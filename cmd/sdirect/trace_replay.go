package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
)

func newTraceReplayCmd() *cobra.Command {
	var seed uint64
	var connections, steps int
	cmd := &cobra.Command{
		Use:   "replay DIR|FILE",
		Short: "Do what a history did once more, in the simulator",
		Long: `replay has simulated processes, with the C core of libsd.so in them, do what the two ends of each
recorded connection did: the same calls of the same threads, under the schedule of a seed. It
checks every byte and the results, and prints a hash over all events of all runs: the same seed gives
the same hash.

It needs sdreplay, which has the simulator in it, beside sdirect: make sdreplay.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			exe, err := os.Executable()
			if err != nil {
				return err
			}
			prog := filepath.Join(filepath.Dir(exe), "sdreplay")
			err = syscall.Exec(prog, []string{prog, "-seed", strconv.FormatUint(seed, 10), "-connections", strconv.Itoa(connections),
				"-steps", strconv.Itoa(steps), args[0]}, os.Environ())
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s is not there: build it with make sdreplay", prog)
			}
			return fmt.Errorf("%s: %w", prog, err)
		},
	}
	cmd.Flags().Uint64Var(&seed, "seed", 1, "of the schedules")
	cmd.Flags().IntVar(&connections, "connections", 100, "replay the first `N` connections")
	cmd.Flags().IntVar(&steps, "steps", 2000, "and of each end the first `N` operations")
	return cmd
}
