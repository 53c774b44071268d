//go:build sim

package scene

import (
	"testing"
	"time"

	"github.com/socksdirect/libsd/sim"
)

func TestSmoke(t *testing.T) {
	for _, s := range sim.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			start, steps := time.Now(), 0
			for seed := range uint64(2000) {
				w, err := s.Run(sim.Config{}, sim.NewRandom(seed))
				steps += w.Steps()
				if err != nil {
					for _, l := range w.History() {
						t.Log(l)
					}
					t.Fatal(seed, err)
				}
			}
			t.Logf("%d steps, %.2f M/s", steps, float64(steps)/1e6/time.Since(start).Seconds())
		})
	}
}
