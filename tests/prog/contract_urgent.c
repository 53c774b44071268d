// SPDX-License-Identifier: Apache-2.0
// Urgent data: who waits is told of it, and a receive that waits for more ends before it.
#include "contract.h"

static void wakes_poll(struct link *l)
{
	uint8_t b[4];
	for (int i = 0; i < 3; i++) {
		struct pollfd p = {l->s, POLLPRI, 0};
		post_asleep(l, OP_URGENT, 0);
		EQ(poll(&p, 1, LONG), 1);
		EQ(p.revents, POLLPRI);
		EQ(answer(l), 1);
		EQ(recv(l->s, b, 1, MSG_OOB), 1);
		verify(l, b, 1);
		EQ(poll(&p, 1, 0), 0);
		ERR(recv(l->s, b, 1, MSG_DONTWAIT), EAGAIN); // which leaves it behind
	}
}

static void wakes_select(struct link *l)
{
	uint8_t b[4];
	fd_set x;
	FD_ZERO(&x);
	FD_SET(l->s, &x);
	post_asleep(l, OP_URGENT, 0);
	EQ(select(l->s + 1, NULL, NULL, &x, NULL), 1);
	EQ(FD_ISSET(l->s, &x), true);
	EQ(answer(l), 1);
	EQ(recv(l->s, b, 1, MSG_OOB), 1);
	verify(l, b, 1);
}

static void wakes_epoll(struct link *l, uint32_t flags)
{
	uint8_t b[4];
	struct epoll_event e = {.events = EPOLLPRI | flags}, got;
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	for (int i = 0; i < 3; i++) {
		post_asleep(l, OP_URGENT, 0);
		EQ(epoll_wait(ep, &got, 1, LONG), 1);
		EQ(got.events, EPOLLPRI);
		EQ(answer(l), 1);
		EQ(recv(l->s, b, 1, MSG_OOB), 1);
		verify(l, b, 1);
		EQ(epoll_wait(ep, &got, 1, 0), 0);
		ERR(recv(l->s, b, 1, MSG_DONTWAIT), EAGAIN);
	}
}

static void wakes_epoll_level(struct link *l) { wakes_epoll(l, 0); }
static void wakes_epoll_edge(struct link *l) { wakes_epoll(l, EPOLLET); }

static void ends_what_waits_for_all(struct link *l)
{
	uint8_t b[64];
	for (int i = 0; i < 3; i++) {
		EQ(ask(l, OP_SEND, 10), 10);
		EQ(ask(l, OP_URGENT, 0), 1);
		EQ(ask(l, OP_SEND, 10), 10);
		until_event(l->s, POLLPRI);
		until_arrived(l->s, 10);
		EQ(recv(l->s, b, 21, MSG_PEEK | MSG_WAITALL), 10);
		EQ(recv(l->s, b, 21, MSG_WAITALL), 10);
		EQ(recv(l->s, b + 10, 1, MSG_OOB), 1);
		EQ(recv(l->s, b + 11, 10, MSG_WAITALL), 10);
		verify(l, b, 21);
	}
}

static void in_line_ends_a_peek(struct link *l)
{
	uint8_t b[64];
	int on = 1;
	must(setsockopt(l->s, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
	for (int i = 0; i < 3; i++) {
		EQ(ask(l, OP_SEND, 10), 10);
		until_arrived(l->s, 10);
		post_asleep(l, OP_URGENT, 0);
		EQ(recv(l->s, b, 64, MSG_PEEK | MSG_WAITALL), 10);
		EQ(answer(l), 1);
		EQ(ask(l, OP_SEND, 10), 10);
		until_arrived(l->s, 21);
		EQ(recv(l->s, b, 64, MSG_PEEK | MSG_WAITALL), 10);
		EQ(recv(l->s, b, 10, 0), 10);
		EQ(recv(l->s, b + 10, 11, MSG_PEEK | MSG_WAITALL), 11);
		EQ(recv(l->s, b + 10, 11, MSG_WAITALL), 11);
		verify(l, b, 21);
	}
}

// A receive that has some bytes and sleeps for more returns them when the next is urgent.
static void ends_what_sleeps(struct link *l)
{
	uint8_t b[64];
	for (int i = 0; i < 3; i++) {
		EQ(ask(l, OP_SEND, 10), 10);
		until_arrived(l->s, 10);
		post_asleep(l, OP_URGENT, 0);
		EQ(recv(l->s, b, 20, MSG_WAITALL), 10);
		EQ(answer(l), 1);
		EQ(recv(l->s, b + 10, 1, MSG_OOB), 1);
		verify(l, b, 11);
		ERR(recv(l->s, b, 1, MSG_DONTWAIT), EAGAIN);
	}
}

static uint64_t processor_ns(void)
{
	struct timespec t;
	must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t));
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

// An urgent byte that nobody takes, and that no receive without MSG_OOB would, leaves a receive asleep.
static void leaves_asleep(struct link *l, int flags)
{
	uint8_t b[64];
	struct timeval t = {0, 100000};
	EQ(ask(l, OP_URGENT, 0), 1);
	until_event(l->s, POLLPRI);
	EQ(recv(l->s, b, 1, MSG_OOB | MSG_PEEK), 1);
	must(setsockopt(l->s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	uint64_t start = processor_ns();
	ERR(recv(l->s, b, 10, flags), EAGAIN);
	EXPECT(processor_ns() - start < 10000000); // of 100 ms
	must(setsockopt(l->s, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0}, sizeof t));
	post_asleep(l, OP_SEND, 10);
	EQ(recv(l->s, b + 1, 10, flags), 10);
	EQ(answer(l), 10);
	verify(l, b, 11);
}

static void leaves_asleep_who_reads(struct link *l) { leaves_asleep(l, 0); }
static void leaves_asleep_who_peeks(struct link *l) { leaves_asleep(l, MSG_PEEK); }

// What has hung up shows in no set of select that looks for urgent data alone, and ends no wait.
static void select_sleeps_on_what_hung_up(struct link *l)
{
	struct timeval t = {0, 50000};
	fd_set x;
	FD_ZERO(&x);
	FD_SET(l->s, &x);
	EQ(ask(l, OP_CLOSE, 0), 0);
	must(shutdown(l->s, SHUT_RDWR));
	until_event(l->s, POLLHUP);
	uint64_t start = now_ns();
	EQ(select(l->s + 1, NULL, NULL, &x, &t), 0);
	EXPECT(now_ns() - start >= 50000000);
	EQ(FD_ISSET(l->s, &x), false);
}

struct asker { int fd; bool over; };

static void *asks(void *arg)
{
	struct asker *a = arg;
	struct pollfd p = {a->fd, POLLIN, 0};
	int n;
	while (!__atomic_load_n(&a->over, __ATOMIC_RELAXED)) {
		must(poll(&p, 1, 0));
		must(ioctl(a->fd, FIONREAD, &n));
	}
	return NULL;
}

// Threads that ask what there is, of a connection that has begun and had an urgent byte, leave no option changed.
static void leaves_options(struct link *l)
{
	enum { ROUNDS = 10, THREADS = 3, BYTES = 5000 };
	for (int round = 0; round < ROUNDS; round++) {
		struct link young;
		pthread_t t[THREADS];
		uint8_t b;
		link_open(&young, l->peer_fd >= 0, l->client, l->v6);
		put(&young, 8);
		EQ(ask(&young, OP_RECV, 8), 8);
		EQ(ask(&young, OP_SEND, 8), 8);
		get(&young, 8);
		put(&young, 8);
		EQ(ask(&young, OP_RECV, 8), 8);
		usleep(3000);
		EQ(ask(&young, OP_SEND, BYTES), BYTES);
		EQ(ask(&young, OP_URGENT, 0), 1);
		until_event(young.s, POLLPRI);
		struct asker a = {.fd = young.s};
		for (int i = 0; i < THREADS; i++)
			EQ(pthread_create(&t[i], NULL, asks, &a), 0);
		usleep(20000);
		__atomic_store_n(&a.over, true, __ATOMIC_RELAXED);
		for (int i = 0; i < THREADS; i++)
			pthread_join(t[i], NULL);
		EQ(get_number(young.s, SOL_SOCKET, SO_OOBINLINE), 0);
		EQ(get_number(young.s, IPPROTO_TCP, TCP_INQ), 0);
		get(&young, BYTES);
		EQ(recv(young.s, &b, 1, MSG_OOB), 1);
		verify(&young, &b, 1);
		link_close(&young);
	}
}

const struct check urgent_checks[] = {
	{"urgent_wakes_poll", wakes_poll, false},
	{"urgent_wakes_poll_cold", wakes_poll, true},
	{"urgent_wakes_select", wakes_select, false},
	{"urgent_wakes_select_cold", wakes_select, true},
	{"urgent_wakes_epoll_level", wakes_epoll_level, false},
	{"urgent_wakes_epoll_level_cold", wakes_epoll_level, true},
	{"urgent_wakes_epoll_edge", wakes_epoll_edge, false},
	{"urgent_wakes_epoll_edge_cold", wakes_epoll_edge, true},
	{"urgent_ends_what_waits_for_all", ends_what_waits_for_all, false},
	{"urgent_ends_what_waits_for_all_cold", ends_what_waits_for_all, true},
	{"urgent_ends_what_sleeps", ends_what_sleeps, false},
	{"urgent_ends_what_sleeps_cold", ends_what_sleeps, true},
	{"urgent_leaves_asleep_who_reads", leaves_asleep_who_reads, false},
	{"urgent_leaves_asleep_who_reads_cold", leaves_asleep_who_reads, true},
	{"urgent_leaves_asleep_who_peeks", leaves_asleep_who_peeks, false},
	{"urgent_leaves_asleep_who_peeks_cold", leaves_asleep_who_peeks, true},
	{"urgent_leaves_options", leaves_options, false},
	{"urgent_select_sleeps_on_what_hung_up", select_sleeps_on_what_hung_up, false},
	{"urgent_select_sleeps_on_what_hung_up_cold", select_sleeps_on_what_hung_up, true},
	{"urgent_in_line_ends_a_peek", in_line_ends_a_peek, false},
	{"urgent_in_line_ends_a_peek_cold", in_line_ends_a_peek, true},
	{0},
};
