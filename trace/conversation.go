package trace

import "syscall"

// Conversation is one connection whose ends were both recorded, as what each thread did with it: enough
// to do the same again.
type Conversation struct {
	Name    string
	Ends    [2]Side // connecting, accepting
	Backlog int64   // most bytes on their way at a time, in one direction
	Cut     bool    // only its beginning
	Shared  string  // why it cannot be done again, "": it can
}

// Side is one end: the steps of each thread that used it.
type Side struct {
	Threads  [][]Step
	index    map[[2]uint32]int
	moved    [2]int64
	mover    [2][2]uint32
	pid, ops uint32
}

// Step is one operation.
type Step struct {
	Op Op    // Send, Recv, Shutdown or Close; Recv of no bytes: the end of the stream
	N  int64 // bytes that moved; how, for Shutdown
}

// Conversations reads at most each steps of each end, of the first most connections.
func (t *Trace) Conversations(most, each int) ([]*Conversation, error) {
	s, err := t.survey()
	if err != nil {
		return nil, err
	}
	var all []*Conversation
	type place struct {
		c   *Conversation
		end int
	}
	places := map[uint64]place{}
	err = t.Walk(func(e *Event) error {
		k := s.sockets[e.ID]
		if k == nil || k.peer == nil || k.peer == k {
			return nil
		}
		p, known := places[e.ID]
		if !known {
			if len(all) == most {
				return nil
			}
			a, b := k, k.peer
			if a.how == ByAccept {
				a, b = b, a
			}
			c := &Conversation{Name: a.local.String() + " " + b.local.String()}
			for i, x := range []*socket{a, b} {
				c.Ends[i].index = map[[2]uint32]int{}
				places[x.id] = place{c, i}
				if x.hidden {
					c.Shared = x.why
				}
			}
			all = append(all, c)
			p = places[e.ID]
		}
		p.c.add(p.end, e, each)
		return nil
	})
	for _, c := range all {
		c.trim()
	}
	return all, err
}

func (c *Conversation) add(end int, e *Event, each int) {
	side, other := &c.Ends[end], &c.Ends[1-end]
	step := Step{Op: e.Op, N: e.Result}
	way, moved := moves(e)
	switch {
	case moved && way == sending:
		step.Op = Send
	case moved:
		step.Op = Recv
	case e.Op == Recv && e.Result == 0 && e.Arg > 0 && e.Flags&syscall.MSG_PEEK == 0:
	case e.Op == Shutdown && e.Result == 0:
		step.N = int64(e.Arg)
	case e.Op == Close:
		step.N = 0
	default:
		return
	}
	if c.Cut = c.Cut || int(side.ops) >= each || int(other.ops) >= each; c.Cut {
		return
	}
	side.ops++
	who := [2]uint32{e.PID, e.TID}
	if side.pid != 0 && side.pid != e.PID && step.Op != Close {
		c.Shared = "several processes use one end"
	}
	if step.Op != Close {
		side.pid = e.PID
	}
	if moved {
		if side.mover[way] != [2]uint32{} && side.mover[way] != who {
			c.Shared = "several threads use one direction"
		}
		side.mover[way] = who
		side.moved[way] += step.N
		if way == sending {
			c.Backlog = max(c.Backlog, side.moved[sending]-other.moved[receiving])
		}
	}
	i, ok := side.index[who]
	if !ok {
		i = len(side.Threads)
		side.index[who] = i
		side.Threads = append(side.Threads, nil)
	}
	side.Threads[i] = append(side.Threads[i], step)
}

// trim leaves out receives of what was not sent: where a conversation was cut, or its sender was killed.
func (c *Conversation) trim() {
	for i := range c.Ends {
		side, left := &c.Ends[i], c.Ends[1-i].moved[sending]
		for th := range side.Threads {
			steps := side.Threads[th][:0]
			for _, s := range side.Threads[th] {
				if s.Op == Recv {
					if c.Cut && s.N == 0 || s.N > 0 && left == 0 {
						continue
					}
					s.N = min(s.N, left)
					left -= s.N
				}
				steps = append(steps, s)
			}
			side.Threads[th] = steps
		}
	}
}
