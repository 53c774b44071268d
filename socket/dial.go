package socket

import (
	"context"
	"net"
	"syscall"
	"time"

	"github.com/socksdirect/libsd/queue"
)

// Dialer is net.Dialer whose TCP connections can be promoted. Its fields are those of net.Dialer
// with their meanings; Multipath TCP is off. An option that Control sets and a ring does not honour
// keeps the connection on the kernel (see Conn.SyscallConn).
type Dialer struct {
	Timeout         time.Duration
	Deadline        time.Time
	LocalAddr       net.Addr
	FallbackDelay   time.Duration
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig
	Resolver        *net.Resolver
	Control         func(network, address string, c syscall.RawConn) error
	ControlContext  func(ctx context.Context, network, address string, c syscall.RawConn) error
}

// Dial is DialContext without a context.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects; the net.Conn is a *Conn for the networks "tcp", "tcp4" and "tcp6", and what
// package net makes for any other.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	nd := net.Dialer{
		Timeout: d.Timeout, Deadline: d.Deadline, LocalAddr: d.LocalAddr, FallbackDelay: d.FallbackDelay,
		KeepAlive: d.KeepAlive, KeepAliveConfig: d.KeepAliveConfig, Resolver: d.Resolver,
		Control: d.Control, ControlContext: d.ControlContext,
	}
	nd.SetMultipathTCP(false) // its sockets have other counters and no sock_diag entry of TCP
	c, err := nd.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		return newConn(tcp, network, queue.RoleConnect)
	}
	return c, nil
}

// Dial is net.Dial.
func Dial(network, address string) (net.Conn, error) { return new(Dialer).Dial(network, address) }

// DialTimeout is net.DialTimeout.
func DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	return (&Dialer{Timeout: timeout}).Dial(network, address)
}
