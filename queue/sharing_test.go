package queue

import (
	"os"
	"sync"
	"testing"

	"github.com/socksdirect/libsd/internal/shm"
)

func living(uint32) bool { return true }

// TestTokenExcludes has every operation count plainly; a lost count, or a race report, is two
// threads inside at once.
func TestTokenExcludes(t *testing.T) {
	all, err := NewThreads()
	if err != nil {
		t.Skip("no membarrier:", err)
	}
	const threads = 4
	each := 20000
	if testing.Short() || raceEnabled {
		each = 2000
	}
	var k Token
	count, moves := 0, 0
	var wg sync.WaitGroup
	for i := range threads {
		me := all.Join()
		wg.Go(func() {
			for n := range each {
				me.Do(&k, func(moved bool) {
					count++
					if moved {
						moves++
					}
				})
				if n%64 == i { // leave the token to the others now and then
					shm.Pause(100)
				}
			}
		})
	}
	wg.Wait()
	if count != threads*each {
		t.Errorf("%d operations, want %d", count, threads*each)
	}
	t.Logf("%d take-overs", moves)
}

// TestTokenKeepsTheStream shares one Sender among threads that send numbered, marked records.
func TestTokenKeepsTheStream(t *testing.T) {
	all, err := NewThreads()
	if err != nil {
		t.Skip("no membarrier:", err)
	}
	_, _, s, r := heapPair(t)
	s.Open(nearWrap)
	if err := enter(r); err != nil {
		t.Fatal(err)
	}
	const threads, records = 3, 3000
	var k Token
	var wg sync.WaitGroup
	for i := range threads {
		me := all.Join()
		wg.Go(func() {
			for n := 0; n < records; {
				me.Do(&k, func(bool) {
					if free, _ := s.Free(); free >= 4 {
						s.Write([]byte{byte(i), byte(n), byte(n >> 8), 0xEE})
						n++
					}
				})
			}
		})
	}
	var next [threads]int
	p := make([]byte, 4)
	for got := 0; got < threads*records; got++ {
		for n := 0; n < 4; {
			m, where := r.Read(p[n:])
			if where == Corrupt {
				t.Fatal("corrupt")
			}
			n += m
		}
		if n := int(p[1]) | int(p[2])<<8; p[3] != 0xEE || n != next[p[0]] {
			t.Fatalf("record %v, want number %d", p, next[p[0]])
		}
		next[p[0]]++
	}
	wg.Wait()
}

func TestLockExcludes(t *testing.T) {
	l := new(LockLine)
	const threads = 4
	each := 20000
	if testing.Short() || raceEnabled {
		each = 2000
	}
	count := 0
	var wg sync.WaitGroup
	for i := range uint32(threads) {
		wg.Go(func() {
			for range each {
				l.Lock(i+1, living)
				count++
				l.Unlock()
			}
		})
	}
	wg.Wait()
	if count != threads*each {
		t.Errorf("%d operations, want %d", count, threads*each)
	}
}

func TestLockOfTheDeadIsTakenOver(t *testing.T) {
	l := new(LockLine)
	me := uint32(os.Getpid())
	const dead = 12345
	l.Lock(dead, living)
	if !l.Lock(me, func(pid uint32) bool { return pid != dead }) {
		t.Error("the taker was not told that the lock was broken")
	}
	l.Unlock()
	if l.Lock(me, living) {
		t.Error("a free lock counted as broken")
	}
}

func BenchmarkTokenHolder(b *testing.B) {
	all, err := NewThreads()
	if err != nil {
		b.Skip(err)
	}
	var k Token
	me, n := all.Join(), 0
	for b.Loop() {
		me.Do(&k, func(bool) { n++ })
	}
}

func BenchmarkTokenTakeover(b *testing.B) {
	all, err := NewThreads()
	if err != nil {
		b.Skip(err)
	}
	var k Token
	one, two := all.Join(), all.Join()
	for b.Loop() {
		one.Do(&k, func(bool) {})
		two.Do(&k, func(bool) {})
	}
}

func BenchmarkLock(b *testing.B) {
	l := new(LockLine)
	for b.Loop() {
		l.Lock(1, living)
		l.Unlock()
	}
}
