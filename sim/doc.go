// Package sim runs the code that ships, deterministically, on a simulated machine: threads with
// store buffers (x86 total store order), futexes, membarrier, clocks, kernel TCP, processes that
// die, stop and are interrupted at any step. It needs -tags sim: then internal/shm, through which
// all that code reaches shared memory, calls this package in place of the processor.
//
//	world.go          World, Process: who runs next, time, faults, the end of a run
//	thread.go         Thread: a coroutine; Step, Block, Syscall
//	memory_unsafe.go  store buffers and what thread operations do to memory
//	futex.go          futex and membarrier
//	tcp.go            Endpoint: one end of a kernel TCP connection
//	chooser.go        Chooser, the one seam of all decisions: random, replay; pct.go, explore.go
//	reduce_unsafe.go  what an exploration leaves out
//	event.go          the last events, their hash, names of words
//	replay.go         runs as files
//
// A run is a function of the decisions: Choose(n, label) is called for whatever is not determined.
// All memory that threads share lies in Go or foreign memory at its real address; a thread's body
// may be Go that calls internal/shm, or anything that calls the methods of Thread (C on a stack of
// its own, for example).
package sim
