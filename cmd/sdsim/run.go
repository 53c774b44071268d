package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/socksdirect/libsd/sim"
)

func list() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "The scenarios", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, s := range sim.Scenarios() {
				small := ""
				if s.Small {
					small = " (small: explore)"
				}
				fmt.Printf("%-18s %s%s\n", s.Name, s.About, small)
			}
			return nil
		},
	}
}

// chosen are the scenarios of the names; none: all for which keep holds.
func chosen(names []string, keep func(*sim.Scenario) bool) (all []*sim.Scenario, err error) {
	for _, n := range names {
		s, err := sim.Lookup(n)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if len(names) == 0 {
		for _, s := range sim.Scenarios() {
			if keep(s) {
				all = append(all, s)
			}
		}
	}
	return all, nil
}

func run() *cobra.Command {
	var seeds, dir, planted string
	var limit time.Duration
	var sc, quiet bool
	c := &cobra.Command{
		Use: "run [SCENARIO...]", Short: "Run random schedules, seed by seed",
		Long: "Run random schedules. Each seed is one schedule of each scenario; machines share the work by\nranges of seeds. One run in 64 is repeated and must come to the same events.",
		RunE: func(_ *cobra.Command, args []string) error {
			var from, to uint64
			if _, err := fmt.Sscanf(strings.ReplaceAll(seeds, "-", " "), "%d %d", &from, &to); err != nil || to < from {
				return fmt.Errorf("--seeds %s: want A-B", seeds)
			}
			all, err := chosen(args, func(*sim.Scenario) bool { return true })
			if err != nil {
				return err
			}
			if err := plant(planted); err != nil {
				return err
			}
			campaign := sim.Campaign{Scenarios: all, From: from, To: to + 1, Time: limit, Config: sim.Config{SC: sc}, Twice: 64}
			if !quiet {
				campaign.Progress = func(t sim.Tally) { fmt.Fprintln(os.Stderr, progress(t)) }
			}
			tally, found := campaign.Run()
			if found != nil {
				report(found, dir)
				return errFound
			}
			fmt.Println(progress(tally))
			for _, label := range slices.Sorted(maps.Keys(tally.Covered)) {
				fmt.Printf("  %-40s %d\n", label, tally.Covered[label])
			}
			fmt.Println("no failure")
			return nil
		},
	}
	c.Flags().StringVar(&seeds, "seeds", "1-1000000000", "first and last seed")
	c.Flags().DurationVar(&limit, "time", 0, "stop after this time")
	c.Flags().BoolVar(&sc, "sc", false, "sequential consistency in place of total store order")
	c.Flags().BoolVar(&quiet, "quiet", false, "no progress")
	c.Flags().StringVar(&dir, "dir", ".", "where the recording of a failure goes")
	c.Flags().StringVar(&planted, "canary", "", "in a build with canaries: the bug that is on")
	return c
}

func progress(t sim.Tally) string {
	return fmt.Sprintf("next seed %d, %d runs, %d steps, %.2f M steps/s, %d labelled points covered", t.Seed, t.Runs, t.Steps,
		float64(t.Steps)/1e6/t.Elapsed.Seconds(), len(t.Covered))
}

// report prints a failure and saves its recording.
func report(f *sim.Found, dir string) {
	r := f.Recording
	path, err := f.Save(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	fmt.Printf("FAILED: %s\nscenario %s, seed %d, %d decisions\n", f.Failure, r.Scenario, r.Seed, len(r.Choices))
	fmt.Println("drawn parameters:")
	for _, p := range f.Parameters {
		fmt.Println("  " + p)
	}
	fmt.Println("last events:")
	for _, l := range f.History {
		fmt.Println(l)
	}
	if f.Picture != nil {
		fmt.Printf("picture: %s\n", strings.TrimSuffix(path, ".sim")+".html")
	}
	fmt.Printf("saved: %s\nreplay: sdsim replay %s\nshrink: sdsim shrink %s\n", path, path, path)
}

func replay() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "replay FILE", Short: "Repeat a recorded run", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := sim.ReadRecording(args[0])
			if err != nil {
				return err
			}
			w, err := r.Play(all)
			if w == nil {
				return err
			}
			for _, l := range w.History() {
				fmt.Println(l)
			}
			same := "the recorded one"
			if w.Hash() != r.Hash {
				same = fmt.Sprintf("recorded was %#x: the code has changed since", r.Hash)
			}
			fmt.Printf("hash %#x (%s)\n", w.Hash(), same)
			if err != nil {
				fmt.Println("FAILED:", err)
				return errFound
			}
			fmt.Println("no failure")
			return nil
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "print all events")
	return c
}

func shrink() *cobra.Command {
	var steps int
	c := &cobra.Command{
		Use: "shrink FILE", Short: "Look for a shorter run that fails in the same way, written beside FILE", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := sim.ReadRecording(args[0])
			if err != nil {
				return err
			}
			small, err := r.Shrink(steps)
			if err != nil {
				return err
			}
			path := strings.TrimSuffix(args[0], ".sim") + "-small.sim"
			fmt.Printf("%d decisions, %d before; replay: sdsim replay -a %s\n", len(small.Choices), len(r.Choices), path)
			return small.Write(path)
		},
	}
	c.Flags().IntVar(&steps, "steps", 50_000_000, "how many steps of runs it may take")
	return c
}

func explore() *cobra.Command {
	var sc, full bool
	var most int
	var planted string
	c := &cobra.Command{
		Use: "explore [SCENARIO...]", Short: "Run small scenarios in all possible ways",
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := chosen(args, func(s *sim.Scenario) bool { return s.Small })
			if err != nil {
				return err
			}
			if err := plant(planted); err != nil {
				return err
			}
			failed := false
			for _, s := range all {
				start := time.Now()
				x := s.Explore(sim.Config{SC: sc}, !full, most, func(x sim.Explored) {
					fmt.Fprintf(os.Stderr, "%s: pass %d, %d runs, %d states, %d open\n", s.Name, x.Passes, x.Runs, x.States, x.Open)
				})
				state := "complete"
				if !x.Complete {
					state = "NOT COMPLETE"
				}
				if x.Failure != nil {
					state = "FAILED: " + x.Failure.Error()
				}
				fmt.Printf("%-18s %9d runs %10d steps %9d states %3d passes %7.1f s  %s\n", s.Name, x.Runs, x.Steps, x.States, x.Passes, time.Since(start).Seconds(), state)
				if x.Failure != nil {
					r := sim.Recording{Scenario: s.Name, SC: sc, Explore: true, Kind: x.Failure.Kind, Hash: x.Hash, Choices: x.Path}
					path := s.Name + "-explored.sim"
					if err := r.Write(path); err != nil {
						return err
					}
					fmt.Printf("replay: sdsim replay -a %s\n", path)
				}
				failed = failed || !x.Complete
			}
			if failed {
				return errFound
			}
			return nil
		},
	}
	c.Flags().BoolVar(&sc, "sc", false, "sequential consistency in place of total store order")
	c.Flags().BoolVar(&full, "full", false, "leave no decision out, whether it makes a difference or not")
	c.Flags().IntVar(&most, "runs", 0, "stop after so many runs of a scenario")
	c.Flags().StringVar(&planted, "canary", "", "in a build with canaries: the bug that is on")
	return c
}

// plant turns a bug on; "" is none.
func plant(name string) error {
	for _, c := range sim.Canaries() {
		if c.Name == name {
			return c.Plant()
		}
	}
	if name != "" {
		return fmt.Errorf("no canary %q in this build", name)
	}
	return nil
}

var errNoSources = errors.New("sdsim: canaries are planted in sources: run it in the repository")
