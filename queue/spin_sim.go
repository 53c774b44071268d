//go:build sim

package queue

// A simulated spin goes on when memory has changed, so that one look is as good as fifty.
const (
	lockSpins  = 1
	tokenSpins = 1
)
