package scene

import (
	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim"
)

// line is one direction in shared memory. Its memory is used again by the next run.
type line struct {
	dir   *queue.Direction
	rings queue.Rings
	mem   []byte
}

var spare []*line

func newLine(w *sim.World, name string) *line {
	var l *line
	if n := len(spare); n > 0 {
		l, spare = spare[n-1], spare[:n-1]
		*l.dir = queue.Direction{}
	} else {
		mem := make([]byte, queue.DirStride)
		l = &line{dir: new(queue.Direction), mem: mem, rings: queue.CarveRings(mem)}
	}
	sim.Share(w, name, l.dir)
	w.ShareBytes(name+".ring", l.mem)
	w.Cleanup(func() { spare = append(spare, l) })
	return l
}

// ring: one sender, one receiver, any switches between any rings, start anywhere, back to TCP.
func ring(w *sim.World) {
	l := newLine(w, "d")
	total := sizes(w, "total", 1<<10, 64<<10, 512<<10)
	start := uint64(0)
	if w.Choose(2, "start near wrap") == 1 {
		start = ^uint64(0) - uint64(w.Choose(total, "before wrap"))
	}
	every := []int{0, 2, 8, 64}[w.Choose(4, "switch every")]
	sender, receiver := w.Process("sender"), w.Process("receiver")
	sender.Go("send", func(t *sim.Thread) { ringSend(w, l, start, total, every) })
	receiver.Go("recv", func(t *sim.Thread) { ringRecv(w, l, start, total) })
	w.Plan(200)
}

// sizes draws a bound, then a size up to it: most are small.
func sizes(w *sim.World, label string, bounds ...int) int {
	return 1 + w.Choose(bounds[w.Choose(len(bounds), label)], label)
}

func ringSend(w *sim.World, l *line, start uint64, total, every int) {
	s, err := queue.NewSender(l.dir, l.rings)
	if err != nil {
		w.Failf("bad-peer", "%v", err)
	}
	s.Open(start)
	for sent := 0; sent < total; {
		n := min(sizes(w, "write", 64, 4096, 100<<10), total-sent)
		p := bytesAt(sent, n)
		for n > 0 {
			k, err := s.Write(p)
			must(w, err)
			sent, n, p = sent+k, n-k, p[k:]
			done := false
			switch {
			case every > 0 && w.Choose(every, "switch") == 0:
				done, err = s.Switch(uint32(w.Choose(queue.Classes, "class")))
			case every == 0 && k == 0:
				done, err = s.Grow()
			case every == 0:
				done, err = s.Shrink()
			}
			must(w, err)
			if done {
				w.Cover("switch")
			} else if k == 0 {
				w.Cover("full")
				shm.Yield()
			}
		}
	}
	for {
		done, err := s.SwitchToTCP()
		if must(w, err); done {
			return
		}
		shm.Yield()
	}
}

func ringRecv(w *sim.World, l *line, start uint64, total int) {
	r, err := queue.NewReceiver(l.dir, l.rings)
	must(w, err)
	buf := make([]byte, 100<<10)
	for got := 0; ; {
		n, where := r.Read(buf[:sizes(w, "read", 64, 4096, 100<<10)])
		checkStream(w, got, buf[:n])
		got += n
		switch where {
		case queue.InRing:
		case queue.RingDry, queue.OnAnchor:
			shm.Yield()
		case queue.Until:
			if r.Boundary() != start || !r.Enter() {
				w.Failf("stream", "the ring begins at %d, want %d", r.Boundary(), start)
			}
		case queue.BackOnTCP:
			if got != total || r.Boundary() != start+uint64(total) {
				w.Failf("stream", "back on TCP after %d bytes of %d", got, total)
			}
			return
		default:
			w.Failf("bad-peer", "the receiver is at %d after %d bytes", where, got)
		}
	}
}

func must(w *sim.World, err error) {
	if err != nil {
		w.Failf("bad-peer", "%v", err)
	}
}

func init() {
	sim.Register(&sim.Scenario{Name: "ring", About: "one sender, one receiver, any segment switches, back to TCP", Setup: ring})
}
