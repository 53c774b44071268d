package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/socksdirect/libsd/sim"
	"github.com/socksdirect/libsd/sim/canary"
)

// canaries builds a sdsim in which bugs are planted, and has it hunt.
func canaries() *cobra.Command {
	var limit time.Duration
	var save string
	var replays []string
	c := &cobra.Command{
		Use: "canary [list | NAME...]", Short: "Find every planted bug",
		Long: "Find every planted bug, each in bounded time. The bugs are put into copies of the sources (go build\n-overlay), so it is run in the repository.",
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := os.MkdirTemp("", "sdsim-canary")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			root, err := filepath.Abs(".")
			if err != nil {
				return err
			}
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
				return errNoSources
			}
			overlay, err := canary.Overlay(root, dir)
			if err != nil {
				return err
			}
			bin := filepath.Join(dir, "sdsim")
			build := exec.Command("go", "build", "-tags", "sim", "-overlay", overlay, "-o", bin, "./cmd/sdsim")
			build.Stderr = os.Stderr
			if err := build.Run(); err != nil {
				return fmt.Errorf("building the planted bugs: %w", err)
			}
			pass := []string{"hunt", "--time", limit.String(), "--save", save}
			for _, r := range replays {
				pass = append(pass, "--replay", r)
			}
			cmd := exec.Command(bin, append(pass, args...)...)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if cmd.Run() != nil {
				return errFound
			}
			return nil
		},
	}
	c.Flags().DurationVar(&limit, "time", time.Minute, "for each bug")
	c.Flags().StringVar(&save, "save", "", "where to write a shrunk recording of each failure")
	c.Flags().StringSliceVar(&replays, "replay", nil, "only check that the recordings in this folder still fail")
	return c
}

// hunt is what the build with the bugs runs.
func hunt() *cobra.Command {
	var limit time.Duration
	var save string
	var replays []string
	var sc bool
	c := &cobra.Command{
		Use: "hunt", Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && args[0] == "list":
				for _, c := range sim.Canaries() {
					fmt.Printf("%-24s %s\n", c.Name, c.About)
				}
				return nil
			case len(replays) > 0:
				return replayAll(replays)
			}
			found, total := 0, 0
			for _, c := range sim.Canaries() {
				if len(args) > 0 && !contains(args, c.Name) {
					continue
				}
				total++
				ok, err := huntOne(c, sim.Config{SC: sc}, limit, save)
				if err != nil {
					return err
				}
				if ok {
					found++
				}
			}
			fmt.Printf("found %d/%d\n", found, total)
			if found < total || total == 0 {
				return errFound
			}
			return nil
		},
	}
	c.Flags().DurationVar(&limit, "time", time.Minute, "")
	c.Flags().StringVar(&save, "save", "", "")
	c.Flags().StringSliceVar(&replays, "replay", nil, "")
	c.Flags().BoolVar(&sc, "sc", false, "")
	return c
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

func huntOne(c *sim.Canary, config sim.Config, limit time.Duration, save string) (bool, error) {
	if err := c.Plant(); err != nil {
		return false, err
	}
	defer c.Remove()
	var total sim.Tally
	for i, name := range c.Scenarios {
		s, err := sim.Lookup(name)
		if err != nil {
			return false, err
		}
		left := (limit - total.Elapsed) / time.Duration(len(c.Scenarios)-i)
		campaign := sim.Campaign{Scenarios: []*sim.Scenario{s}, From: 1, To: 1 << 60, Time: left, Config: config}
		tally, found := campaign.Run()
		total.Runs, total.Steps, total.Elapsed = total.Runs+tally.Runs, total.Steps+tally.Steps, total.Elapsed+tally.Elapsed
		if found == nil {
			continue
		}
		fmt.Printf("%-24s found by %-10s %-16s %7d runs %10d steps %6.2f s\n", c.Name, name, found.Kind, total.Runs, total.Steps, total.Elapsed.Seconds())
		if save == "" {
			return true, nil
		}
		r, err := found.Recording.Shrink(2_000_000)
		if err != nil {
			return false, fmt.Errorf("%s: %w", c.Name, err)
		}
		if r.Kind == "livelock" {
			r = shortest(c, r)
		}
		r.Canary = c.Name
		return true, r.Write(filepath.Join(save, c.Name+".sim"))
	}
	fmt.Printf("%-24s NOT FOUND %36d runs %10d steps %6.2f s\n", c.Name, total.Runs, total.Steps, total.Elapsed.Seconds())
	return false, nil
}

// shortest cuts the recording of a livelock to the decisions that matter: without the bug, the run
// with the rest of them taken as they come must end.
func shortest(c *sim.Canary, r sim.Recording) sim.Recording {
	for n := 16; n < len(r.Choices); n *= 2 {
		short := r
		short.Choices, short.Seed = r.Choices[:n], 0
		w, with := short.Play(false)
		short.Hash = w.Hash()
		c.Remove()
		_, without := short.Play(false)
		c.Plant()
		if with != nil && without == nil {
			return short
		}
	}
	return r
}

// replayAll checks that each recording fails with its bug, in the same way, and does not without.
func replayAll(dirs []string) error {
	count, bad := 0, 0
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.sim"))
		if err != nil {
			return err
		}
		for _, f := range files {
			count++
			if why := replayOne(f); why != "" {
				bad++
				fmt.Printf("%s: %s\n", f, why)
			}
		}
	}
	fmt.Printf("%d of %d recordings still fail with their bugs, and only with them\n", count-bad, count)
	if bad > 0 || count == 0 {
		return errFound
	}
	return nil
}

func replayOne(file string) (why string) {
	r, err := sim.ReadRecording(file)
	if err != nil {
		return err.Error()
	}
	for _, c := range sim.Canaries() {
		if c.Name != r.Canary {
			continue
		}
		// Beyond the end of a shrunk recording a correct run may go on for longer than a run may last.
		var f *sim.Failure
		if _, err := r.Play(false); errors.As(err, &f) && (f.Kind != "livelock" || r.Kind == "livelock") {
			return "fails without its bug: " + err.Error()
		}
		if err := c.Plant(); err != nil {
			return err.Error()
		}
		defer c.Remove()
		w, err := r.Play(false)
		switch {
		case err == nil:
			return "does not fail any more"
		case w.Hash() != r.Hash:
			return fmt.Sprintf("has hash %#x, recorded was %#x", w.Hash(), r.Hash)
		}
		return ""
	}
	return "no canary is called " + r.Canary
}
