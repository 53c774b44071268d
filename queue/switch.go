package queue

import "github.com/socksdirect/libsd/internal/shm"

// shrinkBelow is how little must be unread for a switch to a smaller ring: what is unread is
// drained from the old region while the new one fills.
const shrinkBelow = CapHot / 2

// Switch continues the stream in the ring of class. It tells whether it did: not while the
// class's region holds unread segments, nor while the receiver is SegDescs−1 segments behind.
// The caller rings the bells of RxWatch.
func (s *Sender) Switch(class uint32) (bool, error) {
	if s.OnTCP() || Capacity(class) == 0 {
		return false, nil
	}
	rgen, err := s.look()
	if err != nil || s.gen+1-rgen >= SegDescs || s.inUse(rgen, class) {
		return false, err
	}
	s.begin(class)
	return true, nil
}

// inUse tells whether an unread segment occupies the region of class. A segment that is consumed to
// its end is free before the receiver says so by RGen, which it does only when it looks again.
func (s *Sender) inUse(rgen, class uint32) bool {
	for g := rgen; g-1 != s.gen; g++ {
		consumed := g != s.gen && distance(s.segs[(g+1)%SegDescs].base, s.head) >= 0
		if g != 0 && s.segs[g%SegDescs].class == class && !consumed {
			return true
		}
	}
	return false
}

// SwitchToTCP ends the ring part of the stream at the tail: later bytes go to the anchor. It
// tells whether it did: not while the receiver is SegDescs−1 segments behind. The caller rings.
func (s *Sender) SwitchToTCP() (bool, error) {
	if s.OnTCP() {
		return false, nil
	}
	rgen, err := s.look()
	if err != nil || s.gen+1-rgen >= SegDescs {
		return false, err
	}
	s.begin(ClassTCP)
	return true, nil
}

// Grow switches a full ring to the next larger class whose region is free, else to a smaller one; not
// where it is the buffers that are full.
func (s *Sender) Grow() (bool, error) {
	if s.allowed() == 0 {
		return false, nil
	}
	current := s.Class()
	for class := current + 1; Capacity(class) != 0; class++ {
		if done, err := s.Switch(class); done || err != nil {
			return done, err
		}
	}
	for class := current; class > 0; class-- {
		if done, err := s.Switch(class - 1); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// Shrink leaves the spill ring for bulk once the receiver has nearly caught up in it: cycling
// through 4 MiB would cost the cache. It is cheap to call before every Write.
func (s *Sender) Shrink() (bool, error) {
	if s.gen == 0 || s.Class() != ClassSpill {
		return false, nil
	}
	rgen, err := s.look()
	if err != nil || rgen != s.gen || s.tail-s.head > shrinkBelow {
		return false, err
	}
	return s.Switch(ClassBulk)
}

// Reload takes the direction's state from shared memory: at the start, and after taking the lock
// of a side shared with other processes. The other side can write there too, so it is checked.
func (s *Sender) Reload() error {
	gen := shm.Load32(&s.d.Tx.Gen)
	rgen := shm.Load32(&s.d.Rx.RGen)
	s.gen, s.tail, s.head = gen, shm.Load64(&s.d.Tx.Tail), shm.Load64(&s.d.Rx.Head)
	if gen == 0 {
		return nil
	}
	if gen-rgen >= SegDescs {
		return ErrBadPeer
	}
	for g := rgen; g-1 != gen; g++ {
		i := g % SegDescs
		s.segs[i] = segment{shm.Load64(&s.d.Seg.Base[i]), shm.Load32(&s.d.Seg.Class[i])}
	}
	current := s.segs[gen%SegDescs]
	if current.class == ClassTCP {
		return nil
	}
	used := distance(current.base, s.tail)
	if distance(current.base, s.head) > 0 {
		used = distance(s.head, s.tail)
	}
	if Capacity(current.class) == 0 || used < 0 || uint64(used) > Capacity(current.class) {
		return ErrBadPeer
	}
	return nil
}
