package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

func newBenchCmd() *cobra.Command {
	var opt benchOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Compare a plain C program on the kernel, on libsd and on bare shared memory",
		Long: `bench compiles a small POSIX program and runs it natively and under sdirect run in turns:
8-byte ping-pong, a stream of 8-byte messages, 1 MiB writes; on two cores, on one core, and on one
core beside a program that uses it up. On two cores the same traffic over a bare ring in shared memory
is the floor. Then an epoll set of 10,000 connections, and what calls cost that are not for TCP. It
prints medians over the rounds and the ratio of kernel and libsd.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := runBench(cmd.ErrOrStderr(), opt)
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return errors.Join(err, enc.Encode(rows))
			}
			writeTable(cmd.OutOrStdout(), rows)
			return err
		},
	}
	var names []string
	for _, t := range benchTests {
		names = append(names, t.name)
	}
	cmd.Flags().IntVar(&opt.rounds, "rounds", 5, "rounds of each measurement; odd, for a median that happened")
	cmd.Flags().DurationVar(&opt.time, "time", 400*time.Millisecond, "time of one measurement")
	cmd.Flags().StringSliceVar(&opt.only, "only", names, "tests to run")
	cmd.Flags().StringVar(&opt.against, "against", "", "another sdirect, with its libsd.so beside it, to compare with")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

type benchOptions struct {
	rounds  int
	time    time.Duration
	only    []string
	against string
}

// side is what carries the traffic of a measurement.
type side int

const (
	onKernel side = iota
	onLibsd
	onFloor   // shared memory, without sockets
	onAgainst // libsd of another sdirect
	sides
)

// row is one line of the result: the same quantity on each side; 0: not measured there.
type row struct {
	Test     string  `json:"test"`
	Place    string  `json:"place"`
	Quantity string  `json:"quantity"`
	Unit     string  `json:"unit"`
	Kernel   float64 `json:"kernel,omitempty"`
	Libsd    float64 `json:"libsd"`
	Ratio    float64 `json:"ratio,omitempty"` // of libsd to kernel, above 1: libsd is better
	Floor    float64 `json:"floor,omitempty"`
	Against  float64 `json:"against,omitempty"`
}

// runBench measures the tests that opt names at all their places; rows are valid as far as it came.
func runBench(progress io.Writer, opt benchOptions) ([]row, error) {
	for _, name := range opt.only {
		if !slices.ContainsFunc(benchTests, func(t benchTest) bool { return t.name == name }) {
			return nil, fmt.Errorf("there is no test %q", name)
		}
	}
	prog, remove, err := buildBench(opt.against)
	if err != nil {
		return nil, err
	}
	defer remove()
	places, err := benchPlaces()
	if err != nil {
		return nil, err
	}
	var rows []row
	var failed error
	for i, place := range places {
		for _, test := range benchTests {
			if !slices.Contains(opt.only, test.name) || i > 0 && !test.everywhere {
				continue
			}
			got, err := benchRounds(progress, prog, test, place, opt)
			if err != nil {
				return rows, err
			}
			where := place.name
			if test.where != "" {
				where = test.where
			}
			failed = errors.Join(failed, checkPromoted(test.title, where, got[onLibsd]))
			rows = append(rows, rowsOf(test, where, got)...)
		}
	}
	return rows, failed
}

// benchRounds measures one test at one place on all sides in turns.
func benchRounds(progress io.Writer, prog benchProg, test benchTest, place place, opt benchOptions) (got [sides][]measured, err error) {
	defer fmt.Fprint(progress, "\r\033[K")
	for round := range opt.rounds {
		fmt.Fprintf(progress, "\r\033[K%s, %s: round %d of %d", test.title, place.name, round+1, opt.rounds)
		for on := range sides {
			if !test.on(on, place) || on == onAgainst && opt.against == "" {
				continue
			}
			m, err := test.measure(prog, on, place, opt.time)
			if err != nil {
				return got, err
			}
			got[on] = append(got[on], m)
		}
	}
	return got, nil
}

// checkPromoted tells if libsd's side ran on the kernel: then the comparison means nothing.
func checkPromoted(test, place string, runs []measured) error {
	on := 0
	for _, m := range runs {
		if m.KernelShare > 0.5 {
			on++
		}
	}
	if on == 0 {
		return nil
	}
	return fmt.Errorf("%s, %s: in %d of %d rounds under libsd the connection was not promoted: these figures are the kernel's", test, place, on, len(runs))
}

func rowsOf(test benchTest, where string, got [sides][]measured) (rows []row) {
	for _, q := range test.quantities {
		r := row{Test: test.title, Place: where, Quantity: q.name, Unit: q.unit}
		r.Libsd = medianOf(got[onLibsd], q.of)
		r.Floor = medianOf(got[onFloor], q.of)
		r.Against = medianOf(got[onAgainst], q.of)
		r.Kernel = medianOf(got[onKernel], q.of)
		if q.without != nil {
			r.Kernel = medianOf(got[onLibsd], q.without)
		}
		if r.Kernel != 0 {
			r.Ratio = r.Libsd / r.Kernel
			if q.lower {
				r.Ratio = r.Kernel / r.Libsd
			}
		}
		rows = append(rows, r)
	}
	return rows
}
