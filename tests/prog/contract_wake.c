// SPDX-License-Identifier: Apache-2.0
// Who sleeps is woken by what another thread does, and by less than it waits for.
#include "contract.h"

static void low_water(struct link *l, int bytes)
{
	must(setsockopt(l->s, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes));
}

static void receive_timeout(struct link *l, long us)
{
	struct timeval t = {0, us};
	must(setsockopt(l->s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
}

// At its time-out a receive returns what has come, though it is less than SO_RCVLOWAT.
static void time_out_below_the_mark(struct link *l)
{
	uint8_t b[400];
	low_water(l, 100);
	receive_timeout(l, 900000); // the peer may be slow
	for (int i = 0; i < 3; i++) {
		post_asleep(l, OP_SEND, 50);
		EQ(recv(l->s, b, sizeof b, 0), 50);
		EQ(answer(l), 50);
		verify(l, b, 50);
	}
}

static void lower(struct link *l) { low_water(l, 1); }
static void shut(struct link *l) { must(shutdown(l->s, SHUT_WR)); }

static void mark_lowered(struct link *l)
{
	struct epoll_event e = {.events = EPOLLIN}, got;
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	for (int i = 0; i < 6; i++) {
		struct pollfd p = {l->s, POLLIN, 0};
		low_water(l, 100);
		EQ(ask(l, OP_SEND, 50), 50);
		until_arrived(l->s, 50);
		struct deed *d = meanwhile(l, lower);
		EQ(i % 2 ? poll(&p, 1, LONG) : epoll_wait(ep, &got, 1, LONG), 1);
		joined(d);
		get(l, 50);
	}
}

static void shut_while_polled(struct link *l)
{
	struct pollfd p = {l->s, POLLOUT, 0};
	stuff(l);
	struct deed *d = meanwhile(l, shut);
	EQ(poll(&p, 1, LONG), 1);
	EQ(p.revents, POLLOUT);
	joined(d);
}

static void shut_while_sending(struct link *l)
{
	uint8_t b[8] = {0};
	stuff(l);
	struct deed *d = meanwhile(l, shut);
	ERR(send(l->s, b, sizeof b, MSG_NOSIGNAL), EPIPE);
	joined(d);
}

// A set within a set tells of room that a modification asks for.
static void nested_room(struct link *l)
{
	struct epoll_event e = {.events = EPOLLIN}, got;
	int inner = (int)must(epoll_create1(EPOLL_CLOEXEC)), outer = (int)must(epoll_create1(EPOLL_CLOEXEC));
	must(epoll_ctl(inner, EPOLL_CTL_ADD, l->s, &e));
	must(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &e));
	size_t n = stuff(l);
	e.events = EPOLLIN | EPOLLOUT;
	must(epoll_ctl(inner, EPOLL_CTL_MOD, l->s, &e));
	EQ(epoll_wait(outer, &got, 1, 0), 0);
	post_asleep(l, OP_RECV, (long)n);
	EQ(epoll_wait(outer, &got, 1, LONG), 1);
	EQ(answer(l), (long)n);
	EQ(epoll_wait(inner, &got, 1, 0), 1);
	EQ(got.events, EPOLLOUT);
}

// Sets within sets, more of them than watch one connection by name: each is told, and who polls one.
static void many_nested(struct link *l)
{
	enum { MANY = 6 };
	struct epoll_event e = {.events = EPOLLIN}, got;
	int inner[MANY], outer[MANY];
	for (int i = 0; i < MANY; i++) {
		inner[i] = (int)must(epoll_create1(EPOLL_CLOEXEC));
		outer[i] = (int)must(epoll_create1(EPOLL_CLOEXEC));
		must(epoll_ctl(inner[i], EPOLL_CTL_ADD, l->s, &e));
		must(epoll_ctl(outer[i], EPOLL_CTL_ADD, inner[i], &e));
	}
	for (int i = 0; i < 2 * MANY; i++) {
		struct pollfd p = {inner[i / 2], POLLIN, 0};
		EQ(epoll_wait(outer[i / 2], &got, 1, 0), 0);
		post_asleep(l, OP_SEND, 8);
		EQ(i % 2 ? poll(&p, 1, LONG) : epoll_wait(outer[i / 2], &got, 1, LONG), 1);
		EQ(answer(l), 8);
		EQ(epoll_wait(inner[i / 2], &got, 1, 0), 1);
		get(l, 8);
	}
}

static int set;

static void close_set(struct link *l)
{
	must(close(set));
	EQ(ask(l, OP_SEND, 8), 8);
}

// Who sleeps on a set whose number is closed is told of its members all the same.
static void closed_set(struct link *l)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = 7}, got;
	for (int i = 0; i < 4; i++) {
		set = (int)must(epoll_create1(EPOLL_CLOEXEC));
		must(epoll_ctl(set, EPOLL_CTL_ADD, l->s, &e));
		struct deed *d = meanwhile(l, close_set);
		EQ(epoll_wait(set, &got, 1, LONG), 1);
		EQ(got.data.u32, 7);
		joined(d);
		get(l, 8);
		ERR(epoll_wait(set, &got, 1, 0), EBADF);
	}
}

struct uses { _Atomic int set, stop, s; };

static void *use_sets(void *arg)
{
	struct uses *u = arg;
	for (unsigned i = 0; !u->stop; i++) {
		struct epoll_event e = {.events = EPOLLIN};
		struct pollfd p = {u->set, POLLIN, 0};
		if (i % 3 == 0)
			epoll_wait(p.fd, &e, 1, 0);
		else if (i % 3 == 1)
			epoll_ctl(p.fd, EPOLL_CTL_MOD, u->s, &e);
		else
			poll(&p, 1, 0);
	}
	return NULL;
}

// One thread makes and closes sets that others use at the same time: each call succeeds or fails, and nothing else happens.
static void sets_come_and_go(struct link *l)
{
	enum { USERS = 3, ROUNDS = 5000 };
	struct uses u = {.set = -1, .s = l->s};
	struct epoll_event e = {.events = EPOLLIN}, got;
	pthread_t t[USERS];
	for (int i = 0; i < USERS; i++)
		EQ(pthread_create(&t[i], NULL, use_sets, &u), 0);
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(l->s, 8);
	for (int i = 0; i < ROUNDS; i++) {
		u.set = (int)must(epoll_create1(EPOLL_CLOEXEC));
		must(epoll_ctl(u.set, EPOLL_CTL_ADD, l->s, &e));
		EQ(epoll_wait(u.set, &got, 1, 0), 1);
		must(close(u.set));
	}
	u.stop = 1;
	for (int i = 0; i < USERS; i++)
		EQ(pthread_join(t[i], NULL), 0);
	get(l, 8);
}

// POLLRDNORM alone is POLLIN, by ring and by TCP.
static void normal_bytes(struct link *l)
{
	uint8_t b[4];
	for (int i = 0; i < 6; i++) {
		struct pollfd p = {l->s, POLLRDNORM, 0};
		post_asleep(l, OP_SEND, 8);
		EQ(poll(&p, 1, LONG), 1);
		EQ(p.revents, POLLRDNORM);
		EQ(answer(l), 8);
		get(l, 8);
		if (i == 2) {
			EQ(ask(l, OP_URGENT, 0), 1);
			until_event(l->s, POLLPRI);
			EQ(recv(l->s, b, 1, MSG_OOB), 1);
			verify(l, b, 1);
		}
	}
}

// A receive of nothing waits for something to come, be it urgent.
static void nothing_asked_for(struct link *l)
{
	uint8_t b[4];
	for (int flags = 0; flags <= MSG_PEEK; flags += MSG_PEEK) {
		post_asleep(l, OP_URGENT, 0);
		EQ(recv(l->s, b, 0, flags), 0);
		EQ(answer(l), 1);
		EQ(recv(l->s, b, 1, MSG_OOB), 1);
		verify(l, b, 1);
		ERR(recv(l->s, b, 1, MSG_DONTWAIT), EAGAIN);
	}
}

// What came below the mark, and an urgent byte behind it, end a peek that slept before an earlier urgent byte.
static void second_urgent_byte(struct link *l)
{
	uint8_t b[64];
	EQ(ask(l, OP_URGENT, 0), 1);
	until_event(l->s, POLLPRI);
	EQ(recv(l->s, b, 1, MSG_OOB | MSG_PEEK), 1);
	low_water(l, 50);
	post_asleep(l, OP_SEND, 5);
	post(l, OP_URGENT, 0);
	EQ(recv(l->s, b, 10, MSG_PEEK), 5); // the first byte is passed over
	EQ(answer(l), 5);
	EQ(answer(l), 1);
}

const struct check wake_checks[] = {
	{"wake_time_out_below_the_mark", time_out_below_the_mark, false},
	{"wake_time_out_below_the_mark_cold", time_out_below_the_mark, true},
	{"wake_mark_lowered", mark_lowered, false},
	{"wake_mark_lowered_cold", mark_lowered, true},
	{"wake_shut_while_polled", shut_while_polled, false},
	{"wake_shut_while_sending", shut_while_sending, false},
	{"wake_nested_room", nested_room, false},
	{"wake_nested_room_cold", nested_room, true},
	{"wake_many_nested", many_nested, false},
	{"wake_many_nested_cold", many_nested, true},
	{"wake_closed_set", closed_set, false},
	{"wake_closed_set_cold", closed_set, true},
	{"wake_sets_come_and_go", sets_come_and_go, false},
	{"wake_normal_bytes", normal_bytes, false},
	{"wake_normal_bytes_cold", normal_bytes, true},
	{"wake_nothing_asked_for", nothing_asked_for, false},
	{"wake_nothing_asked_for_cold", nothing_asked_for, true},
	{"wake_second_urgent_byte", second_urgent_byte, false},
	{"wake_second_urgent_byte_cold", second_urgent_byte, true},
	{0},
};
