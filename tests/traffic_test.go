package tests

import (
	"testing"
	"time"

	"github.com/socksdirect/libsd/tests/harness"
)

const trafficSeed = "20260101"

// program is one end of the traffic: its command line without a port.
type program struct {
	name string
	args func(t *testing.T, sd bool, role, conns, bytes, family string) []string
}

func cProgram(mode string) program {
	return program{"c_" + mode, func(t *testing.T, _ bool, role, conns, bytes, family string) []string {
		return []string{harness.C(t, "traffic"), role, mode, conns, bytes, trafficSeed, family}
	}}
}

// goProgram uses package net on the kernel and package socket in place of libsd.so.
var goProgram = program{"go", func(t *testing.T, sd bool, role, conns, bytes, family string) []string {
	api := "net"
	if sd {
		api = "socket"
	}
	return []string{harness.Go(t, "gotraffic"), "-api", api, role, conns, bytes, trafficSeed, family}
}}

// TestTraffic: seeded random bytes each way at once, random chunk sizes, half-close at the end; 1 GiB each
// way with -full.
func TestTraffic(t *testing.T) {
	pairs := []struct {
		client, server program
		conns          int
		family         string
	}{
		{cProgram("block"), cProgram("block"), 1, "4"},
		{cProgram("et"), cProgram("et"), 1, "4"},
		{cProgram("lt"), cProgram("lt"), 1, "6"},
		{cProgram("poll"), cProgram("poll"), 1, "4"},
		{cProgram("select"), cProgram("select"), 1, "6"},
		{cProgram("block"), cProgram("et"), 4, "6"},
		{cProgram("poll"), cProgram("block"), 4, "4"},
		{cProgram("lt"), cProgram("select"), 16, "4"},
		{cProgram("fork"), cProgram("lt"), 8, "4"},
		{cProgram("block"), cProgram("fork"), 8, "6"},
		{cProgram("fork"), cProgram("fork"), 8, "4"},
		{cProgram("block"), goProgram, 2, "4"},
		{goProgram, cProgram("et"), 2, "6"},
		{goProgram, goProgram, 1, "4"},
	}
	for _, p := range pairs {
		t.Run(p.client.name+"-"+p.server.name, func(t *testing.T) {
			harness.EachMode(t, func(t *testing.T, m harness.Mode) {
				traffic(t, m, p.client, p.server, p.conns, p.family)
			})
		})
	}
}

// TestPromotionUnderTraffic: many short runs at full speed from the first byte, so that the change
// of path happens at every possible moment; whether it happens at all is left open.
func TestPromotionUnderTraffic(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		for range harness.Size(5, 100) {
			for _, mode := range []string{"block", "et", "poll"} {
				for _, conns := range []int{1, 2, 4, 8} {
					p := cProgram(mode)
					exchange(t, m, p, p, conns, 4<<20, "4")
				}
			}
		}
	})
}

func traffic(t *testing.T, m harness.Mode, client, server program, conns int, family string) {
	for _, out := range exchange(t, m, client, server, conns, harness.Size(256<<20, 1<<30)/conns, family) {
		t.Log(out)
		wantShare(t, m, out)
	}
}

// exchange runs both ends and returns their reports.
func exchange(t *testing.T, m harness.Mode, client, server program, conns, total int, family string) [2]string {
	t.Helper()
	limit := harness.Size(time.Minute, 10*time.Minute)
	s := harness.Start(t, m.ServerCommand(server.args(t, m.Server, "server", itoa(conns), itoa(total), family)...))
	port := s.Port(t)
	c := harness.Start(t, m.ClientCommand(append(client.args(t, m.Client, "client", itoa(conns), itoa(total), family), port)...))
	return [2]string{c.Wait(t, limit), s.Wait(t, limit)}
}
