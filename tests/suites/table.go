package main

import (
	"fmt"
	"time"
)

// Suite is one third-party suite: a command that writes verdicts in the XML of JUnit, or else scripts/NAME.sh,
// which prints a line "ok TEST" or "not ok TEST - why" for each test (TAP).
type Suite struct {
	Name     string
	Packages []string // of Debian
	Sources  []string // of Debian too: unpacked, the script finds each in $SOURCES
	Command  []string // empty: the script; junit stands for the file of verdicts
	Limit    time.Duration
	Baseline int  // fewest tests that must run; skipped ones have not run
	Kernel   bool // its connections may all be too short to be promoted; all others must promote one
	Bounded  bool // part of make test
}

const junit = "{junit}"

// module is one module of CPython's own tests. Before our limit, regrtest prints where all threads are.
func module(name string, limit time.Duration, baseline int, options ...string) Suite {
	command := []string{"/usr/bin/python3.11", "-m", "test", "-v", "--junit-xml", junit,
		fmt.Sprintf("--timeout=%.0f", limit.Seconds()*0.9)}
	return Suite{
		Name: name, Packages: []string{"python3.11", "libpython3.11-testsuite"},
		Command: append(append(command, options...), name), Limit: limit, Baseline: baseline,
	}
}

// pytest is the tests that a Python package has in it.
func pytest(name string, limit time.Duration, baseline int, debian string, options ...string) Suite {
	command := []string{"/usr/bin/python3", "-m", "pytest", "-v", "-p", "no:cacheprovider", "--junit-xml", junit, "--pyargs", name}
	return Suite{
		Name: name, Packages: []string{debian, "python3-pytest"},
		Command: append(command, options...), Limit: limit, Baseline: baseline,
	}
}

// script is the suite of scripts/NAME.sh.
func script(name string, limit time.Duration, baseline int, packages ...string) Suite {
	return Suite{Name: name, Packages: packages, Limit: limit, Baseline: baseline}
}

// source is the suite of scripts/NAME.sh, with tests that only the source of a Debian package has.
func source(name string, limit time.Duration, baseline int, source string, packages ...string) Suite {
	s := script(name, limit, baseline, append(packages, "dpkg-dev")...)
	s.Sources = []string{source}
	return s
}

func (s Suite) onKernel() Suite         { s.Kernel = true; return s }
func (s Suite) bounded() Suite          { s.Bounded = true; return s }
func (s Suite) named(name string) Suite { s.Name = name; return s }

// suites in the order in which they run. Limits are for a slow machine with other work.
var suites = []Suite{
	module("test_select", time.Minute, 5).onKernel().bounded(),
	module("test_poll", time.Minute, 7).onKernel().bounded(),
	module("test_epoll", time.Minute, 10).onKernel().bounded(),
	module("test_selectors", 3*time.Minute, 70).onKernel().bounded(),
	// A virtual machine's vsock does not answer. testSourceAddress races with itself, natively too: its clean-up closes
	// the socket that its thread may still be about to ask for its name.
	module("test_socket", 5*time.Minute, 600, "-i", "*VSOCK*", "-i", "testSourceAddress").bounded(),
	module("test_asyncio", 15*time.Minute, 2250),
	module("test_ssl", 6*time.Minute, 163),
	module("test_socketserver", 2*time.Minute, 20, "-u", "network").onKernel(),
	module("test_httpservers", 2*time.Minute, 56),
	module("test_ftplib", 2*time.Minute, 92),
	module("test_smtplib", 2*time.Minute, 79),
	module("test_imaplib", 6*time.Minute, 92),
	module("test_telnetlib", 2*time.Minute, 19).onKernel(),
	module("test_httplib", 2*time.Minute, 111),
	module("test_asyncore", 2*time.Minute, 90).onKernel(),
	module("test_asynchat", 2*time.Minute, 25),
	module("test_xmlrpc", 6*time.Minute, 90),
	module("test_urllib2_localnet", 2*time.Minute, 23),
	module("test_wsgiref", 2*time.Minute, 34).onKernel(),
	module("test_multiprocessing_fork", 15*time.Minute, 327),
	module("test_multiprocessing_forkserver", 15*time.Minute, 331),
	module("test_multiprocessing_spawn", 15*time.Minute, 328),
	module("test_concurrent_futures", 15*time.Minute, 225).onKernel(),
	module("test_subprocess", 6*time.Minute, 287).onKernel(),
	module("test_signal", 6*time.Minute, 49).onKernel(),
	module("test_eintr", 2*time.Minute, 1).onKernel(), // a test that runs 22 others
	module("test_threadsignals", 2*time.Minute, 6).onKernel(),
	module("test_os", 2*time.Minute, 257),
	module("test_logging", 6*time.Minute, 208),

	script("gio", 5*time.Minute, 118, "libglib2.0-tests", "glib-networking-tests"),
	script("libsoup", 10*time.Minute, 190, "libsoup-3.0-tests"),
	// Left out is what fails natively: mixins, which unittest would not run, measures of time, and all after a time-out.
	pytest("tornado", 10*time.Minute, 1100, "python3-tornado", "-k", "not Mixin and not linear and not UnixSocketTest"),
	pytest("trio", 10*time.Minute, 500, "python3-trio", "--continue-on-collection-errors").onKernel(),
	pytest("zmq", 10*time.Minute, 300, "python3-zmq", "-k", "not cython and not test_log"),
	// Left out is what fails natively: tests that glib's reactors or this OpenSSL do not pass.
	pytest("twisted.test.test_tcp", 5*time.Minute, 840, "python3-twisted", "twisted.test.test_tcp_internals", "twisted.test.test_ssl",
		"twisted.test.test_ftp", "twisted.internet.test.test_tcp", "twisted.internet.test.test_tls", "twisted.internet.test.test_fdset",
		"twisted.internet.test.test_endpoints", "-k",
		"not GIReactor and not Glib2Reactor and not WrapClientTLSParser and not test_properlyCloseFiles").named("twisted"),
	source("perl", 5*time.Minute, 80, "perl", "perl"),
	source("tcl", 10*time.Minute, 1500, "tcl8.6", "tcl8.6"),
	source("ruby", 10*time.Minute, 490, "ruby3.1", "ruby", "ruby-test-unit"),
	source("node", 15*time.Minute, 415, "nodejs", "nodejs"),
	script("stress-ng", 2*time.Minute, 5, "stress-ng").bounded(),

	script("redis", 4*time.Minute, 20, "redis-server", "redis-tools"),
	script("nginx", 4*time.Minute, 24, "nginx-light", "wrk", "apache2-utils", "siege", "curl"),
	script("haproxy", 4*time.Minute, 64, "haproxy", "nginx-light", "apache2-utils", "curl"),
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
