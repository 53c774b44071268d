//go:build sim && cgo

package csim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/monitor"
	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim"
)

// daemon stands in for monitor.Daemon on the simulated machine: what happens goes into monitor.Core, the
// code that ships, and what Core decides is done in the simulated kernel. What has happened is told in any
// order, but for the messages of one process.
type daemon struct {
	w       *World
	proc    *sim.Process
	t       *sim.Thread
	core    *monitor.Core
	strange []*packets // have not said Hello
	clients []*client  // by number, nil when forgotten
	pages   map[uint32]*memfd
	arenas  map[uint32]*memfd
	used    map[monitor.SlotID][2]*end // what slots were given to, as it was
	tick    sim.Time                   // 0: none
	busy    bool                       // with an event
}

// client is a registration.
type client struct {
	sock   *packets
	p      *Process
	shown  *memfd // the bell page that came with Hello, if it is not taken over
	hungUp bool
}

// startMonitor starts a life of the monitor.
func (w *World) startMonitor() *daemon {
	w.lives++
	d := &daemon{
		w: w, core: monitor.NewCore(0, uint32(w.lives)*1000, w.slots), clients: make([]*client, 1),
		pages: map[uint32]*memfd{}, arenas: map[uint32]*memfd{}, used: map[monitor.SlotID][2]*end{},
	}
	w.monitor = d
	d.proc = w.World.Process(fmt.Sprint("monitor", w.lives))
	d.proc.AtExit(d.died)
	d.t = d.proc.Go("run", func(*sim.Thread) { d.run() })
	d.t.Daemon = true
	if w.dooms > 0 {
		w.dooms--
		w.Doom(d.proc, 3000)
	}
	return d
}

// died is what the kernel does when the monitor is dead.
func (d *daemon) died() {
	d.w.monitor = nil
	for _, s := range d.strange {
		d.w.drop(s)
	}
	for _, c := range d.clients {
		if c != nil {
			d.w.drop(c.sock)
		}
	}
	for _, m := range []map[uint32]*memfd{d.pages, d.arenas} {
		for _, f := range m {
			d.w.drop(f)
		}
	}
}

// arrived takes a connection to the registration socket.
func (d *daemon) arrived(s *packets) { d.strange = append(d.strange, s) }

func (d *daemon) run() {
	for {
		wait := time.Duration(-1)
		if d.tick != 0 {
			wait = max(0, time.Duration(d.tick-d.w.Now()))
		}
		d.t.Block("events", func() bool { return d.count() > 0 }, wait)
		if n := d.count(); n > 0 {
			d.busy = true
			d.event(d.w.Choose(n, "event"))
			d.busy = false
		}
	}
}

func (d *daemon) count() int { return d.event(-1) }

// event takes one of the events that there are, by its number, or returns how many these are.
func (d *daemon) event(which int) (n int) {
	is := func(there bool) bool {
		if there {
			n++
		}
		return there && n-1 == which
	}
	for i, s := range d.strange {
		if is(s.poll() != 0) {
			d.strange = slices.Delete(d.strange, i, i+1)
			d.greet(s)
			return
		}
	}
	for reg, c := range d.clients {
		switch {
		case c == nil:
		case is(!c.hungUp && len(c.sock.queue) > 0):
			d.message(monitor.Reg(reg), c)
			return
		case is(!c.hungUp && len(c.sock.queue) == 0 && c.sock.hungUp()):
			c.hungUp = true
			d.step(monitor.Closed{Reg: monitor.Reg(reg)})
			if d.core.Proc(monitor.Reg(reg)) == 0 {
				d.forget(monitor.Reg(reg))
			}
			return
		case is(c.p.gone):
			d.step(monitor.Died{Reg: monitor.Reg(reg)})
			d.forget(monitor.Reg(reg))
			return
		}
	}
	if is(d.tick != 0 && d.tick <= d.w.Now()) {
		d.tick = 0
		d.w.looks++
		d.step(monitor.Tick{})
	}
	return
}

func (d *daemon) forget(reg monitor.Reg) {
	if c := d.clients[reg]; c != nil {
		d.clients[reg] = nil
		d.w.drop(c.sock)
	}
}

// greet takes the first message of a process.
func (d *daemon) greet(s *packets) {
	d.t.Syscall("identify")
	if len(s.queue) == 0 {
		d.w.drop(s)
		return
	}
	m := s.next()
	if s.peer.owner.gone {
		d.w.Cover("hello of the dead")
		d.w.dropAll(m.fds)
		d.w.drop(s)
		d.step(monitor.Missed{Key: m.m.Key})
		return
	}
	c := &client{sock: s, p: s.peer.owner}
	if len(m.fds) == 1 && m.m.Key != 0 {
		if f := m.fds[0].(*memfd); f.header().Key == m.m.Key {
			c.shown = f.memory.open()
			*c.shown.held()++
		}
	}
	d.w.dropAll(m.fds)
	reg := monitor.Reg(len(d.clients))
	d.clients = append(d.clients, c)
	d.w.cookies++
	d.step(monitor.Joined{Reg: reg, PID: int(c.p.PID), ABI: m.m.ABI, Key: m.m.Key, HasPage: c.shown != nil,
		FreshKey: 0x4e7<<32 | d.w.cookies, Name: c.p.Name})
	if c.shown != nil {
		d.w.drop(c.shown)
		c.shown = nil
	}
}

func (d *daemon) message(reg monitor.Reg, c *client) {
	d.t.Syscall("recvmsg")
	p := c.sock.next()
	d.w.dropAll(p.fds)
	m := &p.m
	switch m.Type {
	case queue.MsgOffer:
		o := monitor.Offer{Reg: reg, FD: m.FD, Cookie: m.Cookie, Role: m.Role, Pair: wire.PairOf(m)}
		status, here := d.prove(c.p, o)
		d.step(monitor.Offered{Offer: o, Proof: status, PeerHere: here})
	case queue.MsgGone:
		d.step(monitor.Gone{Reg: reg, Cookie: m.Cookie, SlotID: monitor.SlotID{Arena: m.Arena, Slot: m.Slot}})
	case queue.MsgNote:
		d.step(monitor.Noted{Reg: reg, Pair: wire.PairOf(m), Status: m.Status})
	default:
		d.w.Failf("monitor", "message of type %d", m.Type)
	}
}

// step runs Core on an event, and on those that its actions lead to.
func (d *daemon) step(e monitor.Event) {
	for events := []monitor.Event{e}; len(events) > 0; {
		actions := d.core.Step(events[0])
		events = events[1:]
		for _, a := range actions {
			if next := d.act(a); next != nil {
				events = append(events, next)
			}
		}
	}
}

// socket is what sock_diag finds.
func (d *daemon) socket(local netip.AddrPort) *end {
	d.t.Syscall("sock_diag")
	if e := d.w.byPort(uint64(local.Port())); e != nil && !e.gone() {
		return e
	}
	return nil
}

// prove is what the kernel says of an offer: does the process hold the socket, and is its peer here?
func (d *daemon) prove(p *Process, o monitor.Offer) (status uint32, peerHere bool) {
	d.t.Syscall("readlink")
	f, _ := p.fds[int(o.FD)].(*end)
	e := d.socket(o.Pair.Local)
	switch {
	case f == nil || e != f || !e.inode || e.cookie != o.Cookie:
		return queue.StatusNotYours, false
	case e.tcpState() != established:
		return queue.StatusNoPeer, false
	}
	peer := d.socket(o.Pair.Remote)
	return queue.StatusOK, peer != nil && peer.tcpState() == established
}

// claimed is queue.Claimed.
func (d *daemon) claimed(page *memfd, id monitor.SlotID, end int) bool {
	for _, at := range queue.ClaimPlaces(id.Arena, id.Slot, end) {
		d.t.Syscall("fcntl")
		if slices.ContainsFunc(page.opens, func(o *memfd) bool { return o.locks[at] }) {
			return true
		}
	}
	return false
}

func (d *daemon) inUse(a monitor.Look, end int) bool {
	if page := d.pages[a.Procs[end]]; page != nil && d.claimed(page, a.SlotID, end) {
		d.w.Cover("slot claimed")
		return true
	}
	local := [2]netip.AddrPort{a.Pair.Local, a.Pair.Remote}[end]
	e := d.socket(local)
	return e != nil && e.inode && e.cookie == a.Cookie[end]
}

// orphan tells the other end of a connection of a death.
func (d *daemon) orphan(a monitor.Orphan) {
	arena, page := d.arenas[a.Arena], d.pages[a.Procs[1-a.End]]
	if arena == nil || page == nil || d.inUse(a.Look, a.End) {
		return
	}
	s := at[queue.Slot](arena.slot(int(a.Slot)))
	to, from := &s.Dir[1-a.End], &s.Dir[a.End]
	if !shm.CAS32(&to.RxWatch.Closed, 0, queue.Dead) {
		return
	}
	d.w.Cover("orphan")
	bells, err := queue.NewPage(page.at.bytes(queue.BellPageSize))
	if err != nil {
		panic(err)
	}
	to.TxWatch.Notify(bells, d)
	from.RxWatch.Notify(bells, d)
}

// Ring wakes the owner of a bell.
func (d *daemon) Ring(nonce uint64) {
	d.t.Syscall("ring")
	d.w.ring(bellName(nonce))
}

// bury frees the bells of the dead.
func (d *daemon) bury(a monitor.Bury) {
	if page := d.pages[a.Proc]; page != nil {
		for i := range bells {
			b := page.bell(i)
			if owner := shm.Load32(&b.Owner); owner != 0 && !d.w.Alive(owner) {
				shm.Store32(&b.Parked, 0)
				shm.CAS32(&b.Owner, owner, 0)
			}
		}
	}
}

// rouse wakes who may wait for the dead.
func (d *daemon) rouse(a monitor.Rouse) {
	for _, proc := range a.Procs {
		if page := d.pages[proc]; page != nil {
			for i := range bells {
				if b := page.bell(i); shm.Load32(&b.Owner) != 0 && shm.Load32(&b.Parked) != 0 {
					d.Ring(shm.Load64(&b.Nonce))
				}
			}
		}
	}
}

// send sends a message without waiting and says so in the process's page.
func (d *daemon) send(reg monitor.Reg, m queue.Msg, fds ...file) error {
	d.t.Syscall("sendmsg")
	c := d.clients[reg]
	if c == nil {
		return unix.ESRCH
	}
	if r := c.sock.send(packet{m, fds}); r < 0 {
		return unix.Errno(-r)
	}
	if page := d.pages[d.core.Proc(reg)]; page != nil {
		shm.Add32(&page.header().Mail, 1)
	}
	return nil
}
