package differ

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/socksdirect/libsd/model"
	"github.com/socksdirect/libsd/socket"
	"github.com/socksdirect/libsd/tests/harness"
)

// TestSocket: programs of what a net.Conn offers, through package socket. All descriptors are of this
// process; SIGPIPE is ignored, as it is for Go.
func TestSocket(t *testing.T) {
	if harness.SDirect() == "" {
		t.Skip("SD_MODES selects native runs only")
	}
	for _, kv := range harness.Command(false, "true").Env {
		if value, ok := cutEnv(kv); ok {
			t.Setenv("SDIRECT_SOCKET", value)
		}
	}
	setChecks(t, programs())
	c := newCoverage()
	promoted := 0
	try := func(_ style, p *program) (string, error) { return tryConns(p, &promoted) }
	var failed *program
	defer func() {
		if failed != nil {
			keep(t, goConns, failed, connecting, try)
		}
	}()
	rapid.Check(t, func(rt *rapid.T) {
		p := drawConns(rt, c)
		if transcript, err := tryConns(p, &promoted); err != nil {
			failed = p
			rt.Fatalf("\n%s%v", transcript, err)
		}
	})
	t.Logf("%d programs, %d operations; %d runs ended with a promoted connection", c.programs, c.ops, promoted)
	if promoted == 0 {
		t.Error("no connection was promoted")
	}
}

func cutEnv(kv string) (string, bool) {
	const name = "SDIRECT_SOCKET="
	if len(kv) > len(name) && kv[:len(name)] == name {
		return kv[len(name):], true
	}
	return "", false
}

// goConns is what programs for package socket leave out.
var goConns = style{late: true}

const listenerFD, dialedFD, acceptedFD = 3, 4, 5

// connecting is how many operations make the connection.
const connecting = 7

// drawConns draws one connection and what is done with it.
func drawConns(t *rapid.T, c *coverage) *program {
	d := newDrawer(t, goConns, c, 0)
	d.sleepy = true
	d.do(0, model.SigAct, int32(syscall.SIGPIPE), model.SigIgnore)
	d.do(0, model.Socket, 0)
	d.do(0, model.Bind, listenerFD, 0)
	d.do(0, model.Listen, listenerFD, 4)
	d.do(0, model.Socket, 0)
	d.do(0, model.Connect, dialedFD, 0)
	d.do(0, model.Accept, listenerFD, 0)
	d.sleepy = false
	if !d.chance(30) {
		d.warm(0, dialedFD, 0, acceptedFD)
	}
	for range d.length() {
		fd := d.pick(dialedFD, acceptedFD)
		if d.state.Place(0, fd) == "bad" {
			continue
		}
		switch d.pick(0, 0, 0, 1, 1, 1, 2, 3) {
		case 0:
			d.do(0, model.Send, fd, d.size(), 0)
		case 1: // a read that would wait has a deadline: to the model, a receive that does not wait
			if n := d.size(); n > 0 && d.state.Place(0, fd) != "closed" { // ECONNRESET may be told twice: open
				d.do(0, model.Recv, fd, n, syscall.MSG_DONTWAIT)
			}
		case 2:
			d.do(0, model.Shutdown, fd, syscall.SHUT_WR)
		case 3:
			if d.state.Place(0, fd) != "finWait" && d.chance(40) { // an open bug
				d.do(0, model.Close, fd)
			}
		}
	}
	c.programs++
	return &d.program
}

// connections runs one program.
type connections struct {
	listener net.Listener
	conn     [6]*socket.Conn
	opened   int32
}

func tryConns(p *program, promoted *int) (string, error) {
	x := &connections{opened: listenerFD}
	defer x.close()
	follow := newPlan(goConns, newCoverage())
	outs := make([]model.Outcome, len(p.ops))
	for i, o := range p.ops {
		branches := follow.state.Step(o.Op)
		out, err := x.do(o.Op, branches[0].Hi)
		if err != nil {
			return "", err
		}
		outs[i] = out
		follow.state = branches[0].Next(branches[0].Hi)
	}
	if c := x.conn[dialedFD]; c != nil && c.Promoted() {
		*promoted++
	}
	return p.judge(true, outs, nil)
}

func (x *connections) close() {
	if x.listener != nil {
		x.listener.Close()
	}
	for _, c := range x.conn {
		if c != nil {
			c.Close()
		}
	}
}

func (x *connections) do(op model.Op, expected int32) (out model.Outcome, err error) {
	fd, n := op.Arg[0], op.Arg[1]
	switch op.Kind {
	case model.Socket: // comes into being with Listen or Dial
		out.R = x.opened
		x.opened++
	case model.Listen:
		x.listener, err = socket.Listen("tcp4", "127.0.0.1:0")
	case model.Connect:
		x.conn[fd], err = ours(socket.Dial("tcp4", x.listener.Addr().String()))
	case model.Accept:
		x.conn[acceptedFD], err = ours(x.listener.Accept())
		out.R = acceptedFD
	case model.Rest:
		time.Sleep(time.Duration(fd) * time.Microsecond)
	case model.Send:
		b := make([]byte, n)
		for i := range b {
			b[i] = model.Byte(op.ID, int32(i))
		}
		out = result(x.conn[fd].Write(b))
	case model.Recv:
		out, err = x.read(fd, n, expected)
	case model.Shutdown:
		out = result(0, x.conn[fd].CloseWrite())
	case model.Close:
		out = result(0, x.conn[fd].Close())
		x.conn[fd] = nil
	}
	return out, err
}

func ours(c net.Conn, err error) (*socket.Conn, error) {
	if err != nil {
		return nil, err
	}
	return c.(*socket.Conn), nil
}

// read reads as recv does: one that would wait gives up soon; one that is short, as an io.Reader may
// be, is followed by others up to what is expected.
func (x *connections) read(fd, n, expected int32) (out model.Outcome, err error) {
	patience := harness.Patience
	if expected == -int32(syscall.EAGAIN) {
		patience = time.Millisecond
	}
	if err := x.conn[fd].SetReadDeadline(time.Now().Add(patience)); err != nil {
		return out, err
	}
	b := make([]byte, n)
	got := 0
	for {
		k, err := x.conn[fd].Read(b[got:])
		got += k
		if out = result(got, err); k == 0 || got >= int(expected) {
			break
		}
	}
	out.Sum = model.DigestBytes(b[:got])
	return out, nil
}

// result is what the system call would have said.
func result(n int, err error) model.Outcome {
	var errno syscall.Errno
	switch {
	case n > 0 || err == nil || errors.Is(err, io.EOF):
		return model.Outcome{R: int32(n)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return model.Outcome{R: -int32(syscall.EAGAIN)}
	case errors.As(err, &errno):
		return model.Outcome{R: -int32(errno)}
	}
	panic(fmt.Sprintf("no errno in %v", err))
}
