//go:build sim

// Package machine is the process and the kernel below package socket in a simulation.
package machine

import (
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/socksdirect/libsd/sim"
	"github.com/socksdirect/libsd/socket"
)

// Kernel is one end of a TCP connection of a simulated kernel: *sim.Endpoint, or package csim's.
type Kernel interface {
	Recv(p []byte, peek bool) (int, syscall.Errno)
	Send(p []byte) (int, syscall.Errno)
	Readable() bool
	Writable() bool
	Close()
	Orphan()
	CloseRead() syscall.Errno
	CloseWrite() syscall.Errno
	Linger0()
	TakeError() syscall.Errno
	Written() uint64
	Counts() (came, queued uint64)
	State() uint8
	Arrivals() uint64
	Diag() (found, held, readShut bool)
}

// machine is what package socket asks of its process and its kernel: socket.Machine.
type machine struct {
	w    *sim.World
	ends map[netip.AddrPort]Kernel // by local address
}

// Host has package socket run in w, on a kernel that has these connections' ends by local address.
func Host(w *sim.World, ends map[netip.AddrPort]Kernel) {
	socket.Sim = machine{w, ends}
	w.Cleanup(func() { socket.Sim = nil })
}

// epoch is when simulated time begins.
var epoch = time.Unix(1_000_000, 0)

func (m machine) Go(f func()) {
	m.w.Current().Proc.Go("go", func(*sim.Thread) { f() }).Daemon = true
}

func (m machine) Now() time.Time { return epoch.Add(time.Duration(m.w.Now())) }

func (m machine) Block(ready func() bool, bound time.Duration) {
	m.w.Current().Block("wait", ready, bound)
}

func (m machine) AskPeer(_, remote netip.AddrPort) (gone, deaf bool) {
	m.w.Current().Syscall("sock-diag")
	found, held, shut := m.ends[remote].Diag()
	gone, deaf = !found || !held, found && shut
	observe(m.w, "gone", gone)
	observe(m.w, "deaf", deaf)
	return gone, deaf
}

func observe(w *sim.World, label string, b bool) {
	v := uint64(0)
	if b {
		v = 1
	}
	w.Current().Observe(label, v)
}

// descriptor is a process's anchor: socket.SimAnchor. Read and Write wait as those of package net.
type descriptor struct {
	w      *sim.World
	e      Kernel
	closed bool
	rd, wr limit
}

// Anchor is the descriptor of an end, and a hash of what the end does not have of its state.
func Anchor(w *sim.World, e Kernel) (a socket.SimAnchor, state func() uint64) {
	d := &descriptor{w: w, e: e}
	return d, d.state
}

// limit is a deadline; the zero value is none.
type limit struct {
	at  sim.Time
	set bool
}

// state is a hash of what the anchor does not have.
func (d *descriptor) state() uint64 {
	h := uint64(0)
	for i, b := range []bool{d.closed, d.rd.set, d.passed(&d.rd), d.wr.set, d.passed(&d.wr)} {
		if b {
			h |= 1 << i
		}
	}
	return h
}

func (d *descriptor) passed(l *limit) bool { return l.set && l.at <= d.w.Now() }

func (d *descriptor) set(l *limit, t time.Time) error {
	d.w.Current().Syscall("deadline")
	if d.closed {
		return net.ErrClosed
	}
	*l = limit{sim.Time(t.Sub(epoch)), !t.IsZero()}
	d.w.Changed()
	return nil
}

func (d *descriptor) SetReadDeadline(t time.Time) error  { return d.set(&d.rd, t) }
func (d *descriptor) SetWriteDeadline(t time.Time) error { return d.set(&d.wr, t) }

// stopped is why a call must not go on.
func (d *descriptor) stopped(l *limit) error {
	switch {
	case d.closed:
		return net.ErrClosed
	case d.passed(l):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait sleeps until ready, or until the call must not go on.
func (d *descriptor) wait(label string, l *limit, ready func() bool) {
	was, bound := *l, time.Duration(-1)
	if l.set {
		bound = max(0, time.Duration(l.at-d.w.Now()))
	}
	d.w.Current().Block(label, func() bool { return d.closed || *l != was || ready() }, bound)
}

func (d *descriptor) Read(p []byte) (int, error) {
	for {
		d.w.Current().Syscall("read")
		if err := d.stopped(&d.rd); err != nil {
			return 0, err
		}
		if len(p) == 0 {
			return 0, nil
		}
		n, errno := d.e.Recv(p, false)
		d.w.Current().Observe("received", uint64(n)<<8|uint64(errno))
		switch {
		case n > 0:
			return n, nil
		case errno == 0:
			return 0, io.EOF
		case errno != syscall.EAGAIN:
			return 0, errno
		}
		d.wait("read", &d.rd, d.e.Readable)
	}
}

func (d *descriptor) Write(p []byte) (n int, err error) {
	for n < len(p) {
		d.w.Current().Syscall("write")
		if err := d.stopped(&d.wr); err != nil {
			return n, err
		}
		k, errno := d.e.Send(p[n:])
		n += k
		d.w.Current().Observe("sent", uint64(k)<<8|uint64(errno))
		if errno == syscall.EAGAIN {
			d.wait("write", &d.wr, d.e.Writable)
		} else if errno != 0 {
			return n, errno
		}
	}
	return n, nil
}

func (d *descriptor) Close() error {
	d.w.Current().Syscall("close")
	if d.closed {
		return net.ErrClosed
	}
	d.closed = true
	d.e.Close()
	d.w.Current().Step("orphan")
	d.e.Orphan()
	return nil
}

func (d *descriptor) control(label string, f func() syscall.Errno) error {
	d.w.Current().Syscall(label)
	if d.closed {
		return net.ErrClosed
	}
	if errno := f(); errno != 0 {
		return errno
	}
	return nil
}

func (d *descriptor) CloseRead() error  { return d.control("shut-read", d.e.CloseRead) }
func (d *descriptor) CloseWrite() error { return d.control("shut-write", d.e.CloseWrite) }

func (d *descriptor) SetLinger(int) error {
	return d.control("linger", func() syscall.Errno { d.e.Linger0(); return 0 })
}

func (d *descriptor) Written() (n uint64) {
	d.w.Current().Syscall("tcp-info")
	n = d.e.Written()
	d.w.Current().Observe("written", n)
	return n
}

func (d *descriptor) Counts() (came, queued uint64) {
	d.w.Current().Syscall("tcp-info")
	came, queued = d.e.Counts()
	d.w.Current().Observe("left", came<<32^queued)
	return came, queued
}

func (d *descriptor) Recv(p []byte) (int, error) { return d.recv(p, false) }
func (d *descriptor) Peek(p []byte) (int, error) { return d.recv(p, true) }

func (d *descriptor) recv(p []byte, peek bool) (n int, err error) {
	err = d.control("recv", func() (errno syscall.Errno) {
		n, errno = d.e.Recv(p, peek)
		d.w.Current().Observe("received", uint64(n)<<8|uint64(errno))
		return errno
	})
	return n, err
}

func (d *descriptor) TakeError() error {
	return d.control("so-error", func() syscall.Errno {
		errno := d.e.TakeError()
		d.w.Current().Observe("so-error", uint64(errno))
		return errno
	})
}

func (d *descriptor) State() (uint8, bool) {
	d.w.Current().Syscall("tcp-info")
	s := d.e.State()
	d.w.Current().Observe("state", uint64(s))
	return s, !d.closed
}

func (d *descriptor) Arrivals() uint64 { return d.e.Arrivals() }
