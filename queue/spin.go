//go:build !sim

package queue

// How often a waiter looks before it sleeps.
const (
	lockSpins  = 50 // a hand-over of a lock takes 0.4 µs
	tokenSpins = 200
)
