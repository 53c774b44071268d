package monitor

import "github.com/socksdirect/libsd/queue"

// offer refuses an end, matches it with the waiting other end, or lets it wait.
func (c *Core) offer(e Offered) {
	r := c.live(e.Reg)
	if r == nil {
		return
	}
	switch _, inSlot := c.cookies[e.Cookie]; {
	case e.Proof != queue.StatusOK:
		c.refuse(e.Offer, e.Proof)
	case e.Role != queue.RoleConnect && e.Role != queue.RoleAccept:
		c.refuse(e.Offer, queue.StatusNotYours)
	case e.Pair.Local == e.Pair.Remote:
		c.refuse(e.Offer, queue.StatusSelf)
	case inSlot:
		// Whoever has the slot shares it with this process only through fork.
		c.refuse(e.Offer, queue.StatusPassed)
	case !e.PeerHere:
		c.refuse(e.Offer, queue.StatusNoPeer)
	default:
		c.match(e.Offer)
	}
}

func (c *Core) match(o Offer) {
	old, ok := c.waiting.take(o.Pair.Mirror())
	switch {
	case !ok:
		c.wait(o)
	case old.Role == o.Role:
		// Two connecting ends are a simultaneous open: neither is end 1.
		c.refuse(old, queue.StatusSelf)
		c.refuse(o, queue.StatusSelf)
	default:
		// The older proof may have aged for hours.
		c.do(Confirm{Old: old, New: o})
	}
}

func (c *Core) wait(o Offer) {
	for _, evicted := range c.waiting.add(o) {
		c.refuse(evicted, queue.StatusNoPeer)
	}
}

func (c *Core) refuse(o Offer, status uint32) {
	r := c.live(o.Reg)
	if r == nil {
		return
	}
	c.keep(r, o.Pair, status)
	c.do(Refuse{Reg: o.Reg, Cookie: o.Cookie, Status: status})
}

// confirmed introduces two ends to each other.
func (c *Core) confirmed(e Confirmed) {
	if !e.OK {
		c.refuse(e.Old, queue.StatusNotYours)
	}
	if !e.OK || c.live(e.Old.Reg) == nil {
		if c.live(e.New.Reg) != nil {
			c.wait(e.New)
		}
		return
	}
	if c.live(e.New.Reg) == nil {
		c.wait(e.Old)
		return
	}
	ends := [2]Offer{e.Old, e.New}
	if e.Old.Role == queue.RoleAccept {
		ends = [2]Offer{e.New, e.Old}
	}
	s, fresh := c.allot(ends)
	intro := Introduce{SlotID: s.id, Epoch: s.arena.epoch[s.id.Slot], Fresh: fresh}
	for i := range ends {
		r := c.regs[ends[i].Reg]
		intro.Ends[i] = IntroEnd{Reg: r.reg, Proc: r.family.proc, Cookie: ends[i].Cookie, First: !r.met[s.id.Arena]}
		r.met[s.id.Arena] = true
	}
	c.do(intro)
}

// introFailed takes back a slot whose ends could not both be told. An end that was told is safe:
// its peer never attaches, so both senders stay on TCP.
func (c *Core) introFailed(e IntroFailed) {
	s := c.slotAt(e.SlotID)
	if s == nil {
		return
	}
	for i := range s.ends {
		end := &s.ends[i]
		r := c.live(end.reg)
		if r == nil {
			continue
		}
		if i >= e.Sent {
			delete(r.met, e.Arena) // it may have been the message with the descriptors
		}
		c.keep(r, s.pairOf(i), queue.StatusLimit)
		c.do(Refuse{Reg: end.reg, Cookie: end.cookie, Status: queue.StatusLimit})
	}
	if e.Sent == 0 {
		a := s.arena
		c.free(s)
		if a.used == 0 {
			c.dropArena(a)
		}
		return
	}
	for i := e.Sent; i < len(s.ends); i++ {
		c.release(s, i)
	}
}
