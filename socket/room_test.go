package socket

import (
	"errors"
	"os"
	"testing"
	"time"
)

// fill writes until nothing more is taken; it returns how much was. A deadline may pass on a busy machine before
// anything was tried.
func fill(t *testing.T, c *Conn) (n int) {
	t.Helper()
	defer c.SetWriteDeadline(time.Time{})
	b := make([]byte, 64<<20)
	for vain := 0; vain < 3; vain++ {
		c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		k, err := c.Write(b)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if n += k; k > 0 {
			vain = 0
		}
	}
	return n
}

// TestRoom: what a connection takes before it is full is within twice of what the kernel takes.
func TestRoom(t *testing.T) {
	d := newByHand(t)
	for _, size := range []struct{ send, recv int }{{0, 0}, {4096, 0}, {65536, 0}, {1 << 20, 0}, {65536, 1 << 20}, {4 << 20, 4 << 20}} {
		a, b := d.promotedPair(t)
		x, y := kernelPair(t)
		for _, p := range [][2]*Conn{{a, b}, {x, y}} {
			if size.send != 0 {
				p[0].SetWriteBuffer(size.send)
			}
			if size.recv != 0 {
				p[1].SetReadBuffer(size.recv)
			}
		}
		if _, err := a.Write([]byte("x")); err != nil || !a.link.Load().sender.Opened() {
			t.Fatal("still on the kernel: ", err)
		}
		if kernel, n := fill(t, x), fill(t, a); n > 2*kernel || 2*n < kernel {
			t.Errorf("send buffer %d, receive buffer %d: %d bytes, the kernel takes %d", size.send, size.recv, n, kernel)
		}
		for _, c := range []*Conn{a, b, x, y} {
			c.Close()
		}
	}
}
