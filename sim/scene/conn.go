//go:build sim

package scene

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/socksdirect/libsd/sim"
	"github.com/socksdirect/libsd/socket"
)

// flow is what one direction carries and how much of it came.
type flow struct {
	p         *pair
	from      int // end
	total     int
	sent, got int
	impatient bool // calls have deadlines that pass
	over      bool // the receiver has seen the end
}

// soon is a time that comes during the run, or has come.
func (f *flow) soon() time.Time {
	d := time.Duration(f.p.w.Choose(4, "deadline")-1) * 300 * time.Microsecond
	return socket.Sim.Now().Add(d)
}

// excused tells whether an end may see the connection break: somebody died or closed early.
func (p *pair) excused(cut [2]bool) bool {
	return p.w.Faults.Struck || cut[0] || cut[1]
}

// send writes the flow.
func (f *flow) send(c *socket.Conn, cut *[2]bool) {
	w, impatient := f.p.w, f.impatient
	for f.sent < f.total {
		if impatient {
			c.SetWriteDeadline(f.soon())
		}
		n, err := c.Write(bytesAt(f.sent, min(sizes(w, "write", 4, 200, 100<<10), f.total-f.sent)))
		f.sent += n
		switch {
		case err == nil:
		case f.impatient && errors.Is(err, os.ErrDeadlineExceeded):
			w.Cover("write deadline")
			impatient = w.Choose(4, "patience") > 0
			c.SetWriteDeadline(time.Time{})
		case errors.Is(err, net.ErrClosed) && cut[f.from]:
			return
		case f.p.excused(*cut) && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)):
			w.Cover("write to nobody")
			f.p.told[f.from] = errors.Is(err, syscall.ECONNRESET)
			return
		default:
			w.Failf("stream", "write after %d bytes: %v", f.sent, err)
		}
	}
}

// recv reads until the end of the flow. What a Write has taken is read before the end, whoever dies or
// closes then.
func (f *flow) recv(c *socket.Conn, cut *[2]bool) {
	w, impatient, buf := f.p.w, f.impatient, make([]byte, 64<<10)
	for {
		if impatient {
			c.SetReadDeadline(f.soon())
		}
		n, err := c.Read(buf[:min(len(buf), sizes(w, "read", 4, 200, 100<<10))])
		checkStream(w, f.got, buf[:n])
		f.got += n
		switch {
		case err == nil:
			continue
		case n > 0:
			w.Failf("stream", "read gives %d bytes and %v", n, err)
		case f.impatient && errors.Is(err, os.ErrDeadlineExceeded):
			w.Cover("read deadline")
			impatient = w.Choose(4, "patience") > 0
			c.SetReadDeadline(time.Time{})
			continue
		case errors.Is(err, net.ErrClosed) && cut[1-f.from]:
			return
		case err == io.EOF && f.got == f.total:
			w.Cover("eof")
		case f.p.excused(*cut) && err == io.EOF && f.got >= f.sent:
			w.Cover("cut short")
		case f.p.excused(*cut) && errors.Is(err, syscall.ECONNRESET) && (f.got >= f.sent || !f.p.instant):
			w.Cover("reset") // which overtakes what the kernel has not delivered
		case f.p.told[1-f.from] && err == io.EOF && !f.p.instant:
			w.Cover("reset told to the writer") // who is told of it leaves an end to the reader, as on Linux
		default:
			w.Failf("stream", "read says %v after %d bytes of %d, %d were sent", err, f.got, f.total, f.sent)
		}
		f.over = true
		return
	}
}

// connection: both ends send and receive, introduced at any moment. An end closes its direction when it
// has sent all, or closes the connection when both are through, or in the middle of everything; calls
// may have deadlines; either process may die.
func connection(w *sim.World) {
	var flows [2]*flow
	for i := range flows {
		flows[i] = &flow{from: i, total: sizes(w, "total", 8, 400, 300<<10), impatient: w.Choose(3, "impatient") == 0}
	}
	w.Faults.Kills = max(0, w.Choose(3, "kills")-1)
	instant := w.Choose(2, "instant") == 1
	delay := [2]int{sizes(w, "delay", 1, 60), sizes(w, "delay", 1, 60)}
	first, introduced := w.Choose(2, "introduced first") == 1, 0
	var cut [2]bool
	early := w.Choose(8, "early")
	p := newPair(w, instant, func(p *pair, i int, t *sim.Thread) {
		c, working := p.conn[i], 2
		if first {
			p.introduce(i)
			introduced++
			t.Block("introduced", func() bool { return introduced == 2 || w.Faults.Struck }, -1)
		} else {
			p.introduceLater(i, delay[i])
		}
		p.proc[i].Go("send", func(t *sim.Thread) {
			if flows[i].send(c, &cut); !cut[i] {
				c.CloseWrite()
			}
			working--
		})
		p.proc[i].Go("recv", func(t *sim.Thread) {
			flows[1-i].recv(c, &cut)
			working--
		})
		if early == i {
			for range w.Choose(100, "early at") {
				t.Step("later")
			}
			cut[i] = true
		} else {
			t.Block("join", func() bool { return working == 0 }, -1)
		}
		if err := c.Close(); err != nil {
			w.Failf("close", "%v", err)
		}
	})
	for i := range flows {
		flows[i].p = p
		p.proc[i].Mortal()
	}
	w.Plan(300)
	w.AtEnd(func() {
		for _, f := range flows {
			if !p.excused(cut) && (!f.over || f.got != f.total) {
				w.Failf("stream", "direction %d carried %d bytes of %d", f.from, f.got, f.total)
			}
		}
		p.unleaked()
	})
}

func init() {
	sim.Register(&sim.Scenario{Name: "conn", About: "socket.Conn: promotion at any moment of two-way traffic, deadlines, half and full close, either end may die", Setup: connection})
}
