package socket

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/queue"
)

var streamBytes = flag.Int64("stream", 32<<20, "bytes each way in the integrity tests; 1073741824 is the full size")

// chunk is the unit of the seeded stream; writes and reads have other, random sizes.
const chunk = 64 << 10

// seeded is an endless reader of the bytes of one seed.
type seeded struct{ src *rand.ChaCha8 }

func newSeeded(seed byte) io.Reader { return seeded{rand.NewChaCha8([32]byte{seed})} }

func (s seeded) Read(p []byte) (int, error) { return s.src.Read(p) }

// send writes n bytes of seed in pieces of random sizes.
func send(w io.Writer, seed byte, n int64) error {
	src, dice := io.LimitReader(newSeeded(seed), n), rand.New(rand.NewPCG(uint64(seed), 1))
	buf := make([]byte, 3*chunk)
	for {
		k, err := io.ReadFull(src, buf[:1+dice.IntN(size(dice))])
		if k == 0 {
			return nil
		}
		if _, err := w.Write(buf[:k]); err != nil {
			return err
		}
		if err != nil {
			return nil
		}
	}
}

// receive reads and compares n bytes of seed, and then demands EOF if eof.
func receive(r io.Reader, seed byte, n int64, eof bool) error {
	src, dice := newSeeded(seed), rand.New(rand.NewPCG(uint64(seed), 2))
	buf, want := make([]byte, 3*chunk), make([]byte, 3*chunk)
	for got := int64(0); got < n; {
		k, err := r.Read(buf[:min(int64(1+dice.IntN(size(dice))), n-got)])
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", got, err)
		}
		io.ReadFull(src, want[:k])
		if !bytes.Equal(buf[:k], want[:k]) {
			return fmt.Errorf("wrong bytes between %d and %d", got, got+int64(k))
		}
		got += int64(k)
	}
	if eof {
		if k, err := r.Read(buf); k != 0 || err != io.EOF {
			return fmt.Errorf("at the end: %d bytes, %v", k, err)
		}
	}
	return nil
}

func size(dice *rand.Rand) int { return []int{64, 4096, chunk, 3 * chunk}[dice.IntN(4)] }

// bothWays sends n bytes in each direction at once, then half-closes, and checks all of it.
func bothWays(t *testing.T, a, b *Conn, n int64, during func()) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for i, way := range []struct{ from, to *Conn }{{a, b}, {b, a}} {
		wg.Go(func() { errs <- errors.Join(send(way.from, byte(i), n), way.from.CloseWrite()) })
		wg.Go(func() { errs <- receive(way.to, byte(i), n, true) })
	}
	during()
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestStreamOnKernel(t *testing.T) {
	a, b := kernelPair(t)
	defer a.Close()
	defer b.Close()
	bothWays(t, a, b, *streamBytes/4, func() {})
}

func TestStreamPromoted(t *testing.T) {
	d := newByHand(t)
	a, b := d.promotedPair(t)
	defer a.Close()
	defer b.Close()
	bothWays(t, a, b, *streamBytes, func() {})
	if n := d.count(queue.CountPromoted); n != 2 {
		t.Errorf("%d directions left TCP, want 2", n)
	}
	t.Logf("switches %d, rings %d, parks %d", d.count(queue.CountSwitch), d.count(queue.CountRing), d.count(queue.CountPark))
}

// TestPromotionUnderTraffic introduces the ends while both directions are busy: the switch from
// TCP to the ring must lose and double nothing, wherever it falls.
func TestPromotionUnderTraffic(t *testing.T) {
	d := newByHand(t)
	for round := range 40 {
		a, b := kernelPair(t)
		a.dom, b.dom = d.domain, d.domain
		a.offered.Store(true)
		b.offered.Store(true)
		bothWays(t, a, b, 1<<20, func() {
			for range round * 1000 {
				shm.Pause(1)
			}
			d.introduce(t, a, b)
		})
		a.Close()
		b.Close()
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	t.Logf("%d of 80 directions were promoted before they ended", d.count(queue.CountPromoted))
}

func (d *byHand) count(counter int) uint64 {
	return shm.Load64(&shm.At[queue.BellPage](d.page.Memory(), 0).Count[counter])
}
