//go:build sim

package scene

import (
	"errors"
	"io"
	"syscall"

	"github.com/socksdirect/libsd/sim"
)

// promotion: one byte goes by TCP, one by whatever path there is after the introduction, then the end.
// Both processes may die at every step. What arrives is a beginning of the stream with all that Write
// took; all of it if nobody died.
func promotion(w *sim.World) {
	w.Faults.Kills, w.Faults.Ticks = 2, 1
	if !w.Explore {
		w.Faults.Kills = w.Choose(3, "kills")
	}
	sent, got, over := 0, 0, false
	p := newPair(w, true, func(p *pair, end int, t *sim.Thread) {
		c := p.conn[end]
		if end == 1 {
			p.introduce(1)
			var err error
			for buf := make([]byte, 4); err == nil; {
				var n int
				n, err = c.Read(buf)
				checkStream(w, got, buf[:n])
				got += n
			}
			if over = true; err != io.EOF && !(w.Faults.Struck && errors.Is(err, syscall.ECONNRESET)) {
				w.Failf("stream", "read says %v after %d bytes", err, got)
			}
			return
		}
		for i := range 2 {
			if _, err := c.Write(bytesAt(i, 1)); err == nil {
				sent++
			} else if !p.proc[1].Killed {
				w.Failf("stream", "write: %v", err)
			}
			if i == 0 {
				p.introduce(0)
			}
		}
		c.Close()
	})
	w.KernelState(func() uint64 { return uint64(sent)<<8 | uint64(got) })
	p.proc[0].Mortal()
	p.proc[1].Mortal()
	w.Plan(100)
	w.AtEnd(func() {
		if over && got < sent {
			w.Failf("stream", "the stream ends after %d bytes, %d were sent", got, sent)
		}
		if p.slot.Dir[0].Tx.Gen > 0 {
			w.Cover("ring used")
		}
	})
}

func init() {
	sim.Register(&sim.Scenario{Name: "promotion", About: "socket.Conn: promotion from TCP at N, both sides free to die at every step", Setup: promotion, Small: true, Deviations: 2, Unseen: true})
}
