package tests

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/socksdirect/libsd/tests/harness"
)

// steady is a pair of tests/prog/steady.c: connections that are always busy.
type steady struct {
	t              *testing.T
	client, server *harness.Proc
	asked          int
	conns          int
}

func startSteady(t *testing.T, m harness.Mode) *steady {
	t.Helper()
	prog := harness.C(t, "steady")
	server := harness.Start(t, m.ServerCommand(prog, "server"))
	client := harness.Start(t, m.ClientCommand(prog, "client", server.Port(t)))
	t.Cleanup(func() { m.Setup().Explain(t) })
	return &steady{t: t, client: client, server: server}
}

// ask has the client do something.
func (s *steady) ask(what string) string {
	s.t.Helper()
	s.asked++
	if _, err := fmt.Fprintf(s.client.Stdin, "%s %d\n", what, s.asked); err != nil {
		s.t.Fatal(err)
	}
	answer, err := s.client.Line(fmt.Sprintf("DONE %d ", s.asked))
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// open opens one more connection and returns its number.
func (s *steady) open() int {
	s.t.Helper()
	s.ask("open")
	s.conns++
	return s.conns - 1
}

type carried struct{ bytes, kernel float64 }

func (s *steady) look(conn int) (c carried) {
	s.t.Helper()
	f := strings.Fields(s.ask("look"))
	if len(f) != s.conns {
		s.t.Fatalf("%d connections, expected %d", len(f), s.conns)
	}
	if _, err := fmt.Sscanf(f[conn], "%f/%f", &c.bytes, &c.kernel); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// share is the part of a connection's next few MiB that the kernel's TCP carries.
func (s *steady) share(conn int) float64 {
	s.t.Helper()
	const window = 8 << 20
	before := s.look(conn)
	var after carried
	harness.Until(s.t, func() error {
		if after = s.look(conn); after.bytes-before.bytes < window {
			return fmt.Errorf("connection %d stands still: %.0f bytes since", conn, after.bytes-before.bytes)
		}
		return nil
	})
	return (after.kernel - before.kernel) / (after.bytes - before.bytes)
}

// wantRing waits until a connection has left the kernel's TCP.
func (s *steady) wantRing(conn int) {
	s.t.Helper()
	harness.Until(s.t, func() error {
		if share := s.share(conn); share > 0.1 {
			return fmt.Errorf("connection %d: the kernel's TCP carries %.0f %% of the bytes", conn, share*100)
		}
		return nil
	})
}

// wantKernel checks that a connection is on the kernel's TCP. What has left it never returns. A window may
// show less than there is, because it begins and ends with some bytes on their way, and because the
// client does not count both in one moment.
func (s *steady) wantKernel(conn int) {
	s.t.Helper()
	harness.Until(s.t, func() error {
		if share := s.share(conn); share < 0.8 {
			return fmt.Errorf("connection %d: the kernel's TCP carries only %.0f %% of the bytes", conn, share*100)
		}
		return nil
	})
}

// want is wantRing where connections must be promoted, else wantKernel.
func (s *steady) want(m harness.Mode, conn int) {
	s.t.Helper()
	if m.Both() {
		s.wantRing(conn)
	} else {
		s.wantKernel(conn)
	}
}

// wantNew checks that new connections are where the mode promises. Programs look for a monitor once in
// a second, and a connection that has found none after two stays on the kernel, so the first one may.
func (s *steady) wantNew(m harness.Mode) {
	s.t.Helper()
	if !m.Both() {
		s.wantKernel(s.open())
		return
	}
	harness.Until(s.t, func() error {
		conn, share := s.open(), 1.0
		for range 30 { // for longer than it looks for a monitor
			if share = s.share(conn); share <= 0.1 {
				return nil
			}
			time.Sleep(100 * time.Millisecond)
		}
		return fmt.Errorf("new connection %d: the kernel's TCP carries %.0f %% of the bytes", conn, share*100)
	})
}

// stop ends the traffic; the client has checked that no byte is missing.
func (s *steady) stop() {
	s.t.Helper()
	s.t.Logf("%s bytes each way in %d connections", s.ask("stop"), s.conns)
	s.client.Wait(s.t, harness.Patience)
	if err := s.server.Kill(); err != nil {
		s.t.Error(err)
	}
}
