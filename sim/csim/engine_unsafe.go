//go:build sim && cgo

package csim

/*
#cgo CFLAGS: -O2 -std=gnu11
#cgo LDFLAGS: -ldl
#cgo noescape sim_resume
#cgo nocallback sim_resume
#include <stdlib.h>
#include "core/engine.h"
*/
import "C"

import (
	"encoding/binary"
	"errors"
	"time"
	"unsafe"

	"github.com/socksdirect/libsd/sim"
)

// sysNap is a system call that only the simulation has.
const sysNap = C.SIM_SYS_NAP

// Where things lie, in every run: addresses are values in simulated memory, and so part of a history.
const (
	sharedAt   = 0x5d00_0000_0000
	heapsAt    = 0x5d10_0000_0000
	heapStride = 1 << 30
	fullHeaps  = heapsAt + processes*heapStride // of the build with memory of the sizes that ship
)

// addr is an address in a simulated process or in shared memory, never in the Go heap.
type addr uint64

func (a addr) pointer() unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&a)) }
func (a addr) bytes(n int) []byte      { return unsafe.Slice((*byte)(a.pointer()), n) }

func at[T any](a addr) *T { return (*T)(a.pointer()) }

// core is one build of the C core, loaded once for each process that a scenario may have.
type core struct {
	images  []*C.struct_sim_image
	entries []map[string]unsafe.Pointer
	free    []*C.struct_sim_thread
}

func mapShared(n int) { C.sim_shared_map(sharedAt, C.size_t(n)) }

func load(libs []string, full bool) (*core, error) {
	c, heaps := new(core), heapsAt
	if full {
		heaps = fullHeaps
	}
	for k, lib := range libs {
		path := C.CString(lib)
		var why *C.char
		i := C.sim_image_load(path, C.uint64_t(heaps+k*heapStride), &why)
		C.free(unsafe.Pointer(path))
		if i == nil {
			return nil, errors.New(C.GoString(why))
		}
		c.images = append(c.images, i)
		c.entries = append(c.entries, map[string]unsafe.Pointer{})
	}
	return c, nil
}

func (c *core) unload() {
	for _, i := range c.images {
		C.sim_image_unload(i)
	}
}

func (c *core) entry(image int, name string) unsafe.Pointer {
	p := c.entries[image][name]
	if p == nil {
		s := C.CString(name)
		p = C.sim_symbol(c.images[image], s)
		C.free(unsafe.Pointer(s))
		if p == nil {
			panic("no " + name + " in the C core")
		}
		c.entries[image][name] = p
	}
	return p
}

// Process is a process that runs libsd.so: one loaded copy of the C core.
type Process struct {
	*sim.Process
	w      *World
	image  int
	c      *C.struct_sim_image
	fds    map[int]file
	mapped []*memfd
	live   int  // threads that have not returned
	gone   bool // dead, killed or not
	quiet  bool // what comes before the scenario is not done (attached)
}

// Thread is a thread of a Process. Its body is Go that makes calls to libsd.so.
type Thread struct {
	*sim.Thread
	p   *Process
	c   *C.struct_sim_thread
	mem addr // of its own, for buffers

	hasty int  // pauses for which nobody else runs
	quiet bool // nobody else runs at all, and stores take effect at once: before the scenario begins
}

const threadMemory = 8192 // bytes

func (p *Process) reset() {
	C.sim_image_reset(p.c)
	p.c.pid = C.int32_t(p.PID)
}

// newThread takes a stack; body starts when the scheduler says so.
func (p *Process) newThread(cpu int) *Thread {
	w := p.w
	if len(w.core.free) == 0 {
		w.core.free = append(w.core.free, C.sim_thread_new())
	}
	last := len(w.core.free) - 1
	t := &Thread{p: p, c: w.core.free[last]}
	w.core.free = w.core.free[:last]
	w.Cleanup(func() { w.core.free = append(w.core.free, t.c) })
	C.sim_thread_start(t.c, p.c, C.uint32_t(cpu))
	t.mem = addr(uintptr(unsafe.Pointer(t.c.stack)))
	return t
}

// Call runs a function of the C core (core/glue.c) to its end.
func (t *Thread) Call(name string, args ...int64) int64 {
	var a [4]C.long
	for i, v := range args {
		a[i] = C.long(v)
	}
	c := t.c
	C.sim_call(c, t.p.w.core.entry(t.p.image, name), a[0], a[1], a[2], a[3])
	for {
		C.sim_resume(c)
		if t.Dead() {
			panic("a dead thread runs")
		}
		size := uintptr(c.size)
		if t.quiet && c.op < C.SIM_PAUSE {
			c.ret = C.int64_t(direct(c))
			if c.op != C.SIM_IDLE {
				continue
			}
		}
		switch c.op {
		case C.SIM_IDLE:
			return int64(c.ret)
		case C.SIM_LOAD:
			c.ret = C.int64_t(t.Load(c.p, size))
		case C.SIM_STORE:
			t.Store(c.p, size, uint64(c.a))
		case C.SIM_XCHG:
			c.ret = C.int64_t(t.Locked(sim.OpSwap, c.p, size, uint64(c.a), 0))
		case C.SIM_ADD:
			c.ret = C.int64_t(t.Locked(sim.OpAdd, c.p, size, uint64(c.a), 0))
		case C.SIM_OR:
			c.ret = C.int64_t(t.Locked(sim.OpOr, c.p, size, uint64(c.a), 0))
		case C.SIM_CAS:
			c.ret = C.int64_t(t.Locked(sim.OpCAS, c.p, size, uint64(c.a), uint64(c.b)))
		case C.SIM_COPY_IN:
			t.copyIn(unsafe.Slice((*byte)(c.p), size), addr(c.a).bytes(int(size)))
		case C.SIM_COPY_OUT:
			t.copyOut(addr(c.a).bytes(int(size)), unsafe.Slice((*byte)(c.p), size))
		case C.SIM_PAUSE:
			t.pause()
		case C.SIM_CLOCK:
			t.pass(clockTime)
			c.ret = C.int64_t(t.p.w.now())
		case C.SIM_SYS:
			var a [6]int64
			for i := range a {
				a[i] = int64(c.arg[i])
			}
			r := t.syscall(int(c.size), a)
			if !t.quiet {
				t.Observe("=", uint64(r))
			}
			c.ret = C.int64_t(r)
		}
	}
}

// direct does what a thread wants of memory, and returns what it gets; of a call that has returned,
// its result.
func direct(c *C.struct_sim_thread) uint64 {
	mem := func() []byte { return unsafe.Slice((*byte)(c.p), c.size) }
	var old [8]byte
	switch c.op {
	case C.SIM_IDLE:
		return uint64(c.ret)
	case C.SIM_COPY_IN:
		copy(mem(), addr(c.a).bytes(int(c.size)))
		return 0
	case C.SIM_COPY_OUT:
		copy(addr(c.a).bytes(int(c.size)), mem())
		return 0
	}
	copy(old[:], mem())
	was := binary.LittleEndian.Uint64(old[:])
	is := uint64(c.a)
	switch c.op {
	case C.SIM_LOAD:
		return was
	case C.SIM_ADD:
		is += was
	case C.SIM_OR:
		is |= was
	case C.SIM_CAS:
		if is = was; was == uint64(c.a) {
			is = uint64(c.b)
		}
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], is)
	copy(mem(), b[:])
	return was
}

// pause is one round of a loop that waits for others. Now and then these do not come forward for as
// long as the loop goes on: loops are bounded, and what follows them must be reached.
func (t *Thread) pause() {
	w := t.p.w
	switch t.pass(pauseTime); {
	case t.hasty > 0:
		t.hasty--
	case !w.Explore && w.Choose(64, "hasty") == 0:
		t.hasty = 300
	default:
		t.Spin("pause")
	}
}

// How long these take; everything else takes no time.
const (
	pauseTime = 400 * time.Nanosecond
	clockTime = 100 * time.Nanosecond
)

// piece is how many bytes of a payload move in two stores, or loads.
const piece = 16

func (t *Thread) copyIn(ring, from []byte) {
	for k := 0; k < len(from); k += piece {
		to := min(k+piece, len(from))
		t.CopyIn(ring[k:to], from[k:to])
	}
}

func (t *Thread) copyOut(to, ring []byte) {
	for k := 0; k < len(to); k += piece {
		end := min(k+piece, len(to))
		t.CopyOut(to[k:end], ring[k:end])
	}
}

func (t *Thread) cpu() int { return int(t.c.cpu) }

func (p *Process) multi(n int) { p.c.threads = C.uint32_t(n) }

func (p *Process) forked(child *Process, from, to *Thread) {
	C.sim_image_fork(p.c, child.c)
	C.sim_thread_fork(from.c, to.c)
	child.c.pid = C.int32_t(child.PID)
}

func (p *Process) name(w *sim.World) {
	for _, r := range []struct {
		name string
		p    *C.uchar
		n    C.size_t
	}{{".heap", p.c.heap, p.c.heap_size}, {".data", p.c.data, p.c.size}} {
		w.ShareBytes(p.Name+r.name, unsafe.Slice((*byte)(r.p), r.n))
	}
}

// event is where a struct epoll_event lies.
type event addr

func (e event) get() (events uint32, data uint64) {
	b := addr(e).bytes(eventSize)
	return binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint64(b[4:])
}

func (e event) put(events uint32, data uint64) {
	b := addr(e).bytes(eventSize)
	binary.NativeEndian.PutUint32(b, events)
	binary.NativeEndian.PutUint64(b[4:], data)
}
