package monitor

import (
	"github.com/socksdirect/libsd/internal/sockdiag"
	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

// prove tells whether the process holds the socket that it offers, and whether a socket with
// mirrored addresses lives here. Three witnesses must agree: /proc says which inode the descriptor
// is, sock_diag that this inode has these addresses in this network namespace, and the cookie.
func (d *Daemon) prove(p *process, o Offer) (status uint32, peerHere bool) {
	inode, ok := p.socketInode(o.FD)
	if !ok {
		return queue.StatusNotYours, false
	}
	s, found := d.find(o.Pair)
	if !found || s.Inode != inode || !s.Held(o.Cookie) {
		return queue.StatusNotYours, false
	}
	if s.State != sockdiag.StateEstablished {
		return queue.StatusNoPeer, false // one side is closing: nothing is left to speed up
	}
	peer, found := d.find(o.Pair.Mirror())
	return queue.StatusOK, found && peer.State == sockdiag.StateEstablished
}

// inUse tells whether a process still claims an end of a slot, or has its socket; one in state CLOSE is
// not found. The latter is asked for the sake of programs that close, by system call, descriptors which
// they did not open, and claims with them. When the kernel does not answer it is taken to be so.
func (d *Daemon) inUse(a Look, end int) bool {
	if p := d.pages[a.Procs[end]]; p != nil && queue.Claimed(int(p.file.Fd()), a.Arena, a.Slot, end) {
		return true
	}
	pair := a.Pair
	if end == 1 {
		pair = pair.Mirror()
	}
	s, found, err := d.diag.Find(pair.Local, pair.Remote)
	if err != nil {
		d.log.Error("sock_diag", "err", err)
		return true
	}
	return found && s.Held(a.Cookie[end])
}

func (d *Daemon) find(p wire.Pair) (sockdiag.Socket, bool) {
	s, found, err := d.diag.Find(p.Local, p.Remote)
	if err != nil {
		d.log.Error("sock_diag", "err", err)
	}
	return s, found && err == nil
}
