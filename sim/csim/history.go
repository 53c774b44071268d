//go:build sim && cgo

package csim

import (
	"math"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/sim"
	"github.com/socksdirect/libsd/trace"
)

// onTheWay is how many bytes a recorded conversation may have on their way in the simulator: what one
// thread has sent without anybody reading must fit into the small rings, as it did into the large ones.
const onTheWay = 256

// Replay does what a recorded connection did once more, between two simulated processes with the C core of
// libsd.so, under the schedule of a seed. Sizes shrink in proportion if more was on its way than fits.
// A result that differs from the recorded one, other bytes, or a hang is the error.
func Replay(c *trace.Conversation, seed uint64) (*sim.World, error) {
	s := &sim.Scenario{Name: c.Name, Setup: func(w *sim.World) { newWorld(w).history(c) }}
	steps := 0
	for _, e := range c.Ends {
		for _, t := range e.Threads {
			steps += len(t)
		}
	}
	return s.Run(sim.Config{Limit: 200_000 + 2000*steps}, sim.ChooserOf(seed))
}

// past is one recorded connection as it goes on again.
type past struct {
	w       *World
	scale   float64
	streams [2]*stream // from end i
	closed  [2]bool
}

func (w *World) history(c *trace.Conversation) {
	p := &past{w: w, scale: min(1, onTheWay/float64(max(c.Backlog, 1)))}
	a, b := w.process("a"), w.process("b")
	fa, fb := w.connect(a, b)
	for _, e := range w.ends { // or onTheWay would not fit
		e.sndbuf = 0
	}
	w.resets = true // as it may have been: a load generator closes with replies unread
	w.maybeNetwork()
	for i := range p.streams {
		p.streams[i] = &stream{w: w, id: i}
	}
	for i, proc := range []*Process{a, b} {
		fd, threads := []int{fa, fb}[i], c.Ends[i].Threads
		if len(threads) == 0 {
			threads = make([][]trace.Step, 1)
		}
		left := len(threads)
		run := func(t *Thread, steps []trace.Step) {
			p.run(t, i, fd, steps)
			if left--; left == 0 {
				p.closed[i] = true
				t.close(fd)
			}
		}
		proc.main(fd, i, len(threads), func(t *Thread) {
			for _, steps := range threads[1:] {
				proc.Go("thread", func(t *Thread) { run(t, steps) })
			}
			run(t, threads[0])
		})
	}
}

// run is one recorded thread. Positions in the stream are scaled, so that both ends agree on them.
func (p *past) run(t *Thread, end, fd int, steps []trace.Step) {
	out, in := p.streams[end], p.streams[1-end]
	var sent, received int64
	for _, s := range steps {
		switch {
		case s.Op == trace.Send:
			sent += s.N
			if r := p.send(t, fd, out, int(float64(sent)*p.scale)); r < 0 {
				p.gone(end, "send", r)
				return
			}
		case s.Op == trace.Recv && s.N > 0:
			received += s.N
			if r := p.recv(t, fd, in, int(float64(received)*p.scale)); r <= 0 {
				p.gone(end, "recv", r)
				return
			}
		case s.Op == trace.Recv:
			if r := in.drain(t, fd, math.MaxInt, 64); r != 0 {
				p.gone(end, "recv at the end", r)
				return
			}
		case s.Op == trace.Shutdown:
			t.shutdown(fd, int(s.N))
		case s.Op == trace.Close:
			return // it is closed when all threads have come so far
		}
	}
}

func (p *past) send(t *Thread, fd int, s *stream, until int) int64 {
	for s.sent < until {
		b := make([]byte, min(until-s.sent, threadMemory/2))
		for i := range b {
			b[i] = byteAt(s.id, s.sent+i)
		}
		r := t.send(fd, b, unix.MSG_NOSIGNAL)
		if r < 0 {
			return r
		}
		if r == 0 || r > int64(len(b)) {
			p.w.Failf("result", "%s: send of %d bytes returns %d", t, len(b), r)
		}
		s.sent += int(r)
	}
	return 0
}

// recv returns 1 when it has all bytes up to a position.
func (p *past) recv(t *Thread, fd int, s *stream, until int) int64 {
	for s.received < until {
		b, err := t.recv(fd, min(until-s.received, threadMemory/2), 0)
		if err < 0 || len(b) == 0 {
			return err
		}
		s.check(t, b, true)
	}
	return 1
}

// gone ends a thread whose connection has ended sooner than in the recording: right if the other end
// has closed it.
func (p *past) gone(end int, what string, r int64) {
	reset := r == -int64(unix.ECONNRESET) || r == -int64(unix.EPIPE)
	if !p.closed[1-end] || !reset && what == "send" {
		p.w.Failf("result", "%s: %d, which the recording has not", what, r)
	}
}
