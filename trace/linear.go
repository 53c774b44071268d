package trace

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// A direction that several threads use at the same time has no order of its own: porcupine looks for
// one in which the bytes received are the bytes sent.

// What is too large to be judged is a failure, as porcupine's Unknown is.
const (
	maxHistory  = 20_000
	judgingTime = time.Minute
)

// history is the operations of one direction.
type history struct {
	id   uint64
	ops  []porcupine.Operation
	over bool
	seq  int
}

func (h *history) add(e *Event, side int, p piece) {
	h.seq = e.Seq
	if len(h.ops) == maxHistory {
		h.over = true
		return
	}
	h.ops = append(h.ops, porcupine.Operation{ClientId: int(e.TID), Input: moved{side, p}, Call: e.Start, Return: e.End})
}

type moved struct {
	side int
	piece
}

// queue is the model's state: chunks sent and not yet compared, and how much of them was received.
type queue struct {
	chunks []piece
	n      uint64 // bytes in chunks
	taken  uint64 // received of them
	sum    uint32
	known  bool
}

func (q queue) equal(r queue) bool {
	return q.n == r.n && q.taken == r.taken && q.sum == r.sum && q.known == r.known &&
		slices.EqualFunc(q.chunks, r.chunks, func(a, b piece) bool { return a.n == b.n && a.sum == b.sum && a.known == b.known })
}

// receive takes bytes out and compares them at each boundary of the chunks that it reaches.
func (q queue) receive(p piece) (bool, queue) {
	if q.taken+p.n > q.n {
		return false, q
	}
	q.taken, q.sum, q.known = q.taken+p.n, Combine(q.sum, p.sum, p.n), q.known && p.known
	var n uint64
	var sum uint32
	known := q.known
	for i, c := range q.chunks {
		n, sum, known = n+c.n, Combine(sum, c.sum, c.n), known && c.known
		if n > q.taken {
			break
		}
		if n == q.taken {
			if known && sum != q.sum {
				return false, q
			}
			return true, queue{chunks: q.chunks[i+1:], n: q.n - n, known: true}
		}
	}
	return true, q
}

var streamModel = porcupine.Model{
	Init: func() any { return queue{known: true} },
	Step: func(state, input, output any) (bool, any) {
		q, m := state.(queue), input.(moved)
		if m.side == receiving {
			ok, next := q.receive(m.piece)
			return ok, next
		}
		q.chunks, q.n = append(slices.Clip(q.chunks), m.piece), q.n+m.n
		return true, q
	},
	Equal: func(a, b any) bool { return a.(queue).equal(b.(queue)) },
	DescribeOperation: func(input, output any) string {
		m := input.(moved)
		return fmt.Sprintf("%s(%d) sum %#x event %d", [2]string{"send", "recv"}[m.side], m.n, m.sum, m.seq)
	},
	DescribeState: func(state any) string {
		q := state.(queue)
		return fmt.Sprintf("%d chunks, %d bytes, %d taken", len(q.chunks), q.n, q.taken)
	},
}

// judge returns nil if there is an order that a stream allows.
func (h *history) judge() *Violation {
	if h.over {
		return &Violation{Kind: "unknown", ID: h.id, Seq: h.seq, Detail: fmt.Sprintf("threads share this direction, and it has more than %d operations", maxHistory)}
	}
	result, info := porcupine.CheckOperationsVerbose(streamModel, h.ops, judgingTime)
	if result == porcupine.Ok {
		return nil
	}
	v := &Violation{Kind: "linearizability", ID: h.id, Seq: h.seq, Detail: "no order of these operations is one of a stream"}
	if result == porcupine.Unknown {
		v.Kind, v.Detail = "unknown", fmt.Sprintf("not judged within %v", judgingTime)
	}
	var b bytes.Buffer
	if err := porcupine.Visualize(streamModel, info, &b); err == nil {
		v.Picture = b.Bytes()
	}
	return v
}
