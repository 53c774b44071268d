//go:build !sim

package queue

// lockSpins is how often a taken lock is looked at before sleeping; a hand-over takes 0.4 µs.
const lockSpins = 50
