// SPDX-License-Identifier: Apache-2.0
// What shared memory allows: one ring between two processes that trust each other, without sockets,
// descriptors, locks, sleepers to be woken or peers that may die.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { CAP = 256 << 10, PIECE = CAP / 4, PAUSES = 64, SAMPLES_MAX = 4 << 20 };

struct ring {
	_Alignas(64) uint64_t tail; // bytes published
	_Alignas(64) uint64_t head; // and consumed
	_Alignas(64) char bytes[CAP];
};

struct shared {
	struct ring to, from;
	_Alignas(64) uint64_t stop, bytes, ns;
};

static uint64_t look(const uint64_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
static void publish(uint64_t *at, uint64_t v) { __atomic_store_n(at, v, __ATOMIC_RELEASE); }

static void pauses(int n)
{
	for (int i = 0; i < n; i++)
		__builtin_ia32_pause();
}

static void put(struct ring *r, uint64_t *tail, uint64_t *head, const char *b, size_t n)
{
	for (size_t done = 0; done < n;) {
		size_t k = n - done < PIECE ? n - done : PIECE, at = *tail % CAP;
		if (k > CAP - at)
			k = CAP - at;
		while (*tail + k - *head > CAP)
			*head = look(&r->head);
		memcpy(r->bytes + at, b + done, k);
		publish(&r->tail, *tail += k);
		done += k;
	}
}

// get takes what there is, up to n bytes, after waiting for some; the space is given back by pieces. Each
// look takes the line from the sender, so a receiver of a stream waits before it.
static size_t get(struct ring *r, uint64_t *head, uint64_t *tail, char *b, size_t n, int before)
{
	for (; *tail == *head; *tail = look(&r->tail))
		pauses(before);
	uint64_t at = *head % CAP, k = *tail - *head < n ? *tail - *head : n;
	if (k > CAP - at)
		k = CAP - at;
	if (k > PIECE)
		k = PIECE;
	memcpy(b, r->bytes + at, k);
	*head += k;
	if (*head - r->head >= PIECE / 2 || *head == *tail)
		publish(&r->head, *head);
	return k;
}

// pair makes the memory and the server's process: 0 in it.
static struct shared *pair(int server_cpu, int client_cpu, pid_t *server)
{
	struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (s == MAP_FAILED)
		must(-1, "mmap");
	*server = (pid_t)must(fork(), "fork");
	pin(*server ? client_cpu : server_cpu);
	if (*server == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return s;
}

static void echo(struct shared *s)
{
	uint64_t in_head = 0, in_tail = 0, out_tail = 0, out_head = 0;
	char m[MSG];
	for (;;) {
		get(&s->to, &in_head, &in_tail, m, MSG, 0);
		put(&s->from, &out_tail, &out_head, m, MSG);
	}
}

void floor_pingpong(int server_cpu, int client_cpu, uint64_t ns)
{
	pid_t server;
	struct shared *s = pair(server_cpu, client_cpu, &server);
	if (server == 0)
		echo(s);
	uint32_t *t = malloc(SAMPLES_MAX * sizeof *t);
	memset(t, 0, SAMPLES_MAX * sizeof *t);
	uint64_t out_tail = 0, out_head = 0, in_head = 0, in_tail = 0, first = now(), last = first;
	size_t n = 0;
	while (n < SAMPLES_MAX && last - first < ns) {
		char m[MSG] = "Pingpon";
		put(&s->to, &out_tail, &out_head, m, MSG);
		get(&s->from, &in_head, &in_tail, m, MSG, 0);
		uint64_t x = now();
		t[n++] = (uint32_t)(x - last);
		last = x;
	}
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	print_latencies(t, n, last - first, 0);
}

static void sink(struct shared *s, size_t size)
{
	uint64_t head = 0, tail = 0, start = 0;
	char *b = calloc(1, BULK);
	while (look(&s->stop) == 0 || head != s->stop) {
		get(&s->to, &head, &tail, b, size == BULK ? BULK : 64 << 10, size == BULK ? 0 : PAUSES);
		if (start == 0)
			start = now();
	}
	s->ns = now() - start;
	s->bytes = head;
	exit(0);
}

void floor_stream(int server_cpu, int client_cpu, uint64_t ns, size_t size)
{
	pid_t server;
	struct shared *s = pair(server_cpu, client_cpu, &server);
	if (server == 0)
		sink(s, size);
	char *b = calloc(1, size);
	uint64_t tail = 0, head = 0, end = now() + ns;
	size_t mask = size == BULK ? 0 : 255;
	for (size_t i = 1; (i & mask) != 0 || now() < end; i++)
		put(&s->to, &tail, &head, b, size);
	publish(&s->stop, tail + size); // before the last bytes, which the server waits for
	put(&s->to, &tail, &head, b, size);
	waitpid(server, NULL, 0);
	printf("{\"bytes\":%llu,\"ns\":%llu}\n", (unsigned long long)s->bytes, (unsigned long long)s->ns);
}
