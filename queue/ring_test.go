package queue

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/socksdirect/libsd/internal/shm"
	"pgregory.net/rapid"
)

// nearWrap is a promotion point just below 2^64, so that every counter wraps during a test.
const nearWrap = math.MaxUint64 - 12345

// TestAnyInterleavingKeepsTheStream drives both ends from one goroutine against the simplest
// possible model: a slice of the bytes written and not read.
func TestAnyInterleavingKeepsTheStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, rings := new(Direction), CarveRings(make([]byte, DirStride))
		s, _ := NewSender(d, rings)
		r, _ := NewReceiver(d, rings)
		base := rapid.SampledFrom([]uint64{0, 1, nearWrap, math.MaxUint64}).Draw(t, "base")
		s.Open(base)
		if err := enter(r); err != nil {
			t.Fatal(err)
		}
		var model []byte
		data := newStream(7)
		size := rapid.SampledFrom([]int{0, 1, 7, 4095, CapHot, CapHot + 1, CapBulk})
		steps := map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				p := make([]byte, size.Draw(t, "size"))
				data.fill(p)
				free, _ := s.Free()
				n, err := s.Write(p)
				if err != nil || n != min(len(p), int(free)) {
					t.Fatalf("wrote %d of %d with %d free: %v", n, len(p), free, err)
				}
				model = append(model, p[:n]...)
			},
			"read": func(t *rapid.T) {
				p := make([]byte, size.Draw(t, "size"))
				n, where := r.Read(p)
				if !bytes.Equal(p[:n], model[:n]) || where == RingDry && len(model) != 0 {
					t.Fatalf("read %d bytes at %d, model has %d", n, where, len(model))
				}
				model = model[n:]
			},
			"peek": func(t *rapid.T) {
				p := make([]byte, size.Draw(t, "size"))
				n, _ := r.Peek(p)
				if n < min(len(p), 1, len(model)) || !bytes.Equal(p[:n], model[:n]) {
					t.Fatalf("peeked %d bytes, model has %d", n, len(model))
				}
			},
			"switch": func(t *rapid.T) { s.Switch(rapid.Uint32Range(0, ClassTCP).Draw(t, "class")) },
			"grow":   func(t *rapid.T) { s.Grow() },
			"shrink": func(t *rapid.T) { s.Shrink() },
			"reload": func(t *rapid.T) {
				if s.Reload() != nil || r.Reload() != nil {
					t.Fatal("honest state was refused")
				}
			},
			"": func(t *rapid.T) {
				unread, err := s.Unread()
				readable, _ := r.Readable()
				if err != nil || int(unread) != len(model) || int(readable) != len(model) {
					t.Fatalf("unread %d, readable %d, model %d: %v", unread, readable, len(model), err)
				}
			},
		}
		t.Repeat(steps)
	})
}

func TestGrowTakesWhatLinuxWouldHaveBuffered(t *testing.T) {
	_, _, s, _ := heapPair(t)
	s.Open(0)
	p := make([]byte, DirStride+1)
	total := 0
	for {
		n, err := s.Write(p[total:])
		if err != nil {
			t.Fatal(err)
		}
		total += n
		if done, err := s.Grow(); err != nil {
			t.Fatal(err)
		} else if !done {
			break
		}
	}
	if total != DirStride {
		t.Errorf("took %d bytes, want %d", total, DirStride)
	}
}

func TestStreamConcurrent(t *testing.T) {
	for _, c := range []struct {
		name         string
		total, every int
	}{{"growth", 16 << 20, 0}, {"switches", 64 << 20, 3}} {
		t.Run(c.name, func(t *testing.T) {
			_, _, s, r := heapPair(t)
			total := c.total
			if testing.Short() || raceEnabled {
				total /= 8
			}
			failed := make(chan error, 1)
			go func() {
				err := enter(r)
				if err == nil {
					err = drain(r, 42, total)
				}
				failed <- err
			}()
			s.Open(nearWrap)
			switches, err := pump(s, 42, total, c.every)
			if err := errors.Join(err, <-failed); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d switches", switches)
		})
	}
}

// TestTenThousandSwitches keeps switching under full-speed traffic until 10,000 are done.
func TestTenThousandSwitches(t *testing.T) {
	want := 10000
	if testing.Short() || raceEnabled {
		want = 1000
	}
	done := 0
	for round := uint64(0); done < want && round < 1000; round++ {
		_, _, s, r := heapPair(t)
		failed := make(chan error, 1)
		go func() {
			err := enter(r)
			if err == nil {
				err = drain(r, round, 4<<20)
			}
			failed <- err
		}()
		s.Open(nearWrap)
		n, err := pump(s, round, 4<<20, 1)
		if err := errors.Join(err, <-failed); err != nil {
			t.Fatal(err)
		}
		done += n
	}
	if done < want {
		t.Errorf("only %d switches", done)
	}
}

// TestHostileValues writes what no correct peer writes, one word at a time, and demands a refusal
// without a wrong byte, a panic or an endless loop.
func TestHostileValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, rings := new(Direction), CarveRings(make([]byte, DirStride))
		s, _ := NewSender(d, rings)
		r, _ := NewReceiver(d, rings)
		s.Open(nearWrap)
		s.Write(make([]byte, 1000))
		words32 := []*uint32{&d.Tx.Gen, &d.Rx.RGen, &d.Seg.Class[1], &d.Seg.Class[2]}
		words64 := []*uint64{&d.Tx.Tail, &d.Rx.Head, &d.Seg.Base[1], &d.Seg.Base[2]}
		p := make([]byte, CapBulk)
		for range 40 {
			switch rapid.IntRange(0, 7).Draw(t, "step") {
			case 0:
				shm.Store32(rapid.SampledFrom(words32).Draw(t, "word"), rapid.Uint32().Draw(t, "value"))
			case 1:
				shm.Store64(rapid.SampledFrom(words64).Draw(t, "word"), rapid.Uint64().Draw(t, "value"))
			case 2:
				s.Write(p[:rapid.IntRange(0, len(p)).Draw(t, "size")])
			case 3:
				if w, _ := r.Look(); w == Until {
					r.Enter()
				}
			case 4:
				if n, _ := r.Read(p); n > len(p) {
					t.Fatal("read too much")
				}
			case 5:
				s.Switch(rapid.Uint32Range(0, 3).Draw(t, "class"))
			case 6:
				s.Reload()
			case 7:
				r.Peek(p)
				r.Readable()
			}
		}
	})
}

func TestEachHostileWordIsNoticed(t *testing.T) {
	for name, harm := range map[string]func(*Direction){
		"tail behind head":        func(d *Direction) { d.Tx.Tail = d.Rx.Head - 1 },
		"tail beyond capacity":    func(d *Direction) { d.Tx.Tail = d.Rx.Head + CapHot + 1 },
		"gen jumps":               func(d *Direction) { d.Tx.Gen = 100 },
		"next base behind head":   func(d *Direction) { d.Tx.Gen = 2; d.Seg.Base[2] = d.Rx.Head - 1 },
		"next class is no class":  func(d *Direction) { d.Tx.Gen = 2; d.Seg.Base[2] = d.Rx.Head; d.Seg.Class[2] = 77 },
		"gen back to the anchor":  func(d *Direction) { d.Tx.Gen = 0 },
		"capacity on second page": func(d *Direction) { d.Tx.Tail = d.Rx.Head + 1<<40 },
	} {
		d, _, s, r := heapPair(t)
		s.Open(nearWrap)
		if err := enter(r); err != nil {
			t.Fatal(err)
		}
		s.Write(make([]byte, 100))
		harm(d)
		if _, where := r.Read(make([]byte, 10)); where != Corrupt {
			t.Errorf("%s: receiver is at %d", name, where)
		}
	}
	for name, harm := range map[string]func(*Direction){
		"head beyond tail": func(d *Direction) { d.Rx.Head = d.Tx.Tail + 1 },
		"head moves back":  func(d *Direction) { d.Rx.Head-- },
		"rgen beyond gen":  func(d *Direction) { d.Rx.RGen = 2 },
	} {
		d, _, s, _ := heapPair(t)
		s.Open(nearWrap)
		s.Write(make([]byte, 100))
		harm(d)
		if _, err := s.Unread(); !errors.Is(err, ErrBadPeer) {
			t.Errorf("%s: sender says %v", name, err)
		}
	}
}

func BenchmarkPingOneByte(b *testing.B) {
	_, _, s, r := heapPair(b)
	s.Open(0)
	enter(r)
	p := make([]byte, 8)
	for b.Loop() {
		s.Write(p)
		r.Read(p)
	}
}

func BenchmarkStream64K(b *testing.B) {
	_, _, s, r := heapPair(b)
	s.Open(0)
	enter(r)
	s.Switch(ClassBulk)
	p := make([]byte, 64<<10)
	b.SetBytes(64 << 10)
	go func() {
		q := make([]byte, 64<<10)
		for {
			if _, where := r.Read(q); where == BackOnTCP {
				return
			}
		}
	}()
	for b.Loop() {
		for n := 0; n < len(p); {
			m, _ := s.Write(p[n:])
			n += m
		}
	}
	for done := false; !done; {
		done, _ = s.SwitchToTCP()
	}
}

// TestSegmentThatEndsAfterTheTailWasLoaded plays the moment in which a receiver has loaded Tail and
// the sender then publishes more and switches: the old Tail is the limit until the next look.
func TestSegmentThatEndsAfterTheTailWasLoaded(t *testing.T) {
	d, _, s, r := heapPair(t)
	s.Open(nearWrap)
	if err := enter(r); err != nil {
		t.Fatal(err)
	}
	s.Write(make([]byte, 100))
	old := d.Tx.Tail
	s.Write(make([]byte, 50))
	s.Switch(ClassBulk)
	d.Tx.Tail, old = old, d.Tx.Tail
	p := make([]byte, 1000)
	for _, want := range []struct {
		n     int
		where Where
	}{{100, InRing}, {0, RingDry}} {
		if n, where := r.Read(p); n != want.n || where != want.where {
			t.Fatalf("read %d at %d, want %v", n, where, want)
		}
	}
	d.Tx.Tail = old
	if n, where := r.Read(p); n != 50 || where != InRing {
		t.Fatalf("then read %d at %d", n, where)
	}
}
