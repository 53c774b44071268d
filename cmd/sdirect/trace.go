package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/socksdirect/libsd/internal/cbuild"
	"github.com/socksdirect/libsd/trace"
)

// byteSize is a flag: bytes, with an optional K, M or G.
type byteSize uint64

func (b *byteSize) String() string { return fmt.Sprintf("%dM", *b>>20) }
func (b *byteSize) Type() string   { return "SIZE" }
func (b *byteSize) Set(s string) error {
	digits := strings.TrimRight(s, "KMG")
	n, err := strconv.ParseUint(digits, 10, 40)
	unit, ok := map[string]uint64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[s[len(digits):]]
	if err != nil || !ok {
		return fmt.Errorf("%q is not a size like 65536, 64M or 2G", s)
	}
	*b = byteSize(n * unit)
	return nil
}

// traced is env with libsdtrace.so before libsd.so, so that it sees what the program does.
func traced(env []string, opt runOptions) ([]string, error) {
	lib, err := cbuild.Trace.Find()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(opt.trace)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for i, v := range env {
		if list, ok := strings.CutPrefix(v, "LD_PRELOAD="); ok {
			env[i] = "LD_PRELOAD=" + lib + ":" + list
		}
	}
	env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "SDIRECT_TRACE") })
	return append(env, "SDIRECT_TRACE="+dir, "SDIRECT_TRACE_LIMIT="+strconv.FormatUint(uint64(opt.limit), 10)), nil
}

func newTraceCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Show, judge and convert recorded histories",
		Long: `A history is recorded by sdirect run --trace DIR: every operation on TCP sockets of the program and
of those that it starts. Give both ends of a connection the same DIR.

  sdirect run --trace /tmp/t -- redis-server &
  sdirect run --trace /tmp/t -- redis-benchmark -n 1000
  sdirect trace check /tmp/t
  sdirect trace show /tmp/t | less`,
	}
	cmd.AddCommand(newTraceShowCmd(), newTraceCheckCmd(), newTraceImportCmd(), newTraceReplayCmd())
	return cmd
}

func newTraceShowCmd() *cobra.Command {
	var html string
	cmd := &cobra.Command{
		Use:   "show DIR|FILE",
		Short: "Print a history, one line for each operation",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := trace.Open(args[0])
			if err != nil {
				return err
			}
			defer t.Close()
			to, print := cmd.OutOrStdout(), t.Print
			if html != "" {
				f, err := os.Create(html)
				if err != nil {
					return err
				}
				defer f.Close()
				to, print = f, t.Timeline
			}
			out := bufio.NewWriter(to)
			return errors.Join(print(out), out.Flush())
		},
	}
	cmd.Flags().StringVar(&html, "html", "", "write a timeline of the first 50,000 events into `FILE` instead")
	return cmd
}

func newTraceCheckCmd() *cobra.Command {
	var pictures string
	cmd := &cobra.Command{
		Use:   "check DIR|FILE",
		Short: "Judge a history: is it one that Linux allows?",
		Long: `check compares what was received on each connection whose two ends were recorded with what was sent,
and looks for results that Linux does not give. Exit code 1: the history is wrong, or events were
lost, or it could not be judged.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := trace.Open(args[0])
			if err != nil {
				return err
			}
			defer t.Close()
			v, err := t.Check()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			v.Print(out)
			if pictures != "" {
				if err := savePictures(pictures, v); err != nil {
					return err
				}
			}
			if !v.OK() {
				return fmt.Errorf("%s: not a correct history", args[0])
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&pictures, "html", "", "write what porcupine shows of each violation into `DIR`")
	return cmd
}

func savePictures(dir string, v *trace.Verdict) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, bad := range v.Violations {
		if bad.Picture == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("socket-%d.html", bad.ID)), bad.Picture, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func newTraceImportCmd() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "import --out DIR LOG...",
		Short: "Convert logs of strace",
		Long: `import reads what strace -f -ttt -yy has written (best with -T, and -s with more than the program
sends at a time: of shorter strings only the length is known), so that programs on the plain kernel
can be judged and replayed. With -y in place of -yy the two ends of a connection are not known to
belong together.

  strace -f -ttt -yy -T -s 65536 -o log PROG
  sdirect trace import --out t log
  sdirect trace check t`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			for _, log := range args {
				f, err := os.Open(log)
				if err != nil {
					return err
				}
				defer f.Close()
				n, err := trace.Import(f, filepath.Join(dir, filepath.Base(log)+".sdt"))
				if err != nil {
					return fmt.Errorf("%s: %w", log, err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %d operations on TCP sockets\n", log, n)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "out", "", "`DIR` for the traces, as run --trace makes them")
	cobra.CheckErr(cmd.MarkFlagRequired("out"))
	return cmd
}
