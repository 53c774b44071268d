package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// medianOf is the median of one quantity over the rounds.
func medianOf(runs []measured, of func(measured) float64) float64 {
	values := make([]float64, len(runs))
	for i, m := range runs {
		values[i] = of(m)
	}
	return median(values)
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n == 0 {
		return 0
	}
	return (v[(n-1)/2] + v[n/2]) / 2
}

// writeTable prints rows as a Markdown table whose columns line up.
func writeTable(w io.Writer, rows []row) {
	tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', tabwriter.Debug)
	line := func(cells ...string) {
		fmt.Fprint(tw, "|")
		for _, c := range cells {
			fmt.Fprintf(tw, " %s\t", c)
		}
		fmt.Fprintln(tw)
	}
	line("test", "where", "", "kernel", "libsd", "ratio")
	line("---", "---", "---", "---:", "---:", "---:")
	for _, r := range rows {
		line(r.Test, r.Place, r.Quantity, figure(r.Kernel)+" "+r.Unit, figure(r.Libsd)+" "+r.Unit, figure(r.Ratio)+"×")
	}
	tw.Flush()
}

// figure shows three significant digits.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
