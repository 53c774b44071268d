// SPDX-License-Identifier: Apache-2.0
// epoll sets with members of several kinds, registered before promotion, duplicated, nested, shared.
#include "contract.h"
#include <limits.h>

enum { SHORT = 30 };

static void add(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events, .data.u64 = data};
	must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
}

// members collects the data of all that one wait reports: a bit for each value below 32.
static uint32_t members(int ep, int ms)
{
	struct epoll_event e[16];
	uint32_t set = 0;
	int n = (int)must(epoll_wait(ep, e, 16, ms));
	for (int i = 0; i < n; i++)
		set |= 1u << e[i].data.u64;
	return set;
}

static void added_before_promotion(struct link *l)
{
	int ep = (int)must(epoll_create1(0));
	add(ep, l->s, EPOLLIN, 1);
	EQ(members(ep, SHORT), 0);
	warm_up(l);
	EQ(members(ep, SHORT), 0);
	for (int i = 0; i < 5; i++) {
		post_asleep(l, OP_SEND, 8);
		EQ(members(ep, LONG), 2);
		EQ(answer(l), 8);
		get(l, 8);
		EQ(members(ep, 0), 0);
	}
}

// Bytes make one edge in an outer set, however often and whenever the inner one is looked at.
static void edge_outside_once(struct link *l)
{
	struct link m;
	link_open(&m, l->peer_fd >= 0, l->client, l->v6);
	warm_up(&m);
	int inner = (int)must(epoll_create1(0)), outer = (int)must(epoll_create1(0));
	EQ(ask(l, OP_SEND, 10), 10);
	until_arrived(l->s, 10);
	add(inner, l->s, EPOLLIN, 1);
	add(inner, m.s, 0, 2);
	add(outer, inner, EPOLLIN | EPOLLET, 3);
	EQ(members(outer, 0), 1u << 3);
	EQ(members(outer, SHORT), 0);
	EQ(ask(&m, OP_SEND, 10), 10); // nobody asked for it
	until_arrived(m.s, 10);
	EQ(members(outer, SHORT), 0);
	link_close(&m);
}

static void mixed_members(struct link *l)
{
	int ep = (int)must(epoll_create1(0)), efd = (int)must(eventfd(0, EFD_NONBLOCK)), pfd[2], port;
	int ls = other_listener(l, &port);
	uint64_t one = 1;
	must(pipe(pfd));
	add(ep, pfd[0], EPOLLIN, 1);
	add(ep, efd, EPOLLIN | EPOLLET, 2);
	add(ep, ls, EPOLLIN, 3);
	add(ep, l->s, EPOLLIN, 4);
	EQ(members(ep, SHORT), 0);
	write_all(pfd[1], "x", 1);
	EQ(members(ep, LONG), 1u << 1);
	write_all(efd, &one, sizeof one);
	EQ(members(ep, LONG), 1u << 1 | 1u << 2);
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(l->s, 8);
	EQ(members(ep, LONG), 1u << 1 | 1u << 4);
	EQ(ask(l, OP_CONNECT, port), 0);
	until_event(ls, POLLIN);
	EQ(members(ep, LONG), 1u << 1 | 1u << 3 | 1u << 4);
	close(accept_one(ls));
	get(l, 8);
	char c;
	read_all(pfd[0], &c, 1);
	EQ(members(ep, SHORT), 0);
	post_asleep(l, OP_CONNECT, port);
	EQ(members(ep, LONG), 1u << 3);
	EQ(answer(l), 0);
	close(accept_one(ls));
	post_asleep(l, OP_SEND, 8);
	EQ(members(ep, LONG), 1u << 4);
	EQ(answer(l), 8);
}

static void fair_to_all(struct link *l)
{
	int ep = (int)must(epoll_create1(0)), pfd[2];
	struct epoll_event e;
	bool seen[3] = {false};
	must(pipe(pfd));
	add(ep, pfd[0], EPOLLIN, 1);
	add(ep, l->s, EPOLLIN, 2);
	write_all(pfd[1], "x", 1);
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(l->s, 8);
	for (int i = 0; i < 10; i++) {
		EQ(epoll_wait(ep, &e, 1, LONG), 1);
		seen[e.data.u64] = true;
	}
	EXPECT(seen[1] && seen[2]);
}

static void control_errors(struct link *l)
{
	struct epoll_event e = {.events = EPOLLIN};
	int ep = (int)must(epoll_create1(0));
	ERR(epoll_ctl(ep, EPOLL_CTL_MOD, l->s, &e), ENOENT);
	ERR(epoll_ctl(ep, EPOLL_CTL_DEL, l->s, NULL), ENOENT);
	add(ep, l->s, EPOLLIN, 1);
	ERR(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e), EEXIST);
	must(epoll_ctl(ep, EPOLL_CTL_DEL, l->s, NULL));
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(l->s, 8);
	EQ(members(ep, SHORT), 0);
	ERR(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e), EINVAL);
	ERR(epoll_wait(ep, &e, 0, 0), EINVAL);
	volatile int most = INT_MAX; // more than the compiler lets pass for one event
	ERR(epoll_wait(ep, &e, most, 0), EINVAL);
	ERR(epoll_wait(l->s, &e, 1, 0), EINVAL);
}

static void closed_member_leaves(struct link *l)
{
	int ep = (int)must(epoll_create1(0));
	add(ep, l->s, EPOLLIN | EPOLLOUT, 1);
	EQ(members(ep, 0), 2);
	must(close(l->s));
	l->s = -1;
	EQ(members(ep, SHORT), 0);
}

static void duplicate_keeps_member(struct link *l)
{
	int ep = (int)must(epoll_create1(0)), d = (int)must(dup(l->s));
	add(ep, l->s, EPOLLIN, 1);
	must(close(l->s));
	l->s = d;
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(d, 8);
	EQ(members(ep, LONG), 2);
	get(l, 8);
	EQ(members(ep, SHORT), 0);
}

// A registration outlives its number: the same number can join again, for something else.
static void number_joins_again(struct link *l)
{
	int ep = (int)must(epoll_create1(0)), d = (int)must(dup(l->s)), old = l->s, pfd[2];
	struct epoll_event e = {.events = EPOLLIN};
	must(pipe(pfd));
	add(ep, old, EPOLLIN | EPOLLOUT | EPOLLET, 1);
	EQ(members(ep, 0), 2);
	EQ(members(ep, SHORT), 0);
	must(close(old));
	l->s = d;
	ERR(epoll_ctl(ep, EPOLL_CTL_MOD, old, &e), EBADF);
	must(dup2(pfd[0], old));
	ERR(epoll_ctl(ep, EPOLL_CTL_DEL, old, NULL), ENOENT);
	add(ep, old, EPOLLIN, 2);
	write_all(pfd[1], "x", 1);
	EQ(members(ep, LONG), 1u << 2);
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(d, 8);
	EQ(members(ep, LONG), 1u << 1 | 1u << 2);
	EQ(members(ep, LONG), 1u << 2);
	get(l, 8);
	must(dup2(d, old)); // the pipe stays, too
	ERR(epoll_ctl(ep, EPOLL_CTL_ADD, old, &e), EEXIST);
	e = (struct epoll_event){.events = EPOLLIN, .data.u64 = 3};
	must(epoll_ctl(ep, EPOLL_CTL_MOD, old, &e));
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(d, 8);
	EQ(members(ep, LONG), 1u << 2 | 1u << 3);
	get(l, 8);
	must(close(old));
	EQ(ask(l, OP_CLOSE, 0), 0);
	until_event(d, POLLIN);
	EQ(members(ep, LONG), 1u << 2 | 1u << 3);
}

static void two_numbers_two_members(struct link *l)
{
	int ep = (int)must(epoll_create1(0)), d = (int)must(dup(l->s));
	add(ep, l->s, EPOLLIN, 1);
	add(ep, d, EPOLLIN, 2);
	post_asleep(l, OP_SEND, 8);
	uint32_t got = members(ep, LONG);
	EQ(answer(l), 8);
	until_arrived(l->s, 8);
	EXPECT(got != 0);
	EQ(members(ep, LONG), 1u << 1 | 1u << 2);
	must(close(d));
}

static void two_sets(struct link *l)
{
	int a = (int)must(epoll_create1(0)), b = (int)must(epoll_create1(0));
	add(a, l->s, EPOLLIN, 1);
	add(b, l->s, EPOLLIN | EPOLLET, 2);
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(l->s, 8);
	EQ(members(a, LONG), 1u << 1);
	EQ(members(b, LONG), 1u << 2);
	EQ(members(b, SHORT), 0);
	EQ(members(a, 0), 1u << 1);
	get(l, 8);
	EQ(members(a, SHORT), 0);
}

static void duplicated_set(struct link *l)
{
	int ep = (int)must(epoll_create1(0)), d = (int)must(dup(ep)), e = (int)must(fcntl(d, F_DUPFD, 0));
	add(d, l->s, EPOLLIN, 1);
	post_asleep(l, OP_SEND, 8);
	EQ(members(ep, LONG), 2);
	EQ(answer(l), 8);
	must(close(ep));
	EQ(members(d, LONG), 2);
	get(l, 8);
	EQ(members(e, SHORT), 0);
	must(close(d));
	post_asleep(l, OP_SEND, 8);
	EQ(members(e, LONG), 2);
	EQ(answer(l), 8);
	must(epoll_ctl(e, EPOLL_CTL_DEL, l->s, NULL));
	EQ(members(e, SHORT), 0);
}

// raw_dup duplicates where no library sees it, as exec and SCM_RIGHTS do.
static int raw_dup(int fd)
{
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"((long)SYS_dup), "D"((long)fd) : "rcx", "r11", "memory");
	return (int)must(r);
}

// A set of unknown origin may be refused, but does not wait in vain.
static void unknown_set(struct link *l)
{
	int ep = (int)must(epoll_create1(0)), d = raw_dup(ep);
	struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u64 = 1};
	if (epoll_ctl(d, EPOLL_CTL_ADD, l->s, &e) < 0) {
		EQ(errno, EPERM);
		return;
	}
	for (int i = 0; i < 3; i++) {
		post_asleep(l, OP_SEND, 8);
		EQ(members(d, LONG), 2);
		EQ(answer(l), 8);
		get(l, 8);
	}
}

static void nested_sets(struct link *l)
{
	int in = (int)must(epoll_create1(0)), out = (int)must(epoll_create1(0));
	add(in, l->s, EPOLLIN, 1);
	add(out, in, EPOLLIN, 2);
	EQ(members(out, SHORT), 0);
	post_asleep(l, OP_SEND, 8);
	EQ(members(out, LONG), 1u << 2);
	EQ(answer(l), 8);
	EQ(members(in, 0), 1u << 1);
	EQ(ready(in, POLLIN), POLLIN);
	get(l, 8);
	EQ(members(out, SHORT), 0);
	EQ(ready(in, POLLIN), 0);
}

static void set_in_poll(struct link *l)
{
	int ep = (int)must(epoll_create1(0));
	struct pollfd p = {ep, POLLIN, 0};
	add(ep, l->s, EPOLLIN, 1);
	EQ(poll(&p, 1, 0), 0);
	post_asleep(l, OP_SEND, 8);
	EQ(poll(&p, 1, LONG), 1);
	EQ(answer(l), 8);
	EQ(members(ep, 0), 2);
}

struct waiter { int ep; uint32_t got; };

static void *wait_in_thread(void *arg)
{
	struct waiter *w = arg;
	w->got = members(w->ep, LONG);
	return NULL;
}

static void added_while_another_waits(struct link *l)
{
	struct waiter w = {(int)must(epoll_create1(0)), 0};
	pthread_t t;
	EQ(pthread_create(&t, NULL, wait_in_thread, &w), 0);
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(l->s, 8);
	add(w.ep, l->s, EPOLLIN, 1);
	pthread_join(t, NULL);
	EQ(w.got, 2);
}

static void one_waiter_for_an_edge(struct link *l)
{
	struct waiter w[2] = {{(int)must(epoll_create1(0)), 0}};
	pthread_t t[2];
	w[1] = w[0];
	add(w[0].ep, l->s, EPOLLIN | EPOLLET, 1);
	EQ(pthread_create(&t[0], NULL, wait_in_thread, &w[0]), 0);
	EQ(ask(l, OP_SEND, 8), 8);
	pthread_join(t[0], NULL);
	EQ(w[0].got, 2);
	EQ(members(w[0].ep, SHORT), 0);
	EQ(pthread_create(&t[1], NULL, wait_in_thread, &w[1]), 0);
	EQ(ask(l, OP_SEND, 8), 8);
	pthread_join(t[1], NULL);
	EQ(w[1].got, 2);
}

// What nginx does in a long answer: the peer is known, but this direction is corked and so stays on
// TCP, and EPOLLOUT is asked for when the connection is full.
static void out_asked_for_when_full(struct link *l)
{
	int one = 1, ep = (int)must(epoll_create1(0));
	EQ(setsockopt(l->s, IPPROTO_TCP, TCP_CORK, &one, sizeof one), 0);
	for (int i = 0; i < 100; i++) {
		EQ(ask(l, OP_SEND, 8), 8);
		get(l, 8);
		nap_us(i < 20 ? 1000 : 0); // the monitor needs a processor now and then
	}
	add(ep, l->s, EPOLLIN | EPOLLET, 1);
	size_t n = stuff(l);
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u64 = 1};
	EQ(epoll_ctl(ep, EPOLL_CTL_MOD, l->s, &e), 0);
	post(l, OP_RECV, (long)n);
	EQ(epoll_wait(ep, &e, 1, LONG), 1);
	EQ(e.events, EPOLLOUT);
	EQ(answer(l), n);
}

// Who waits again and again, and is told of another each time, is told of an end as soon as it has come.
static void end_while_busy(struct link *l)
{
	static const uint32_t asked[] = {EPOLLRDHUP | EPOLLET, EPOLLIN | EPOLLET, EPOLLRDHUP, EPOLLIN};
	static const char ways[] = {OP_SHUT_WR, OP_CLOSE, OP_RESET};
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	add(ep, l->s, EPOLLIN, 0);
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(l->s, 8);
	for (size_t i = 0; i < 3 * sizeof ways * (sizeof asked / sizeof *asked); i++) {
		struct link other;
		link_open(&other, l->peer_fd >= 0, l->client, l->v6);
		warm_up(&other);
		add(ep, other.s, asked[i % (sizeof asked / sizeof *asked)], 1);
		struct pollfd done = {.fd = other.ctl, .events = POLLIN};
		uint32_t told = 0;
		post(&other, ways[i % sizeof ways], 0);
		for (int since = 0; since < 2; since += since || poll(&done, 1, 0) == 1)
			told |= members(ep, LONG);
		EQ(told, 3);
		EQ(answer(&other), 0);
		link_close(&other);
	}
}

const struct check epoll_more_checks[] = {
	{"epoll_added_before_promotion", added_before_promotion, true},
	{"epoll_mixed_members", mixed_members, false},
	{"epoll_mixed_members_cold", mixed_members, true},
	{"epoll_fair_to_all", fair_to_all, false},
	{"epoll_control_errors", control_errors, false},
	{"epoll_closed_member_leaves", closed_member_leaves, false},
	{"epoll_duplicate_keeps_member", duplicate_keeps_member, false},
	{"epoll_number_joins_again", number_joins_again, false},
	{"epoll_number_joins_again_cold", number_joins_again, true},
	{"epoll_two_numbers_two_members", two_numbers_two_members, false},
	{"epoll_two_sets", two_sets, false},
	{"epoll_duplicated_set", duplicated_set, false},
	{"epoll_duplicated_set_cold", duplicated_set, true},
	{"epoll_unknown_set", unknown_set, false},
	{"epoll_unknown_set_cold", unknown_set, true},
	{"epoll_edge_outside_once", edge_outside_once, false},
	{"epoll_nested_sets", nested_sets, false},
	{"epoll_set_in_poll", set_in_poll, false},
	{"epoll_added_while_another_waits", added_while_another_waits, false},
	{"epoll_one_waiter_for_an_edge", one_waiter_for_an_edge, false},
	{"epoll_end_while_busy", end_while_busy, false},
	{"epoll_out_asked_for_when_full", out_asked_for_when_full, false},
	{"epoll_out_asked_for_when_full_cold", out_asked_for_when_full, true},
	{0},
};
