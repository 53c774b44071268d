package socket

import (
	"context"
	"net"

	"github.com/socksdirect/libsd/queue"
)

// Listener is a net.Listener whose connections can be promoted.
type Listener struct{ tcp *net.TCPListener }

// Listen is net.Listen for the networks "tcp", "tcp4" and "tcp6".
func Listen(network, address string) (*Listener, error) {
	if !isTCP(network) {
		return nil, &net.OpError{Op: "listen", Net: network, Err: net.UnknownNetworkError(network)}
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // its sockets have other counters and no sock_diag entry of TCP
	l, err := lc.Listen(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	return &Listener{l.(*net.TCPListener)}, nil
}

// Accept waits for the next connection; the net.Conn is a *Conn.
func (l *Listener) Accept() (net.Conn, error) { return l.AcceptConn() }

// AcceptConn is Accept with the concrete type.
func (l *Listener) AcceptConn() (*Conn, error) {
	c, err := l.tcp.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return newConn(c, queue.RoleAccept)
}

// Close stops listening. Accepted connections live on.
func (l *Listener) Close() error { return l.tcp.Close() }

// Addr is the listener's address.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// Dial is net.Dial for the networks "tcp", "tcp4" and "tcp6".
func Dial(network, address string) (*Conn, error) {
	return DialContext(context.Background(), network, address)
}

// DialContext is Dial which gives up when ctx is done.
func DialContext(ctx context.Context, network, address string) (*Conn, error) {
	if !isTCP(network) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.UnknownNetworkError(network)}
	}
	var d net.Dialer
	d.SetMultipathTCP(false)
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return newConn(c.(*net.TCPConn), queue.RoleConnect)
}

func isTCP(network string) bool { return network == "tcp" || network == "tcp4" || network == "tcp6" }
