package queue

import "github.com/socksdirect/libsd/internal/shm"

// Rings is the ring memory of one direction, indexed by class: Rings[c] has Capacity(c) bytes.
type Rings [Classes][]byte

// Capacity is the size in bytes of the ring of a class, 0 for ClassTCP and for what is no class.
func Capacity(class uint32) uint64 {
	switch class {
	case ClassHot:
		return CapHot
	case ClassBulk:
		return CapBulk
	case ClassSpill:
		return CapSpill
	}
	return 0
}

// valid tells whether every ring has its capacity; NewSender and NewReceiver insist on it, so
// that no index computed from it can be outside.
func (r *Rings) valid() bool {
	for c := range r {
		if uint64(len(r[c])) != Capacity(uint32(c)) {
			return false
		}
	}
	return true
}

// segment is a private copy of one descriptor. Shared descriptors are copied when they are first
// seen and never read again, so that a peer cannot change what was checked.
type segment struct {
	base  uint64
	class uint32
}

// distance is to − from, as the signed number that modulo-2^64 positions stand for.
func distance(from, to uint64) int64 { return int64(to - from) }

// copyIn puts p into ring at offset; the caller has checked that it fits the free space.
func copyIn(ring []byte, offset uint64, p []byte) {
	n := shm.CopyIn(ring[offset:], p)
	shm.CopyIn(ring, p[n:])
}

// copyOut fills p from ring at offset.
func copyOut(p, ring []byte, offset uint64) {
	n := shm.CopyOut(p, ring[offset:])
	shm.CopyOut(p[n:], ring)
}
