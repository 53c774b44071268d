//go:build !sim

package socket

import (
	"net/netip"
	"sync"

	"github.com/socksdirect/libsd/internal/sockdiag"
)

// diag is one netlink socket for the whole process, opened when first needed.
var diag = sync.OnceValues(sockdiag.Open)

// askPeer asks the kernel whether the last holder of the peer's socket on this host is gone: then it has
// no inode, or does not exist; and whether the socket has stopped to receive. A question that cannot be
// asked counts as no: the anchor will tell.
func askPeer(local, remote netip.AddrPort) (gone, deaf bool) {
	d, err := diag()
	if err != nil {
		return false, false
	}
	peer, found, err := d.Find(remote, local)
	return err == nil && (!found || peer.Inode == 0), err == nil && peer.ReadShut
}
