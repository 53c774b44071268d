package socket

import (
	"context"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/socksdirect/libsd/queue"
)

// ListenConfig is net.ListenConfig whose TCP listeners accept connections that can be promoted. Its
// fields are those of net.ListenConfig with their meanings; Multipath TCP is off.
type ListenConfig struct {
	Control         func(network, address string, c syscall.RawConn) error
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig
}

// Listen listens; the net.Listener is a *Listener for the networks "tcp", "tcp4" and "tcp6", and what
// package net makes for any other.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	nlc := net.ListenConfig{Control: lc.Control, KeepAlive: lc.KeepAlive, KeepAliveConfig: lc.KeepAliveConfig}
	nlc.SetMultipathTCP(false) // its sockets have other counters and no sock_diag entry of TCP
	l, err := nlc.Listen(ctx, network, address)
	if tcp, ok := l.(*net.TCPListener); ok {
		return &Listener{tcp, network}, nil
	}
	return l, err
}

// Listen is net.Listen.
func Listen(network, address string) (net.Listener, error) {
	return new(ListenConfig).Listen(context.Background(), network, address)
}

// Listener is a *net.TCPListener whose connections can be promoted. The listener itself is the
// kernel's.
type Listener struct {
	tcp     *net.TCPListener
	network string
}

var _ net.Listener = (*Listener)(nil)

// Accept waits for the next connection; the net.Conn is a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptConn is Accept with the concrete type.
func (l *Listener) AcceptConn() (*Conn, error) {
	tcp, err := l.tcp.AcceptTCP()
	if err != nil {
		return nil, err
	}
	c, err := newConn(tcp, l.network, queue.RoleAccept)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Close stops listening. Accepted connections live on.
func (l *Listener) Close() error { return l.tcp.Close() }

// Addr is the listener's address, a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// SetDeadline bounds present and future calls of Accept; the zero time means no bound.
func (l *Listener) SetDeadline(t time.Time) error { return l.tcp.SetDeadline(t) }

// File is a duplicate of the listener's descriptor, as that of *net.TCPListener.
func (l *Listener) File() (*os.File, error) { return l.tcp.File() }

// SyscallConn is the listener's raw connection, as that of *net.TCPListener.
func (l *Listener) SyscallConn() (syscall.RawConn, error) { return l.tcp.SyscallConn() }
