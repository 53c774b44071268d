package main

import "time"

// benchTest is one kind of traffic.
type benchTest struct {
	name, title string
	everywhere  bool   // at all places, else at the first only
	where       string // if it is not the place that matters
	on          func(on side, at place) bool
	measure     func(p benchProg, on side, at place, length time.Duration) (measured, error)
	quantities  []quantity
}

// quantity is what a measurement tells.
type quantity struct {
	name, unit string
	lower      bool // lower is better
	of         func(m measured) float64
	without    func(m measured) float64 // what the same measurement on libsd tells of the kernel
}

// epollConnections is how many the larger of two epoll sets has: ten of each are active.
const epollConnections = 10000

var benchTests = []benchTest{
	{"pingpong", "8 B ping-pong", true, "", traffic, over("pingpong"), []quantity{
		{"RTT p50", "µs", true, func(m measured) float64 { return m.P50 / 1e3 }, nil},
		{"RTT p99", "µs", true, func(m measured) float64 { return m.P99 / 1e3 }, nil},
		{"RTT mean", "µs", true, func(m measured) float64 { return m.Mean / 1e3 }, nil},
	}},
	{"stream", "8 B stream", true, "", traffic, over("stream"), []quantity{
		{"messages", "M/s", false, func(m measured) float64 { return m.Bytes / 8 / m.NS * 1e3 }, nil},
	}},
	{"bulk", "1 MiB writes", true, "", traffic, over("bulk"), []quantity{
		{"bandwidth", "GB/s", false, func(m measured) float64 { return m.Bytes / m.NS }, nil},
	}},
	{"epoll", "epoll, 10 active", false, "", sockets, benchProg.epoll, []quantity{
		{"event, of 10", "µs", true, func(m measured) float64 { return m.Few / 1e3 }, nil},
		{"event, of 10,000", "µs", true, func(m measured) float64 { return m.Many / 1e3 }, nil},
		{"10,000 over 10", "×", true, func(m measured) float64 { return m.Many / m.Few }, nil},
		{"set-up of each", "µs", true, func(m measured) float64 { return m.Setup / 1e3 }, nil},
	}},
	callTest("look-up", "null read", "4 threads",
		quantity{"calls", "M/s", false, func(m measured) float64 { return 1e3 / m.Named }, func(m measured) float64 { return 1e3 / m.Direct }}),
	callTest("null", "null read", "1 thread", perCall, added),
	callTest("file", "read of a file", "8 B", perCall, added),
	callTest("pipe", "read of a pipe", "8 B", perCall, added),
}

var (
	perCall = quantity{"each", "ns", true, func(m measured) float64 { return m.Named }, func(m measured) float64 { return m.Direct }}
	added   = quantity{"added", "ns", true, func(m measured) float64 { return m.Named - m.Direct }, nil}
)

// traffic goes over sockets, and between two processors also over bare shared memory.
func traffic(on side, at place) bool { return on != onFloor || at.server != at.client }

func sockets(on side, _ place) bool { return on != onFloor }

// callTest compares a call by its name with the same call without libsd, both in a process under libsd.
func callTest(name, title, where string, quantities ...quantity) benchTest {
	return benchTest{name, title, false, where, func(on side, _ place) bool { return on == onLibsd || on == onAgainst },
		func(p benchProg, on side, at place, length time.Duration) (measured, error) {
			return p.calls(on, name, length)
		}, quantities}
}

func over(test string) func(benchProg, side, place, time.Duration) (measured, error) {
	return func(p benchProg, on side, at place, length time.Duration) (measured, error) {
		if on == onFloor {
			return p.floor(test, at, length)
		}
		return p.traffic(on, test, at, length)
	}
}
