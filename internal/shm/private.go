//go:build !sim

package shm

import "sync/atomic"

// Flag, Counter and Ref are atomic words of one process, shared between its goroutines only. They
// have their names here because sync/atomic is imported nowhere else.
type (
	Flag       = atomic.Bool
	Counter    = atomic.Uint32
	Ref[T any] = atomic.Pointer[T]
)
