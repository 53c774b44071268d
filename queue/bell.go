package queue

import (
	"errors"
	"math/bits"
	"time"

	"github.com/socksdirect/libsd/internal/shm"
)

// FirstSleep bounds a sleep that follows arming an entry or clearing a bit: a publisher that found
// the bit set may still have its Tail in its store buffer. After it the waiter looks again; only
// then may it sleep without bound.
const FirstSleep = time.Millisecond

// OwnBell is a bell of this process, held by one waiter.
//
// The waiter's loop is
//
//	Park; if Pending or what it waits for is there: Unpark, go on
//	sleep on the bell's socket; Unpark; Harvest
type OwnBell struct {
	page  *Page
	index uint32
	bell  *Bell
}

// ErrNoBell means that all bells of the page are taken.
var ErrNoBell = errors.New("queue: no free bell")

// Claim takes a free bell of the process's own page. The socket bound to BellAddress(nonce) must
// exist before.
func (p *Page) Claim(pid uint32, nonce uint64) (*OwnBell, error) {
	for i := range uint32(Bells) {
		b := p.bell(i)
		if shm.CAS32(&b.Owner, 0, pid) {
			shm.Store64(&b.Nonce, nonce)
			shm.Store32(&b.Keeps, 1)
			return &OwnBell{p, i, b}, nil
		}
	}
	return nil, ErrNoBell
}

// Release gives the bell back. No watch line may name it any more.
func (o *OwnBell) Release() { shm.Store32(&o.bell.Owner, 0) }

// Entry is what to Arm for a member of this bell.
func (o *OwnBell) Entry(member uint32) uint32 { return Entry(o.index, member) }

// Park announces a sleep (locked): from here on, who marks a clear bit rings.
func (o *OwnBell) Park() { shm.Add32(&o.bell.Parked, 1) }

// Unpark ends what Park began.
func (o *OwnBell) Unpark() { shm.Add32(&o.bell.Parked, ^uint32(0)) }

// Pending tells whether a Harvest would find something. Look after Park, before the sleep.
func (o *OwnBell) Pending() bool {
	for i := range o.bell.Summary {
		if shm.Load64(&o.bell.Summary[i]) != 0 {
			return true
		}
	}
	return false
}

// Harvest takes the summary and calls f for each member whose bit is set. The bits stay set, so
// that nobody rings for a member which does not wait; its waiter clears its own with Clear.
func (o *OwnBell) Harvest(f func(member uint32)) {
	for i := range o.bell.Summary {
		summary := shm.Load64(&o.bell.Summary[i])
		if summary != 0 {
			summary = shm.Swap64(&o.bell.Summary[i], 0)
		}
		for ; summary != 0; summary &= summary - 1 {
			first := uint32(i*64+bits.TrailingZeros64(summary)) * 64
			word := shm.Load64(o.page.word(o.index, first))
			for ; word != 0; word &= word - 1 {
				f(first + uint32(bits.TrailingZeros64(word)))
			}
		}
	}
}

// Set marks a member as not waiting: nobody rings for it until Clear.
func (o *OwnBell) Set(member uint32) {
	shm.Or64(o.page.word(o.index, member), 1<<(member%64))
}

// Clear asks for the next publication to ring. Afterwards the waiter looks at what it waits for,
// and its next sleep is at most FirstSleep.
func (o *OwnBell) Clear(member uint32) {
	shm.AndNot64(o.page.word(o.index, member), 1<<(member%64))
}
