package socket

import (
	"io"
	"os"
	"syscall"

	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

// File is a duplicate of the anchor's descriptor, as that of *net.TCPConn. Whoever holds it moves
// bytes behind our back, so the connection stays on the kernel for good (counted: passed). Once it is
// promoted it is too late: File fails with EOPNOTSUPP (counted: unhooked).
func (c *Conn) File() (*os.File, error) {
	if !c.isClosed() && !c.keep(queue.StatusPassed, queue.CountPassed) {
		c.dom.page.Count(queue.CountUnhooked, 1)
		return nil, c.wrap("file", syscall.EOPNOTSUPP)
	}
	return c.tcp.File()
}

// keep leaves the connection on the kernel for good and counts it. It tells whether it could: not
// once it is promoted.
func (c *Conn) keep(why uint32, counter int) bool {
	offered := c.offered.Swap(true)
	c.dl.Lock()
	kept := c.kept
	c.kept = c.link.Load() == nil
	ok := c.kept
	c.dl.Unlock()
	if !ok || kept || c.dom == nil {
		return ok
	}
	c.dom.page.Count(counter, 1)
	if cookie := c.cookieOf(); offered && cookie != 0 {
		c.dom.forget(cookie)
		c.dom.client.Note(cookie, why, wire.Pair{Local: c.local, Remote: c.remote})
	}
	return ok
}

func (c *Conn) cookieOf() uint64 {
	c.dom.mu.Lock()
	defer c.dom.mu.Unlock()
	return c.cookie
}

// SyscallConn gives the raw connection.
//
// Control gets the anchor's descriptor. It is for options: one that a ring does not honour keeps the
// connection on the kernel (counted: option), or is counted (unhooked) when that comes too late. Bytes
// that it writes to a promoted connection, then or through a duplicate, make the peer reset the
// connection (counted there: foreign-write).
//
// Read and Write give the anchor while the bytes are on TCP, and later the end of a socket pair which
// stands in for it: what the function reads or writes there is read from or written to the ring.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return rawConn{c}, nil }

type rawConn struct{ c *Conn }

func (r rawConn) Control(f func(fd uintptr)) error {
	if err := r.c.tcp.raw.Control(f); err != nil {
		return err
	}
	if r.c.dom != nil && !r.c.tcp.honoured() && !r.c.keep(queue.StatusOption, queue.CountOption) {
		r.c.dom.page.Count(queue.CountUnhooked, 1)
	}
	return nil
}

// Read calls f until it returns true; before each further call it waits for something to read.
func (r rawConn) Read(f func(fd uintptr) bool) error {
	c := r.c
	c.rd.Lock()
	defer c.rd.Unlock()
	for {
		if l := c.enterKernel(); l != nil {
			return c.wrapped("raw-read", l.rawRead(f))
		}
		done := false
		err := c.tcp.raw.Read(func(fd uintptr) bool {
			done = f(fd)
			return done
		})
		c.inKernel.Store(false)
		if done || c.link.Load() == nil {
			return err
		}
	}
}

// rawRead is Read of a promoted connection. What f leaves in the stand-in was not consumed.
func (l *link) rawRead(f func(fd uintptr) bool) error {
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	l.look() // or f would see an end later than on TCP
	n, err := l.try(buf[:], true)
	if stopped := l.stopped(&l.c.rdLimit); stopped != nil {
		return stopped
	}
	for {
		if err != nil && err != io.EOF {
			return err
		}
		s, pairErr := newStandIn()
		if pairErr != nil {
			return pairErr
		}
		taken, done := s.read(buf[:n], err == io.EOF, f)
		s.close()
		for taken > 0 {
			k, takeErr := l.take(buf[:taken], false)
			if takeErr != nil {
				return takeErr
			}
			taken -= k
		}
		if done {
			return nil
		}
		if err != nil {
			return err // f was told of the end and waits for more
		}
		n, err = l.await(buf[:], true)
	}
}

// Write calls f until it returns true; before each further call it waits until what f wrote is in
// the ring.
func (r rawConn) Write(f func(fd uintptr) bool) error {
	c := r.c
	c.wr.Lock()
	defer c.wr.Unlock()
	l := c.link.Load()
	if l == nil || l.sender.OnTCP() {
		err := c.tcp.raw.Write(f)
		c.called()
		return err
	}
	return c.wrapped("raw-write", l.rawWrite(f))
}

// rawWrite is Write of a direction in a ring. What f wrote is written, whatever the deadline says by
// then: there is room for it before f is called, unless the buffers are set very small.
func (l *link) rawWrite(f func(fd uintptr) bool) error {
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	for {
		if err := l.reserve(standInMost, &l.c.wrLimit); err != nil {
			return err
		}
		if l.sender.OnTCP() {
			return l.c.tcp.raw.Write(f)
		}
		s, err := newStandIn()
		if err != nil {
			return err
		}
		done := f(uintptr(s.near))
		wrote := 0
		for n := s.take(buf[:]); n > 0 && err == nil; n = s.take(buf[:]) {
			wrote += n
			_, err = l.write(buf[:n], new(deadline))
		}
		s.close()
		switch {
		case err != nil || done:
			return err
		case wrote == 0:
			return syscall.EAGAIN // there was room, and f did not use it
		}
	}
}
