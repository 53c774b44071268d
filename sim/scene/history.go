//go:build sim

package scene

import (
	"io"

	"github.com/socksdirect/libsd/sim"
	"github.com/socksdirect/libsd/sim/linear"
	"github.com/socksdirect/libsd/socket"
)

// history is the calls of all goroutines that use one direction.
type history struct {
	*linear.History
	messages int
}

func newHistory(w *sim.World, name string) *history { return &history{History: linear.New(w, name)} }

// write sends the next message, whose bytes are like those of no other.
func (h *history) write(t *sim.Thread, c *socket.Conn, size int) {
	h.messages++
	p, began := bytesAt(h.messages*7919, size), h.Begin()
	if n, err := c.Write(p); n != size || err != nil {
		t.World().Failf("stream", "%s: write takes %d bytes of %d: %v", t, n, size, err)
	}
	h.Sent(t, began, p)
}

// read is one Read; 0 is the end.
func (h *history) read(t *sim.Thread, c *socket.Conn, p []byte) int {
	began := h.Begin()
	n, err := c.Read(p)
	switch {
	case n > 0 && err == nil:
		h.Received(t, began, p[:n])
	case n == 0 && err == io.EOF:
		h.Ended(t, began)
	default:
		t.World().Failf("stream", "%s: read gives %d bytes and %v", t, n, err)
	}
	return n
}

func (h *history) closeWrite(t *sim.Thread, c *socket.Conn) {
	began := h.Begin()
	if err := c.CloseWrite(); err != nil {
		t.World().Failf("stream", "%s: CloseWrite: %v", t, err)
	}
	h.Shut(t, began)
}
