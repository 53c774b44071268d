package trace

import "fmt"

// piece is what one operation moved.
type piece struct {
	n     uint64
	sum   uint32
	known bool // sum is
	seq   int
	start int64
	end   int64
}

// stream is one direction of a connection whose ends are both recorded. Pieces wait in it until the
// other side has caught up: the bytes are compared at each position where both sides have a boundary.
type stream struct {
	sent, received []piece // not yet compared
	pos            [2]uint64
	acc            [2]uint32 // sums since the last common boundary
	unknown        bool      // one of those sums is not known
	last           [2]piece  // what was taken last on each side
	verified       uint64    // bytes whose sums were compared and are the same
	opaque         uint64    // bytes compared by number only
	since          uint64    // position of the last common boundary
	failed         bool
}

// add takes the next piece of a side and compares what can be compared.
func (s *stream) add(side int, p piece) error {
	if side == sending {
		s.sent = append(s.sent, p)
	} else {
		s.received = append(s.received, p)
	}
	for {
		// The side that is behind moves on.
		next, side := &s.sent, sending
		if s.pos[sending] > s.pos[receiving] {
			next, side = &s.received, receiving
		} else if s.pos[sending] == s.pos[receiving] && len(s.sent) == 0 {
			return nil
		}
		if len(*next) == 0 {
			return nil
		}
		if err := s.take(side, (*next)[0]); err != nil {
			return err
		}
		*next = (*next)[1:]
	}
}

// take moves one side by a piece. What the other side has taken last overlaps with it, unless both
// stood at the same position.
func (s *stream) take(side int, p piece) error {
	apart := s.pos[sending] != s.pos[receiving]
	s.pos[side] += p.n
	s.acc[side] = Combine(s.acc[side], p.sum, p.n)
	s.unknown = s.unknown || !p.known
	s.last[side] = p
	if apart {
		if out, in := s.last[sending], s.last[receiving]; in.end < out.start {
			return fmt.Errorf("event %d received bytes %d ns before event %d began to send them", in.seq, out.start-in.end, out.seq)
		}
	}
	if s.pos[sending] != s.pos[receiving] {
		return nil
	}
	n := s.pos[sending] - s.since
	if s.unknown {
		s.opaque += n
	} else if s.acc[sending] != s.acc[receiving] {
		return fmt.Errorf("bytes %d to %d were sent with sum %#x and received with sum %#x (events up to %d and %d)",
			s.since, s.pos[sending], s.acc[sending], s.acc[receiving], s.last[sending].seq, s.last[receiving].seq)
	} else {
		s.verified += n
	}
	s.since, s.acc, s.unknown = s.pos[sending], [2]uint32{}, false
	return nil
}
