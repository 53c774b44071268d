// SPDX-License-Identifier: Apache-2.0
// An event loop with many connections of which few are active, in turns with one that has only the
// active ones, with a server of its own.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum { ACTIVE = 10, EVENTS = 256, BACKLOG = 4096, BURST = 100, WARM_MIN = 4, SETUP_S = 10, SLICES = 20, TRIES = 20 };

static void room_for_descriptors(void)
{
	struct rlimit r;
	must(getrlimit(RLIMIT_NOFILE, &r), "getrlimit");
	r.rlim_cur = r.rlim_max;
	must(setrlimit(RLIMIT_NOFILE, &r), "setrlimit");
}

static void join(int set, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
	must(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e), "epoll_ctl");
}

// The first connection that ends ends the server.
void epoll_server(void)
{
	struct epoll_event ev[EVENTS];
	room_for_descriptors();
	int l = listener(BACKLOG), set = (int)must(epoll_create1(0), "epoll_create1");
	join(set, l);
	for (;;) {
		int n = (int)must(epoll_wait(set, ev, EVENTS, -1), "epoll_wait");
		for (int i = 0; i < n; i++) {
			char m[MSG];
			if (ev[i].data.fd == l)
				join(set, (int)must(accept(l, NULL, NULL), "accept"));
			else if (recv_all(ev[i].data.fd, m, MSG))
				send_all(ev[i].data.fd, m, MSG);
			else
				return;
		}
	}
}

// exchange sends one message on each of n connections, every step-th, and takes the answers as they come.
static void exchange(int set, const int *fd, int n, int step)
{
	struct epoll_event ev[EVENTS];
	char m[MSG];
	for (int i = 0; i < n; i++)
		send_all(fd[i * step], "Request", MSG);
	for (int got = 0; got < n;) {
		int k = (int)must(epoll_wait(set, ev, EVENTS, -1), "epoll_wait");
		for (int i = 0; i < k; i++, got++)
			if (!recv_all(ev[i].data.fd, m, MSG)) {
				fprintf(stderr, "the server went away\n");
				exit(1);
			}
	}
}

static uint64_t kernel_bytes_of(const int *fd, int n, int step)
{
	uint64_t sum = 0;
	for (int i = 0; i < n; i++)
		sum += kernel_bytes(fd[i * step]);
	return sum;
}

// warm exchanges messages on each of n connections until the kernel carries none of them, or no fewer than
// before: a few may stay on TCP, where the programs did not look at the monitor's messages in time.
static void warm(int set, const int *fd, int n, uint64_t end)
{
	for (int i = 0; i < n; i += BURST) {
		int k = n - i < BURST ? n - i : BURST;
		for (int j = 0; j < WARM_MIN; j++)
			exchange(set, fd + i, k, 1);
	}
	for (int i = 0; i < n; i += BURST) {
		int k = n - i < BURST ? n - i : BURST;
		uint64_t least = UINT64_MAX;
		for (int tries = 0; tries < TRIES && least > 0 && now() < end; tries++) {
			uint64_t before = kernel_bytes_of(fd + i, k, 1);
			exchange(set, fd + i, k, 1);
			exchange(set, fd + i, k, 1);
			uint64_t carried = kernel_bytes_of(fd + i, k, 1) - before;
			if (carried < least) {
				least = carried;
				tries = 0;
			}
		}
	}
}

struct peers {
	int set, n;
	const int *fd;
};

static struct peers meet(int port, int connections, uint64_t warm_end)
{
	int *fd = calloc((size_t)connections, sizeof *fd);
	struct peers p = {(int)must(epoll_create1(0), "epoll_create1"), connections, fd};
	for (int i = 0; i < connections; i++) {
		join(p.set, fd[i] = connected(port));
		if (i % BURST == 0)
			exchange(p.set, fd + i, 1, 1); // the server keeps up
	}
	warm(p.set, fd, connections, warm_end);
	return p;
}

// event is the time of a request and its answer: one event for the server and one for us.
static uint32_t event(struct peers *p, uint64_t ns)
{
	uint64_t first = now(), last = first, n = 0;
	for (; last - first < ns; last = now(), n++)
		exchange(p->set, p->fd, ACTIVE, p->n / ACTIVE);
	return (uint32_t)((last - first) / (n * ACTIVE));
}

void epoll_client(int port, int other_port, uint64_t ns, int connections)
{
	uint32_t few[SLICES], many[SLICES];
	room_for_descriptors();
	struct peers f = meet(other_port, ACTIVE, warm_until());
	uint64_t start = now();
	struct peers m = meet(port, connections, preloaded() ? start + SETUP_S * 1000000000ull : start);
	double setup = (double)(now() - start) / connections;
	uint64_t before = kernel_bytes_of(m.fd, m.n, 1);
	exchange(m.set, m.fd, m.n, 1);
	double share = (double)(kernel_bytes_of(m.fd, m.n, 1) - before) / ((double)m.n * 2 * MSG);
	for (int i = 0; i < SLICES; i++) {
		few[i] = event(&f, ns / SLICES / 2);
		many[i] = event(&m, ns / SLICES / 2);
	}
	printf("{\"few_ns\":%u,\"many_ns\":%u,\"setup_ns\":%.1f,\"kernel_share\":%.4f}\n", percentile(few, SLICES, 50),
	       percentile(many, SLICES, 50), setup, share);
}
