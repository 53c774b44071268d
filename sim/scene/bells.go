//go:build sim

package scene

import (
	"net"

	"github.com/socksdirect/libsd/sim"
)

// bells are the sockets of the bells: how many datagrams wait, by nonce.
type bells struct {
	w       *sim.World
	pending map[uint64]int
}

func (b *bells) Ring(nonce uint64) {
	b.w.Current().Syscall("ring")
	b.pending[nonce]++
	b.w.Changed()
}

func (b *bells) Close() error { return nil }

// bellSocket is one of them.
type bellSocket struct {
	*bells
	nonce uint64
}

func (s bellSocket) ReadFromUnix([]byte) (int, *net.UnixAddr, error) {
	s.w.Current().Block("bell", func() bool { return s.pending[s.nonce] > 0 }, -1)
	s.pending[s.nonce]--
	return 0, nil, nil
}
