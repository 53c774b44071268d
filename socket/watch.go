package socket

import "time"

// TCP states as tcp_info has them (net/tcp_states.h).
const (
	tcpClose    = 7
	tcpTimeWait = 6
	tcpCloseWt  = 8
	tcpLastAck  = 9
	tcpClosing  = 11
)

// evictEvery is the pause between attempts to call a reader out of the kernel; one is nearly
// always enough.
const evictEvery = 50 * time.Microsecond

// stir looks at the anchor of the link whose reader has this member.
func (d *domain) stir(member uint32) {
	d.mu.Lock()
	l := d.members[member].link
	d.mu.Unlock()
	if l == nil {
		return // closed meanwhile
	}
	l.stirred.Store(true)
	l.look()
	wake(l.rx.wake)
	wake(l.tx.wake)
}

// look reads off the anchor whether the peer has ended the connection.
func (l *link) look() {
	s, err := l.c.tcp.state()
	if err != nil {
		return
	}
	if s == tcpClose {
		l.rst.Store(true) // before fin: who sees only that takes it for an orderly end
	}
	if finReceived(s) && !l.fin.Load() {
		if l.out().IsClosed() || l.fullyClosed() {
			l.full.Store(true)
		} else {
			l.half.Store(true)
		}
		l.fin.Store(true)
	}
}

// finReceived tells it from the state, because a local shutdown for reading looks like FIN in
// everything that poll reports.
func finReceived(state uint8) bool {
	switch state {
	case tcpCloseWt, tcpLastAck, tcpClosing, tcpTimeWait, tcpClose:
		return true
	}
	return false
}

// fullyClosed asks the kernel whether the peer has closed its socket: close stops to receive before it
// sends FIN and lets go of the inode afterwards. Precondition: no FIN of ours was sent, or the answer may
// mean only that both directions have ended.
func (l *link) fullyClosed() bool {
	gone, deaf := askPeer(l.c.local, l.c.remote)
	return gone || deaf && !l.slot.IsReadShut(1-l.place.end) // which is set before the kernel knows
}

// evict calls a reader that found no link out of the kernel, which knows nothing of bells, and attaches.
func (l *link) evict() {
	for l.c.inKernel.Load() {
		l.c.tcp.SetReadDeadline(time.Unix(1, 0))
		nap(evictEvery)
	}
	l.attach()
}
