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

// column is one of the table; hidden when no row has a value.
type column struct {
	title string
	of    func(r row) float64
	unit  func(r row) string
}

func rowUnit(r row) string { return " " + r.Unit }
func times(row) string     { return "×" }

var columns = []column{
	{"kernel", func(r row) float64 { return r.Kernel }, rowUnit},
	{"libsd", func(r row) float64 { return r.Libsd }, rowUnit},
	{"ratio", func(r row) float64 { return r.Ratio }, times},
	{"floor", func(r row) float64 { return r.Floor }, rowUnit},
	{"against", func(r row) float64 { return r.Against }, rowUnit},
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
	shown := slices.DeleteFunc(slices.Clone(columns), func(c column) bool {
		return !slices.ContainsFunc(rows, func(r row) bool { return c.of(r) != 0 })
	})
	titles, rule := []string{"test", "where", ""}, []string{"---", "---", "---"}
	for _, c := range shown {
		titles, rule = append(titles, c.title), append(rule, "---:")
	}
	line(titles...)
	line(rule...)
	for _, r := range rows {
		cells := []string{r.Test, r.Place, r.Quantity}
		for _, c := range shown {
			text := ""
			if v := c.of(r); v != 0 {
				text = figure(v) + c.unit(r)
			}
			cells = append(cells, text)
		}
		line(cells...)
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
