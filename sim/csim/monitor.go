//go:build sim && cgo

package csim

import "github.com/socksdirect/libsd/queue"

// offer is an end that a process would like to have promoted.
type offer struct {
	p   *Process
	end int
}

// intro is what core/glue.c reads: struct intro.
type intro struct {
	cookie     uint64
	slot, end  uint32
	mem, bells addr
	proc, pad  uint32
}

// offer is the monitor's side of an offer: when both ends are known, both are introduced. All
// connections of a scenario have slot 0 or 1 of one arena, in the order of their introduction.
func (w *World) offer(p *Process, cookie uint64, role int) int64 {
	mine := &offer{p: p, end: role}
	w.offers[cookie] = mine
	var peerCookie uint64
	for _, e := range w.ends {
		if e.cookie == cookie {
			peerCookie = e.peer.cookie
		}
	}
	its := w.offers[peerCookie]
	if its == nil {
		return 0
	}
	slot := w.slots
	w.slots++
	s := arenaAt + queue.CtlOff + addr(slot*queue.SlotSize)
	pair := map[int]uint64{role: cookie, 1 - role: peerCookie}
	for end, c := range pair {
		*at[uint64](s + addr(8*end)) = c
	}
	w.introduce(mine, its, slot, cookie)
	w.introduce(its, mine, slot, peerCookie)
	return 0
}

func (w *World) introduce(to, peer *offer, slot int, cookie uint64) {
	to.p.mail = append(to.p.mail, intro{cookie, uint32(slot), uint32(to.end), arenaAt, peer.p.bells, peer.p.PID, 0})
	*at[uint32](to.p.bells + 64)++ // BellPage.Mail
	w.Changed()
}

// introduced is the next message from the monitor, or -EAGAIN.
func (p *Process) introduced(to addr) int64 {
	if len(p.mail) == 0 {
		return -11
	}
	*at[intro](to) = p.mail[0]
	p.mail = p.mail[1:]
	return 0
}
