package main

import "time"

// Suite is one third-party suite. It is a module of CPython's own tests, or else scripts/NAME.sh, which
// prints a line "ok TEST" or "not ok TEST - why" for each test (TAP).
type Suite struct {
	Name     string
	Packages []string // of Debian
	Module   string   // of CPython's package test; "": a script
	Ignore   []string // patterns of CPython tests that do not end natively
	Limit    time.Duration
	Baseline int  // fewest tests that must run; skipped ones have not run
	Kernel   bool // makes no connection that libsd could promote; all others must promote one
	Bounded  bool // part of make test
}

// cpython is the installed test suite of Python.
var cpython = []string{"python3.11", "libpython3.11-testsuite"}

// module is the suite of one CPython module.
func module(name string, limit time.Duration, baseline int) Suite {
	return Suite{Name: name, Packages: cpython, Module: name, Limit: limit, Baseline: baseline}
}

// script is the suite of scripts/NAME.sh.
func script(name string, limit time.Duration, baseline int, packages ...string) Suite {
	return Suite{Name: name, Packages: packages, Limit: limit, Baseline: baseline}
}

func (s Suite) onKernel() Suite { s.Kernel = true; return s }
func (s Suite) bounded() Suite  { s.Bounded = true; return s }

func (s Suite) ignoring(patterns ...string) Suite {
	s.Ignore = patterns
	return s
}

// suites in the order in which they run. Limits are for a slow machine with other work.
var suites = []Suite{
	module("test_select", time.Minute, 5).onKernel().bounded(),
	module("test_poll", time.Minute, 7).onKernel().bounded(),
	module("test_epoll", time.Minute, 10).onKernel().bounded(),
	module("test_selectors", 3*time.Minute, 70).onKernel().bounded(),
	module("test_socket", 5*time.Minute, 600).ignoring("*VSOCK*").bounded(), // a virtual machine's vsock does not answer
	module("test_asyncio", 15*time.Minute, 2250),

	script("stress-ng", 2*time.Minute, 5, "stress-ng").bounded(),

	script("redis", 4*time.Minute, 20, "redis-server", "redis-tools"),
	script("nginx", 4*time.Minute, 24, "nginx-light", "wrk", "apache2-utils", "siege", "curl"),
	script("apache", 4*time.Minute, 28, "apache2-bin", "apache2-utils", "curl"),
	script("postgres", 4*time.Minute, 27, "postgresql-15", "pgbouncer"),
	script("wsgi", 4*time.Minute, 29, "gunicorn", "uwsgi-core", "uwsgi-plugin-python3", "php8.2-fpm", "nginx-light", "apache2-utils", "curl"),
	script("socat", 4*time.Minute, 14, "socat", "netcat-openbsd"),
	script("inetd", 4*time.Minute, 13, "openbsd-inetd", "ucspi-tcp", "systemd", "netcat-openbsd", "python3", "perl"),
	script("stdio", 4*time.Minute, 17, "socat", "netcat-openbsd", "mawk", "perl").onKernel(), // numbers 0 and 1 are
	script("memcached", 4*time.Minute, 12, "memcached", "libmemcached-tools", "netcat-openbsd"),
	script("iperf", 4*time.Minute, 16, "iperf3", "iperf", "python3"),
	script("micro", 4*time.Minute, 20, "sockperf", "qperf", "netpipe-tcp", "nuttcp"),
}
