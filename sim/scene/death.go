//go:build sim

package scene

import (
	"errors"
	"syscall"

	"github.com/socksdirect/libsd/sim"
)

// death: an end that has never written is killed with bytes unread, wherever those are, while the other reads or
// is about to. That is told of a reset, as the kernel would tell of it, and not of an end.
func death(w *sim.World) {
	n, wait := sizes(w, "bytes", 1, 100), sizes(w, "wait", 1, 200)
	introduced := 0
	newPair(w, w.Choose(2, "instant") == 1, func(p *pair, i int, t *sim.Thread) {
		p.introduce(i)
		introduced++
		t.Block("introduced", func() bool { return introduced == 2 }, -1)
		c := p.conn[i]
		if i == 1 {
			t.Block("killed", func() bool { return false }, -1)
		}
		p.proc[0].Go("recv", func(t *sim.Thread) {
			for range wait {
				t.Step("later")
			}
			if k, err := c.Read(make([]byte, 1)); k != 0 || !errors.Is(err, syscall.ECONNRESET) {
				w.Failf("stream", "read says %d, %v of a peer that died with %d bytes unread", k, err, n)
			}
			c.Close()
		})
		if k, err := c.Write(bytesAt(0, n)); k != n || err != nil {
			w.Failf("stream", "write says %d, %v", k, err)
		}
		w.Kill(p.proc[1])
	})
}

func init() {
	sim.Register(&sim.Scenario{Name: "death", About: "socket.Conn: the peer dies with bytes unread", Setup: death})
}
