//go:build !sim

package shm

// Pause tells the processor n times (about 40 cycles each) that this is a spin loop.
func Pause(n uint32)
