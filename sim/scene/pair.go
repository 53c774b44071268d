//go:build sim

package scene

import (
	"net/netip"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim"
	"github.com/socksdirect/libsd/sim/machine"
	"github.com/socksdirect/libsd/socket"
)

// pair is one connection between two processes, each of which has package socket.
type pair struct {
	w       *sim.World
	instant bool // no network
	slot    *queue.Slot
	proc    [2]*sim.Process
	reg     [2]*socket.SimProcess
	conn    [2]*socket.Conn
	told    [2]bool // a write of this end has told of a reset
}

var addresses = [2]netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1000"), netip.MustParseAddrPort("10.0.0.1:80")}

// newPair makes the connection; begin is the first thread of each process, which has its end by then.
func newPair(w *sim.World, instant bool, begin func(p *pair, end int, t *sim.Thread)) *pair {
	m := mapMemory(w)
	p := &pair{w: w, instant: instant, slot: m.arena.Slot(0)}
	var ends [2]*sim.Endpoint
	ends[0], ends[1] = w.Connect(instant)
	machine.Host(w, map[netip.AddrPort]machine.Kernel{addresses[0]: ends[0], addresses[1]: ends[1]})
	b := &bells{w, map[uint64]int{}}
	for i := range 2 {
		nonce := uint64(i + 1)
		anchor, state := machine.Anchor(w, ends[i])
		p.proc[i] = w.Process([]string{"client", "server"}[i])
		p.proc[i].AtExit(func() {
			ends[i].Close()
			ends[i].Orphan()
		})
		w.KernelState(func() uint64 {
			h := state() + uint64(b.pending[nonce])<<8
			if p.reg[i] != nil {
				h ^= p.reg[i].State() << 16
			}
			return h
		})
		p.proc[i].Go("main", func(t *sim.Thread) {
			reg, err := socket.NewSimProcess(m.pages[i], p.proc[i].PID, nonce, bellSocket{b, nonce}, b, m.arena, m.pages[1-i])
			if err != nil {
				w.Failf("setup", "%v", err)
			}
			p.reg[i] = reg
			p.conn[i] = reg.Conn(anchor, uint32(i), addresses[i], addresses[1-i])
			begin(p, i, t)
		})
	}
	return p
}

// introduce promotes one end.
func (p *pair) introduce(end int) bool { return p.reg[end].Introduce(p.conn[end], 0, end) }

// introduceLater does so after some steps of a thread of its own.
func (p *pair) introduceLater(end, steps int) {
	p.proc[end].Go("intro", func(t *sim.Thread) {
		for range steps {
			t.Step("later")
		}
		if p.introduce(end) {
			p.w.Cover("promoted")
		}
	}).Daemon = true
}

// unleaked fails the run if a closed connection has left its watch entries.
func (p *pair) unleaked() {
	for dir := range p.slot.Dir {
		d := &p.slot.Dir[dir]
		if d.Tx.Gen > 0 {
			p.w.Cover("ring used")
		}
		for _, line := range []queue.WatchLine{d.RxWatch, d.TxWatch} {
			if line.Entry != (queue.WatchLine{}).Entry && !p.proc[0].Killed && !p.proc[1].Killed {
				p.w.Failf("leak", "watch entries %v are left in direction %d", line.Entry, dir)
			}
		}
	}
}

// memory is mapped once and used by all runs.
type memory struct {
	bytes []byte
	arena *queue.Arena
	pages [2]*queue.Page
}

var mapped *memory

func mapMemory(w *sim.World) *memory {
	if mapped == nil {
		m := &memory{bytes: mapping(w, queue.ArenaSize)}
		var err error
		m.arena, err = queue.NewArena(m.bytes)
		must(w, err)
		for i := range m.pages {
			m.pages[i], err = queue.NewPage(mapping(w, queue.BellPageSize))
			must(w, err)
		}
		mapped = m
	}
	m := mapped
	slot := m.arena.Slot(0)
	*slot = queue.Slot{}
	sim.Share(w, "slot", slot)
	for dir := range 2 {
		w.ShareBytes([]string{"ring0", "ring1"}[dir], m.bytes[queue.RingOff+dir*queue.DirStride:][:queue.DirStride])
	}
	for i, p := range m.pages {
		mem := p.Memory()
		clear(mem[:queue.BellOff+64])
		clear(mem[queue.BitsOff:][:queue.MembersPerBell/8])
		w.ShareBytes([]string{"bells0", "bells1"}[i], mem)
	}
	return m
}

func mapping(w *sim.World, size int) []byte {
	f, err := shm.CreateSealed("sim", int64(size))
	must(w, err)
	defer f.Close()
	mem, err := shm.Map(int(f.Fd()), size)
	must(w, err)
	return mem
}
