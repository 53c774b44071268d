//go:build !sim

package shm

import "golang.org/x/sys/unix"

// CPU is the number of the processor that runs the caller, which may be another one by the time it
// returns: a hint. Linux keeps it in the low 12 bits of what RDTSCP loads (about 10 ns).
func CPU() uint32

// YieldCPU gives the processor to another thread that is ready to run on it, in any process, if there
// is one. sched_yield(2)
func YieldCPU() { unix.RawSyscallNoError(unix.SYS_SCHED_YIELD, 0, 0, 0) }
