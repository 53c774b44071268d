package shm

import (
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestSealedMemoryIsSharedAndKeepsItsSize(t *testing.T) {
	f, err := CreateSealed("test", 8192)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := CheckSealed(int(f.Fd()), 8192); err != nil {
		t.Error(err)
	}
	if err := CheckSealed(int(f.Fd()), 4096); err == nil {
		t.Error("a wrong size passed")
	}
	if err := f.Truncate(0); err == nil {
		t.Error("a sealed memfd was truncated")
	}
	one, err := Map(int(f.Fd()), 8192)
	if err != nil {
		t.Fatal(err)
	}
	defer Unmap(one)
	two, err := Map(int(f.Fd()), 8192)
	if err != nil {
		t.Fatal(err)
	}
	defer Unmap(two)
	Store64(At[uint64](one, 64), 7)
	if got := Load64(At[uint64](two, 64)); got != 7 {
		t.Errorf("read %d through the other mapping", got)
	}
}

func TestCheckSealedRefusesAnOrdinaryFile(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if CheckSealed(int(f.Fd()), 0) == nil {
		t.Error("an ordinary file passed")
	}
}

func TestAtRefusesWhatDoesNotFit(t *testing.T) {
	mem := make([]byte, 64)
	for _, off := range []int{-8, 57, 64, 4} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("offset %d passed", off)
				}
			}()
			At[uint64](mem, off)
		}()
	}
}

func TestFutexWakes(t *testing.T) {
	var word uint32
	var wg sync.WaitGroup
	wg.Go(func() {
		for Load32(&word) == 0 {
			FutexWait(&word, 0, time.Second)
		}
	})
	Store32(&word, 1)
	FutexWake(&word, 1)
	wg.Wait()
}

// TestBarrierForbidsStoreBuffering is the litmus behind TOKEN mode: one side stores and loads
// plainly, the other stores, calls Barrier and loads. Both loads must never miss both stores.
func TestBarrierForbidsStoreBuffering(t *testing.T) {
	if err := RegisterBarrier(); err != nil {
		t.Skip("no membarrier:", err)
	}
	rounds := 5000
	if testing.Short() {
		rounds = 500
	}
	if seen := storeBuffering(rounds, func() { Barrier() }); seen != 0 {
		t.Errorf("with the barrier: forbidden outcome %d times in %d", seen, rounds)
	}
	// Informational: that the test can see the outcome at all.
	t.Logf("without the barrier: %d times in %d", storeBuffering(rounds, func() {}), rounds)
}

// storeBuffering counts the rounds in which neither side saw the other's store.
func storeBuffering(rounds int, barrier func()) int {
	type line struct {
		v uint32
		_ [60]byte
	}
	var x, y, turn, done line
	var seenY uint32
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread()
		for r := uint32(1); r <= uint32(rounds); r++ {
			for Load32(&turn.v) != r {
				spinOrYield()
			}
			StoreRelease32(&x.v, r)
			seenY = Load32(&y.v)
			Store32(&done.v, r)
		}
	})
	forbidden := 0
	for r := uint32(1); r <= uint32(rounds); r++ {
		Store32(&turn.v, r)
		Pause(r % 16)
		StoreRelease32(&y.v, r)
		barrier()
		seenX := Load32(&x.v)
		for Load32(&done.v) != r {
			spinOrYield()
		}
		if seenX != r && seenY != r {
			forbidden++
		}
	}
	wg.Wait()
	return forbidden
}

func spinOrYield() {
	Pause(4)
	runtime.Gosched()
}

func BenchmarkStoreRelease(b *testing.B) {
	var v uint64
	for i := range b.N {
		StoreRelease64(&v, uint64(i))
	}
}

func BenchmarkStore(b *testing.B) {
	var v uint64
	for i := range b.N {
		Store64(&v, uint64(i))
	}
}
