package queue

import (
	"errors"

	"github.com/socksdirect/libsd/internal/shm"
)

// Where tells a receiver where the next byte of the stream is.
type Where uint8

const (
	InRing    Where = iota // in the ring; bytes were returned or are there
	RingDry                // in the ring, once the sender has published it
	OnAnchor               // on the anchor: the sender has not left it
	Until                  // on the anchor up to Boundary, then in the ring: read, then Enter
	BackOnTCP              // on the anchor for good, from Boundary on
	Corrupt                // shared memory holds an impossible value
)

// Receiver is the receive side of a direction. Its path mirrors the Sender's:
//
//	         Enter              (segment by segment)        segment of ClassTCP
//	OnAnchor/Until ─────▶ InRing/RingDry ────────────────────────────▶ BackOnTCP
//	any ── impossible value ──▶ Corrupt
//
// One goroutine at a time. Of the shared words it reads Tail, Gen and the descriptor of the next
// segment, each once for each use.
type Receiver struct {
	d        *Direction
	rings    Rings
	head     uint64
	rgen     uint32
	seg      segment // descriptor of rgen
	boundary uint64
	corrupt  bool
	peeking  bool // a copy for Peek: it publishes nothing
}

// NewReceiver makes the receive side of d in its present state.
func NewReceiver(d *Direction, rings Rings) (*Receiver, error) {
	if !rings.valid() {
		return nil, errors.New("queue: rings of the wrong size")
	}
	r := &Receiver{d: d, rings: rings}
	return r, r.Reload()
}

// Reload takes the state from shared memory: at the start, and after taking the lock of a side
// shared with other processes.
func (r *Receiver) Reload() error {
	r.rgen = shm.Load32(&r.d.Rx.RGen)
	r.head = shm.Load64(&r.d.Rx.Head)
	if r.rgen == 0 {
		return nil
	}
	i := r.rgen % SegDescs
	r.seg = segment{shm.Load64(&r.d.Seg.Base[i]), shm.Load32(&r.d.Seg.Class[i])}
	if r.seg.class == ClassTCP {
		r.boundary = r.seg.base
		return nil
	}
	if Capacity(r.seg.class) == 0 || distance(r.seg.base, r.head) < 0 {
		r.corrupt = true
		return ErrBadPeer
	}
	return nil
}

// Boundary is N while Where is Until, and the position where TCP resumes while it is BackOnTCP.
func (r *Receiver) Boundary() uint64 { return r.boundary }

// GoesBack tells whether the sender has gone back to TCP, wherever the receiver is.
func (r *Receiver) GoesBack() bool {
	gen := shm.Load32(&r.d.Tx.Gen)
	return gen != 0 && shm.Load32(&r.d.Seg.Class[gen%SegDescs]) == ClassTCP
}

// Head is the stream position after the last byte consumed from a ring.
func (r *Receiver) Head() uint64 { return r.head }

// Look tells where the next byte is, moving on to the next segment if this one is drained.
// avail is how many bytes the current segment holds (for InRing).
func (r *Receiver) Look() (where Where, avail uint64) {
	if r.corrupt {
		return Corrupt, 0
	}
	if r.rgen == 0 {
		if shm.Load32(&r.d.Tx.Gen) == 0 {
			return OnAnchor, 0
		}
		r.boundary = shm.Load64(&r.d.Seg.Base[1%SegDescs])
		return Until, 0
	}
	// A sender can be at most SegDescs−1 segments ahead: more rounds than that are not needed.
	for range SegDescs {
		if r.seg.class == ClassTCP {
			return BackOnTCP, 0
		}
		tail := shm.Load64(&r.d.Tx.Tail)
		gen := shm.Load32(&r.d.Tx.Gen) // after tail: bytes of a segment are published after it
		if gen-r.rgen >= SegDescs {
			return r.bad()
		}
		end := tail
		if gen != r.rgen {
			// The segment may have ended after tail was loaded; then tail is the limit for now.
			next := shm.Load64(&r.d.Seg.Base[(r.rgen+1)%SegDescs])
			if distance(r.head, next) < 0 {
				return r.bad()
			}
			if distance(next, tail) > 0 {
				end = next
			}
			if next == r.head {
				if !r.advance() {
					return r.bad()
				}
				continue
			}
		}
		n := distance(r.head, end)
		if n < 0 || uint64(n) > Capacity(r.seg.class) {
			return r.bad()
		}
		if n == 0 {
			return RingDry, 0
		}
		return InRing, uint64(n)
	}
	return RingDry, 0
}

func (r *Receiver) bad() (Where, uint64) {
	r.corrupt = true
	return Corrupt, 0
}

// advance enters the segment after rgen, whose base must be the head.
func (r *Receiver) advance() bool {
	g := r.rgen + 1
	class := shm.Load32(&r.d.Seg.Class[g%SegDescs])
	if class != ClassTCP && Capacity(class) == 0 {
		return false
	}
	r.rgen, r.seg = g, segment{r.head, class}
	if class == ClassTCP {
		r.boundary = r.head
	}
	if !r.peeking {
		shm.StoreRelease32(&r.d.Rx.RGen, g)
	}
	return true
}

// Enter leaves the anchor for the first ring. Precondition: Look said Until, and exactly Boundary
// bytes were read from the anchor. It tells whether the descriptor was possible.
func (r *Receiver) Enter() bool {
	r.head = r.boundary
	if !r.advance() || r.seg.class == ClassTCP {
		r.corrupt = true
		return false
	}
	return true
}

// Read takes bytes out of the ring, publishing each quarter of it at once so that the sender
// refills at the same time. n is 0 unless where is InRing. The caller rings the bells of
// TxWatch, if n > 0.
func (r *Receiver) Read(p []byte) (n int, where Where) {
	// The bound: a hostile peer which publishes for ever must not hold the reader past p.
	for n < len(p) {
		w, avail := r.Look()
		if w != InRing {
			if n > 0 && w != Corrupt {
				return n, InRing
			}
			return n, w
		}
		ring := r.rings[r.seg.class]
		for avail > 0 && n < len(p) {
			part := p[n:min(n+len(ring)/4, n+int(avail), len(p))]
			copyOut(part, ring, (r.head-r.seg.base)%uint64(len(ring)))
			n += len(part)
			avail -= uint64(len(part))
			r.head += uint64(len(part))
			if !r.peeking {
				shm.StoreRelease64(&r.d.Rx.Head, r.head)
			}
		}
		// A tail chased within one call bounces its cache line for a few bytes each time: go on
		// only into the next segment.
		if avail == 0 && shm.Load32(&r.d.Tx.Gen) == r.rgen {
			break
		}
	}
	return n, InRing
}

// Peek copies what Read would return and consumes nothing.
func (r *Receiver) Peek(p []byte) (n int, where Where) {
	look := *r
	look.peeking = true
	n, where = look.Read(p)
	if where == Until {
		r.boundary = look.boundary // who reads up to there calls Enter
	}
	return n, where
}

// Readable is how many bytes lie in the rings, in all segments (FIONREAD).
func (r *Receiver) Readable() (uint64, Where) {
	where, avail := r.Look()
	if where != InRing {
		return 0, where
	}
	n := distance(r.head, shm.Load64(&r.d.Tx.Tail))
	if n < int64(avail) || n > DirStride {
		where, avail = r.bad()
		return avail, where
	}
	return uint64(n), InRing
}
