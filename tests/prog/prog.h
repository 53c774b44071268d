// SPDX-License-Identifier: Apache-2.0
// What every test program shares: errors, the seeded bytes, sockets, waiting for a thread to sleep.
#ifndef PROG_H
#define PROG_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// die ends the program with a message, errno included if it is not 0.
__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *fmt, ...)
{
	int e = errno;
	va_list ap;
	va_start(ap, fmt);
	fflush(stdout);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (errno %d: %s)\n", e, strerror(e));
	_exit(1);
}

// must returns r, or dies if it is negative.
#define must(r) must_(__FILE__, __LINE__, #r, (long)(r))
static inline long must_(const char *file, int line, const char *what, long r)
{
	if (r < 0)
		die("%s:%d: %s", file, line, what);
	return r;
}

static inline uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void nap_us(long us)
{
	struct timespec t = {us / 1000000, us % 1000000 * 1000};
	nanosleep(&t, NULL);
}

// mix is the finaliser of splitmix64.
static inline uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

struct rng { uint64_t s; };

static inline uint64_t rng_next(struct rng *r)
{
	r->s += 0x9e3779b97f4a7c15u;
	return mix(r->s);
}

// rng_size draws a size from 1 to max (at most 2^20), each power of two as likely as the next.
static inline size_t rng_size(struct rng *r, size_t max)
{
	uint64_t v = rng_next(r);
	size_t n = 1 + (v >> 8) % ((uint64_t)1 << (v & 255) % 21);
	return n < max ? n : max;
}

// stream_fill writes bytes [pos, pos+n) of the stream that a seed names: byte p is byte p%8,
// counted from the least significant, of mix(seed + (p/8 + 1) * golden).
static inline void stream_fill(uint64_t seed, uint64_t pos, void *buf, size_t n)
{
	uint8_t *b = buf;
	while (n > 0) {
		uint64_t w = mix(seed + (pos / 8 + 1) * 0x9e3779b97f4a7c15u);
		size_t off = pos % 8, k = 8 - off;
		if (k > n)
			k = n;
		w >>= off * 8;
		memcpy(b, &w, k);
		b += k;
		pos += k;
		n -= k;
	}
}

// stream_check returns the index of the first byte that is not of the stream, or n.
static inline size_t stream_check(uint64_t seed, uint64_t pos, const void *buf, size_t n)
{
	const uint8_t *b = buf;
	uint8_t want[4096];
	for (size_t i = 0; i < n; i += sizeof want) {
		size_t k = n - i < sizeof want ? n - i : sizeof want;
		stream_fill(seed, pos + i, want, k);
		if (memcmp(b + i, want, k) != 0)
			for (size_t j = 0; j < k; j++)
				if (b[i + j] != want[j])
					return i + j;
	}
	return n;
}

struct addr {
	struct sockaddr_storage ss;
	socklen_t len;
};

// loopback is 127.0.0.1 or ::1 with a port.
static inline struct addr loopback(bool v6, int port)
{
	struct addr a = {0};
	if (v6) {
		struct sockaddr_in6 *s = (void *)&a.ss;
		s->sin6_family = AF_INET6;
		s->sin6_addr = in6addr_loopback;
		s->sin6_port = htons((uint16_t)port);
		a.len = sizeof *s;
	} else {
		struct sockaddr_in *s = (void *)&a.ss;
		s->sin_family = AF_INET;
		s->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		s->sin_port = htons((uint16_t)port);
		a.len = sizeof *s;
	}
	return a;
}

static inline int port_of(const struct addr *a)
{
	if (a->ss.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&a->ss)->sin6_port);
	return ntohs(((const struct sockaddr_in *)&a->ss)->sin_port);
}

static inline int local_port(int fd)
{
	struct addr a = {.len = sizeof a.ss};
	must(getsockname(fd, (void *)&a.ss, &a.len));
	return port_of(&a);
}

static inline int peer_port(int fd)
{
	struct addr a = {.len = sizeof a.ss};
	must(getpeername(fd, (void *)&a.ss, &a.len));
	return port_of(&a);
}

// listen_on listens on a port of the loopback address; 0 lets the kernel choose.
static inline int listen_on(bool v6, int port)
{
	int one = 1;
	struct addr a = loopback(v6, port);
	int l = (int)must(socket(a.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
	must(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
	must(bind(l, (void *)&a.ss, a.len));
	must(listen(l, 1024));
	return l;
}

static inline int connect_to(bool v6, int port)
{
	struct addr a = loopback(v6, port);
	int s = (int)must(socket(a.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
	must(connect(s, (void *)&a.ss, a.len));
	return s;
}

static inline int accept_one(int l)
{
	return (int)must(accept4(l, NULL, NULL, SOCK_CLOEXEC));
}

static inline void set_nonblock(int fd, bool on)
{
	int f = (int)must(fcntl(fd, F_GETFL));
	must(fcntl(fd, F_SETFL, on ? f | O_NONBLOCK : f & ~O_NONBLOCK));
}

// announce tells the harness the port to connect to.
static inline void announce(int port)
{
	printf("PORT %d\n", port);
	fflush(stdout);
}

static inline void write_all(int fd, const void *buf, size_t n)
{
	const char *b = buf;
	while (n > 0) {
		ssize_t r = must(write(fd, b, n));
		b += r;
		n -= (size_t)r;
	}
}

static inline void read_all(int fd, void *buf, size_t n)
{
	char *b = buf;
	while (n > 0) {
		ssize_t r = must(read(fd, b, n));
		if (r == 0)
			die("EOF with %zu bytes missing", n);
		b += r;
		n -= (size_t)r;
	}
}

// raw is a system call that nobody stands before: the result, or -errno.
static inline long raw(long n, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

// kernel_info is what the kernel's own TCP says of a connection; all 0 if it is none.
static inline struct tcp_info kernel_info(int fd)
{
	struct tcp_info ti = {0};
	socklen_t len = sizeof ti;
	long ret = raw(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, (long)&ti, (long)&len, 0);
	return ret < 0 ? (struct tcp_info){0} : ti;
}

// kernel_bytes is what the kernel's own TCP has carried on a connection, both ways. A promoted
// connection does not move it.
static inline uint64_t kernel_bytes(int fd)
{
	struct tcp_info ti = kernel_info(fd);
	return ti.tcpi_bytes_received + ti.tcpi_bytes_sent;
}

// until_state returns when a thread of a process was seen three times in a row in a state (proc(5)).
// At most 5 s.
static inline void until_state(pid_t pid, pid_t tid, char state)
{
	char path[64], buf[512];
	int seen = 0;
	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
	for (int i = 0; i < 5000 && seen < 3; i++) {
		int fd = (int)must(open(path, O_RDONLY | O_CLOEXEC));
		ssize_t n = must(read(fd, buf, sizeof buf - 1));
		close(fd);
		buf[n] = 0;
		char *p = strrchr(buf, ')');
		seen = p && p[2] == state ? seen + 1 : 0;
		nap_us(1000);
	}
	if (seen < 3)
		die("thread %d of %d never came to state %c", tid, pid, state);
}

// until_asleep returns when a thread sleeps in the kernel, so that what follows happens to a thread
// that waits.
static inline void until_asleep(pid_t pid, pid_t tid) { until_state(pid, tid, 'S'); }

#endif
