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

// deliver returns when what arrives can be read.
static void deliver(struct link *l)
{
	arrive(l);
	until_arrived(l->s, 8);
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

// What became ready first stays first when more of it comes, by TCP, after something else.
static void more_of_the_first(struct link *l, uint32_t flags, enum op op)
{
	static const int want[] = {0, 1};
	struct link m, o;
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	more(&m, l, true);
	more(&o, l, true);
	after_urgent(&m);
	add(ep, &m, EPOLLIN | flags, 0);
	add(ep, &o, EPOLLIN | flags, 1);
	quiet(ep);
	for (int round = 0; round < ROUNDS; round++) {
		deliver(&m);
		deliver(&o);
		bool last = round == ROUNDS - 1;
		if (op == OP_SEND || !last) {
			arrive(&m);
			until_arrived(m.s, 16);
		} else {
			EQ(ask(&m, op, 0), 0);
			until_event(m.s, POLLRDHUP);
		}
		told(ep, want, 2);
		get(&m, op == OP_SEND || !last ? 16 : 8);
		get(&o, 8);
		if (op == OP_SEND || !last)
			acknowledge(&m);
		acknowledge(&o);
	}
	link_close(&m);
	link_close(&o);
}

static void more_levels(struct link *l) { more_of_the_first(l, 0, OP_SEND); }
static void more_edges(struct link *l) { more_of_the_first(l, EPOLLET, OP_SEND); }
static void end_of_the_first(struct link *l) { more_of_the_first(l, 0, OP_SHUT_WR); }
static void close_of_the_first(struct link *l) { more_of_the_first(l, 0, OP_CLOSE); }

// The set asks for room in the place of a thread that waited for it.
static void after_a_wait_for_room(struct link *l)
{
	enum { WAITS = 30 };
	static const int want[] = {0, 1};
	struct epoll_event e[4];
	struct link o;
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	more(&o, l, true);
	for (int i = 0; i < WAITS; i++) {
		size_t n = stuff(l);
		post_asleep(l, OP_RECV, (long)(n + 8));
		put(l, 8);
		EQ(answer(l), n + 8);
	}
	add(ep, l, EPOLLIN | EPOLLOUT | EPOLLET, 0);
	add(ep, &o, EPOLLIN | EPOLLET, 1);
	epoll_wait(ep, e, 4, 0);
	size_t n = stuff(l);
	epoll_wait(ep, e, 4, 0);
	quiet(ep);
	deliver(l);
	deliver(&o);
	told(ep, want, 2);
	EQ(ask(l, OP_RECV, (long)n), n);
	link_close(&o);
}

// A new size of what holds no more is no edge; of what has room it is one.
static void new_sizes(struct link *l)
{
	static const struct { int level, name; } sizes[] = {{SOL_SOCKET, SO_SNDBUF}, {IPPROTO_TCP, TCP_NOTSENT_LOWAT}};
	struct epoll_event e[4];
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC)), large = 1 << 20, small = 4096;
	acknowledge(l);
	add(ep, l, EPOLLIN | EPOLLOUT | EPOLLET, 0);
	EQ(epoll_wait(ep, e, 4, LONG), 1);
	for (int i = 0; i < 2; i++) {
		must(setsockopt(l->s, sizes[i].level, sizes[i].name, &large, sizeof large));
		EQ(epoll_wait(ep, e, 4, 0), 1);
		EQ(e[0].events, EPOLLOUT);
		quiet(ep);
	}
	size_t n = stuff(l);
	deliver(l);
	while (epoll_wait(ep, e, 4, 5))
		;
	for (int i = 0; i < 2; i++) {
		must(setsockopt(l->s, sizes[i].level, sizes[i].name, &small, sizeof small));
		quiet(ep);
	}
	EQ(ask(l, OP_RECV, (long)n), n);
}

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
		deliver(&young);
		deliver(l);
		told(ep, want, 2);
		get(l, 8);
		acknowledge(l);
		get(&young, 8);
		link_close(&young);
		close(ep);
	}
}

// changed: a member that is added or modified while it is not ready is behind what becomes so before it does.
static void changed(struct link *l, uint32_t flags)
{
	struct link m, o, *both[] = {&m, &o};
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	more(&m, l, true);
	more(&o, l, true);
	add(ep, &m, EPOLLIN | flags, 0);
	add(ep, &o, EPOLLIN | flags, 1);
	quiet(ep);
	for (int round = 0; round < 2 * ROUNDS; round++) {
		int order[] = {round & 1, ~round & 1};
		struct epoll_event e = {.events = EPOLLIN | flags, .data.u64 = (uint64_t)order[1]};
		if (round < ROUNDS) {
			must(epoll_ctl(ep, EPOLL_CTL_MOD, both[order[1]]->s, &e));
		} else {
			must(epoll_ctl(ep, EPOLL_CTL_DEL, both[order[1]]->s, NULL));
			must(epoll_ctl(ep, EPOLL_CTL_ADD, both[order[1]]->s, &e));
		}
		for (int i = 0; i < 2; i++) {
			deliver(both[order[i]]);
		}
		told(ep, order, 2);
		for (int i = 0; i < 2; i++) {
			get(both[i], 8);
			acknowledge(both[i]);
		}
		quiet(ep);
	}
	link_close(&m);
	link_close(&o);
}

static void changed_levels(struct link *l) { changed(l, 0); }
static void changed_edges(struct link *l) { changed(l, EPOLLET); }

// changed_ready: one that is not asked for has no place in the order, whatever comes for it, until it is modified or
// added while it is ready, or something comes after that.
static void changed_ready(struct link *l, uint32_t flags)
{
	static const int first[] = {0, 1, 2}, second[] = {1, 0, 2}, last[] = {1, 2, 0};
	struct link m[3];
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	for (int i = 0; i < 3; i++) {
		more(&m[i], l, true);
		add(ep, &m[i], EPOLLIN | (i ? 0 : flags), (uint64_t)i);
	}
	for (int round = 0; round < ROUNDS; round++) {
		struct epoll_event e = {.events = EPOLLIN | flags}, none = {.events = flags & EPOLLET};
		bool asked = round % 3 == 0 && !(flags & EPOLLONESHOT && round), again = round & 1;
		if (round % 3)
			must(epoll_ctl(ep, round % 3 == 1 ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, m[0].s, &none));
		deliver(&m[0]);
		if (again) {
			get(&m[0], 8);
			acknowledge(&m[0]);
		}
		deliver(&m[1]);
		must(epoll_ctl(ep, round % 3 == 2 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, m[0].s, &e));
		deliver(&m[2]);
		if (again) {
			deliver(&m[0]);
		}
		told(ep, asked ? first : again ? last : second, 3);
		for (int i = 0; i < 3; i++) {
			get(&m[i], 8);
			acknowledge(&m[i]);
		}
		quiet(ep);
	}
	for (int i = 0; i < 3; i++)
		link_close(&m[i]);
}

static void changed_ready_levels(struct link *l) { changed_ready(l, 0); }
static void changed_ready_edges(struct link *l) { changed_ready(l, EPOLLET); }
static void changed_ready_once(struct link *l) { changed_ready(l, EPOLLONESHOT); }

// What has come for a member that is deleted says nothing of the one that is added next.
static void added_in_place(struct link *l)
{
	struct link m[2];
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	more(&m[0], l, true);
	more(&m[1], l, true);
	add(ep, l, EPOLLIN, 2);
	add(ep, &m[0], EPOLLIN, 0);
	quiet(ep);
	for (int round = 0; round < ROUNDS; round++) {
		struct link *from = &m[round & 1], *to = &m[~round & 1];
		int want[] = {2, ~round & 1};
		deliver(from);
		must(epoll_ctl(ep, EPOLL_CTL_DEL, from->s, NULL));
		add(ep, to, EPOLLIN, (uint64_t)want[1]);
		deliver(l);
		deliver(to);
		told(ep, want, 2);
		get(from, 8);
		acknowledge(from);
		get(to, 8);
		acknowledge(to);
		get(l, 8);
		acknowledge(l);
		quiet(ep);
	}
	link_close(&m[0]);
	link_close(&m[1]);
}

// A connection that is promoted as a member has no place in the order before something comes for it.
static void promoted_idle(struct link *l)
{
	static const int want[] = {0, 1};
	struct link young;
	acknowledge(l);
	for (int round = 0; round < 5; round++) {
		int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
		add(ep, l, EPOLLIN, 0);
		more(&young, l, false);
		add(ep, &young, EPOLLIN, 1);
		quiet(ep);
		uint64_t carried;
		do { // only we send on it
			carried = kernel_bytes(young.s);
			acknowledge(&young);
			nap_us(1000); // the monitor needs a processor now and then
		} while (getenv("SD_WANT_PROMOTED") && kernel_bytes(young.s) != carried);
		deliver(l);
		deliver(&young);
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
	deliver(l);
	for (int i = 0; i < 3; i++)
		EQ(epoll_wait(ep, e, 2, LONG), 1);
	EQ(ask(&other, OP_SHUT_WR, 0), 0);
	until_event(other.s, POLLRDHUP);
	EQ(epoll_wait(ep, e, 2, LONG), 2);
	link_close(&other);
}

// Whatever another was asked for, the next wait tells of its end, and an edge of it once; also where we have ended
// before, and of what we modify.
static void close_beside_bytes(struct link *l, bool ours)
{
	static const uint32_t asked[] = {0, EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLIN | EPOLLOUT | EPOLLRDHUP};
	static const char ways[] = {OP_SHUT_WR, OP_CLOSE, OP_RESET};
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	add(ep, l, EPOLLIN, 0);
	deliver(l);
	for (size_t i = 0; i < 2 * sizeof ways * (sizeof asked / sizeof *asked); i++) {
		uint32_t events = asked[i / 2 / sizeof ways], edge = i % 2 ? EPOLLET : 0;
		char way = ways[i / 2 % sizeof ways];
		uint32_t end = EPOLLIN | EPOLLOUT | EPOLLRDHUP | (ours || way == OP_RESET ? EPOLLHUP : 0) |
			       (way == OP_RESET ? EPOLLERR : 0);
		struct epoll_event e[2], again = {.events = events | edge, .data.u64 = 1};
		struct link other;
		end &= events | EPOLLHUP | EPOLLERR;
		more(&other, l, true);
		if (ours)
			must(shutdown(other.s, SHUT_WR));
		add(ep, &other, events | edge, 1);
		for (int k = 0; k < 3; k++) { // as added; as it is; as modified
			if (k == 2)
				must(epoll_ctl(ep, EPOLL_CTL_MOD, other.s, &again));
			EQ(epoll_wait(ep, e, 2, LONG), events & EPOLLOUT && (k != 1 || !edge) ? 2 : 1);
		}
		EQ(epoll_wait(ep, e, 2, LONG), events & EPOLLOUT && !edge ? 2 : 1);
		EQ(ask(&other, way, 0), 0);
		until_event(other.s, ours || way == OP_RESET ? POLLHUP : POLLRDHUP);
		for (int k = 0; k < 3; k++) {
			int n = end && (k == 0 || !edge) ? 2 : 1;
			EQ(epoll_wait(ep, e, 2, LONG), n);
			if (n == 2)
				EQ(e[e[1].data.u64 == 1].events, end);
		}
		link_close(&other);
	}
}

static void their_end_beside_bytes(struct link *l) { close_beside_bytes(l, false); }
static void both_ends_beside_bytes(struct link *l) { close_beside_bytes(l, true); }

const struct check order_checks[] = {
	{"epoll_in_order", of_levels, false},
	{"epoll_in_order_edges", of_edges, false},
	{"epoll_in_order_on_both_paths", of_both_paths, false},
	{"epoll_in_order_of_edges_on_both_paths", of_edges_of_both_paths, false},
	{"epoll_more_of_the_first", more_levels, false},
	{"epoll_more_of_the_first_edges", more_edges, false},
	{"epoll_end_of_the_first", end_of_the_first, false},
	{"epoll_close_of_the_first", close_of_the_first, false},
	{"epoll_after_a_wait_for_room", after_a_wait_for_room, false},
	{"epoll_new_sizes", new_sizes, false},
	{"epoll_young_before_old", young_before_old, false},
	{"epoll_changed_idle", changed_levels, false},
	{"epoll_changed_idle_edges", changed_edges, false},
	{"epoll_changed_ready", changed_ready_levels, false},
	{"epoll_changed_ready_edges", changed_ready_edges, false},
	{"epoll_changed_ready_once", changed_ready_once, false},
	{"epoll_added_in_place", added_in_place, false},
	{"epoll_promoted_idle", promoted_idle, false},
	{"epoll_end_beside_bytes", end_beside_bytes, false},
	{"epoll_close_beside_bytes", their_end_beside_bytes, false},
	{"epoll_both_close_beside_bytes", both_ends_beside_bytes, false},
	{0},
};
