package linear

import (
	"bytes"
	"errors"
	"testing"

	"github.com/socksdirect/libsd/sim"
)

// run is a run of one thread that records what f says.
func run(f func(h *History, t *sim.Thread)) error {
	w := sim.New(sim.Config{}, sim.NewRandom(1))
	h := New(w, "bytes")
	w.Process("p").Go("t", func(t *sim.Thread) { f(h, t) })
	return w.Run()
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name string
		ok   bool
		f    func(h *History, t *sim.Thread)
	}{
		{"two messages that overlap, either order", true, func(h *History, t *sim.Thread) {
			a, b := h.Begin(), h.Begin()
			h.Sent(t, a, []byte("aa"))
			h.Sent(t, b, []byte("bb"))
			h.Received(t, h.Begin(), []byte("bba"))
			h.Shut(t, h.Begin())
			h.Received(t, h.Begin(), []byte("a"))
			h.Ended(t, h.Begin())
		}},
		{"messages mixed", false, func(h *History, t *sim.Thread) {
			a, b := h.Begin(), h.Begin()
			h.Sent(t, a, []byte("aa"))
			h.Sent(t, b, []byte("bb"))
			h.Received(t, h.Begin(), []byte("abab"))
		}},
		{"one after the other, received in the wrong order", false, func(h *History, t *sim.Thread) {
			h.Sent(t, h.Begin(), []byte("a"))
			h.Sent(t, h.Begin(), []byte("b"))
			h.Received(t, h.Begin(), []byte("ba"))
		}},
		{"a byte twice", false, func(h *History, t *sim.Thread) {
			h.Sent(t, h.Begin(), []byte("a"))
			h.Received(t, h.Begin(), []byte("a"))
			h.Received(t, h.Begin(), []byte("a"))
		}},
		{"the end before the last byte", false, func(h *History, t *sim.Thread) {
			h.Sent(t, h.Begin(), []byte("ab"))
			h.Shut(t, h.Begin())
			h.Received(t, h.Begin(), []byte("a"))
			h.Ended(t, h.Begin())
		}},
		{"an end that nobody made", false, func(h *History, t *sim.Thread) { h.Ended(t, h.Begin()) }},
	} {
		err := run(c.f)
		if c.ok {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var f *sim.Failure
		if !errors.As(err, &f) || f.Kind != "linearizability" {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var html bytes.Buffer
		if err := f.Picture(&html); err != nil || !bytes.Contains(html.Bytes(), []byte("<html")) {
			t.Errorf("%s: no picture: %v", c.name, err)
		}
	}
}
