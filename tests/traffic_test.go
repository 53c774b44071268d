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

func traffic(t *testing.T, m harness.Mode, client, server program, conns int, family string) {
	total := harness.Size(256<<20, 1<<30) / conns
	limit := harness.Size(time.Minute, 10*time.Minute)
	s := harness.Start(t, harness.Command(m.Server, server.args(t, m.Server, "server", itoa(conns), itoa(total), family)...))
	port := s.Port(t)
	c := harness.Start(t, harness.Command(m.Client, append(client.args(t, m.Client, "client", itoa(conns), itoa(total), family), port)...))
	clientSays, serverSays := c.Wait(t, limit), s.Wait(t, limit)
	t.Logf("%s%s", clientSays, serverSays)
	for _, out := range []string{clientSays, serverSays} {
		wantShare(t, m, out)
	}
}
