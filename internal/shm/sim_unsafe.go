//go:build sim

package shm

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Simulated tells that this is a build for the simulator (-tags sim).
const Simulated = true

// Op is a locked operation.
type Op uint8

const (
	OpSwap Op = iota
	OpCAS     // to b if it is a
	OpAdd
	OpOr
	OpAnd
)

// Machine is the computer that a simulation puts in place of the real one. Each method is called by
// the simulated thread that runs; size is 4 or 8.
type Machine interface {
	Load(p unsafe.Pointer, size uintptr) uint64
	Store(p unsafe.Pointer, size uintptr, v uint64) // may stay in the store buffer
	Locked(op Op, p unsafe.Pointer, size uintptr, a, b uint64) (old uint64)
	CopyIn(dst, src []byte)
	CopyOut(dst, src []byte)
	Membarrier()
	FutexWait(p *uint32, v uint32, timeout time.Duration)
	FutexWake(p *uint32, n int)
	Pause()
	Yield()
	CPU() uint32
	Block(ready func() bool) // until ready
}

// Sim is the machine of the simulation that runs, nil outside of one: then everything here is what
// it is in production builds. A simulation has the whole process: nothing else runs beside it.
var Sim Machine

func Load32(p *uint32) uint32 {
	if Sim != nil {
		return uint32(Sim.Load(unsafe.Pointer(p), 4))
	}
	return atomic.LoadUint32(p)
}

func Load64(p *uint64) uint64 {
	if Sim != nil {
		return Sim.Load(unsafe.Pointer(p), 8)
	}
	return atomic.LoadUint64(p)
}

func StoreRelease32(p *uint32, v uint32) {
	if Sim != nil {
		Sim.Store(unsafe.Pointer(p), 4, uint64(v))
		return
	}
	atomic.StoreUint32(p, v)
}

func StoreRelease64(p *uint64, v uint64) {
	if Sim != nil {
		Sim.Store(unsafe.Pointer(p), 8, v)
		return
	}
	atomic.StoreUint64(p, v)
}

func Store32(p *uint32, v uint32) { Swap32(p, v) }

func Store64(p *uint64, v uint64) { Swap64(p, v) }

func Swap32(p *uint32, v uint32) uint32 {
	if Sim != nil {
		return uint32(Sim.Locked(OpSwap, unsafe.Pointer(p), 4, uint64(v), 0))
	}
	return atomic.SwapUint32(p, v)
}

func Swap64(p *uint64, v uint64) uint64 {
	if Sim != nil {
		return Sim.Locked(OpSwap, unsafe.Pointer(p), 8, v, 0)
	}
	return atomic.SwapUint64(p, v)
}

func CAS32(p *uint32, old, v uint32) bool {
	if Sim != nil {
		return uint32(Sim.Locked(OpCAS, unsafe.Pointer(p), 4, uint64(old), uint64(v))) == old
	}
	return atomic.CompareAndSwapUint32(p, old, v)
}

func CAS64(p *uint64, old, v uint64) bool {
	if Sim != nil {
		return Sim.Locked(OpCAS, unsafe.Pointer(p), 8, old, v) == old
	}
	return atomic.CompareAndSwapUint64(p, old, v)
}

func Add32(p *uint32, delta uint32) uint32 {
	if Sim != nil {
		return uint32(Sim.Locked(OpAdd, unsafe.Pointer(p), 4, uint64(delta), 0)) + delta
	}
	return atomic.AddUint32(p, delta)
}

func Add64(p *uint64, delta uint64) uint64 {
	if Sim != nil {
		return Sim.Locked(OpAdd, unsafe.Pointer(p), 8, delta, 0) + delta
	}
	return atomic.AddUint64(p, delta)
}

func Or64(p *uint64, bits uint64) uint64 {
	if Sim != nil {
		return Sim.Locked(OpOr, unsafe.Pointer(p), 8, bits, 0)
	}
	return atomic.OrUint64(p, bits)
}

func AndNot64(p *uint64, bits uint64) uint64 {
	if Sim != nil {
		return Sim.Locked(OpAnd, unsafe.Pointer(p), 8, ^bits, 0)
	}
	return atomic.AndUint64(p, ^bits)
}

func CopyIn(dst, src []byte) int {
	n := min(len(dst), len(src))
	if Sim == nil {
		copy(dst, src)
	} else if n > 0 {
		Sim.CopyIn(dst[:n], src[:n])
	}
	return n
}

func CopyOut(dst, src []byte) int {
	n := min(len(dst), len(src))
	if Sim == nil {
		copy(dst, src)
	} else if n > 0 {
		Sim.CopyOut(dst[:n], src[:n])
	}
	return n
}

func RegisterBarrier() error { return nil }

func Barrier() error {
	if Sim != nil {
		Sim.Membarrier()
	}
	return nil
}

func FutexWait(p *uint32, v uint32, timeout time.Duration) {
	if Sim != nil {
		Sim.FutexWait(p, v, timeout)
	}
}

func FutexWake(p *uint32, n int) {
	if Sim != nil {
		Sim.FutexWake(p, n)
	}
}

func Pause(uint32) {
	if Sim != nil {
		Sim.Pause()
	}
}

// CPU is another for each simulated thread.
func CPU() uint32 {
	if Sim != nil {
		return Sim.CPU()
	}
	return 0
}

// YieldCPU is Yield: every thread has a processor.
func YieldCPU() { Yield() }

func Yield() {
	if Sim != nil {
		Sim.Yield()
	}
}

// Mutex is a lock among the threads of one process: one word, so that a simulation sees it.
type Mutex struct {
	real sync.Mutex
	word uint32
}

func (m *Mutex) Lock() {
	if Sim == nil {
		m.real.Lock()
		return
	}
	for !CAS32(&m.word, 0, 1) {
		Sim.Block(func() bool { return m.word == 0 })
	}
}

func (m *Mutex) Unlock() {
	if Sim == nil {
		m.real.Unlock()
		return
	}
	Store32(&m.word, 0)
}

// Flag is atomic.Bool, as much as is used of it.
type Flag struct{ word uint32 }

func (f *Flag) Load() bool       { return Load32(&f.word) != 0 }
func (f *Flag) Store(v bool)     { Store32(&f.word, truth(v)) }
func (f *Flag) Swap(v bool) bool { return Swap32(&f.word, truth(v)) != 0 }

func truth(v bool) uint32 {
	if v {
		return 1
	}
	return 0
}

// Counter is atomic.Uint32, as much as is used of it.
type Counter struct{ word uint32 }

func (c *Counter) Load() uint32        { return Load32(&c.word) }
func (c *Counter) Add(d uint32) uint32 { return Add32(&c.word, d) }

// Ref is atomic.Pointer, as much as is used of it. The version is what a simulation sees of it.
type Ref[T any] struct {
	real    atomic.Pointer[T]
	version uint32
}

func (r *Ref[T]) Load() *T {
	Load32(&r.version)
	return r.real.Load()
}

func (r *Ref[T]) Store(p *T) {
	Add32(&r.version, 1)
	r.real.Store(p)
}
