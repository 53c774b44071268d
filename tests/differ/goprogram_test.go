package differ

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/model"
	"github.com/socksdirect/libsd/socket"
	"github.com/socksdirect/libsd/tests/harness"
)

// goProgram runs one program through package socket.
type goProgram struct {
	judge  *model.Judge
	addr   string
	taken  []bool // descriptors, as the kernel would number them
	listen map[int32]*socket.Listener
	conn   map[int32]*socket.Conn
	queue  []int32         // dialed, not accepted
	peer   map[int32]int32 // of accepted and dialed, while both are open
	calls  map[int32]int   // reads and writes, which an offer waits for
	failed syscall.Errno   // what ended a call after some bytes
}

// runConns runs a program and judges it as it goes; promoted is how many ends ended on rings.
func runConns(p *program) (transcript string, promoted int, err error) {
	host, err := nextAddress()
	if err != nil {
		return "", 0, err
	}
	x := &goProgram{
		judge: model.NewJudge(false), taken: []bool{true, true, true},
		addr:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(host >> 24), byte(host >> 16), byte(host >> 8), byte(host)}), 7).String(),
		listen: map[int32]*socket.Listener{}, conn: map[int32]*socket.Conn{}, peer: map[int32]int32{}, calls: map[int32]int{},
	}
	defer x.close()
	var b strings.Builder
	for _, o := range p.ops {
		out, err := x.do(o.Op)
		fmt.Fprintf(&b, "%-44v -> %v\n", o.Op, out)
		if err == nil {
			err = x.judge.Observe(o.Op, out)
		}
		if rest := o.Op; err == nil && x.failed != 0 {
			rest.Arg[1] -= out.R
			out, x.failed = model.Outcome{R: -int32(x.failed)}, 0
			fmt.Fprintf(&b, "%44s -> %v\n", "which goes on", out)
			err = x.judge.Observe(rest, out)
		}
		if err != nil {
			return b.String(), 0, err
		}
		x.settle(o.Kind)
	}
	for _, c := range x.conn {
		if c.Promoted() {
			promoted++
		}
	}
	return b.String(), promoted, nil
}

var connOnly = map[model.Kind]bool{model.Send: true, model.Recv: true, model.Shutdown: true}

func (x *goProgram) close() {
	for _, l := range x.listen {
		l.Close()
	}
	for _, c := range x.conn {
		c.Close()
	}
}

func (x *goProgram) do(op model.Op) (out model.Outcome, err error) {
	fd, n := op.Arg[0], op.Arg[1]
	switch {
	case !onDescriptor(op.Kind):
	case op.Kind == model.Accept && x.listen[fd] == nil, connOnly[op.Kind] && x.conn[fd] == nil, int(fd) >= len(x.taken) || !x.taken[fd]:
		return out, fmt.Errorf("%w: nothing that %v could be done with", errAgent, op)
	}
	if lo, _ := x.expected(op); lo == model.Blocked {
		return out, fmt.Errorf("%w: %v would sleep", errAgent, op)
	}
	switch op.Kind {
	case model.Socket: // comes into being with Listen or Dial
		out.R = x.number()
	case model.Listen:
		var l net.Listener
		if l, err = socket.Listen("tcp4", x.addr); err == nil {
			x.listen[fd] = l.(*socket.Listener)
		}
	case model.Connect:
		c, err := socket.Dial("tcp4", x.addr)
		if err == nil {
			x.conn[fd] = c.(*socket.Conn)
			x.queue = append(x.queue, fd)
		}
		out = result(0, err)
	case model.Accept:
		out = x.accept(fd)
	case model.Rest:
		x.rest(time.Duration(fd) * time.Microsecond)
	case model.Send:
		out = x.send(op)
	case model.Recv:
		out = x.recv(op)
	case model.Shutdown:
		if n == syscall.SHUT_WR {
			out = result(0, x.conn[fd].CloseWrite())
		} else {
			out = result(0, x.conn[fd].CloseRead())
		}
	case model.SetOpt:
		if n == model.OptLinger0 && x.conn[fd] != nil {
			out = result(0, x.conn[fd].SetLinger(int(op.Arg[2])-1))
		}
	case model.Close:
		out = x.closeOne(fd)
	}
	return out, err
}

// number is the lowest free descriptor.
func (x *goProgram) number() int32 {
	fd := slices.Index(x.taken, false)
	if fd < 0 {
		fd = len(x.taken)
		x.taken = append(x.taken, false)
	}
	x.taken[fd] = true
	return int32(fd)
}

func (x *goProgram) accept(fd int32) model.Outcome {
	expected, _ := x.expected(model.Op{Kind: model.Accept, Arg: [model.MaxArgs]int32{fd}})
	x.listen[fd].SetDeadline(time.Now().Add(patience(expected)))
	c, err := x.listen[fd].AcceptConn()
	if err != nil {
		return result(0, err)
	}
	fd = x.number()
	x.conn[fd] = c
	dialed := x.queue[0]
	x.queue = x.queue[1:]
	if x.conn[dialed] != nil {
		x.peer[fd], x.peer[dialed] = dialed, fd
	}
	return model.Outcome{R: fd}
}

func (x *goProgram) closeOne(fd int32) (out model.Outcome) {
	x.taken[fd] = false
	switch {
	case x.listen[fd] != nil:
		out = result(0, x.listen[fd].Close())
		delete(x.listen, fd)
		x.queue = nil
	case x.conn[fd] != nil:
		out = result(0, x.conn[fd].Close())
		delete(x.conn, fd)
		if peer, ok := x.peer[fd]; ok {
			delete(x.peer, fd)
			delete(x.peer, peer)
		}
		for i, dialed := range x.queue {
			if dialed == fd {
				x.queue[i] = -1
			}
		}
	}
	return out
}

// expected is the smallest and the largest result that the model allows.
func (x *goProgram) expected(op model.Op) (lo, hi int32) {
	branches := x.judge.State().Step(op)
	lo, hi = branches[0].Lo, branches[0].Hi
	for _, b := range branches[1:] {
		lo, hi = min(lo, b.Lo), max(hi, b.Hi)
	}
	return lo, hi
}

// patience is how long a call may take: one that would wait gives up soon.
func patience(expected int32) time.Duration {
	if expected == -int32(syscall.EAGAIN) {
		return 300 * time.Microsecond
	}
	return harness.Patience
}

// send writes, at first for a short time only if it may not all be taken.
func (x *goProgram) send(op model.Op) (out model.Outcome) {
	x.calls[op.Arg[0]]++
	b := make([]byte, op.Arg[1])
	for i := range b {
		b[i] = model.Byte(op.ID, int32(i))
	}
	lo, hi := x.expected(op)
	limits := []time.Duration{harness.Patience}
	switch {
	case lo == -int32(syscall.EAGAIN):
		limits[0] = 5 * time.Millisecond
	case lo != hi:
		limits = []time.Duration{5 * time.Millisecond, time.Second, harness.Patience}
	}
	for _, limit := range limits {
		if err := x.conn[op.Arg[0]].SetWriteDeadline(time.Now().Add(limit)); err != nil {
			return result(0, err)
		}
		if out = x.sendOnce(op, b); out.R != -int32(syscall.EAGAIN) {
			break
		}
	}
	return out
}

// sendOnce writes in one of the ways that there are.
func (x *goProgram) sendOnce(op model.Op, b []byte) model.Outcome {
	c, way := x.conn[op.Arg[0]], op.ID%8
	if len(b) == 0 {
		way = 0
	}
	switch way {
	case 5:
		v := net.Buffers{b[:len(b)/2], b[len(b)/2:]}
		n, err := c.WriteBuffers(&v)
		return x.wrote(int(n), err)
	case 6:
		n, err := c.ReadFrom(bytes.NewReader(b))
		return x.wrote(int(n), err)
	case 7:
		return raw(c, syscall.RawConn.Write, func(fd int) (int, error) { return unix.Write(fd, b) })
	}
	return x.wrote(c.Write(b))
}

// wrote is the outcome of a Write, which is as many sends as it takes: the last of them may have failed.
func (x *goProgram) wrote(n int, err error) model.Outcome {
	if n > 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
		errors.As(err, &x.failed)
	}
	return result(n, err)
}

// raw makes a system call by way of the raw connection.
func raw(c *socket.Conn, through func(syscall.RawConn, func(uintptr) bool) error, call func(fd int) (int, error)) model.Outcome {
	rc, err := c.SyscallConn()
	if err != nil {
		return result(0, err)
	}
	n := 0
	var callErr error
	if err = through(rc, func(fd uintptr) bool { n, callErr = call(int(fd)); return true }); err == nil {
		err = callErr
	}
	return result(max(n, 0), err)
}

// recv reads as recv does: one that is short, as an io.Reader may be, is followed by others up to what
// may be expected.
func (x *goProgram) recv(op model.Op) (out model.Outcome) {
	c, b := x.conn[op.Arg[0]], make([]byte, op.Arg[1])
	x.calls[op.Arg[0]]++
	lo, hi := x.expected(op)
	read := func(b []byte) model.Outcome { return result(c.Read(b)) }
	if op.ID%8 == 7 {
		read = func(b []byte) model.Outcome {
			return raw(c, syscall.RawConn.Read, func(fd int) (int, error) { return unix.Read(fd, b) })
		}
	}
	got := int32(0)
	for got == 0 || got < hi {
		limit := patience(lo)
		if got > 0 && got >= lo {
			limit = patience(-int32(syscall.EAGAIN))
		}
		if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
			return result(0, err)
		}
		out = read(b[got:])
		if out.R <= 0 {
			break
		}
		got += out.R
	}
	if got > 0 {
		if out.R < 0 && out.R != -int32(syscall.EAGAIN) {
			x.failed = syscall.Errno(-out.R)
		}
		out.R = got
	}
	out.Sum = model.DigestBytes(b[:got])
	return out
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

// rest gives the monitor up to a time to introduce connections.
func (x *goProgram) rest(limit time.Duration) {
	waits := func() bool {
		for a, b := range x.peer {
			if x.calls[a] >= 2 && x.calls[b] >= 2 && !x.conn[a].Promoted() {
				return true
			}
		}
		return false
	}
	for start := time.Now(); time.Since(start) < limit && waits(); {
		time.Sleep(20 * time.Microsecond)
	}
}

// settle waits until what was sent has arrived: loopback may deliver it later, on another processor.
// When buffers may be full it is not known what will arrive.
func (x *goProgram) settle(after model.Kind) {
	limit := time.Second
	if x.judge.State().Strained() {
		if limit = 2 * time.Millisecond; after != model.Send && after != model.Shutdown && after != model.Close {
			return
		}
	}
	for start := time.Now(); !x.settled() && time.Since(start) < limit; {
		time.Sleep(20 * time.Microsecond)
	}
}

func (x *goProgram) settled() bool {
	s, now := x.judge.State(), map[int32]counters{}
	for fd, c := range x.conn {
		now[fd] = countersOf(c)
		states, ok := tcpStates[s.Place(0, fd)]
		if !ok {
			states = []uint8{unix.BPF_TCP_CLOSE}
		}
		if !s.Strained() && !slices.Contains(states, now[fd].state) {
			return false
		}
	}
	for fd, peer := range x.peer {
		own, other := now[fd], now[peer]
		finSent := slices.Contains(tcpStates["finWait"], own.state)
		if finSent && other.state == unix.BPF_TCP_ESTABLISHED || other.state != unix.BPF_TCP_CLOSE && own.sent > other.received {
			return false
		}
	}
	return true
}

// tcpStates are the kernel's names for the model's; it has closed all others.
var tcpStates = map[string][]uint8{
	"established": {unix.BPF_TCP_ESTABLISHED},
	"closeWait":   {unix.BPF_TCP_CLOSE_WAIT},
	"finWait":     {unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2},
}

// counters is what the kernel says of a connection: bytes sent and received, to which FIN may add one.
type counters struct {
	state          uint8
	sent, received uint64
}

func countersOf(c *socket.Conn) (s counters) {
	rc, err := c.SyscallConn()
	if err != nil {
		return s
	}
	rc.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			s = counters{info.State, info.Bytes_sent - info.Bytes_retrans, info.Bytes_received}
		}
	})
	return s
}
