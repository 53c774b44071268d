//go:build sim && cgo

package csim

import (
	"strings"
	"testing"

	"github.com/socksdirect/libsd/sim"
)

// TestExplore takes all ways through the small scenarios, or the first so many.
func TestExplore(t *testing.T) {
	for _, s := range sim.Scenarios() {
		if !s.Small || !strings.Contains(s.Name, *only) {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			if err := Use(); err != nil {
				t.Fatal(err)
			}
			x := s.Explore(sim.Config{}, true, *seeds*20, nil)
			t.Logf("%d runs, %d states, %d steps, complete: %v", x.Runs, x.States, x.Steps, x.Complete)
			if x.Failure != nil {
				t.Error(x.Failure)
			}
		})
	}
}
