// SPDX-License-Identifier: Apache-2.0
// One socket in several threads.
#include "contract.h"

static pthread_t start(void *(*f)(void *), void *arg)
{
	pthread_t t;
	EQ(pthread_create(&t, NULL, f, arg), 0);
	return t;
}

struct job { int fd; uint8_t mark; size_t size; int count; };

static void *send_records(void *arg)
{
	struct job *j = arg;
	uint8_t *b = malloc(j->size);
	memset(b, j->mark, j->size);
	for (int i = 0; i < j->count; i++)
		write_all(j->fd, b, j->size);
	free(b);
	return NULL;
}

// own_pair is a second connection within this process, used enough to be promoted.
static void own_pair(struct link *l, int end[2])
{
	int port, ls = other_listener(l, &port);
	char b[8] = "warm up";
	end[0] = connect_to(l->v6, port);
	end[1] = accept_one(ls);
	close(ls);
	for (int i = 0; i < 50; i++)
		for (int k = 0; k < 2; k++) {
			write_all(end[k], b, 8);
			read_all(end[!k], b, 8);
		}
}

static void many_senders(struct link *l)
{
	enum { THREADS = 4, RECORD = 32, COUNT = 2000 };
	int e[2], seen[THREADS] = {0};
	struct job j[THREADS];
	pthread_t t[THREADS];
	uint8_t b[RECORD];
	own_pair(l, e);
	for (int i = 0; i < THREADS; i++) {
		j[i] = (struct job){e[0], (uint8_t)i, RECORD, COUNT};
		t[i] = start(send_records, &j[i]);
	}
	for (int i = 0; i < THREADS * COUNT; i++) {
		read_all(e[1], b, RECORD);
		for (int k = 1; k < RECORD; k++)
			EQ(b[k], b[0]);
		seen[b[0]]++;
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		EQ(seen[i], COUNT);
	}
}

static void *count_bytes(void *arg)
{
	struct job *j = arg;
	char b[100];
	ssize_t r;
	while ((r = must(recv(j->fd, b, sizeof b, 0))) > 0)
		j->count += (int)r;
	return NULL;
}

static void many_receivers(struct link *l)
{
	enum { THREADS = 4, SIZE = 1 << 20 };
	struct job j[THREADS];
	pthread_t t[THREADS];
	long sum = 0;
	for (int i = 0; i < THREADS; i++) {
		j[i] = (struct job){.fd = l->s};
		t[i] = start(count_bytes, &j[i]);
	}
	EQ(ask(l, OP_SEND, SIZE), SIZE);
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		sum += j[i].count;
	}
	EQ(sum, SIZE);
}

struct half { struct link *l; size_t n; pid_t tid; int ready; };

static void *receive_half(void *arg)
{
	struct half *h = arg;
	__atomic_store_n(&h->tid, gettid(), __ATOMIC_RELEASE);
	get(h->l, h->n);
	return NULL;
}

static void *send_half(void *arg)
{
	struct half *h = arg;
	__atomic_store_n(&h->tid, gettid(), __ATOMIC_RELEASE);
	put(h->l, h->n);
	return NULL;
}

static void until_half_asleep(struct half *h)
{
	pid_t tid = 0;
	for (int i = 0; i < 5000 && (tid = __atomic_load_n(&h->tid, __ATOMIC_ACQUIRE)) == 0; i++)
		nap_us(1000);
	until_asleep(getpid(), tid);
}

static void blocked_both_ways(struct link *l)
{
	enum { SIZE = 1 << 20 };
	size_t n = stuff(l);
	struct half tx = {.l = l, .n = SIZE}, rx = {.l = l, .n = SIZE};
	pthread_t a = start(send_half, &tx), b = start(receive_half, &rx);
	until_half_asleep(&tx);
	until_half_asleep(&rx);
	EQ(ask(l, OP_SEND, SIZE), SIZE);
	pthread_join(b, NULL);
	EQ(ask(l, OP_RECV, (long)n + SIZE), n + SIZE);
	pthread_join(a, NULL);
}

// A reader that sleeps since before the peer's first byte must not miss a promotion that the
// sending thread's traffic brings about.
static void duplex_client(struct link *l)
{
	enum { MESSAGES = 300, SIZE = 100 };
	struct half rx = {.l = l, .n = SIZE};
	pthread_t t = start(receive_half, &rx);
	until_half_asleep(&rx);
	for (int i = 0; i < MESSAGES; i++) {
		put(l, SIZE);
		EQ(ask(l, OP_RECV, SIZE), SIZE);
	}
	until_half_asleep(&rx);
	EQ(ask(l, OP_SEND, SIZE), SIZE);
	pthread_join(t, NULL);
	post(l, OP_ECHO, SIZE);
	put(l, SIZE);
	get(l, SIZE);
	EQ(answer(l), SIZE);
}

static void duplex_full_speed(struct link *l)
{
	enum { SIZE = 16 << 20 };
	struct half rx = {.l = l, .n = SIZE};
	pthread_t t = start(receive_half, &rx);
	post(l, OP_ECHO, 1);
	put(l, 1);
	EQ(answer(l), 1);
	for (int i = 0; i < 16; i++) {
		post(l, OP_RECV, 1 << 20);
		put(l, 1 << 20);
		EQ(answer(l), 1 << 20);
		EQ(ask(l, OP_SEND, (1 << 20) - (i == 15)), (1 << 20) - (i == 15));
	}
	pthread_join(t, NULL);
}

static void shutdown_wakes_recv(struct link *l)
{
	struct job j = {.fd = l->s};
	struct half rx = {.l = l, .n = 1};
	pthread_t t = start(receive_half, &rx);
	until_half_asleep(&rx);
	EQ(ask(l, OP_SEND, 1), 1);
	pthread_join(t, NULL);
	t = start(count_bytes, &j);
	must(shutdown(l->s, SHUT_RDWR));
	pthread_join(t, NULL);
	EQ(j.count, 0);
}

static void *poll_for_data(void *arg)
{
	struct half *h = arg;
	struct pollfd p = {h->l->s, POLLIN, 0};
	__atomic_store_n(&h->tid, gettid(), __ATOMIC_RELEASE);
	h->ready = poll(&p, 1, LONG);
	return NULL;
}

static void two_poll_at_once(struct link *l)
{
	struct half a = {.l = l}, b = {.l = l};
	pthread_t t = start(poll_for_data, &a), u = start(poll_for_data, &b);
	until_half_asleep(&a);
	until_half_asleep(&b);
	EQ(ask(l, OP_SEND, 8), 8);
	pthread_join(t, NULL);
	pthread_join(u, NULL);
	EQ(a.ready, 1);
	EQ(b.ready, 1);
}

static void *epoll_for_data(void *arg)
{
	struct half *h = arg;
	struct epoll_event e;
	__atomic_store_n(&h->tid, gettid(), __ATOMIC_RELEASE);
	h->ready = epoll_wait(h->n, &e, 1, LONG);
	return NULL;
}

// A level is everybody's: what stays ready after one waiter was told wakes the next, data and end.
static void two_epoll_at_once(struct link *l)
{
	int ep = must(epoll_create1(0));
	struct epoll_event e = {.events = EPOLLIN};
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	for (int end = 0; end < 2; end++) {
		struct half a = {.l = l, .n = ep}, b = {.l = l, .n = ep};
		pthread_t t = start(epoll_for_data, &a), u = start(epoll_for_data, &b);
		until_half_asleep(&a);
		until_half_asleep(&b);
		if (end)
			EQ(ask(l, OP_SHUT_WR, 0), 0);
		else
			EQ(ask(l, OP_SEND, 8), 8);
		pthread_join(t, NULL);
		pthread_join(u, NULL);
		EQ(a.ready, 1);
		EQ(b.ready, 1);
		if (!end)
			get(l, 8);
	}
}

static void hand_over(struct link *l)
{
	for (int i = 0; i < 50; i++) {
		struct half h = {.l = l, .n = 100};
		post(l, OP_ECHO, 100);
		pthread_join(start(send_half, &h), NULL);
		pthread_join(start(receive_half, &h), NULL);
		EQ(answer(l), 100);
	}
}

const struct check thread_checks[] = {
	{"threads_many_senders", many_senders, true},
	{"threads_many_receivers", many_receivers, false},
	{"threads_many_receivers_cold", many_receivers, true},
	{"threads_blocked_both_ways", blocked_both_ways, false},
	{"threads_duplex_client", duplex_client, true},
	{"threads_duplex_client_warm", duplex_client, false},
	{"threads_duplex_full_speed", duplex_full_speed, false},
	{"threads_duplex_full_speed_cold", duplex_full_speed, true},
	{"threads_shutdown_wakes_recv", shutdown_wakes_recv, false},
	{"threads_two_poll_at_once", two_poll_at_once, false},
	{"threads_two_epoll_at_once", two_epoll_at_once, false},
	{"threads_two_epoll_at_once_cold", two_epoll_at_once, true},
	{"threads_hand_over", hand_over, false},
	{0},
};
