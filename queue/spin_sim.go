//go:build sim

package queue

// lockSpins: a simulated spin ends when memory changes, so that one look is as good as fifty.
const lockSpins = 1
