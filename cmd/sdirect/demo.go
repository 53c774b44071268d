package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func newDemoCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show kernel and libsd side by side: a plain C program and Redis; about two minutes",
		Long: `demo runs the measurements of bench in fewer rounds, then an unmodified redis-server with an
unmodified redis-benchmark (one connection and fifty), natively and under sdirect run in turns, and
prints one Markdown table of medians. It needs a C compiler, redis-server and redis-benchmark.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

func demo(out, progress io.Writer) error {
	start := time.Now()
	rows, benchErr := runBench(progress, benchOptions{rounds: 3, time: 300 * time.Millisecond, only: []string{"pingpong", "stream", "bulk"}})
	redis, redisErr := runRedis(progress, 3)
	machine, err := describeMachine()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s. Medians of 3 rounds, kernel and libsd in turns; ratio above 1: libsd is better.\n\n", machine)
	writeTable(out, append(rows, redis...))
	fmt.Fprintf(progress, "\n%.0f s\n", time.Since(start).Seconds())
	return errors.Join(benchErr, redisErr)
}

func describeMachine() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d processors, Linux %s", runtime.NumCPU(), unix.ByteSliceToString(u.Release[:])), nil
}
