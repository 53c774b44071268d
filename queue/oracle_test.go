package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// stream is the bytes of one seed (splitmix64, little-endian words), the same in the C tests: who
// writes and who reads each generate it, so that nothing but the seed is shared besides the ring.
type stream struct {
	state uint64
	word  [8]byte
	left  int
}

func newStream(seed uint64) *stream { return &stream{state: seed} }

func (s *stream) next() uint64 {
	s.state += 0x9e3779b97f4a7c15
	z := s.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (s *stream) fill(p []byte) {
	for i := range p {
		if s.left == 0 {
			binary.LittleEndian.PutUint64(s.word[:], s.next())
			s.left = 8
		}
		p[i] = s.word[8-s.left]
		s.left--
	}
}

// check compares p with the next bytes of the stream.
func (s *stream) check(p []byte) error {
	want := make([]byte, len(p))
	s.fill(want)
	for i := range p {
		if p[i] != want[i] {
			return fmt.Errorf("byte %d of %d is %#x, want %#x", i, len(p), p[i], want[i])
		}
	}
	return nil
}

// heapPair makes a direction whose memory the race detector watches.
func heapPair(t testing.TB) (*Direction, Rings, *Sender, *Receiver) {
	t.Helper()
	d, rings := new(Direction), CarveRings(make([]byte, DirStride))
	s, err := NewSender(d, rings)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReceiver(d, rings)
	if err != nil {
		t.Fatal(err)
	}
	return d, rings, s, r
}

// enter takes a fresh receiver over the anchor's part of the stream.
func enter(r *Receiver) error {
	var idle stall
	for {
		switch where, _ := r.Look(); where {
		case OnAnchor:
			if err := idle.wait(); err != nil {
				return err
			}
		case Until:
			if !r.Enter() {
				return ErrBadPeer
			}
			return nil
		default:
			return fmt.Errorf("a fresh receiver is at %d", where)
		}
	}
}

// stall ends a wait for an end that has died: no test waits for ever.
type stall struct{ since time.Time }

func (s *stall) moved() { s.since = time.Time{} }

func (s *stall) wait() error {
	runtime.Gosched()
	if s.since.IsZero() {
		s.since = time.Now()
	}
	if time.Since(s.since) > 20*time.Second {
		return errors.New("the other end does nothing")
	}
	return nil
}

// pump sends total bytes of seed, switching to a random ring about once in every `every` writes
// (0: only to grow), and ends with a switch to TCP. Sizes come from the seed as well.
func pump(s *Sender, seed uint64, total, every int) (switches int, err error) {
	data, dice := newStream(seed), newStream(seed^1)
	buf := make([]byte, 96<<10)
	var idle stall
	for total > 0 {
		p := buf[:min(1+int(dice.next()%sizeOf(dice)), total)]
		data.fill(p)
		total -= len(p)
		for len(p) > 0 {
			n, err := s.Write(p)
			if err != nil {
				return switches, err
			}
			p = p[n:]
			done := false
			switch {
			case every > 0 && dice.next()%uint64(every) == 0:
				done, err = s.Switch(uint32(dice.next() % Classes))
			case n == 0 && every == 0:
				done, err = s.Grow()
			case every == 0:
				done, err = s.Shrink()
			}
			if err != nil {
				return switches, err
			}
			if done {
				switches++
			}
			if n > 0 {
				idle.moved()
			} else if err := idle.wait(); err != nil {
				return switches, err
			}
		}
	}
	for {
		if done, err := s.SwitchToTCP(); done || err != nil {
			return switches, err
		}
		if err := idle.wait(); err != nil {
			return switches, err
		}
	}
}

// sizeOf draws the bound of a size: mostly small, sometimes larger than the hot ring.
func sizeOf(dice *stream) uint64 {
	return [...]uint64{16, 256, 4096, 96 << 10}[dice.next()%4]
}

// drain reads and checks total bytes of seed until the stream is back on TCP.
func drain(r *Receiver, seed uint64, total int) error {
	data, dice := newStream(seed), newStream(seed^2)
	buf := make([]byte, 96<<10)
	got := 0
	var idle stall
	for {
		n, where := r.Read(buf[:1+dice.next()%sizeOf(dice)])
		if err := data.check(buf[:n]); err != nil {
			return fmt.Errorf("after %d bytes: %w", got, err)
		}
		got += n
		switch where {
		case RingDry:
			if err := idle.wait(); err != nil {
				return err
			}
		case BackOnTCP:
			if got != total {
				return fmt.Errorf("back on TCP after %d bytes of %d", got, total)
			}
			return nil
		case InRing:
			idle.moved()
		default:
			return fmt.Errorf("at %d after %d bytes", where, got)
		}
	}
}
