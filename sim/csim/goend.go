//go:build sim && cgo

package csim

import (
	"net"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/queue"
	"github.com/socksdirect/libsd/sim/machine"
)

// goEnd is an end whose process has package socket: machine.Kernel.
type goEnd struct{ *end }

var _ machine.Kernel = goEnd{}

func (g goEnd) Recv(p []byte, peek bool) (int, syscall.Errno) { return g.recv([][]byte{p}, peek) }
func (g goEnd) Send(p []byte) (int, syscall.Errno)            { return g.send(p) }
func (g goEnd) Readable() bool                                { return g.poll()&unix.POLLIN != 0 }
func (g goEnd) Writable() bool                                { return g.poll()&(unix.POLLOUT|unix.POLLERR) != 0 }
func (g goEnd) Linger0()                                      { g.linger0 = true }
func (g goEnd) Written() uint64                               { return g.acked + uint64(len(g.flight)) }
func (g goEnd) State() uint8                                  { return g.tcpState() }
func (g goEnd) Arrivals() uint64                              { return g.edges }
func (g goEnd) Orphan()                                       {}

func (g goEnd) Close() {
	if !g.closed {
		g.close()
	}
}

func (g goEnd) CloseRead() syscall.Errno {
	g.edges++
	return g.shutdown(unix.SHUT_RD)
}

func (g goEnd) CloseWrite() syscall.Errno { return g.shutdown(unix.SHUT_WR) }

func (g goEnd) TakeError() (err syscall.Errno) {
	err, g.err = g.err, 0
	return err
}

func (g goEnd) Counts() (came, queued uint64) { return g.received, uint64(len(g.queue)) }

func (g goEnd) Diag() (found, held, readShut bool) {
	return !g.gone(), g.inode, g.shutRead || g.finCame
}

// goBell is the socket of a bell of package socket, and the one that rings the bells of others.
type goBell struct {
	w *World
	d *dgram
}

func (w *World) newGoBell(nonce uint64) *goBell {
	d := &dgram{w: w, name: bellName(nonce)}
	w.dgrams = append(w.dgrams, d)
	return &goBell{w, d}
}

// bellName is a bell's address as the kernel sees it: a struct sockaddr_un with an abstract name.
func bellName(nonce uint64) string {
	return "\x01\x00" + strings.Replace(queue.BellAddress(nonce), "@", "\x00", 1)
}

func (b *goBell) ReadFromUnix([]byte) (int, *net.UnixAddr, error) {
	b.w.Current().Block("bell", func() bool { return b.d.n > 0 }, -1)
	b.d.n--
	return 0, nil, nil
}

func (b *goBell) Ring(nonce uint64) {
	b.w.Current().Syscall("sendto")
	b.w.ring(bellName(nonce))
}

func (b *goBell) Close() error {
	b.d.close()
	return nil
}

// recv is recvmsg without waiting.
func (e *end) recv(v [][]byte, peek bool) (n int, err unix.Errno) {
	switch {
	case len(e.queue) > 0:
		for _, b := range v {
			n += copy(b, e.queue[n:])
		}
		if !peek {
			e.queue = slices.Clone(e.queue[n:])
			e.w.happened(e.peer) // there is room
		}
	case e.err != 0:
		err, e.err = e.err, 0
	case !e.finCame && !e.reset && !e.shutRead:
		err = unix.EAGAIN
	}
	return n, err
}

// send is sendmsg without waiting.
func (e *end) send(b []byte) (n int, err unix.Errno) {
	switch {
	case e.err != 0:
		err, e.err = e.err, 0
		return 0, err
	case e.finSent || e.reset:
		return 0, unix.EPIPE
	}
	n = max(0, min(e.room(), len(b)))
	e.flight = append(e.flight, b[:n]...)
	e.sent()
	if n < len(b) && n == 0 {
		return 0, unix.EAGAIN
	}
	return n, 0
}

func (e *end) shutdown(how int) unix.Errno {
	if e.reset {
		return unix.ENOTCONN
	}
	if how != unix.SHUT_WR {
		e.shutRead = true
	}
	if how != unix.SHUT_RD && !e.finSent {
		e.finSent = true
		e.sent()
	}
	return 0
}
