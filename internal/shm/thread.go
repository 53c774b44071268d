//go:build !sim

package shm

import (
	"runtime"
	"sync"
)

// Mutex is a lock among the goroutines of one process. It has its name here so that a simulation
// can put a goroutine that waits for it aside.
type Mutex = sync.Mutex

// Yield lets other goroutines run.
func Yield() { runtime.Gosched() }
