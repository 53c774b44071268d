package queue

import "github.com/socksdirect/libsd/internal/shm"

// Attach says that end (0 or 1) has mapped the slot and reads what is put into it.
func (s *Slot) Attach(end int) { shm.Store32(&s.Hdr.Attached[end], 1) }

// IsAttached tells whether end has called Attach.
func (s *Slot) IsAttached(end int) bool { return shm.Load32(&s.Hdr.Attached[end]) == 1 }

// ShutRead says that end has shut down its reading.
func (s *Slot) ShutRead(end int) { shm.Store32(&s.Hdr.RdShut[end], 1) }

// IsReadShut tells whether end has called ShutRead.
func (s *Slot) IsReadShut(end int) bool { return shm.Load32(&s.Hdr.RdShut[end]) == 1 }

// SetBuffers says what the buffers of the sockets at either end of a direction hold: of its own
// direction an end says Tx.Buf, of the other Rx.Buf.
func (s *Slot) SetBuffers(end int, send, recv uint32) {
	shm.StoreRelease32(&s.Dir[end].Tx.Buf, send)
	shm.StoreRelease32(&s.Dir[1-end].Rx.Buf, recv)
}

// Close says that the receiving end is about to close its anchor. Who then finds bytes unread calls Reset too.
func (d *Direction) Close() { shm.Swap32(&d.RxWatch.Closed, Closing) }

// Reset says that the anchor of the receiving end will close by RST.
func (d *Direction) Reset() { shm.Swap32(&d.RxWatch.Closed, ClosedByRST) }

// IsOrphaned tells a sender that the receiving end has closed, is about to, or died, which FIN may not tell: it
// comes behind what is left to read.
func (d *Direction) IsOrphaned() bool { return shm.Load32(&d.RxWatch.Closed) != 0 }

// IsClosed tells a sender that the receiving end has called Close: its anchor says whether all was read.
func (d *Direction) IsClosed() bool {
	v := shm.Load32(&d.RxWatch.Closed)
	return v == Closing || v == ClosedByRST
}

// IsReset tells a sender that the receiving end has called Reset.
func (d *Direction) IsReset() bool { return shm.Load32(&d.RxWatch.Closed) == ClosedByRST }

// Unread is how many bytes are published and not consumed, 0 for impossible values. It is a look
// from beside, for who holds neither side.
func (d *Direction) Unread() uint64 {
	head, tail := shm.Load64(&d.Rx.Head), shm.Load64(&d.Tx.Tail)
	if n := distance(head, tail); n > 0 && n <= DirStride {
		return uint64(n)
	}
	return 0
}
