package wire

import (
	"net/netip"

	"github.com/socksdirect/libsd/queue"
)

// Pair is the two addresses of a connection as one end sees them.
type Pair struct {
	Local, Remote netip.AddrPort
}

// Mirror is the same connection seen from its other end.
func (p Pair) Mirror() Pair { return Pair{Local: p.Remote, Remote: p.Local} }

func (p Pair) String() string { return p.Local.String() + "-" + p.Remote.String() }

// PairOf reads the addresses of a message. IPv4 and v4-mapped IPv6 become the same IPv4 address,
// because one end of a connection may be an IPv6 socket and the other an IPv4 socket. A port above
// 65535 is cut: no socket will be found for it.
func PairOf(m *queue.Msg) Pair {
	return Pair{
		Local:  netip.AddrPortFrom(netip.AddrFrom16(m.LAddr).Unmap(), uint16(m.LPort)),
		Remote: netip.AddrPortFrom(netip.AddrFrom16(m.RAddr).Unmap(), uint16(m.RPort)),
	}
}

// SetPair writes p into the address fields of m. Zones are dropped: the kernel's lookup takes an
// interface, which the message has no field for.
func SetPair(m *queue.Msg, p Pair) {
	m.LAddr, m.LPort = p.Local.Addr().As16(), uint32(p.Local.Port())
	m.RAddr, m.RPort = p.Remote.Addr().As16(), uint32(p.Remote.Port())
}
