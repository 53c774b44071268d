package socket

import (
	"net/netip"
	"sync"

	"github.com/socksdirect/libsd/internal/sockdiag"
)

// diag is one netlink socket for the whole process, opened when first needed.
var diag = sync.OnceValues(sockdiag.Open)

// fullyClosed asks the kernel whether the peer's socket of a connection on this host has lost its
// last holder: then it has no inode, or does not exist. A question that cannot be asked counts as
// no: the anchor will tell. Precondition: no FIN of ours was sent, or the answer may mean only
// that both directions have ended.
func fullyClosed(local, remote netip.AddrPort) bool {
	d, err := diag()
	if err != nil {
		return false
	}
	peer, found, err := d.Find(remote, local)
	return err == nil && (!found || peer.Inode == 0)
}
