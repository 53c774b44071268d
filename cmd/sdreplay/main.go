//go:build sim && cgo

// Command sdreplay is what sdirect trace replay runs: it needs the simulator, which is built with
// -tags sim and cgo and does not belong into sdirect.
package main

import (
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strings"

	"github.com/socksdirect/libsd/sim/csim"
	"github.com/socksdirect/libsd/trace"
)

func main() {
	seed := flag.Uint64("seed", 1, "of the schedules")
	most := flag.Int("connections", 100, "replay the first `N` connections")
	each := flag.Int("steps", 2000, "and of each end the first `N` operations")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := replay(flag.Arg(0), *seed, *most, *each); err != nil {
		fmt.Fprintln(os.Stderr, "sdreplay:", err)
		os.Exit(1)
	}
}

func replay(path string, seed uint64, most, each int) error {
	t, err := trace.Open(path)
	if err != nil {
		return err
	}
	defer t.Close()
	all, err := t.Conversations(most, each)
	if err != nil {
		return err
	}
	if err := csim.Use(); err != nil {
		return err
	}
	hash := fnv.New64a()
	done, cut, steps, skipped, cover := 0, 0, 0, map[string]int{}, map[string]int{}
	for i, c := range all {
		if c.Shared != "" {
			skipped[c.Shared]++
			continue
		}
		w, err := csim.Replay(c, seed+uint64(i)<<32)
		if err != nil {
			return fmt.Errorf("connection %s: %w\n%s", c.Name, err, strings.Join(w.History(), "\n"))
		}
		fmt.Fprintf(hash, "%#x\n", w.Hash())
		steps += w.Steps()
		for k, v := range w.Covered() {
			cover[k] += v
		}
		done++
		if c.Cut {
			cut++
		}
	}
	fmt.Printf("%d connections replayed (%d of them only to step %d of an end), %d steps of the machine\n", done, cut, each, steps)
	for _, why := range sorted(skipped) {
		fmt.Printf("not replayed: %d: %s\n", skipped[why], why)
	}
	for _, label := range sorted(cover) {
		fmt.Printf("  %s: %d\n", label, cover[label])
	}
	fmt.Printf("seed %d hash %#016x\n", seed, hash.Sum64())
	if done == 0 {
		return fmt.Errorf("%s: no connection could be replayed", path)
	}
	return nil
}

func sorted(m map[string]int) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
