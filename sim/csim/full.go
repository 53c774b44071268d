//go:build sim && cgo

package csim

import (
	"fmt"

	"github.com/socksdirect/libsd/queue"
)

// What a process with package socket shares has the sizes that ship. It lies behind the small memory and is
// sparse.
const (
	fullArenaAt = addr(sharedAt + sharedSize)
	fullPagesAt = fullArenaAt + queue.ArenaSize
	fullSize    = queue.ArenaSize + 2*queue.BellPageSize
	fullBells   = 8 // of a page, that a run uses at most
	fullSlots   = 2 // likewise
)

// fullMemory is an arena and the bell pages of both ends.
type fullMemory struct {
	arena *queue.Arena
	pages [2]*queue.Page
}

// newFullMemory makes it zero, but for ring space: what nobody has written nobody reads.
func (w *World) newFullMemory() *fullMemory {
	s := new(fullMemory)
	var err error
	if s.arena, err = queue.NewArena(fullArenaAt.bytes(queue.ArenaSize)); err != nil {
		panic(err)
	}
	for i := range fullSlots {
		at := fullArenaAt + queue.CtlOff + addr(i*queue.SlotSize)
		*s.arena.Slot(uint32(i)) = queue.Slot{}
		share[queue.Slot](w.World, fmt.Sprint("slot", i), at)
		w.ShareBytes(fmt.Sprint("rings", i), (fullArenaAt + queue.RingOff + addr(i*2*queue.DirStride)).bytes(2*queue.DirStride))
	}
	for i := range s.pages {
		m := &memory{at: s.page(i), page: true}
		if s.pages[i], err = queue.NewPage(m.at.bytes(queue.BellPageSize)); err != nil {
			panic(err)
		}
		clear(m.at.bytes(queue.BellOff + fullBells*bellSize))
		clear((m.at + queue.BitsOff).bytes(fullBells * queue.MembersPerBell / 8))
		name := fmt.Sprint("page", i)
		share[queue.BellPage](w.World, name, m.at)
		for k := range fullBells {
			share[queue.Bell](w.World, fmt.Sprintf("%s.bell%d", name, k), m.bellAt(k))
		}
		w.ShareBytes(name+".bits", (m.at + queue.BitsOff).bytes(fullBells*queue.MembersPerBell/8))
		w.memories = append(w.memories, m)
	}
	return s
}

// page is where the bell page of an end lies.
func (*fullMemory) page(end int) addr { return fullPagesAt + addr(end*queue.BellPageSize) }
