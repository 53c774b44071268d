package trace

import (
	"cmp"
	"net/netip"
	"slices"
)

// socket is one end of a connection, by its cookie: what the whole history says of it.
type socket struct {
	id            uint64
	local, remote netip.AddrPort
	how           uint32
	named         bool
	seen          int64 // when its names were first noted
	peer          *socket
	imported      bool

	// holders are the processes that used it.
	holders []uint32
	hidden  bool // its bytes moved where they are not recorded: stdio, a process that is not traced
	why     string
	shared  [2]bool // operations of several threads overlap: sends, receives
	last    [2]int64
	ops     int
}

const (
	sending   = 0
	receiving = 1
)

// survey is a first walk: it checks every record and finds the two ends of each connection.
type survey struct {
	sockets map[uint64]*socket
	ended   map[uint32]bool // processes which said that they end
	events  int
}

func (s *survey) socket(id uint64) *socket {
	k := s.sockets[id]
	if k == nil {
		k = &socket{id: id}
		s.sockets[id] = k
	}
	return k
}

func (t *Trace) survey() (*survey, error) {
	s := &survey{sockets: map[uint64]*socket{}, ended: map[uint32]bool{}}
	err := t.Walk(func(e *Event) error {
		s.events++
		s.event(e)
		return nil
	})
	if err == nil {
		s.pair()
	}
	return s, err
}

func (s *survey) event(e *Event) {
	if e.Op == End {
		s.ended[e.PID] = true
	}
	if e.ID == 0 {
		return
	}
	k := s.socket(e.ID)
	k.imported = k.imported || e.File.Imported
	if !slices.Contains(k.holders, e.PID) {
		k.holders = append(k.holders, e.PID)
	}
	switch e.Op {
	case Names:
		if e.Remote.Port() == 0 {
			return
		}
		if !k.named || k.how == Unknown {
			k.how = e.How
		}
		if !k.named {
			k.named, k.seen, k.local, k.remote = true, e.Start, e.Local, e.Remote
		}
	case Fdopen:
		k.hide("stdio reads or writes it")
	case Passed:
		if e.Flags == 0 {
			k.hide("it was passed to another process")
		}
	}
	if side, ok := moves(e); ok {
		k.ops++
		if e.Start < k.last[side] {
			k.shared[side] = true
		}
		k.last[side] = max(k.last[side], e.End)
	}
}

func (k *socket) hide(why string) {
	if !k.hidden {
		k.hidden, k.why = true, why
	}
}

// moves tells whether an event moved bytes of the stream, and which way.
func moves(e *Event) (side int, ok bool) {
	const oob, peek, errqueue = 1, 2, 0x2000
	if e.Result <= 0 {
		return 0, false
	}
	switch e.Op {
	case Send:
		return sending, e.Flags&oob == 0
	case SendFile:
		return sending, true
	case Recv:
		return receiving, e.Flags&(oob|peek|errqueue) == 0
	case Splice:
		if e.Flags == 1 {
			return sending, true
		}
		return receiving, true
	}
	return 0, false
}

// pair finds the sockets whose names are each other's mirror. The same names may come
// again: then those belong together which were seen at about the same time.
func (s *survey) pair() {
	type names struct{ local, remote netip.AddrPort }
	byNames := map[names][]*socket{}
	for _, k := range s.sockets {
		if k.named {
			byNames[names{k.local, k.remote}] = append(byNames[names{k.local, k.remote}], k)
		}
	}
	for n, ends := range byNames {
		others := byNames[names{n.remote, n.local}]
		if n.local.Compare(n.remote) > 0 || len(others) == 0 {
			continue
		}
		if n.local == n.remote { // connected to itself
			for _, k := range ends {
				k.peer = k
			}
			continue
		}
		slices.SortFunc(ends, bySeen)
		slices.SortFunc(others, bySeen)
		few, many := ends, others
		if len(few) > len(many) {
			few, many = many, few
		}
		for i, a := range few {
			// As many must be left as there are sockets to come; among the rest, the nearest in time.
			room := len(many) - (len(few) - i)
			j := 0
			for j < room && abs(many[j+1].seen-a.seen) < abs(many[j].seen-a.seen) {
				j++
			}
			a.peer, many[j].peer = many[j], a
			many = many[j+1:]
		}
	}
}

func abs(n int64) int64 { return max(n, -n) }

func bySeen(a, b *socket) int { return cmp.Compare(a.seen, b.seen) }
