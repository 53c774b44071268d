// Package linear has porcupine judge what several threads did at the same time with one direction of a
// connection: there must be an order of the calls, each between its begin and its end, in which the
// bytes that come out are the bytes that went in, every message in one piece.
package linear

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/socksdirect/libsd/sim"
)

// judging bounds, in real time, how long porcupine thinks about one run. No verdict is a failure.
const judging = 20 * time.Second

// History is the calls of one direction; nil is one that nobody asks for.
type History struct {
	w     *sim.World
	name  string
	ops   []porcupine.Operation
	clock int64
}

// New is a history that is judged at the end of the run, unless a process was killed in it.
func New(w *sim.World, name string) *History {
	h := &History{w: w, name: name}
	w.AtEnd(h.judge)
	return h
}

type kind uint8

const (
	send kind = iota
	recv
	shut // end of the stream: no send follows
	eof  // what a receiver was told
)

// call is one call that succeeded. Calls are told apart by their addresses.
type call struct {
	kind kind
	data []byte
}

// Begin is the time at which a call begins.
func (h *History) Begin() int64 {
	if h == nil {
		return 0
	}
	h.clock++
	return h.clock
}

// Sent, Received, Shut and Ended say that a call of t which began then has ended: with data given to
// the stream or taken out of it, with the end of the stream made or seen.
func (h *History) Sent(t *sim.Thread, began int64, data []byte) { h.add(t, began, send, data) }

func (h *History) Received(t *sim.Thread, began int64, data []byte) { h.add(t, began, recv, data) }

func (h *History) Shut(t *sim.Thread, began int64) { h.add(t, began, shut, nil) }

func (h *History) Ended(t *sim.Thread, began int64) { h.add(t, began, eof, nil) }

func (h *History) add(t *sim.Thread, began int64, k kind, data []byte) {
	if h == nil {
		return
	}
	c := &call{k, bytes.Clone(data)}
	h.ops = append(h.ops, porcupine.Operation{ClientId: t.ID, Input: c, Call: began, Return: h.Begin()})
}

// stream is a state: the messages in it, oldest first, of the first of which some was received.
type stream struct {
	in    []*call
	taken int
	shut  bool
}

func (s stream) step(c *call) (bool, stream) {
	switch c.kind {
	case send:
		if s.shut {
			return false, s
		}
		s.in = append(slices.Clip(s.in), c)
	case shut:
		s.shut = true
	case eof:
		return s.shut && len(s.in) == 0, s
	case recv:
		for p := c.data; len(p) > 0; {
			if len(s.in) == 0 {
				return false, s
			}
			part := s.in[0].data[s.taken:]
			part = part[:min(len(part), len(p))]
			if !bytes.Equal(p[:len(part)], part) {
				return false, s
			}
			p = p[len(part):]
			if s.taken += len(part); s.taken == len(s.in[0].data) {
				s.in, s.taken = s.in[1:], 0
			}
		}
	}
	return true, s
}

var model = porcupine.Model{
	Init: func() any { return stream{} },
	Step: func(state, input, _ any) (bool, any) {
		ok, next := state.(stream).step(input.(*call))
		return ok, next
	},
	Equal: func(a, b any) bool {
		s, r := a.(stream), b.(stream)
		return s.taken == r.taken && s.shut == r.shut && slices.Equal(s.in, r.in)
	},
	DescribeOperation: func(input, _ any) string {
		c := input.(*call)
		return fmt.Sprintf("%s %x%s", [...]string{"send", "recv", "shut", "eof"}[c.kind], c.data[:min(len(c.data), 8)], more(c.data))
	},
	DescribeState: func(state any) string {
		s := state.(stream)
		return fmt.Sprintf("%d messages, %d bytes of the first taken, ended %v", len(s.in), s.taken, s.shut)
	},
}

func more(data []byte) string {
	if len(data) <= 8 {
		return ""
	}
	return fmt.Sprintf("… (%d bytes)", len(data))
}

func (h *History) judge() {
	if h.w.Faults.Struck {
		return // a call in which a process died has no end
	}
	verdict, info := porcupine.CheckOperationsVerbose(model, h.ops, judging)
	if verdict == porcupine.Ok {
		h.w.Cover("linearizable " + h.name)
		return
	}
	picture := func(w io.Writer) error { return porcupine.Visualize(model, info, w) }
	if verdict == porcupine.Unknown {
		h.w.FailPicture(picture, "unknown", "%s: no verdict on %d calls within %v", h.name, len(h.ops), judging)
	} else {
		h.w.FailPicture(picture, "linearizability", "%s: no order of these %d calls is one of a stream", h.name, len(h.ops))
	}
}
