//go:build sim

package scene

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim"
	"github.com/socksdirect/libsd/socket"
)

// What ends a call that waits.
const (
	byDeadline = iota // set before
	byNewDeadline
	byMovedDeadline
	byClose
	byCloseRead // of a Read
	byPeer      // which sends, or reads all
	byDeath     // of a peer that has closed its direction before, if the call is a Write
	causes
)

// waiting: after a byte each way a call sleeps, and one thing, of which no other tells, ends it. The peer
// is silent until then; both ends are introduced before, or at any moment.
func waiting(w *sim.World) {
	instant := w.Choose(2, "instant") == 1
	delay := [2]int{sizes(w, "delay", 1, 60), sizes(w, "delay", 1, 60)}
	writes, cause := w.Choose(2, "writes") == 1, w.Choose(causes, "cause")
	early, introduced, over := w.Choose(2, "introduced first") == 1, 0, false
	if writes && cause == byCloseRead {
		cause = byClose
	}
	p := newPair(w, instant, func(p *pair, end int, t *sim.Thread) {
		c := p.conn[end]
		if early {
			p.introduce(end)
			introduced++
			t.Block("introduced", func() bool { return introduced == 2 }, -1)
		} else {
			p.introduceLater(end, delay[end])
		}
		c.Write(bytesAt(0, 1))
		if end == 1 {
			silent(t, c, writes, cause, &over)
			return
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			w.Failf("stream", "read: %v", err)
		}
		if cause == byDeadline {
			setLimit(c, writes, time.Millisecond)
		} else {
			p.proc[0].Go("ends it", func(t *sim.Thread) { endCall(t, p, writes, cause) })
		}
		if err := longCall(c, writes, early); err == nil && writes && !early {
			w.Cover("went through") // by a ring that came in time, or to a kernel that is not yet reset
		} else {
			judgeEnd(w, writes, cause, err)
		}
		over = true
		c.Close()
	})
	w.Plan(150)
	w.AtEnd(p.unleaked)
}

// silent is the peer.
func silent(t *sim.Thread, c *socket.Conn, writes bool, cause int, over *bool) {
	defer c.Close()
	switch {
	case cause == byPeer && writes:
		t.Sleep(time.Duration(t.World().Choose(4, "when")) * time.Millisecond)
		for buf := make([]byte, 64<<10); !*over; {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	case cause == byPeer:
		t.Sleep(time.Duration(t.World().Choose(4, "when")) * time.Millisecond)
		c.Write(bytesAt(1, 1))
	case cause == byDeath && writes:
		c.CloseWrite()
	}
	t.Block("silent", func() bool { return *over }, -1)
}

func setLimit(c *socket.Conn, writes bool, after time.Duration) {
	t := socket.Sim.Now().Add(after)
	if writes {
		c.SetWriteDeadline(t)
	} else {
		c.SetReadDeadline(t)
	}
}

// longCall writes more than all rings hold, or the kernel, or reads where nothing is.
func longCall(c *socket.Conn, writes, rings bool) (err error) {
	switch {
	case !writes:
		_, err = c.Read(make([]byte, 1))
	case rings:
		_, err = c.Write(bytesAt(0, queue.DirStride+1<<20))
	default:
		_, err = c.Write(bytesAt(0, 2000))
	}
	return err
}

// endCall ends the call after some time.
func endCall(t *sim.Thread, p *pair, writes bool, cause int) {
	c := p.conn[0]
	t.Sleep(time.Duration(t.World().Choose(4, "when")) * time.Millisecond)
	switch cause {
	case byNewDeadline:
		setLimit(c, writes, -time.Second)
	case byMovedDeadline:
		setLimit(c, writes, time.Hour)
		setLimit(c, writes, time.Millisecond)
	case byClose:
		c.Close()
	case byCloseRead:
		c.CloseRead()
	case byDeath:
		t.World().Kill(p.proc[1])
	}
}

func judgeEnd(w *sim.World, writes bool, cause int, err error) {
	ok := false
	switch cause {
	case byDeadline, byNewDeadline, byMovedDeadline:
		ok = errors.Is(err, os.ErrDeadlineExceeded)
	case byClose:
		ok = errors.Is(err, net.ErrClosed)
	case byCloseRead:
		ok = err == io.EOF
	case byPeer:
		ok = err == nil
	case byDeath:
		ok = errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || !writes && err == io.EOF
	}
	if !ok {
		w.Failf("result", "writes %v, ended by %d: %v", writes, cause, err)
	}
	w.Cover([...]string{"deadline", "new deadline", "moved deadline", "Close", "CloseRead", "peer", "death"}[cause])
}

func init() {
	sim.Register(&sim.Scenario{Name: "waiting", About: "socket.Conn: a call that waits is ended by a deadline, Close, the peer or its death, promoted or not", Setup: waiting})
}
