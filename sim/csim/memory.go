//go:build sim && cgo

package csim

import (
	"bytes"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim"
)

// Sizes of what processes share: those of core/small.h.
const (
	arenaSize    = 16384
	arenaSlots   = 2
	ringOff      = 8192
	dirStride    = 704
	bellPageSize = 86016
	bells        = 8

	maxMemories = 40
	sharedSize  = maxMemories * bellPageSize
)

// memory is what a memfd names: shared, at one address in all processes.
type memory struct {
	at    addr
	page  bool // a bell page, else an arena
	opens []*memfd
}

// memfd is an open file description of a memory.
type memfd struct {
	holders
	*memory
	locks map[int64]bool // bytes that it has read locks on (F_OFD_SETLK)
}

func (*memfd) poll() uint16 { return 0 }
func (f *memfd) close()     { f.opens = slices.DeleteFunc(f.opens, func(o *memfd) bool { return o == f }) }

// lock is fcntl(F_OFD_SETLK) or F_OFD_GETLK with struct flock, of one byte.
func (f *memfd) lock(how int64, flock addr) int64 {
	if how == unix.F_OFD_GETLK {
		if !slices.ContainsFunc(f.opens, func(o *memfd) bool { return o != f && o.locks[*at[int64](flock + 8)] }) {
			*at[int16](flock) = unix.F_UNLCK
		}
		return 0
	}
	if *at[int16](flock) == unix.F_UNLCK {
		delete(f.locks, *at[int64](flock + 8))
	} else {
		f.locks[*at[int64](flock + 8)] = true
	}
	return 0
}

// newMemory makes zero memory of a kind.
func (w *World) newMemory(page bool) *memory {
	m := &memory{at: sharedAt + addr(len(w.memories)*bellPageSize), page: page}
	if len(w.memories) == maxMemories {
		panic("too many arenas and bell pages")
	}
	name := fmt.Sprint("memory", len(w.memories))
	w.memories = append(w.memories, m)
	if !page {
		clear(m.at.bytes(arenaSize))
		w.ShareBytes(name+".header", m.at.bytes(queue.CtlOff))
		for i := range arenaSlots {
			share[queue.Slot](w.World, fmt.Sprintf("%s.slot%d", name, i), m.slot(i))
		}
		w.ShareBytes(name+".rings", (m.at + ringOff).bytes(arenaSize-ringOff))
		return m
	}
	clear(m.at.bytes(queue.BellOff + bells*bellSize))
	clear((m.at + queue.BitsOff).bytes(bells * queue.MembersPerBell / 8))
	share[queue.BellPage](w.World, name, m.at)
	for i := range bells {
		share[queue.Bell](w.World, fmt.Sprintf("%s.bell%d", name, i), m.bellAt(i))
	}
	w.ShareBytes(name+".bits", (m.at + queue.BitsOff).bytes(bellPageSize-queue.BitsOff))
	return m
}

const bellSize = (queue.BitsOff - queue.BellOff) / queue.Bells

func (m *memory) slot(i int) addr         { return m.at + queue.CtlOff + addr(i*queue.SlotSize) }
func (m *memory) bellAt(i int) addr       { return m.at + addr(queue.BellOff+i*bellSize) }
func (m *memory) bell(i int) *queue.Bell  { return at[queue.Bell](m.bellAt(i)) }
func (m *memory) header() *queue.BellPage { return at[queue.BellPage](m.at) }

// open makes another open file description.
func (m *memory) open() *memfd {
	f := &memfd{memory: m, locks: map[int64]bool{}}
	m.opens = append(m.opens, f)
	return f
}

// open is openat(2) of what libsd opens by name.
func (p *Process) open(name string) int64 {
	var fd int
	if n, _ := fmt.Sscanf(name, "/proc/self/fd/%d", &fd); n == 1 {
		if m, ok := p.fds[fd].(*memfd); ok {
			return int64(p.put(3, m.memory.open()))
		}
	}
	return errno(unix.ENOENT)
}

// text is a string of C.
func text(a addr) string {
	b := a.bytes(128)
	return string(b[:bytes.IndexByte(b, 0)])
}

// share names memory after a type whose shape it has.
func share[T any](w *sim.World, name string, a addr) { sim.Share(w, name, at[T](a)) }
