// SPDX-License-Identifier: Apache-2.0
// How much a receive waits for: SO_RCVLOWAT, MSG_PEEK with MSG_WAITALL.
#include "contract.h"

static void low_water(struct link *l, int bytes)
{
	int got;
	socklen_t n = sizeof got;
	must(setsockopt(l->s, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes));
	must(getsockopt(l->s, SOL_SOCKET, SO_RCVLOWAT, &got, &n));
	EQ(got, bytes);
}

static void low_water_polls(struct link *l)
{
	struct epoll_event e = {.events = EPOLLIN}, got;
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	low_water(l, 100);
	for (int i = 0; i < 30; i++) {
		EQ(ask(l, OP_SEND, 50), 50);
		until_arrived(l->s, 50);
		EQ(ready(l->s, POLLIN), 0);
		EQ(epoll_wait(ep, &got, 1, 0), 0);
		EQ(ask(l, OP_SEND, 50), 50);
		until_event(l->s, POLLIN);
		EQ(epoll_wait(ep, &got, 1, LONG), 1);
		get(l, 100);
		EQ(ready(l->s, POLLIN), 0);
	}
	low_water(l, 1);
	EQ(ask(l, OP_SEND, 1), 1);
	until_event(l->s, POLLIN);
	get(l, 1);
}

static void low_water_edges(struct link *l)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLET}, got;
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	low_water(l, 100);
	for (int i = 0; i < 30; i++) {
		EQ(ask(l, OP_SEND, 50), 50);
		until_arrived(l->s, 50);
		EQ(epoll_wait(ep, &got, 1, 0), 0);
		post_asleep(l, OP_SEND, 50);
		EQ(epoll_wait(ep, &got, 1, LONG), 1);
		EQ(answer(l), 50);
		get(l, 100);
	}
}

// What comes below the mark is no edge, whatever else the member asks for. Not of a young connection: its move to rings is one.
static void low_water_is_no_edge(struct link *l)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET}, got;
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	EQ(epoll_wait(ep, &got, 1, LONG), 1);
	EQ(got.events, EPOLLOUT);
	low_water(l, 100);
	EQ(epoll_wait(ep, &got, 1, 0), 0);
	for (int i = 0; i < 30; i++) {
		for (int k = 1; k <= 3; k++) {
			EQ(ask(l, OP_SEND, 30), 30);
			until_arrived(l->s, (size_t)k * 30);
			EQ(epoll_wait(ep, &got, 1, 0), 0);
		}
		EQ(ask(l, OP_SEND, 10), 10);
		until_event(l->s, POLLIN);
		EQ(epoll_wait(ep, &got, 1, LONG), 1);
		EQ(got.events, EPOLLIN | EPOLLOUT);
		get(l, 100);
		EQ(epoll_wait(ep, &got, 1, 0), 0);
	}
}

// Its sender goes back to TCP when half of what the mark asks for has come: who sleeps hears of the rest.
static void low_water_and_urgent(struct link *l, int how)
{
	uint8_t b[16];
	int on = 1;
	struct epoll_event e = {.events = EPOLLIN | (how == 2 ? EPOLLET : 0)}, got;
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	must(setsockopt(l->s, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
	low_water(l, 10);
	EQ(ask(l, OP_SEND, 5), 5);
	EQ(ask(l, OP_URGENT, 0), 1);
	until_event(l->s, POLLPRI);
	EQ(ready(l->s, POLLIN), 0);
	EQ(epoll_wait(ep, &got, 1, 0), 0);
	post_asleep(l, OP_SEND, 5);
	struct pollfd p = {l->s, POLLIN, 0};
	EQ(how == 0 ? poll(&p, 1, LONG) : epoll_wait(ep, &got, 1, LONG), 1);
	EQ(answer(l), 5);
	EQ(ready(l->s, POLLIN), POLLIN);
	EQ(recv(l->s, b, 11, 0), 5); // up to the urgent byte
	EQ(recv(l->s, b + 5, 6, MSG_WAITALL), 6);
	verify(l, b, 11);
}

static void low_water_and_urgent_polls(struct link *l) { low_water_and_urgent(l, 0); }
static void low_water_and_urgent_level(struct link *l) { low_water_and_urgent(l, 1); }
static void low_water_and_urgent_edge(struct link *l) { low_water_and_urgent(l, 2); }

// A receive that sleeps is woken when as much as the mark has come, however little it still wants.
static void low_water_receives(struct link *l)
{
	uint8_t b[400];
	low_water(l, 100);
	for (int i = 0; i < 30; i++) {
		post_asleep(l, OP_SEND, 100);
		EQ(recv(l->s, b, sizeof b, 0), 100);
		verify(l, b, 100);
		EQ(answer(l), 100);
		EQ(ask(l, OP_SEND, 50), 50);
		until_arrived(l->s, 50);
		post_asleep(l, OP_SEND, 100);
		EQ(recv(l->s, b, sizeof b, 0), 150);
		verify(l, b, 150);
		EQ(answer(l), 100);
		EQ(ask(l, OP_SEND, 30), 30);
		until_arrived(l->s, 30);
		EQ(recv(l->s, b, 20, 0), 20);
		EQ(recv(l->s, b + 20, sizeof b - 20, MSG_DONTWAIT), 10);
		verify(l, b, 30);
		put(l, 8);
		EQ(ask(l, OP_RECV, 8), 8);
	}
}

static void low_water_ends_at_eof(struct link *l)
{
	uint8_t b[400];
	low_water(l, 100);
	EQ(ask(l, OP_SEND, 10), 10);
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	until_event(l->s, POLLIN);
	EQ(recv(l->s, b, sizeof b, 0), 10);
	verify(l, b, 10);
	EQ(recv(l->s, b, sizeof b, 0), 0);
}

static void peek_waits_for_all(struct link *l)
{
	enum { SIZE = 20000 };
	static uint8_t b[SIZE];
	for (int i = 0; i < 5; i++) {
		EQ(ask(l, OP_SEND, SIZE / 2), SIZE / 2);
		until_arrived(l->s, SIZE / 2);
		EQ(recv(l->s, b, SIZE, MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT), SIZE / 2);
		post_asleep(l, OP_SEND, SIZE / 2);
		EQ(recv(l->s, b, SIZE, MSG_PEEK | MSG_WAITALL), SIZE);
		EQ(stream_check(2, l->rx, b, SIZE), SIZE);
		EQ(answer(l), SIZE / 2);
		get(l, SIZE);
		put(l, 8);
		EQ(ask(l, OP_RECV, 8), 8);
	}
	EQ(ask(l, OP_SEND, 5), 5);
	post_asleep(l, OP_SHUT_WR, 0);
	EQ(recv(l->s, b, 20, MSG_PEEK | MSG_WAITALL), 5);
	EQ(answer(l), 0);
	get(l, 5);
	EQ(recv(l->s, b, 20, MSG_PEEK | MSG_WAITALL), 0);
}

static void exclusive_member(struct link *l)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE}, got;
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	for (int i = 0; i < 100; i++) {
		EQ(epoll_wait(ep, &got, 1, 0), 0);
		EQ(ask(l, OP_SEND, 10), 10);
		EQ(epoll_wait(ep, &got, 1, LONG), 1);
		EQ(got.events, EPOLLIN);
		get(l, 10);
	}
	ERR(epoll_ctl(ep, EPOLL_CTL_MOD, l->s, &e), EINVAL);
	ERR(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e), EEXIST);
	must(epoll_ctl(ep, EPOLL_CTL_DEL, l->s, NULL));
	e.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
	ERR(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e), EINVAL);
	EQ(ask(l, OP_SEND, 10), 10);
	EQ(epoll_wait(ep, &got, 1, 0), 0);
	get(l, 10);
}

struct waiter { pthread_t thread; int ep, count; };

static void *count_one(void *arg)
{
	struct waiter *w = arg;
	struct epoll_event e;
	w->count = epoll_wait(w->ep, &e, 1, LONG);
	return NULL;
}

// Of several sets one at least is woken; the rest stay asleep or wake, and all are woken in the end.
static void exclusive_wakes_one(struct link *l)
{
	enum { N = 3 };
	struct waiter w[N];
	for (int i = 0; i < N; i++) {
		struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE};
		w[i].ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
		must(epoll_ctl(w[i].ep, EPOLL_CTL_ADD, l->s, &e));
	}
	struct pollfd p = {eventfd(0, EFD_CLOEXEC), POLLIN, 0};
	for (int i = 0; i < N; i++) { // an eventfd as a second member ends those who sleep on
		struct epoll_event e = {.events = EPOLLIN};
		must(epoll_ctl(w[i].ep, EPOLL_CTL_ADD, p.fd, &e));
		EQ(pthread_create(&w[i].thread, NULL, count_one, &w[i]), 0);
	}
	EQ(ask(l, OP_SEND, 10), 10);
	until_event(l->s, POLLIN);
	must(eventfd_write(p.fd, 1));
	for (int i = 0; i < N; i++) {
		EQ(pthread_join(w[i].thread, NULL), 0);
		EQ(w[i].count, 1);
	}
	get(l, 10);
}

const struct check mark_checks[] = {
	{"mark_low_water_polls", low_water_polls, false},
	{"mark_low_water_polls_cold", low_water_polls, true},
	{"mark_low_water_edges", low_water_edges, false},
	{"mark_low_water_edges_cold", low_water_edges, true},
	{"mark_low_water_receives", low_water_receives, false},
	{"mark_low_water_receives_cold", low_water_receives, true},
	{"mark_low_water_ends_at_eof", low_water_ends_at_eof, false},
	{"mark_low_water_ends_at_eof_cold", low_water_ends_at_eof, true},
	{"mark_peek_waits_for_all", peek_waits_for_all, false},
	{"mark_peek_waits_for_all_cold", peek_waits_for_all, true},
	{"mark_exclusive_member", exclusive_member, false},
	{"mark_exclusive_member_cold", exclusive_member, true},
	{"mark_exclusive_wakes_one", exclusive_wakes_one, false},
	{"mark_exclusive_wakes_one_cold", exclusive_wakes_one, true},
	{"mark_low_water_is_no_edge", low_water_is_no_edge, false},
	{"mark_low_water_and_urgent_polls", low_water_and_urgent_polls, false},
	{"mark_low_water_and_urgent_polls_cold", low_water_and_urgent_polls, true},
	{"mark_low_water_and_urgent_level", low_water_and_urgent_level, false},
	{"mark_low_water_and_urgent_level_cold", low_water_and_urgent_level, true},
	{"mark_low_water_and_urgent_edge", low_water_and_urgent_edge, false},
	{"mark_low_water_and_urgent_edge_cold", low_water_and_urgent_edge, true},
	{0},
};
