package trace

import (
	"fmt"
	"maps"
	"slices"
	"syscall"
)

// Verdict is what Check found.
type Verdict struct {
	Events      int
	Sockets     int
	Connections int // with both ends recorded
	Verified    uint64
	Opaque      uint64 // bytes compared by number only
	Unmatched   uint64 // bytes sent and not seen to be received, or the other way round with a reason
	Concurrent  int    // directions that porcupine has judged
	Lost        uint64
	Torn        int
	Violations  []Violation
	Unjudged    map[string]int // why connections or directions were not judged whole
}

// OK says that all of the history was judged and is one that Linux allows.
func (v *Verdict) OK() bool { return len(v.Violations) == 0 && v.Lost == 0 }

// Violation is why a history is not allowed.
type Violation struct {
	Kind    string // "bytes", "order", "eof", "error", "result", "linearizability", "unknown"
	ID      uint64 // of the socket
	Seq     int    // of the event
	Detail  string
	Picture []byte `json:"-"` // HTML, from porcupine
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: socket %d, event %d: %s", v.Kind, v.ID, v.Seq, v.Detail)
}

// maxViolations bounds a verdict: what follows from one mistake can be everything.
const maxViolations = 20

// half is what one end has done and seen.
type half struct {
	*socket
	out       *stream // what it sends; nil: not compared
	in        *stream
	shutWrite int64 // when shutdown(SHUT_WR) first began and when it had returned, 0: never
	shutDone  int64
	shutRead  int64
	leaving   int64 // when a holder first began to close it, or to end
	eof       int64 // when a receive first said that the stream ends
	broken    int64 // when an error first said that the connection is gone
	refused   int64 // when a send first failed with EPIPE
	moved     [2]uint64
	claimed   [2]bool
}

// claim is what an end was told of the other one: it is judged when all is known, because events come
// in the order of their ends and the cause may end later.
type claim struct {
	h    *half
	seq  int
	end  int64
	sent uint64        // by the other end, before
	err  syscall.Errno // 0: the end of the stream
}

// judge is the second walk.
type judge struct {
	*survey
	Verdict
	halves map[uint64]*half
	shared map[*stream]*history
	claims []claim
}

// Check judges a history: see docs/trace-format.md for the rules.
func (t *Trace) Check() (*Verdict, error) {
	s, err := t.survey()
	if err != nil {
		return nil, err
	}
	j := &judge{survey: s, halves: map[uint64]*half{}, shared: map[*stream]*history{}}
	j.Unjudged = map[string]int{}
	j.Events, j.Sockets, j.Lost, j.Torn = s.events, len(s.sockets), t.Lost(), t.Torn()
	for id, k := range s.sockets {
		j.halves[id] = &half{socket: k}
	}
	for _, h := range j.halves {
		j.connect(h)
	}
	if err := t.Walk(func(e *Event) error { j.event(e); return nil }); err != nil {
		return nil, err
	}
	j.finish()
	return &j.Verdict, nil
}

func (j *judge) fail(kind string, id uint64, seq int, format string, args ...any) {
	if len(j.Violations) < maxViolations {
		j.Violations = append(j.Violations, Violation{Kind: kind, ID: id, Seq: seq, Detail: fmt.Sprintf(format, args...)})
	}
}

// connect gives both ends the streams between them, once.
func (j *judge) connect(h *half) {
	if h.peer == nil || h.out != nil {
		if h.named && h.peer == nil {
			j.Unjudged["the other end is not recorded"]++
		}
		return
	}
	p := j.halves[h.peer.id]
	j.Connections++
	h.out, h.in = &stream{}, &stream{}
	p.in, p.out = h.out, h.in
	for _, d := range []struct{ from, to *half }{{h, p}, {p, h}} {
		if d.from.shared[sending] || d.to.shared[receiving] {
			j.shared[d.from.out] = &history{id: d.from.id}
			j.Concurrent++
		}
	}
}

func (j *judge) event(e *Event) {
	if e.Op == End {
		for _, h := range j.halves {
			if slices.Contains(h.holders, e.PID) {
				h.leave(e)
			}
		}
	}
	h := j.halves[e.ID]
	if h == nil {
		return
	}
	switch e.Op {
	case Close:
		h.leave(e)
	case Shutdown:
		if e.Result == 0 && e.Arg != syscall.SHUT_RD && h.shutWrite == 0 {
			h.shutWrite, h.shutDone = e.Start, e.End
		}
		if e.Result == 0 && e.Arg != syscall.SHUT_WR && h.shutRead == 0 {
			h.shutRead = e.Start
		}
	case GetSockOpt:
		if e.Arg == syscall.SOL_SOCKET<<32|syscall.SO_ERROR && e.Flags != 0 && h.broken == 0 {
			h.broken = e.End
		}
	case Send, SendFile:
		j.send(h, e)
	case Recv:
		j.recv(h, e)
	case Splice:
		j.move(h, e)
	}
}

func (h *half) leave(e *Event) {
	if h.leaving == 0 || e.Start < h.leaving {
		h.leaving = e.Start
	}
}

func (j *judge) send(h *half, e *Event) {
	err := -e.Result
	switch {
	case e.Result > 0 && e.Arg > 0 && uint64(e.Result) > e.Arg:
		j.fail("result", h.id, e.Seq, "%d bytes sent of %d", e.Result, e.Arg)
	case e.Result > 0 && h.shutDone != 0 && e.Start > h.shutDone:
		j.fail("error", h.id, e.Seq, "a send succeeds after shutdown")
	case e.Result > 0 && h.refused != 0 && e.Start > h.refused:
		j.fail("error", h.id, e.Seq, "a send succeeds after one was refused")
	case err == int64(syscall.EPIPE) || err == int64(syscall.ECONNRESET):
		if h.refused == 0 {
			h.refused = e.End
		}
		if h.broken == 0 {
			h.broken = e.End
		}
		if h.shutWrite == 0 {
			j.claim(h, e, syscall.Errno(err))
		}
	}
	j.move(h, e)
}

func (j *judge) recv(h *half, e *Event) {
	const special = 1 | 0x2000 // MSG_OOB, MSG_ERRQUEUE: not of the stream
	switch err := -e.Result; {
	case e.Flags&special != 0:
		return
	case e.Result > 0 && e.Arg > 0 && uint64(e.Result) > e.Arg:
		j.fail("result", h.id, e.Seq, "%d bytes received into room for %d", e.Result, e.Arg)
	case e.Result > 0 && h.eof != 0 && e.Start > h.eof && h.shutRead == 0:
		j.fail("eof", h.id, e.Seq, "bytes come after the end of the stream")
	case e.Result == 0 && e.Arg > 0:
		j.end(h, e)
	case err == int64(syscall.ECONNRESET):
		if h.broken == 0 {
			h.broken = e.End
		}
		j.claim(h, e, syscall.ECONNRESET)
	}
	j.move(h, e)
}

// end notes that a receive says that the stream ends.
func (j *judge) end(h *half, e *Event) {
	if h.eof == 0 {
		h.eof = e.End
	}
	if h.shutRead == 0 && h.broken == 0 {
		j.claim(h, e, 0)
	}
}

// claim keeps the first of its kind for each end.
func (j *judge) claim(h *half, e *Event, err syscall.Errno) {
	if h.peer == nil || h.claimed[min(err, 1)] {
		return
	}
	h.claimed[min(err, 1)] = true
	j.claims = append(j.claims, claim{h, e.Seq, e.End, j.halves[h.peer.id].moved[sending], err})
}

// move gives the stream what an event has moved.
func (j *judge) move(h *half, e *Event) {
	side, ok := moves(e)
	if !ok {
		return
	}
	h.moved[side] += uint64(e.Result)
	s := h.out
	if side == receiving {
		s = h.in
	}
	if s == nil || h.hidden || h.peer.hidden {
		return
	}
	p := piece{uint64(e.Result), e.Sum, e.Bits&HasSum != 0, e.Seq, e.Start, e.End}
	if l := j.shared[s]; l != nil {
		l.add(e, side, p)
	} else if err := s.add(side, p); err != nil && !s.failed {
		s.failed = true // what follows from it is not news
		j.fail("bytes", h.id, e.Seq, "%v", err)
	}
}

// uncertain says why the record of an end may lack something at its end.
func (j *judge) uncertain(h *half) string {
	switch {
	case h.hidden:
		return h.why
	case j.Lost > 0:
		return "events were lost"
	case h.imported:
		return "strace may not have followed all"
	}
	for _, pid := range h.holders {
		if !j.ended[pid] {
			return "a process that held it was killed, or became a program that is not traced"
		}
	}
	return ""
}

// finish judges what needed the whole history.
func (j *judge) finish() {
	for _, c := range j.claims {
		p := j.halves[c.h.peer.id]
		gone := p.leaving != 0 && p.leaving <= c.end
		switch {
		case c.err != 0 && !gone && j.uncertain(p) == "":
			j.fail("error", c.h.id, c.seq, "%v, though nobody had closed the other end", c.err)
		case c.err == 0 && !gone && (p.shutWrite == 0 || p.shutWrite > c.end) && j.uncertain(p) == "":
			j.fail("eof", c.h.id, c.seq, "the end of the stream, though nobody had ended it")
		case c.err == 0 && !p.hidden && j.uncertain(c.h) == "" && c.h.moved[receiving] < c.sent:
			j.fail("eof", c.h.id, c.seq, "the end of the stream after %d bytes; %d were sent", c.h.moved[receiving], c.sent)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(j.halves)) {
		if h := j.halves[id]; h.out != nil {
			j.finishStream(h)
		}
	}
}

func (j *judge) finishStream(h *half) {
	s, p := h.out, j.halves[h.peer.id]
	if l := j.shared[s]; l != nil {
		v := l.judge()
		if why := j.uncertain(h); v != nil && why != "" {
			j.Unjudged["used by several threads, and "+why]++
		} else if v != nil {
			j.Violations = append(j.Violations, *v)
		} else {
			j.Verified += min(h.moved[sending], p.moved[receiving])
		}
		return
	}
	j.Verified += s.verified
	j.Opaque += s.opaque
	sent, received := h.moved[sending], p.moved[receiving]
	if h.hidden || p.hidden {
		j.Unjudged[h.why+p.why]++
		return
	}
	j.Unmatched += max(sent, received) - s.since
	if why := j.uncertain(h); received > sent && why == "" && !s.failed {
		j.fail("bytes", p.id, s.last[receiving].seq, "%d bytes were received, %d were sent", received, sent)
	} else if received > sent {
		j.Unjudged["bytes that nobody is known to have sent: "+why]++
	}
}
