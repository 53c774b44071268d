package tests

import (
	"testing"

	"github.com/socksdirect/libsd/tests/harness"
)

// TestMonitorDies: kill -9 of the monitor under traffic. Promoted connections stay on their rings,
// new ones use the kernel meanwhile; when a monitor is back, the same processes promote new ones.
func TestMonitorDies(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		for range harness.Size(1, 10) {
			monitorDies(t, m)
		}
	})
}

func monitorDies(t *testing.T, m harness.Mode) {
	if !m.Client && !m.Server {
		s := startSteady(t, m)
		s.wantKernel(s.open())
		s.stop()
		return
	}
	monitor := harness.NewMonitor(t)
	m = m.In(monitor.Setup)
	s := startSteady(t, m)
	first := s.open()
	s.want(m, first)
	for range 3 {
		monitor.Kill(t)
		s.wantKernel(s.open())
		s.want(m, first)
		monitor.Start(t)
		s.wantNew(m)
		s.want(m, first)
	}
	s.stop()
	monitor.Clean(t)
}

// TestNoMonitor: where there never was a monitor, programs run on the kernel as ever.
func TestNoMonitor(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		m = m.In(&harness.Setup{SDirect: harness.SDirect(), Socket: "/nonexistent/monitor.sock", NoMonitor: true})
		if m.Client || m.Server { // natively it would be TestContract once more
			t.Run("contract", func(t *testing.T) { contractBothRoles(t, m) })
		}
		for _, p := range []program{cProgram("block"), cProgram("et"), goProgram} {
			t.Run(p.name, func(t *testing.T) {
				for _, out := range exchange(t, m, p, p, 2, 8<<20, "4") {
					wantShare(t, m, out)
				}
			})
		}
	})
}
