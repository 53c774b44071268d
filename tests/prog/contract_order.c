// SPDX-License-Identifier: Apache-2.0
// In which order one epoll set tells of several connections: nobody sees the second of two events without the
// first, nor before it.
#include "contract.h"

enum { MANY = 6, ROUNDS = 30 };

static void add(int ep, struct link *l, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events, .data.u64 = data};
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
}

// acknowledge keeps Nagle's algorithm from holding back what the peer sends next.
static void acknowledge(struct link *l)
{
	put(l, 8);
	EQ(ask(l, OP_RECV, 8), 8);
}

static void more(struct link *l, struct link *like, bool warm)
{
	link_open(l, like->peer_fd >= 0, like->client, like->v6);
	if (warm)
		warm_up(l);
	acknowledge(l);
}

static void arrive(struct link *l)
{
	EQ(ask(l, OP_SEND, 8), 8);
}

// after_urgent has had a byte of urgent data: libsd.so leaves the rings for that, and does not come back.
static void after_urgent(struct link *l)
{
	char c;
	EQ(ask(l, OP_URGENT, 1), 1);
	until_event(l->s, POLLPRI);
	EQ(recv(l->s, &c, 1, MSG_OOB), 1);
	verify(l, &c, 1);
	arrive(l); // what can be read is counted up to the mark
	get(l, 8);
	acknowledge(l);
}

static void quiet(int ep)
{
	struct epoll_event e;
	EQ(epoll_wait(ep, &e, 1, 0), 0);
}

// told waits once and expects these, in this order.
static void told(int ep, const int *want, int n)
{
	struct epoll_event e[MANY + 2];
	EQ(epoll_wait(ep, e, MANY + 2, LONG), n);
	for (int i = 0; i < n; i++)
		EQ(e[i].data.u64, want[i]);
}

// in_order: every nth has had urgent data.
static void in_order(struct link *l, uint32_t flags, int nth)
{
	struct link m[MANY];
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	uint32_t dice = 1;
	for (int i = 0; i < MANY; i++) {
		more(&m[i], l, true);
		if (i % nth == nth - 1)
			after_urgent(&m[i]);
		add(ep, &m[i], EPOLLIN | flags, (uint64_t)i);
	}
	quiet(ep);
	for (int round = 0; round < ROUNDS; round++) {
		int order[MANY];
		for (int i = 0; i < MANY; i++) {
			dice = dice * 1664525 + 1013904223;
			int j = (int)((dice >> 16) % (uint32_t)(i + 1));
			order[i] = order[j];
			order[j] = i;
		}
		for (int i = 0; i < MANY; i++)
			arrive(&m[order[i]]);
		for (int i = 0; i < MANY; i++)
			until_arrived(m[i].s, 8);
		told(ep, order, MANY);
		for (int i = 0; i < MANY; i++) {
			get(&m[i], 8);
			acknowledge(&m[i]);
		}
		quiet(ep);
	}
	for (int i = 0; i < MANY; i++)
		link_close(&m[i]);
}

static void of_levels(struct link *l) { in_order(l, 0, MANY + 1); }
static void of_edges(struct link *l) { in_order(l, EPOLLET, MANY + 1); }
static void of_both_paths(struct link *l) { in_order(l, 0, 2); }
static void of_edges_of_both_paths(struct link *l) { in_order(l, EPOLLET, 2); }

// A young connection has not left TCP when the old one's bytes come by its ring.
static void young_before_old(struct link *l)
{
	static const int want[] = {1, 0};
	acknowledge(l);
	for (int round = 0; round < ROUNDS; round++) {
		struct link young;
		int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
		more(&young, l, false);
		add(ep, l, EPOLLIN, 0);
		add(ep, &young, EPOLLIN, 1);
		quiet(ep);
		arrive(&young);
		until_arrived(young.s, 8);
		arrive(l);
		until_arrived(l->s, 8);
		told(ep, want, 2);
		get(l, 8);
		acknowledge(l);
		get(&young, 8);
		link_close(&young);
		close(ep);
	}
}

// Nor does one that has always something hide the end of another.
static void end_beside_bytes(struct link *l)
{
	struct link other;
	struct epoll_event e[2];
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	more(&other, l, true);
	add(ep, l, EPOLLIN, 0);
	add(ep, &other, EPOLLIN | EPOLLRDHUP, 1);
	arrive(l);
	until_arrived(l->s, 8);
	for (int i = 0; i < 3; i++)
		EQ(epoll_wait(ep, e, 2, LONG), 1);
	EQ(ask(&other, OP_SHUT_WR, 0), 0);
	until_event(other.s, POLLRDHUP);
	EQ(epoll_wait(ep, e, 2, LONG), 2);
	link_close(&other);
}

const struct check order_checks[] = {
	{"epoll_in_order", of_levels, false},
	{"epoll_in_order_edges", of_edges, false},
	{"epoll_in_order_on_both_paths", of_both_paths, false},
	{"epoll_in_order_of_edges_on_both_paths", of_edges_of_both_paths, false},
	{"epoll_young_before_old", young_before_old, false},
	{"epoll_end_beside_bytes", end_beside_bytes, false},
	{0},
};
