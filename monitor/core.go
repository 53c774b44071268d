package monitor

import (
	"fmt"
	"time"

	"github.com/socksdirect/libsd/monitor/wire"
)

// Bounds of the tables that processes can fill.
const (
	maxWaiting = 1 << 16 // offers without a peer
	maxKept    = 256     // connections listed as kept on the kernel
)

// Period of looking again at slots whose sockets were still held.
const (
	lookFirst = time.Second
	lookLast  = time.Minute
)

// Core is the state of the monitor.
//
// A registration:
//
//	Joined ─▶ live ──Closed──▶ closed ──Died──▶ forgotten
//	            └──────────Died──────────────────▲
//
// An end of a connection:
//
//	Offered ─▶ waiting ──mirror offered──▶ Confirm ─▶ Introduce ─▶ in a slot
//	   │          └─ Gone, Closed: dropped      └─ not confirmed: the new one waits
//	   └─ no proof, no peer here: refused
//
// A slot:
//
//	free ──Introduce──▶ used ──both ends released──▶ doubtful ──nobody holds a socket──▶ free
//
// An end is released by Gone, by the end of the registration that offered it, or because its
// Intro could not be sent. A released end is not necessarily closed (a forked child may have it),
// which is why doubtful slots are looked at.
type Core struct {
	uid       int // of the monitor; 0 serves everybody
	slots     int // of an arena
	regs      map[Reg]*registration
	families  map[uint32]*family
	keys      map[familyKey]*family
	nextProc  uint32
	nextArena uint32

	waiting waitingTable
	arenas  map[uint32]*arena
	byPair  map[[2]uint32][]*arena
	cookies map[uint64]SlotID // of all ends in slots
	doubt   map[SlotID]*slot

	period time.Duration // of the next Arm
	armed  bool

	kept []Kept // newest last
	out  []Action
}

// registration is one process's connection to the monitor.
type registration struct {
	reg      Reg
	pid, uid int
	name     string
	family   *family
	met      map[uint32]bool // arenas whose descriptors it has got
	closed   bool
}

// family is a process and its forked children: whoever shares a bell page.
type family struct {
	proc    uint32
	id      familyKey
	live    int // registrations that are not closed
	members int // registrations whose processes are not dead; live ≤ members
	arenas  map[uint32]*arena
}

type familyKey struct {
	uid int
	key uint64
}

// Kept is a connection that stays on the kernel, and why.
type Kept struct {
	PID    int
	UID    int
	Name   string
	Pair   wire.Pair
	Status uint32
}

// NewCore returns the Core of a monitor that runs as uid. Numbers of processes and arenas start
// above first: a random one keeps those of an earlier monitor, which processes may still have, apart.
// An arena has so many slots: queue.ArenaSlots, fewer in a simulation.
func NewCore(uid int, first uint32, slots int) *Core {
	return &Core{
		uid:       uid,
		slots:     slots,
		regs:      map[Reg]*registration{},
		families:  map[uint32]*family{},
		keys:      map[familyKey]*family{},
		nextProc:  first,
		nextArena: first,
		waiting:   newWaitingTable(),
		arenas:    map[uint32]*arena{},
		byPair:    map[[2]uint32][]*arena{},
		cookies:   map[uint64]SlotID{},
		doubt:     map[SlotID]*slot{},
		period:    lookFirst,
	}
}

// Step takes one event and returns what is to be done about it, in order.
func (c *Core) Step(e Event) []Action {
	c.out = nil
	switch e := e.(type) {
	case Joined:
		c.join(e)
	case Offered:
		c.offer(e)
	case Confirmed:
		c.confirmed(e)
	case IntroFailed:
		c.introFailed(e)
	case Missed:
		c.missed(e)
	case Gone:
		c.gone(e)
	case Noted:
		c.noted(e)
	case Closed:
		c.closed(e.Reg)
	case Died:
		c.died(e.Reg)
	case Looked:
		c.looked(e)
	case Tick:
		c.tick()
	default:
		panic(fmt.Sprintf("monitor: unknown event %T", e))
	}
	return c.out
}

func (c *Core) do(a Action) { c.out = append(c.out, a) }

// live returns a registration that may send messages, or nil.
func (c *Core) live(reg Reg) *registration {
	if r := c.regs[reg]; r != nil && !r.closed {
		return r
	}
	return nil
}

func (c *Core) keep(r *registration, p wire.Pair, status uint32) {
	c.kept = append(c.kept, Kept{PID: r.pid, UID: r.uid, Name: r.name, Pair: p, Status: status})
	if len(c.kept) > maxKept {
		c.kept = c.kept[len(c.kept)-maxKept:]
	}
}

func (c *Core) noted(e Noted) {
	if r := c.live(e.Reg); r != nil {
		c.keep(r, e.Pair, e.Status)
	}
}
