package socket

import (
	"runtime"
	"testing"
)

// TestMemoryOfIdleConnections: promotion costs no goroutine, and little memory of this process, and
// all of it returns. The rings are shared memory, touched when used.
func TestMemoryOfIdleConnections(t *testing.T) {
	const pairs = 200 // of the 256 that one arena takes
	d := newByHand(t)
	a, b := d.promotedPair(t)
	exchange(t, a, b)
	defer a.Close()
	defer b.Close()
	goroutines, before := settled(t), inUse()
	var conns [][2]*Conn
	for range pairs {
		a, b := kernelPair(t)
		exchange(t, a, b)
		conns = append(conns, [2]*Conn{a, b})
	}
	kernel := inUse()
	for _, c := range conns {
		c[0].dom, c[1].dom = d.domain, d.domain
		d.introduce(t, c[0], c[1])
		exchange(t, c[0], c[1])
	}
	promoted := inUse()
	t.Logf("each connection: %d bytes on the kernel, %d more when promoted", (kernel-before)/(2*pairs), (promoted-kernel)/(2*pairs))
	if n := (promoted - kernel) / (2 * pairs); n > 4096 {
		t.Errorf("promotion costs %d bytes", n)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("promotion of %d connections started %d goroutines", 2*pairs, n-goroutines)
	}
	for _, c := range conns {
		c[0].Close()
		c[1].Close()
	}
	conns = nil
	until(t, func() bool { return inUse() < before+before/4+64<<10 })
}
