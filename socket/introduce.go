package socket

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

// offerAfter is how many reads and writes a connection makes before it is worth promoting.
const offerAfter = 2

// called counts an I/O call on TCP and offers the connection when it has proved worth it.
func (c *Conn) called() {
	if c.dom == nil || c.offered.Load() || c.calls.Add(1) < offerAfter || c.offered.Swap(true) {
		return
	}
	if !c.tcp.honoured() {
		c.keep(queue.StatusOption, queue.CountOption)
		return
	}
	cookie, fd, err := c.tcp.cookie()
	if err != nil {
		return
	}
	c.dom.mu.Lock()
	if c.isClosed() { // Close removes a connection after it has marked it closed
		c.dom.mu.Unlock()
		return
	}
	c.cookie = cookie
	c.dom.conns[cookie] = c
	c.dom.mu.Unlock()
	c.dom.client.Offer(fd, cookie, c.role, wire.Pair{Local: c.local, Remote: c.remote})
}

// receive reads the monitor's messages until it is gone. It is asleep in the netpoller otherwise.
func (d *domain) receive() {
	for {
		e, err := d.client.Recv()
		if err != nil {
			break
		}
		switch e.Type {
		case queue.MsgIntro:
			d.introduce(e)
		case queue.MsgRefuse:
			d.forget(e.Cookie)
		}
	}
	d.client.Close()
	current.Lock()
	if current.domain == d {
		current.domain = nil
	}
	current.Unlock()
}

// forget leaves a connection on the kernel for good.
func (d *domain) forget(cookie uint64) {
	d.mu.Lock()
	delete(d.conns, cookie)
	d.mu.Unlock()
}

// introduce promotes the connection that the monitor names. A connection that closed meanwhile
// gives its slot back; its arena is kept for the next one.
func (d *domain) introduce(e wire.Event) {
	shared, err := d.arenaOf(e)
	if err != nil {
		d.client.Gone(e.Cookie, e.Msg.Arena, e.Slot)
		return
	}
	d.mu.Lock()
	c := d.conns[e.Cookie]
	delete(d.conns, e.Cookie)
	d.mu.Unlock()
	at := place{arena: e.Msg.Arena, slot: e.Slot, end: int(e.End)}
	if c == nil || e.End > 1 || e.Slot >= queue.ArenaSlots || !c.promote(shared, at) {
		d.gone(e.Cookie, at)
	}
}

// claim says, for as long as this process lives, that it uses an end of a slot.
func (d *domain) claim(at place) bool {
	return d.client == nil || queue.Claim(d.pageFD, at.arena, at.slot, at.end) == nil
}

// gone says that it does not, or no more.
func (d *domain) gone(cookie uint64, at place) {
	if d.client != nil {
		queue.Unclaim(d.pageFD, at.arena, at.slot, at.end)
		d.client.Gone(cookie, at.arena, at.slot)
	}
}

// arenaOf finds the arena of an introduction, mapping it the first time.
func (d *domain) arenaOf(e wire.Event) (sharedArena, error) {
	if e.Arena != wire.NoFD && e.PeerBell == wire.NoFD {
		unix.Close(e.Arena)
		return sharedArena{}, fmt.Errorf("socket: an arena without the peer's bell page")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.arenas[e.Msg.Arena]; ok || e.Arena == wire.NoFD {
		if e.Arena != wire.NoFD {
			wire.CloseAll([]int{e.Arena, e.PeerBell})
		}
		if !ok {
			return s, fmt.Errorf("socket: arena %d was never sent", e.Msg.Arena)
		}
		return s, nil
	}
	arena, err := mapArena(e.Arena)
	if err != nil {
		unix.Close(e.PeerBell)
		return sharedArena{}, err
	}
	peer, err := mapPage(e.PeerBell)
	if err != nil {
		return sharedArena{}, err
	}
	s := sharedArena{arena, peer}
	d.arenas[e.Msg.Arena] = s
	return s, nil
}
