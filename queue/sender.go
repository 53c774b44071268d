package queue

import (
	"errors"

	"github.com/socksdirect/libsd/internal/shm"
)

// ErrBadPeer means that shared memory held a value which no correct peer writes. The connection
// is to be reset and CountBadPeer counted.
var ErrBadPeer = errors.New("queue: impossible value in shared memory")

// Sender is the send side of a direction. Its path:
//
//	         Open(N)            Switch(class)*           SwitchToTCP
//	TCP ──────────────▶ hot ──────────────────▶ any ring ────────────▶ TCP, final
//
// One goroutine at a time. All state that it trusts is private; of the shared words it reads only
// Head and RGen, once for each use. A Sender that shares its side with another process calls
// Reload after it took the lock.
type Sender struct {
	d     *Direction
	rings Rings
	tail  uint64 // bytes published
	head  uint64 // Head as last read; never moves back
	gen   uint32
	segs  [SegDescs]segment // segs[g % SegDescs] for the segments that may still be read

	bounded bool   // this side has said how much its send buffer holds
	rcvbuf  uint64 // Rx.Buf as read with head
}

// NewSender makes the send side of d in its present state.
func NewSender(d *Direction, rings Rings) (*Sender, error) {
	if !rings.valid() {
		return nil, errors.New("queue: rings of the wrong size")
	}
	s := &Sender{d: d, rings: rings}
	return s, s.Reload()
}

// Open starts the first segment, a hot ring, at stream position n (bytes written to the anchor).
func (s *Sender) Open(n uint64) {
	shm.StoreRelease64(&s.d.Rx.Head, n)
	shm.StoreRelease64(&s.d.Tx.Tail, n)
	s.tail, s.head = n, n
	s.begin(ClassHot)
}

// Bound says that the send buffer holds n bytes. From then on it and the receiver's bound what a Write
// takes, as they do on TCP. Before the receiver is told of this side; afterwards Tx.Buf alone changes.
func (s *Sender) Bound(n uint32) {
	shm.StoreRelease32(&s.d.Tx.Buf, n)
	s.bounded = n != 0
	s.rcvbuf = uint64(shm.Load32(&s.d.Rx.Buf))
}

// allowed is how many bytes may be published beyond those that lie unread, by the cached head. The
// overhead of the segments that a tiny window leaves TCP takes half of the send buffer.
func (s *Sender) allowed() uint64 {
	if !s.bounded || s.rcvbuf == 0 {
		return DirStride
	}
	bound := uint64(shm.Load32(&s.d.Tx.Buf))
	if s.rcvbuf < 4096 {
		bound /= 2
	}
	bound += s.rcvbuf
	return bound - min(bound, s.tail-s.head)
}

// begin publishes segment gen+1 at the tail.
func (s *Sender) begin(class uint32) {
	g := s.gen + 1
	i := g % SegDescs
	s.segs[i] = segment{s.tail, class}
	shm.StoreRelease64(&s.d.Seg.Base[i], s.tail)
	shm.StoreRelease32(&s.d.Seg.Class[i], class)
	shm.StoreRelease32(&s.d.Tx.Gen, g)
	s.gen = g
}

// Opened tells whether the direction has left the anchor (and perhaps gone back to it).
func (s *Sender) Opened() bool { return s.gen != 0 }

// OnTCP tells whether the next byte goes to the anchor: before Open, and after SwitchToTCP.
func (s *Sender) OnTCP() bool { return s.gen == 0 || s.segs[s.gen%SegDescs].class == ClassTCP }

// Class is the class of the segment being written; meaningless before Open.
func (s *Sender) Class() uint32 { return s.segs[s.gen%SegDescs].class }

// Tail is the stream position after the last byte published.
func (s *Sender) Tail() uint64 { return s.tail }

// look reads Head and RGen and checks them against what this side published.
func (s *Sender) look() (rgen uint32, err error) {
	rgen = shm.Load32(&s.d.Rx.RGen)
	head := shm.Load64(&s.d.Rx.Head)
	behind := s.gen - rgen // segments not finished by the receiver
	if behind >= SegDescs || distance(s.head, head) < 0 || distance(head, s.tail) < 0 {
		return 0, ErrBadPeer
	}
	s.head = head
	if s.bounded {
		s.rcvbuf = uint64(shm.Load32(&s.d.Rx.Buf))
	}
	return rgen, nil
}

// Unread is how many published bytes (from Open on) the receiver has not consumed.
func (s *Sender) Unread() (uint64, error) {
	if s.gen == 0 {
		return 0, nil
	}
	_, err := s.look()
	return s.tail - s.head, err
}

// Free is how many bytes the next Write would take.
func (s *Sender) Free() (uint64, error) {
	if s.OnTCP() {
		return 0, nil
	}
	if _, err := s.look(); err != nil {
		return 0, err
	}
	return s.room()
}

// room is how much the current ring takes, by the cached head.
func (s *Sender) room() (uint64, error) {
	seg := s.segs[s.gen%SegDescs]
	used := s.tail - seg.base
	if distance(seg.base, s.head) > 0 {
		used = s.tail - s.head
	}
	capacity := Capacity(seg.class)
	if used > capacity {
		return 0, ErrBadPeer
	}
	return min(capacity-used, s.allowed()), nil
}

// Write copies as much of p as fits into the ring and publishes it, each quarter of the ring at
// once so that the receiver copies at the same time. n < len(p) without an error means full. The
// caller then rings the bells of RxWatch, if n > 0.
func (s *Sender) Write(p []byte) (n int, err error) {
	if s.OnTCP() {
		return 0, nil
	}
	seg := s.segs[s.gen%SegDescs]
	if Capacity(seg.class) == 0 { // only after a Reload that failed
		return 0, ErrBadPeer
	}
	ring := s.rings[seg.class]
	quarter := len(ring) / 4
	for n < len(p) {
		free, err := s.room()
		if err != nil {
			return n, err
		}
		if want := min(len(p)-n, quarter); free < uint64(want) {
			if _, err := s.look(); err != nil {
				return n, err
			}
			if free, err = s.room(); err != nil || free == 0 {
				return n, err
			}
		}
		part := p[n:min(n+quarter, n+int(free), len(p))]
		copyIn(ring, (s.tail-seg.base)%uint64(len(ring)), part)
		s.publish(s.tail + uint64(len(part)))
		n += len(part)
	}
	return n, nil
}

// publish exchanges when the ring looked empty or the receiver asks for it, so that a receiver which
// is about to park sees the bytes or is seen; in a burst it stores plainly.
func (s *Sender) publish(tail uint64) {
	if s.tail == s.head || shm.Load32(&s.d.RxWatch.Careful) != 0 {
		shm.Store64(&s.d.Tx.Tail, tail)
	} else {
		shm.StoreRelease64(&s.d.Tx.Tail, tail)
	}
	s.tail = tail
}
