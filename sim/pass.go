package sim

import "time"

// Pass lets time go by while a thread runs: for code that bounds a loop by a clock. Stores as old as
// drainBound have drained by then. In explorations code takes no time.
func (w *World) Pass(d time.Duration) {
	if w.Explore {
		return
	}
	w.now += Time(d)
	for _, t := range w.threads {
		for t.first < len(t.buf) && t.buf[t.first].at+drainBound <= w.now {
			t.drainOne()
		}
	}
}
