//go:build sim

package scene

import (
	"github.com/socksdirect/libsd/sim"
	"github.com/socksdirect/libsd/socket"
)

// requests: several goroutines of the client each send a message and take as many bytes of the replies,
// whoever's they are; two goroutines of the server answer whatever they read with as many bytes. Nobody
// goes on without its wake-up, and no FIN comes to the rescue of one that is lost.
func requests(w *sim.World) {
	clients, rounds, size := w.Range(1, 3, "clients"), w.Range(1, 3, "rounds"), w.Range(1, 4, "size")
	large := w.Choose(8, "large") == 0
	if large { // than a ring at first: Write waits in the middle, and must not wait for one who waits for it
		size = 90 << 10
	}
	instant := w.Choose(2, "instant") == 1
	delay := [2]int{sizes(w, "delay", 1, 60), sizes(w, "delay", 1, 60)}
	early := w.Choose(2, "introduced first") == 1
	asked, replied := newHistory(w, "requests"), newHistory(w, "replies")
	p := newPair(w, instant, func(p *pair, end int, t *sim.Thread) {
		if early {
			p.introduce(end)
		} else {
			p.introduceLater(end, delay[end])
		}
		if c := p.conn[end]; end == 0 {
			together(t, clients, func(t *sim.Thread) {
				for range rounds {
					asked.write(t, c, size)
					if !large {
						takeReply(t, c, replied, size)
					}
				}
			})
			asked.closeWrite(t, c)
			if n := replied.read(t, c, make([]byte, 1)); n > 0 {
				w.Failf("stream", "%d bytes after the last reply", n)
			}
		} else {
			together(t, 2, func(t *sim.Thread) { serve(t, c, asked, replied, size, !large) })
			replied.closeWrite(t, c)
		}
		p.conn[end].Close()
	})
	w.Plan(200)
	w.AtEnd(p.unleaked)
}

// together runs f in n goroutines, one of which is the caller's.
func together(t *sim.Thread, n int, f func(t *sim.Thread)) {
	working := n
	for range n - 1 {
		t.Proc.Go("more", func(t *sim.Thread) {
			f(t)
			working--
		})
	}
	f(t)
	working--
	t.Block("join", func() bool { return working == 0 }, -1)
}

func takeReply(t *sim.Thread, c *socket.Conn, replied *history, size int) {
	buf := make([]byte, size)
	for left := size; left > 0; {
		n := replied.read(t, c, buf[:left])
		if n == 0 {
			t.World().Failf("stream", "%s: the replies end", t)
		}
		left -= n
	}
}

func serve(t *sim.Thread, c *socket.Conn, asked, replied *history, size int, reply bool) {
	buf := make([]byte, size)
	for {
		n := asked.read(t, c, buf[:1+t.World().Choose(size, "read")])
		if n == 0 {
			return
		}
		if reply {
			replied.write(t, c, n)
		}
	}
}

func init() {
	sim.Register(&sim.Scenario{Name: "requests", About: "socket.Conn: goroutines of both ends send and receive at a time; no wake-up is lost; porcupine judges", Setup: requests})
}
