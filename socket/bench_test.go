package socket

import (
	"io"
	"os/exec"
	"testing"
)

// BenchmarkRoundTrip sends 64 bytes to an echo in another process and waits for them.
func BenchmarkRoundTrip(b *testing.B) {
	for _, c := range []struct {
		name     string
		promoted bool
		peer     func() *exec.Cmd
	}{
		{"kernel", false, goEcho},
		{"Go to Go", true, goEcho},
		{"Go to C", true, func() *exec.Cmd { return underLibsd(b, "listen") }},
	} {
		b.Run(c.name, func(b *testing.B) {
			if c.promoted {
				withMonitor(b)
			}
			addr := startEcho(b, c.peer())
			conn, err := dial(addr)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			if c.promoted {
				untilOpened(b, conn)
			}
			p := make([]byte, 64)
			for b.Loop() {
				conn.Write(p)
				if _, err := io.ReadFull(conn, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
