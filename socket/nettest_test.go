package socket

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"
)

func TestConnOnKernel(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) { return pipe(kernelPair(t)) })
}

func TestConnPromoted(t *testing.T) {
	d := newByHand(t)
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) { return pipe(d.promotedPair(t)) })
}
