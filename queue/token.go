package queue

import (
	"math"

	"github.com/socksdirect/libsd/internal/shm"
)

// Token is the TOKEN mode of one side of a direction: threads of one process share it, the holder
// pays two plain stores for an operation, and a taker pays a membarrier.
//
//	            share                    too many take-overs, or fork
//	PRIVATE ─────────────▶ TOKEN ────────────────────────────────────▶ LOCKED
//	no word, no fence      Token: holder's number in word              LockLine
//
// PRIVATE has no code: its only thread just operates. LOCKED is a LockLine.
//
// Takers serialise on a lock, busy is per thread, and a new holder marks itself busy before it
// unlocks: an exhaustive exploration under total store order finds a violation if any of these is
// left out, or the barrier.
type Token struct {
	word  uint32    // number of the holding Thread; 0 = nobody
	taker shm.Mutex // held from the exchange until the new holder is busy
}

// Thread is one user of tokens; one goroutine at a time uses it. A Thread serves any number of
// tokens, one operation at a time.
type Thread struct {
	number uint32
	_      [56]byte
	busy   uint32 // 1 while this thread is inside an operation; on a line of its own
	want   uint32 // takers that may sleep on busy
	_      [56]byte
	all    *Threads
}

// Threads is the set of threads which share tokens.
type Threads struct {
	mu      shm.Mutex
	list    []*Thread // by number − 1
	barrier func() error
}

// NewThreads prepares TOKEN mode. An error means that this process has no membarrier: use LOCKED.
func NewThreads() (*Threads, error) {
	if err := shm.RegisterBarrier(); err != nil {
		return nil, err
	}
	return &Threads{barrier: shm.Barrier}, nil
}

// Join adds a thread.
func (a *Threads) Join() *Thread {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := &Thread{number: uint32(len(a.list) + 1), all: a}
	a.list = append(a.list, t)
	return t
}

func (a *Threads) get(number uint32) *Thread {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.list[number-1]
}

// Do runs op, which must be bounded and must not wait, while t holds k. moved tells op that another
// thread may have operated since t did: cached state is to be reloaded.
func (t *Thread) Do(k *Token, op func(moved bool)) error {
	shm.StoreRelease32(&t.busy, 1)
	if shm.Load32(&k.word) == t.number {
		op(false)
		t.leave()
		return nil
	}
	t.leave() // not busy while it waits for the lock: another taker may wait for us
	return t.take(k, op)
}

// leave ends an operation. Who wants the token has said so before its barrier: a thread that was
// seen busy after the barrier looks here after it as well.
func (t *Thread) leave() {
	shm.StoreRelease32(&t.busy, 0)
	if shm.Load32(&t.want) != 0 {
		shm.FutexWake(&t.busy, math.MaxInt32)
	}
}

// take gets the token from its holder. The barrier makes the holder's busy mark visible here, or
// our word visible to it before its next operation.
func (t *Thread) take(k *Token, op func(moved bool)) error {
	k.taker.Lock()
	old := shm.Swap32(&k.word, t.number)
	if old != 0 && old != t.number {
		holder := t.all.get(old)
		shm.Add32(&holder.want, 1)
		err := t.all.barrier()
		if err == nil {
			holder.awaitIdle()
		}
		shm.Add32(&holder.want, ^uint32(0))
		if err != nil {
			shm.Store32(&k.word, old)
			k.taker.Unlock()
			return err
		}
	}
	shm.StoreRelease32(&t.busy, 1)
	k.taker.Unlock()
	op(true)
	t.leave()
	return nil
}

// awaitIdle waits until t is outside of operations, or was for a moment.
func (t *Thread) awaitIdle() {
	for i := 0; shm.Load32(&t.busy) != 0; i++ {
		if i < tokenSpins {
			shm.Pause(8)
			shm.Yield()
		} else {
			shm.FutexWait(&t.busy, 1, lockSleepMax)
		}
	}
}
