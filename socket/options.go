package socket

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// The options of *net.TCPConn act on the anchor. Nagle's algorithm does not concern bytes in a ring; what
// the world sees (linger, keep-alive) is the anchor's.

// SetLinger is that of *net.TCPConn. Bytes in a ring count as acknowledged.
func (c *Conn) SetLinger(sec int) error { return c.tcp.SetLinger(sec) }

// SetNoDelay is that of *net.TCPConn. Bytes in a ring are never delayed.
func (c *Conn) SetNoDelay(noDelay bool) error { return c.tcp.SetNoDelay(noDelay) }

// SetKeepAlive is that of *net.TCPConn.
func (c *Conn) SetKeepAlive(keepalive bool) error { return c.tcp.SetKeepAlive(keepalive) }

// SetKeepAlivePeriod is that of *net.TCPConn.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error { return c.tcp.SetKeepAlivePeriod(d) }

// SetKeepAliveConfig is that of *net.TCPConn.
func (c *Conn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	return c.tcp.SetKeepAliveConfig(config)
}

// SetReadBuffer is that of *net.TCPConn; a ring takes about what the two ends' buffers would.
func (c *Conn) SetReadBuffer(bytes int) error {
	defer c.resized()
	return c.tcp.SetReadBuffer(bytes)
}

// SetWriteBuffer is that of *net.TCPConn; see SetReadBuffer.
func (c *Conn) SetWriteBuffer(bytes int) error {
	defer c.resized()
	return c.tcp.SetWriteBuffer(bytes)
}

// MultipathTCP is that of *net.TCPConn: always false.
func (c *Conn) MultipathTCP() (bool, error) { return false, nil }

// zeroUnlessSet are integer options that change which bytes a reader sees, or when, or what comes
// with them. A ring honours none; docs/compatibility.md has the same list for libsd.so.
var zeroUnlessSet = []struct{ level, name int }{
	{unix.SOL_SOCKET, unix.SO_OOBINLINE},
	{unix.SOL_SOCKET, unix.SO_TIMESTAMP},
	{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS},
	{unix.SOL_SOCKET, unix.SO_TIMESTAMPING},
	{unix.SOL_SOCKET, unix.SO_ZEROCOPY},
	{unix.IPPROTO_TCP, unix.TCP_ULP}, // kernel TLS: the first bytes of its name
	{unix.IPPROTO_TCP, unix.TCP_REPAIR},
	{unix.IPPROTO_TCP, unix.TCP_INQ},
	{unix.IPPROTO_IP, unix.IP_TRANSPARENT},
}

// honoured tells whether a ring does what the options of the anchor ask for. What the kernel does
// not know is not set.
func (a anchor) honoured() bool {
	ok := true
	err := a.raw.Control(func(s uintptr) {
		fd := int(s)
		for _, o := range zeroUnlessSet {
			if v, err := unix.GetsockoptInt(fd, o.level, o.name); err == nil && v != 0 {
				ok = false
			}
		}
		if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT); err == nil && v > 1 {
			ok = false
		}
		if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE); err == nil && v != -1 {
			ok = false
		}
		if flags, err := unix.FcntlInt(s, unix.F_GETFL, 0); err != nil || flags&unix.O_ASYNC != 0 {
			ok = false
		}
		ok = ok && !filtered(fd)
	})
	return ok && err == nil
}
