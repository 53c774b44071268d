// SPDX-License-Identifier: Apache-2.0
// Plain POSIX ping-pong, streams and an event loop over TCP; it knows nothing of libsd.
//
//	bench server CPU                        prints "PORT n", serves one connection
//	bench pingpong CPU MS PORT              8-byte round trips
//	bench stream CPU MS PORT                8-byte messages one way
//	bench bulk CPU MS PORT                  1 MiB writes one way
//	bench epoll-server CPU                  prints "PORT n", serves many connections (epoll.c)
//	bench epoll CPU MS PORT CONNECTIONS PORT-OF-ANOTHER
//	bench floor CPU MS TEST SERVER-CPU      the first three without TCP (floor.c)
//	bench hog CPU                           uses up a processor
//
// CPU is the processor to run on, -1 for any. Clients print one line of JSON. A connection is
// warmed up with round trips until the kernel's TCP no longer carries them.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum { WARM_MIN = 200, SAMPLES_MAX = 4 << 20, LIMIT_S = 60 };

struct result { uint64_t bytes, ns; };

static void serve(void)
{
	int fd = (int)must(accept(listener(1), NULL, NULL), "accept");
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
	int fd = connected(port);
	uint64_t end = warm_until();
	for (int n = 0, still = 0; n < WARM_MIN || (still < WARM_MIN && now() < end); n++) {
		uint64_t before = kernel_bytes(fd);
		round_trip(fd, "Warm up");
		still = kernel_bytes(fd) == before ? still + 1 : 0;
	}
	return fd;
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
	print_latencies(t, n, last - first, (double)(kernel_bytes(fd) - k) / ((double)n * 2 * MSG));
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

static int is(const char *a, const char *b) { return strcmp(a, b) == 0; }

int main(int argc, char **argv)
{
	if (argc < 3)
		goto usage;
	const char *test = argv[1];
	int cpu = atoi(argv[2]);
	alarm(LIMIT_S);
	pin(cpu);
	if (is(test, "server")) {
		serve();
		return 0;
	}
	if (is(test, "epoll-server")) {
		epoll_server();
		return 0;
	}
	if (is(test, "hog"))
		for (volatile uint64_t i = 0;; i++)
			;
	if (argc < 5)
		goto usage;
	uint64_t ns = strtoull(argv[3], NULL, 0) * 1000000u;
	if (is(test, "floor") && argc == 6) {
		if (is(argv[4], "pingpong"))
			floor_pingpong(atoi(argv[5]), cpu, ns);
		else
			floor_stream(atoi(argv[5]), cpu, ns, is(argv[4], "bulk") ? BULK : MSG);
	} else if (is(test, "epoll") && argc == 7) {
		epoll_client(atoi(argv[4]), atoi(argv[6]), ns, atoi(argv[5]));
	} else if (is(test, "pingpong")) {
		pingpong(connect_warm(atoi(argv[4])), ns);
	} else {
		stream(connect_warm(atoi(argv[4])), ns, is(test, "bulk") ? BULK : MSG);
	}
	return 0;
usage:
	fprintf(stderr, "usage: see the source\n");
	return 2;
}
