// SPDX-License-Identifier: Apache-2.0
// Plain POSIX ping-pong and streams over TCP; it knows nothing of libsd.
//
//	bench server CPU                    prints "PORT n", serves one connection
//	bench pingpong CPU MS PORT          8-byte round trips
//	bench stream CPU MS PORT            8-byte messages one way
//	bench bulk CPU MS PORT              1 MiB writes one way
//	bench hog CPU                       uses up a processor
//
// CPU is the processor to run on, -1 for any. Clients print one line of JSON. A connection is
// warmed up with round trips until the kernel's TCP no longer carries them, for WARM_MS at most
// (WARM_KERNEL_MS when nothing is preloaded).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MSG = 8, BULK = 1 << 20, WARM_MIN = 200, WARM_MS = 1000, WARM_KERNEL_MS = 20, SAMPLES_MAX = 4 << 20, LIMIT_S = 60 };

struct result { uint64_t bytes, ns; };

static long must(long r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(1);
	}
	return r;
}

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pin(int cpu)
{
	cpu_set_t set;
	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(sched_setaffinity(0, sizeof set, &set), "sched_setaffinity");
}

static void send_all(int fd, const char *b, size_t n)
{
	while (n > 0) {
		ssize_t r = must(send(fd, b, n, 0), "send");
		b += r;
		n -= (size_t)r;
	}
}

// recv_all returns 0 if the stream ends before the first byte.
static int recv_all(int fd, char *b, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = must(recv(fd, b + got, n - got, 0), "recv");
		if (r == 0 && got == 0)
			return 0;
		if (r == 0) {
			fprintf(stderr, "EOF in a message\n");
			exit(1);
		}
		got += (size_t)r;
	}
	return 1;
}

// kernel_bytes is what the kernel's own TCP has carried; a raw system call, to ask nobody else.
static uint64_t kernel_bytes(int fd)
{
	struct tcp_info ti = {0};
	socklen_t len = sizeof ti;
	long ret;
	register long r10 __asm__("r10") = (long)&ti;
	register long r8 __asm__("r8") = (long)&len;
	__asm__ volatile("syscall" : "=a"(ret)
			 : "a"(55L), "D"((long)fd), "S"((long)IPPROTO_TCP), "d"((long)TCP_INFO), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret < 0 ? 0 : ti.tcpi_bytes_received + ti.tcpi_bytes_sent;
}

static void serve(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int l = (int)must(socket(AF_INET, SOCK_STREAM, 0), "socket");
	must(bind(l, (void *)&a, len), "bind");
	must(listen(l, 1), "listen");
	must(getsockname(l, (void *)&a, &len), "getsockname");
	printf("PORT %d\n", ntohs(a.sin_port));
	fflush(stdout);
	int fd = (int)must(accept(l, NULL, NULL), "accept");
	char m[MSG];
	while (recv_all(fd, m, MSG)) {
		send_all(fd, m, MSG);
		if (m[0] == 'S')
			break;
	}
	size_t size = 64 << 10;
	if (m[0] == 'S' && m[1] == 'B')
		size = BULK;
	char *b = malloc(size);
	struct result r = {0};
	uint64_t t = now();
	for (ssize_t n; (n = must(recv(fd, b, size, 0), "recv")) > 0;)
		r.bytes += (uint64_t)n;
	r.ns = now() - t;
	if (m[0] == 'S')
		send_all(fd, (char *)&r, sizeof r);
	close(fd);
}

static void round_trip(int fd, const char *m)
{
	char got[MSG];
	send_all(fd, m, MSG);
	if (!recv_all(fd, got, MSG) || memcmp(m, got, MSG) != 0) {
		fprintf(stderr, "wrong echo\n");
		exit(1);
	}
}

static int connect_warm(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = (int)must(socket(AF_INET, SOCK_STREAM, 0), "socket");
	must(connect(fd, (void *)&a, sizeof a), "connect");
	uint64_t end = now() + (getenv("LD_PRELOAD") ? WARM_MS : WARM_KERNEL_MS) * 1000000ull;
	for (int n = 0, still = 0; n < WARM_MIN || (still < WARM_MIN && now() < end); n++) {
		uint64_t before = kernel_bytes(fd);
		round_trip(fd, "Warm up");
		still = kernel_bytes(fd) == before ? still + 1 : 0;
	}
	return fd;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static void pingpong(int fd, uint64_t ns)
{
	uint32_t *t = malloc(SAMPLES_MAX * sizeof *t);
	uint64_t k = kernel_bytes(fd);
	size_t n = 0;
	memset(t, 0, SAMPLES_MAX * sizeof *t); // no page fault while measuring
	uint64_t first = now(), last = first;
	while (n < SAMPLES_MAX && last - first < ns) {
		round_trip(fd, "Pingpon");
		uint64_t x = now();
		t[n++] = (uint32_t)(x - last);
		last = x;
	}
	qsort(t, n, sizeof *t, by_value);
	printf("{\"mean_ns\":%.1f,\"p50_ns\":%u,\"p99_ns\":%u,\"kernel_share\":%.4f}\n", (double)(last - first) / (double)n,
	       t[n / 2], t[n * 99 / 100], (double)(kernel_bytes(fd) - k) / ((double)n * 2 * MSG));
	free(t);
}

static void stream(int fd, uint64_t ns, size_t size)
{
	char *b = calloc(1, size);
	round_trip(fd, size == BULK ? "SBulk.." : "Stream.");
	uint64_t k = kernel_bytes(fd), end = now() + ns;
	size_t mask = size == BULK ? 0 : 255;
	for (size_t i = 1;; i++) {
		send_all(fd, b, size);
		if ((i & mask) == 0 && now() >= end)
			break;
	}
	struct result r;
	must(shutdown(fd, SHUT_WR), "shutdown");
	if (!recv_all(fd, (char *)&r, sizeof r)) {
		fprintf(stderr, "no result\n");
		exit(1);
	}
	printf("{\"bytes\":%llu,\"ns\":%llu,\"kernel_share\":%.4f}\n", (unsigned long long)r.bytes, (unsigned long long)r.ns,
	       (double)(kernel_bytes(fd) - k) / (double)r.bytes);
	free(b);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		goto usage;
	alarm(LIMIT_S);
	pin(atoi(argv[2]));
	if (strcmp(argv[1], "server") == 0) {
		serve();
		return 0;
	}
	if (strcmp(argv[1], "hog") == 0)
		for (volatile uint64_t i = 0;; i++)
			;
	if (argc < 5)
		goto usage;
	int fd = connect_warm(atoi(argv[4]));
	uint64_t ns = strtoull(argv[3], NULL, 0) * 1000000u;
	if (strcmp(argv[1], "pingpong") == 0)
		pingpong(fd, ns);
	else
		stream(fd, ns, strcmp(argv[1], "bulk") == 0 ? BULK : MSG);
	return 0;
usage:
	fprintf(stderr, "usage: bench server|hog CPU | bench pingpong|stream|bulk CPU MS PORT\n");
	return 2;
}
