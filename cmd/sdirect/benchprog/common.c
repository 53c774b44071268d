// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "bench.h"

enum { WARM_MS = 10000, WARM_KERNEL_MS = 20 };

long must(long r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(1);
	}
	return r;
}

uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void pin(int cpu)
{
	cpu_set_t set;
	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(sched_setaffinity(0, sizeof set, &set), "sched_setaffinity");
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

uint32_t percentile(uint32_t *t, size_t n, unsigned percent)
{
	qsort(t, n, sizeof *t, by_value);
	return t[n * percent / 100];
}

int listener(int backlog)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int l = (int)must(socket(AF_INET, SOCK_STREAM, 0), "socket");
	must(bind(l, (void *)&a, len), "bind");
	must(listen(l, backlog), "listen");
	must(getsockname(l, (void *)&a, &len), "getsockname");
	printf("PORT %d\n", ntohs(a.sin_port));
	fflush(stdout);
	return l;
}

int connected(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = (int)must(socket(AF_INET, SOCK_STREAM, 0), "socket");
	must(connect(fd, (void *)&a, sizeof a), "connect");
	return fd;
}

void send_all(int fd, const char *b, size_t n)
{
	while (n > 0) {
		ssize_t r = must(send(fd, b, n, 0), "send");
		b += r;
		n -= (size_t)r;
	}
}

int recv_all(int fd, char *b, size_t n)
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

uint64_t kernel_bytes(int fd)
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

int preloaded(void)
{
	const char *p = getenv("LD_PRELOAD");
	return p && *p;
}

uint64_t warm_until(void) { return now() + (preloaded() ? WARM_MS : WARM_KERNEL_MS) * 1000000ull; }

void print_latencies(uint32_t *t, size_t n, uint64_t ns, double kernel_share)
{
	uint32_t p50 = percentile(t, n, 50), p99 = percentile(t, n, 99);
	printf("{\"mean_ns\":%.1f,\"p50_ns\":%u,\"p99_ns\":%u,\"kernel_share\":%.4f}\n", (double)ns / (double)n, p50, p99, kernel_share);
}
