//go:build !sim

package socket

import (
	"net/netip"
	"sync"

	"github.com/socksdirect/libsd/internal/sockdiag"
)

// diag is one netlink socket for the whole process, opened when first needed.
var diag = sync.OnceValues(sockdiag.Open)

// closedWhole asks the kernel whether the last holder of the peer's socket on this host is gone: then
// it has no inode, or does not exist, or has stopped to receive though nobody called shutdown(SHUT_RD)
// (readShut): close does that before it sends FIN, and lets go of the inode afterwards. A question
// that cannot be asked counts as no: the anchor will tell.
func closedWhole(local, remote netip.AddrPort, readShut bool) bool {
	d, err := diag()
	if err != nil {
		return false
	}
	peer, found, err := d.Find(remote, local)
	return err == nil && (!found || peer.Inode == 0 || peer.ReadShut && !readShut)
}
