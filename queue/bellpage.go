package queue

import (
	"fmt"

	"github.com/socksdirect/libsd/internal/shm"
)

const (
	bitsPerBell  = MembersPerBell / 8 // bytes
	wordsPerBell = MembersPerBell / 64
)

// Page is a view of a mapped bell page: one's own, to wait in, or a peer's, to ring.
type Page struct {
	mem []byte
	hdr *BellPage
}

// NewPage views mem, which must have BellPageSize bytes.
func NewPage(mem []byte) (*Page, error) {
	if len(mem) != BellPageSize {
		return nil, fmt.Errorf("queue: bell page of %d bytes, want %d", len(mem), BellPageSize)
	}
	return &Page{mem, shm.At[BellPage](mem, 0)}, nil
}

// ABI is the layout hash which the page's maker wrote.
func (p *Page) ABI() uint64 { return shm.Load64(&p.hdr.ABI) }

// Mail is the count of messages which the monitor has sent to the page's process.
func (p *Page) Mail() uint32 { return shm.Load32(&p.hdr.Mail) }

// Count adds n to one of the Count… counters.
func (p *Page) Count(counter int, n uint64) { shm.Add64(&p.hdr.Count[counter], n) }

// Memory is the whole mapping, for the one who unmaps it.
func (p *Page) Memory() []byte { return p.mem }

// bell views bell i < Bells.
func (p *Page) bell(i uint32) *Bell { return shm.At[Bell](p.mem, BellOff+int(i)*64) }

// word views the word of bits that holds member.
func (p *Page) word(bell, member uint32) *uint64 {
	return shm.At[uint64](p.mem, BitsOff+int(bell)*bitsPerBell+int(member/64)*8)
}

// Entry is a watch entry: the name of a member of a bell. 0 is no entry.
func Entry(bell, member uint32) uint32 { return (bell+1)<<16 | member }

// parseEntry is the inverse of Entry, for values from shared memory.
func parseEntry(e uint32) (bell, member uint32, ok bool) {
	bell, member = e>>16-1, e&0xffff
	return bell, member, e>>16 != 0 && bell < Bells && member < MembersPerBell
}

// Arm puts an entry into the first free place of a watch line. False: all places are taken, and
// the waiter must bound its sleeps.
func (w *WatchLine) Arm(entry uint32) bool {
	for i := range w.Entry {
		if shm.CAS32(&w.Entry[i], 0, entry) {
			return true
		}
	}
	return false
}

// Disarm removes an entry.
func (w *WatchLine) Disarm(entry uint32) {
	for i := range w.Entry {
		shm.CAS32(&w.Entry[i], entry, 0)
	}
}

// Notify marks every member that watches and rings the bells of those asleep. page is the
// watcher's. It returns how many it rang. Call it after publishing.
func (w *WatchLine) Notify(page *Page, r interface{ Ring(nonce uint64) }) (rung int) {
	for i := range w.Entry {
		e := shm.Load32(&w.Entry[i])
		if e == 0 {
			continue
		}
		bell, member, ok := parseEntry(e)
		if ok && page.mark(bell, member, &w.Order[i]) {
			r.Ring(shm.Load64(&page.bell(bell).Nonce))
			rung++
		}
	}
	return rung
}

// mark sets a member's bit, with its number among the marks in order, and tells whether the bell must be rung.
func (p *Page) mark(bell, member uint32, order *uint32) bool {
	word, bit := p.word(bell, member), uint64(1)<<(member%64)
	if shm.Load64(word)&bit != 0 {
		return false
	}
	b := p.bell(bell)
	shm.Store32(order, shm.Add32(&b.Marks, 1))
	if shm.Or64(word, bit)&bit != 0 {
		return false
	}
	w := member / 64
	shm.Or64(&b.Summary[w/64], 1<<(w%64))
	return shm.Load32(&b.Parked) != 0
}
