package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

func newBenchCmd() *cobra.Command {
	var opt benchOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Compare ping-pong and streams of a plain C program on the kernel and on libsd",
		Long: `bench compiles a small POSIX program and runs it natively and under sdirect run in turns:
8-byte ping-pong, a stream of 8-byte messages, 1 MiB writes; on two cores, on one core, and on one
core beside a program that uses it up. It prints medians over the rounds and their ratio.`,
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
	cmd.Flags().IntVar(&opt.rounds, "rounds", 5, "rounds of each measurement; odd, for a median that happened")
	cmd.Flags().DurationVar(&opt.time, "time", 400*time.Millisecond, "time of one measurement")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

type benchOptions struct {
	rounds int
	time   time.Duration
}

// row is one line of the result: the same quantity on the kernel and on libsd.
type row struct {
	Test     string  `json:"test"`
	Place    string  `json:"place"`
	Quantity string  `json:"quantity"`
	Unit     string  `json:"unit"`
	Kernel   float64 `json:"kernel"`
	Libsd    float64 `json:"libsd"`
	Ratio    float64 `json:"ratio"` // above 1: libsd is better
}

// quantity is what a measurement tells.
type quantity struct {
	name, unit string
	lower      bool // lower is better
	of         func(m measured) float64
}

var (
	roundTrips = []quantity{
		{"RTT p50", "µs", true, func(m measured) float64 { return m.P50 / 1e3 }},
		{"RTT p99", "µs", true, func(m measured) float64 { return m.P99 / 1e3 }},
		{"RTT mean", "µs", true, func(m measured) float64 { return m.Mean / 1e3 }},
	}
	messages  = []quantity{{"messages", "M/s", false, func(m measured) float64 { return m.Bytes / 8 / m.NS * 1e3 }}}
	bandwidth = []quantity{{"bandwidth", "GB/s", false, func(m measured) float64 { return m.Bytes / m.NS }}}
)

var benchTests = []struct {
	name, title string
	quantities  []quantity
}{
	{"pingpong", "8 B ping-pong", roundTrips},
	{"stream", "8 B stream", messages},
	{"bulk", "1 MiB writes", bandwidth},
}

// runBench measures all tests at all places; rows are valid as far as it came.
func runBench(progress io.Writer, opt benchOptions) ([]row, error) {
	prog, remove, err := buildBench()
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
	for _, place := range places {
		for _, test := range benchTests {
			var got [2][]measured // kernel, libsd
			for round := range opt.rounds {
				fmt.Fprintf(progress, "\r\033[K%s, %s: round %d of %d", test.title, place.name, round+1, opt.rounds)
				for side := range got {
					m, err := prog.measure(side == 1, test.name, place, opt.time)
					if err != nil {
						return rows, err
					}
					got[side] = append(got[side], m)
				}
			}
			fmt.Fprint(progress, "\r\033[K")
			failed = errors.Join(failed, checkPromoted(test.title, place.name, got[1]))
			rows = append(rows, rowsOf(test.title, place.name, test.quantities, got)...)
		}
	}
	return rows, failed
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

func rowsOf(test, place string, quantities []quantity, got [2][]measured) (rows []row) {
	for _, q := range quantities {
		kernel, libsd := medianOf(got[0], q.of), medianOf(got[1], q.of)
		r := row{Test: test, Place: place, Quantity: q.name, Unit: q.unit, Kernel: kernel, Libsd: libsd, Ratio: libsd / kernel}
		if q.lower {
			r.Ratio = kernel / libsd
		}
		rows = append(rows, r)
	}
	return rows
}
