package monitor

import (
	"errors"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

// helloTimeout is how long a connection may stay without saying what it is. It is no protocol
// time: processes say Hello in the same breath as they connect.
const helloTimeout = 10 * time.Second

// maxPerProcess is how often one process may register in its life. It needs one registration, and
// one more for each restart of the monitor; each costs the monitor descriptors.
const maxPerProcess = 64

// client is a registration as the Daemon sees it.
type client struct {
	reg  Reg
	conn *wire.Conn
	proc *process

	shown *page // that came with Hello and is not taken over yet, or nil
}

// serve handles one connection from its first message to its end.
func (d *Daemon) serve(conn *wire.Conn) {
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(helloTimeout))
	m, fds, err := conn.Recv()
	if m.Type != queue.MsgHello {
		wire.CloseAll(fds)
	}
	if err != nil {
		if !errors.Is(err, io.EOF) { // a second monitor, or doctor, only looks whether we answer
			d.log.Debug("connection without a message", "err", err)
		}
		return
	}
	switch m.Type {
	case wire.MsgStat:
		d.answer(conn)
	case queue.MsgHello:
		d.register(conn, m, fds)
	default:
		d.log.Warn("connection began with another message than Hello", "type", m.Type)
	}
}

// register admits a process and reads its messages until its connection ends.
func (d *Daemon) register(conn *wire.Conn, hello queue.Msg, fds []int) {
	proc, err := identify(conn)
	if err != nil {
		wire.CloseAll(fds)
		d.log.Info("process not registered", "err", err)
		if cred, err := conn.PeerCred(); err == nil {
			d.post(func() { d.step(Missed{UID: int(cred.Uid), Key: hello.Key}) })
		}
		_ = conn.TrySend(&queue.Msg{Type: queue.MsgWelcome, Status: queue.StatusDenied})
		return
	}
	c := &client{conn: conn, proc: proc, shown: d.shownPage(fds, hello.Key)}
	if !d.post(func() { d.join(c, hello) }) {
		proc.pidfd.Close()
		return
	}
	go func() {
		proc.waitDeath()
		d.post(func() { d.bury(c) })
	}()
	conn.SetReadDeadline(time.Time{})
	for {
		m, fds, err := conn.Recv()
		wire.CloseAll(fds)
		if err != nil {
			d.post(func() { d.hungUp(c) })
			return
		}
		if !d.post(func() { d.message(c, m) }) {
			return
		}
	}
}

func (d *Daemon) join(c *client, hello queue.Msg) {
	status := c.proc.admissible(d.netns)
	if d.perProcess[c.proc.pid]++; d.perProcess[c.proc.pid] > maxPerProcess {
		status = queue.StatusLimit
	}
	d.lastReg++
	c.reg = d.lastReg
	d.clients[c.reg] = c
	d.step(Joined{
		Reg: c.reg, PID: c.proc.pid, UID: c.proc.uid, Name: printable(hello.Name[:]),
		ABI: hello.ABI, Key: hello.Key, FreshKey: random() | 1, // 0 means no key
		HasPage: c.shown != nil,
		Status:  status,
	})
	if c.shown != nil { // it was not needed
		c.shown.close()
		c.shown = nil
	}
}

// shownPage is the bell page that came with Hello, or nil if none did that fits key.
func (d *Daemon) shownPage(fds []int, key uint64) *page {
	if len(fds) != 1 || key == 0 {
		wire.CloseAll(fds)
		return nil
	}
	p, err := adoptPage(fds[0], key)
	if err != nil {
		d.log.Info("process showed a bell page that is not one", "err", err)
		return nil
	}
	return p
}

// hungUp takes the end of a connection. Of a process that was admitted, the pidfd stays: its death
// is still of interest.
func (d *Daemon) hungUp(c *client) {
	d.step(Closed{Reg: c.reg})
	if d.core.Proc(c.reg) == 0 {
		d.forget(c)
	}
}

// bury ends what is left of a client whose process is dead.
func (d *Daemon) bury(c *client) {
	d.step(Died{Reg: c.reg})
	d.forget(c)
}

func (d *Daemon) forget(c *client) {
	if d.clients[c.reg] != c {
		return
	}
	delete(d.clients, c.reg)
	if d.perProcess[c.proc.pid]--; d.perProcess[c.proc.pid] == 0 {
		delete(d.perProcess, c.proc.pid)
	}
	c.conn.Close()
	c.proc.pidfd.Close()
}

// message takes one message of a registered process.
func (d *Daemon) message(c *client, m queue.Msg) {
	switch m.Type {
	case queue.MsgOffer:
		o := Offer{Reg: c.reg, FD: m.FD, Cookie: m.Cookie, Role: m.Role, Pair: wire.PairOf(&m)}
		status, peer := d.prove(c.proc, o)
		d.step(Offered{Offer: o, Proof: status, PeerHere: peer})
	case queue.MsgGone:
		d.step(Gone{Reg: c.reg, Cookie: m.Cookie, SlotID: SlotID{Arena: m.Arena, Slot: m.Slot}})
	case queue.MsgNote:
		d.step(Noted{Reg: c.reg, Pair: wire.PairOf(&m), Status: m.Status})
	default:
		d.log.Warn("process sent an unknown message: hanging up", "pid", c.proc.pid, "type", m.Type)
		c.conn.Close()
	}
}

// printable is a name for people: terminals must not be at the mercy of what a process calls itself.
func printable(name []byte) string {
	s, _, _ := strings.Cut(string(name), "\x00")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || unicode.IsSpace(r) {
			return '?'
		}
		return r
	}, s)
}
