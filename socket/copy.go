package socket

import (
	"io"
	"net"
	"os"
	"sync"
)

const (
	copyBuffer = 64 << 10 // bytes of one read and write of a copy
	sendChunk  = 1 << 20  // bytes of a file that the kernel sends before we look for a ring again
)

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// ReadFrom writes what r has, until EOF. While the connection is on TCP the kernel sends regular
// files (sendfile); everything else, and everything into a ring, goes through a buffer.
func (c *Conn) ReadFrom(r io.Reader) (n int64, err error) {
	done := false
	if file, limit := regular(r); file != nil {
		n, done, err = c.sendFile(file, limit)
	}
	if !done && err == nil {
		var more int64
		buf := copyBuffers.Get().(*[copyBuffer]byte)
		defer copyBuffers.Put(buf)
		more, err = io.CopyBuffer(struct{ io.Writer }{c}, r, buf[:])
		n += more
	}
	if err != nil {
		err = &net.OpError{Op: "readfrom", Net: c.network, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	}
	return n, err
}

// WriteTo writes to w what is read, until EOF.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	n, err := io.CopyBuffer(w, struct{ io.Reader }{c}, buf[:])
	if err != nil {
		err = &net.OpError{Op: "writeto", Net: c.network, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	}
	return n, err
}

// regular finds the regular file in r, and the limit that io.CopyN put on it, or nil.
func regular(r io.Reader) (*os.File, *io.LimitedReader) {
	limit, ok := r.(*io.LimitedReader)
	if ok {
		r = limit.R
	}
	file, ok := r.(*os.File)
	if !ok {
		return nil, nil
	}
	// Another kind of file could block for ever in the kernel, where neither promotion nor Close
	// would find its way in.
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, nil
	}
	return file, limit
}

// sendFile lets the kernel send the file until its end (then done), or until the connection leaves TCP.
func (c *Conn) sendFile(file *os.File, limit *io.LimitedReader) (n int64, done bool, err error) {
	for {
		chunk := &io.LimitedReader{R: file, N: sendChunk}
		if limit != nil {
			chunk.N = min(sendChunk, max(limit.N, 0))
		}
		want := chunk.N
		c.wr.Lock()
		if l := c.link.Load(); l != nil && l.leaveTCP() && !l.sender.OnTCP() {
			c.wr.Unlock()
			return n, false, nil
		}
		k, err := c.tcp.ReadFrom(chunk)
		c.wr.Unlock()
		c.called()
		n += k
		if limit != nil {
			limit.N -= k
		}
		if err != nil || k < want || want == 0 {
			return n, true, c.closedInstead("write", err)
		}
	}
}

// WriteBuffers writes all of v as one Write would, and consumes it: no other goroutine's bytes come
// between. v.WriteTo(c) is a Write for each buffer, because net.Buffers knows only package net's own
// connections.
func (c *Conn) WriteBuffers(v *net.Buffers) (n int64, err error) {
	c.wr.Lock()
	defer c.wr.Unlock()
	l := c.link.Load()
	if l == nil {
		n, err = v.WriteTo(c.tcp.TCPConn) // writev
		c.called()
		return n, c.closedInstead("write", err)
	}
	l.leaveTCP()
	n, err = l.writeBuffers(v)
	return n, c.wrapped("write", c.closedInstead("write", err))
}

// writeBuffers gives the kernel what is left in one piece if the direction goes back to TCP.
func (l *link) writeBuffers(v *net.Buffers) (n int64, err error) {
	for len(*v) > 0 {
		onTCP, err := l.way(&l.c.wrLimit)
		if err != nil {
			return n, err
		}
		if onTCP {
			k, err := v.WriteTo(l.c.tcp.TCPConn)
			return n + k, err
		}
		k, err := l.write((*v)[0], &l.c.wrLimit)
		n += int64(k)
		if (*v)[0] = (*v)[0][k:]; len((*v)[0]) == 0 {
			(*v)[0] = nil
			*v = (*v)[1:]
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
