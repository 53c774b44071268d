package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/monitor/wire"
)

func newStatCmd() *cobra.Command {
	var asJSON bool
	var socket string
	cmd := &cobra.Command{
		Use:   "stat",
		Short: "Show which connections are on shared memory and why others are not",
		Long: `stat asks the monitor. A connection has two directions, each on its own path:

  shm/hot, shm/bulk, shm/spill   in a ring of that size class
  kernel                         on TCP; the reason is below the table

A user sees his own processes' connections, root and the monitor's user see all.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if socket == "" {
				var err error
				if socket, err = monitorSocket(); err != nil {
					return err
				}
			}
			st, err := wire.Query(socket)
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
				return fmt.Errorf("no monitor serves %s: start one with sdirect monitor, or run a program with sdirect run", socket)
			}
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(st)
			}
			return printStat(cmd.OutOrStdout(), st)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the monitor's whole answer as JSON")
	cmd.Flags().StringVar(&socket, "socket", "", "place of the registration socket (default: the monitor that run would use)")
	return cmd
}

// printStat writes tables in the manner of ss: one line for each connection, then what explains it.
func printStat(out io.Writer, st *wire.Stat) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SEND-PATH\tRECV-PATH\tUNREAD\tBYTES\tCONNECTING\tACCEPTING\tPROCESSES")
	var reasons []string
	for _, c := range st.Connections {
		fmt.Fprintf(w, "%s\t%s\t%d/%d\t%d/%d\t%s\t%s\t%s -> %s\n",
			pathOf(c.Dir[0]), pathOf(c.Dir[1]), c.Dir[0].Unread, c.Dir[1].Unread, c.Dir[0].Total, c.Dir[1].Total,
			c.Local, c.Remote, who(c.Name[0], c.PID[0]), who(c.Name[1], c.PID[1]))
		for i, from := range []string{c.Local, c.Remote} {
			if c.Dir[i].Reason != "" {
				reasons = append(reasons, fmt.Sprintf("from %s\t%s", from, c.Dir[i].Reason))
			}
		}
	}
	for _, o := range st.Waiting {
		fmt.Fprintf(w, "waiting\twaiting\t-\t-\t%s\t%s\t%s\n", o.Local, o.Remote, who(o.Name, o.PID))
		reasons = append(reasons, fmt.Sprintf("%s - %s\t%s", o.Local, o.Remote, o.Reason))
	}
	for _, k := range st.Kept {
		reasons = append(reasons, fmt.Sprintf("%s - %s %s\t%s", k.Local, k.Remote, who(k.Name, k.PID), k.Reason))
	}
	if len(reasons) > 0 {
		fmt.Fprintln(w, "\nON THE KERNEL\tBECAUSE")
		for _, r := range reasons {
			fmt.Fprintln(w, r)
		}
	}
	fmt.Fprintln(w, "\nPID\tUID\tPROCESS")
	for _, p := range st.Processes {
		fmt.Fprintf(w, "%d\t%d\t%s\n", p.PID, p.UID, p.Name)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	printCounters(out, "counters of these processes", st.Counters)
	printCounters(out, "and of those that have ended", st.Totals)
	_, err := fmt.Fprintf(out, "monitor: pid %d, uid %d, network namespace %d, %d arenas\n",
		st.Monitor.PID, st.Monitor.UID, st.Monitor.NetNS, st.Monitor.Arenas)
	return err
}

func printCounters(out io.Writer, of string, counters map[string]uint64) {
	var counts []string
	for _, name := range slices.Sorted(maps.Keys(counters)) {
		if n := counters[name]; n > 0 {
			counts = append(counts, fmt.Sprintf("%s %d", name, n))
		}
	}
	if len(counts) > 0 {
		fmt.Fprintf(out, "\n%s: %s\n", of, strings.Join(counts, ", "))
	}
}

func pathOf(d wire.DirStat) string {
	if d.Class != "" {
		return d.Path + "/" + d.Class
	}
	return d.Path
}

func who(name string, pid int) string { return fmt.Sprintf("%s(%d)", name, pid) }
