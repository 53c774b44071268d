//go:build sim

package sim

import (
	"time"
	"unsafe"

	"github.com/socksdirect/libsd/internal/shm"
)

// bridge is the machine that the code under test runs on. What runs outside of threads (a scenario
// that prepares memory) acts on memory at once.
type bridge struct{ w *World }

// Install makes w the machine of this program; nil takes it away.
func Install(w *World) {
	if w == nil {
		shm.Sim = nil
		return
	}
	shm.Sim = bridge{w}
}

func (b bridge) Load(p unsafe.Pointer, size uintptr) uint64 {
	if t := b.w.cur; t != nil {
		return t.Load(p, size)
	}
	return raw(p, size)
}

func (b bridge) Store(p unsafe.Pointer, size uintptr, v uint64) {
	if t := b.w.cur; t != nil {
		t.Store(p, size, v)
		return
	}
	b.w.set(p, size, v)
}

func (b bridge) Locked(o shm.Op, p unsafe.Pointer, size uintptr, x, y uint64) uint64 {
	if t := b.w.cur; t != nil {
		return t.Locked(op(o), p, size, x, y)
	}
	old := raw(p, size)
	b.w.set(p, size, op(o).apply(old, x, y))
	return old
}

func (b bridge) CopyIn(dst, src []byte) {
	if t := b.w.cur; t != nil {
		t.CopyIn(dst, src)
		return
	}
	b.w.setBytes(unsafe.Pointer(&dst[0]), src)
}

func (b bridge) CopyOut(dst, src []byte) {
	if t := b.w.cur; t != nil {
		t.CopyOut(dst, src)
		return
	}
	copy(dst, src)
}

func (b bridge) Membarrier() {
	if t := b.w.cur; t != nil {
		t.Membarrier()
	}
}

func (b bridge) FutexWait(p *uint32, v uint32, timeout time.Duration) {
	b.w.cur.FutexWait(p, v, timeout)
}

func (b bridge) FutexWake(p *uint32, n int) {
	if t := b.w.cur; t != nil {
		t.FutexWake(p, n)
	}
}

// Pause is part of a loop that also yields, or of one that ends by itself.
func (b bridge) Pause() {}

func (b bridge) Yield() { b.w.cur.Spin("yield") }

func (b bridge) CPU() uint32 { return uint32(b.w.cur.ID) }

func (b bridge) Block(ready func() bool) { b.w.cur.Block("mutex", ready, -1) }
