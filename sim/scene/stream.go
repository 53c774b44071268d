// Package scene holds the scenarios of the Go code: what sdsim runs.
package scene

import (
	"bytes"
	"math/rand/v2"

	"github.com/socksdirect/libsd/sim"
)

// period is odd and larger than any ring but spill, so that bytes of another lap differ.
const period = 300007

// pattern is the bytes of every simulated stream: position p has pattern[p % period].
var pattern = func() []byte {
	b := make([]byte, period+10<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range period {
		b[i] = byte(r.Uint32())
	}
	for i := period; i < len(b); i += copy(b[i:], b[:period]) {
	}
	return b
}()

// bytesAt is n bytes of the stream from position at on.
func bytesAt(at, n int) []byte {
	i := at % period
	return pattern[i : i+n]
}

// checkStream fails the run unless p is the stream's bytes from position at on.
func checkStream(w *sim.World, at int, p []byte) {
	want := bytesAt(at, len(p))
	if bytes.Equal(p, want) {
		return
	}
	i := 0
	for p[i] == want[i] {
		i++
	}
	w.Failf("stream", "byte %d is %#x, want %#x (%d bytes were read from %d on)", at+i, p[i], want[i], len(p), at)
}
