package queue

import (
	"fmt"

	"github.com/socksdirect/libsd/internal/shm"
)

// Arena is a view of a mapped arena. Bounds are checked here, once; what it hands out stays
// inside the mapping whatever a peer writes.
type Arena struct {
	mem []byte
	hdr *ArenaHeader
}

// NewArena views mem, which must have ArenaSize bytes.
func NewArena(mem []byte) (*Arena, error) {
	if len(mem) != ArenaSize {
		return nil, fmt.Errorf("queue: arena of %d bytes, want %d", len(mem), ArenaSize)
	}
	return &Arena{mem, shm.At[ArenaHeader](mem, 0)}, nil
}

// ABI is the layout hash which the arena's maker wrote.
func (a *Arena) ABI() uint64 { return shm.Load64(&a.hdr.ABI) }

// Header is the arena's first page, for its maker to fill.
func (a *Arena) Header() *ArenaHeader { return a.hdr }

// Memory is the whole mapping, for the one who unmaps it.
func (a *Arena) Memory() []byte { return a.mem }

// Slot views control block i. It panics unless i < ArenaSlots.
func (a *Arena) Slot(i uint32) *Slot {
	if i >= ArenaSlots {
		panic(fmt.Sprintf("queue: slot %d", i))
	}
	return shm.At[Slot](a.mem, CtlOff+int(i)*SlotSize)
}

// Rings views the ring memory of direction dir (0 or 1) of slot i.
func (a *Arena) Rings(i uint32, dir int) Rings {
	if i >= ArenaSlots || dir&^1 != 0 {
		panic(fmt.Sprintf("queue: direction %d of slot %d", dir, i))
	}
	off := RingOff + (int(i)*2+dir)*DirStride
	return CarveRings(a.mem[off : off+DirStride])
}

// CarveRings divides DirStride bytes into the rings of one direction.
func CarveRings(mem []byte) (r Rings) {
	for c := range r {
		n := Capacity(uint32(c))
		r[c], mem = mem[:n:n], mem[n:]
	}
	return r
}
