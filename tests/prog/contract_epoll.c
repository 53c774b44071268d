// SPDX-License-Identifier: Apache-2.0
// epoll on one connection: levels, edges, one shot, hang-ups.
#include "contract.h"

enum { NOW = 0, SHORT = 30 };

static int set_of(int fd, uint32_t events)
{
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	struct epoll_event e = {.events = events, .data.u64 = 0xfeedfacecafebeef};
	must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
	return ep;
}

static void modify(int ep, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.u64 = 0xfeedfacecafebeef};
	must(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e));
}

// events is what one wait reports of the only member; 0 after the time limit.
static uint32_t events(int ep, int ms)
{
	struct epoll_event e[4];
	int n = (int)must(epoll_wait(ep, e, 4, ms));
	if (n == 0)
		return 0;
	EQ(n, 1);
	EXPECT(e[0].data.u64 == 0xfeedfacecafebeef);
	return e[0].events;
}

static void arrive(struct link *l, size_t more, size_t total)
{
	EQ(ask(l, OP_SEND, (long)more), more);
	until_arrived(l->s, total);
}

static void level(struct link *l)
{
	int ep = set_of(l->s, EPOLLIN);
	EQ(events(ep, SHORT), 0);
	arrive(l, 10, 10);
	for (int i = 0; i < 3; i++)
		EQ(events(ep, LONG), EPOLLIN);
	get(l, 9);
	EQ(events(ep, NOW), EPOLLIN);
	get(l, 1);
	EQ(events(ep, SHORT), 0);
	modify(ep, l->s, EPOLLIN | EPOLLOUT);
	EQ(events(ep, NOW), EPOLLOUT);
	modify(ep, l->s, 0);
	arrive(l, 10, 10);
	EQ(events(ep, SHORT), 0);
	modify(ep, l->s, EPOLLIN);
	EQ(events(ep, NOW), EPOLLIN);
}

static void edge(struct link *l)
{
	int ep = set_of(l->s, EPOLLIN | EPOLLET);
	arrive(l, 10, 10);
	EQ(events(ep, LONG), EPOLLIN);
	EQ(events(ep, SHORT), 0);
	get(l, 5);
	EQ(events(ep, SHORT), 0);
	get(l, 5);
	EQ(events(ep, SHORT), 0);
	arrive(l, 10, 10);
	EQ(events(ep, LONG), EPOLLIN);
}

static void edge_again_on_new_data(struct link *l)
{
	int ep = set_of(l->s, EPOLLIN | EPOLLET);
	for (size_t total = 10; total <= 50; total += 10) {
		arrive(l, 10, total);
		EQ(events(ep, LONG), EPOLLIN);
		EQ(events(ep, SHORT), 0);
	}
	get(l, 45);
	arrive(l, 10, 15);
	EQ(events(ep, LONG), EPOLLIN);
	EQ(events(ep, NOW), 0);
}

static void edge_reports_all(struct link *l)
{
	int ep = set_of(l->s, EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP);
	EQ(events(ep, NOW), EPOLLOUT);
	EQ(events(ep, SHORT), 0);
	arrive(l, 10, 10);
	EQ(events(ep, LONG), EPOLLIN | EPOLLOUT);
	EQ(events(ep, SHORT), 0);
}

static void edge_found_at_add(struct link *l)
{
	arrive(l, 10, 10);
	int ep = set_of(l->s, EPOLLIN | EPOLLET);
	EQ(events(ep, NOW), EPOLLIN);
	EQ(events(ep, NOW), 0);
	modify(ep, l->s, EPOLLIN | EPOLLET);
	EQ(events(ep, NOW), EPOLLIN);
	EQ(events(ep, NOW), 0);
}

static void one_shot(struct link *l)
{
	int ep = set_of(l->s, EPOLLIN | EPOLLONESHOT);
	arrive(l, 10, 10);
	EQ(events(ep, LONG), EPOLLIN);
	EQ(events(ep, NOW), 0);
	arrive(l, 10, 20);
	EQ(events(ep, SHORT), 0);
	modify(ep, l->s, EPOLLIN | EPOLLONESHOT);
	EQ(events(ep, LONG), EPOLLIN);
	get(l, 20);
	modify(ep, l->s, EPOLLIN | EPOLLONESHOT);
	EQ(events(ep, SHORT), 0);
	arrive(l, 10, 10);
	EQ(events(ep, LONG), EPOLLIN);
}

// What has happened by our own end, which moves the connection to TCP, is one edge.
static void edge_after_our_end(struct link *l)
{
	int ep = set_of(l->s, EPOLLIN | EPOLLOUT | EPOLLET);
	EQ(events(ep, LONG), EPOLLOUT);
	arrive(l, 10, 10);
	must(shutdown(l->s, SHUT_WR));
	until_fin_acknowledged(l->s);
	for (int i = 0; i < 3; i++) {
		EQ(events(ep, LONG), EPOLLIN | EPOLLOUT);
		EQ(events(ep, SHORT), 0);
		modify(ep, l->s, EPOLLIN | EPOLLOUT | EPOLLET);
	}
}

// An outer set with EPOLLET tells of what the inner one was told of, once.
static void edges_outside(struct link *l, uint32_t flags)
{
	int inner = set_of(l->s, EPOLLIN | flags), outer = set_of(inner, EPOLLIN | EPOLLET);
	for (int i = 1; i <= 3; i++) {
		arrive(l, 10, 10 * (size_t)i);
		EQ(events(outer, LONG), EPOLLIN);
		for (int k = 0; k < 10; k++)
			EQ(events(outer, NOW), 0);
	}
	EQ(events(inner, NOW), EPOLLIN);
	EQ(events(outer, NOW), 0);
	get(l, 30);
	EQ(events(inner, NOW), 0);
	EQ(events(outer, SHORT), 0);
	arrive(l, 10, 10);
	EQ(events(outer, LONG), EPOLLIN);
	EQ(events(outer, SHORT), 0);
	EQ(ready(inner, POLLIN), POLLIN);
	modify(outer, inner, EPOLLIN | EPOLLET);
	EQ(events(outer, NOW), EPOLLIN);
	EQ(events(outer, SHORT), 0);
}

// The number of an inner set that lives by another one is registered again, for something else.
static void inner_sets_number_again(struct link *l)
{
	int inner = set_of(l->s, EPOLLIN), outer = set_of(inner, EPOLLIN), twin = (int)must(dup(inner)), p[2];
	struct epoll_event v = {.events = EPOLLIN, .data.u64 = 0xfeedfacecafebeef};
	must(pipe2(p, O_CLOEXEC));
	must(dup2(p[0], inner));
	must(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &v));
	arrive(l, 10, 10);
	EQ(events(outer, LONG), EPOLLIN);
	get(l, 10);
	EQ(events(outer, SHORT), 0);
	EQ(write(p[1], "x", 1), 1);
	EQ(events(outer, LONG), EPOLLIN);
	close(twin);
}

// One shot is not spent on what the inner set was told of and has no more.
static void one_shot_outside(struct link *l)
{
	int inner = set_of(l->s, EPOLLIN), outer = set_of(inner, EPOLLIN | EPOLLONESHOT);
	for (int i = 0; i < 3; i++) {
		arrive(l, 10, 10);
		get(l, 10);
		EQ(events(outer, SHORT), 0);
		arrive(l, 10, 10);
		EQ(events(outer, LONG), EPOLLIN);
		EQ(events(outer, SHORT), 0);
		modify(outer, inner, EPOLLIN | EPOLLONESHOT);
		EQ(events(outer, NOW), EPOLLIN);
		get(l, 10);
		modify(outer, inner, EPOLLIN | EPOLLONESHOT);
		EQ(events(outer, SHORT), 0);
	}
}

// The middle one keeps its edge until it is waited on.
static void edge_in_the_middle(struct link *l)
{
	int inner = set_of(l->s, EPOLLIN), middle = set_of(inner, EPOLLIN | EPOLLET), outer = set_of(middle, EPOLLIN);
	for (int i = 1; i <= 3; i++) {
		arrive(l, 10, 10 * (size_t)i);
		EQ(events(outer, LONG), EPOLLIN);
		EQ(events(outer, NOW), EPOLLIN);
		EQ(ready(middle, POLLIN), POLLIN);
		EQ(events(middle, NOW), EPOLLIN);
		EQ(events(middle, NOW), 0);
		EQ(events(outer, SHORT), 0);
	}
}

// An inner set that is ready anyhow has an edge more when another member becomes ready, by what comes or by being
// modified, be it that nobody has looked when that member is not asked for any more.
static void edge_outside_a_change(struct link *l)
{
	struct link m;
	link_open(&m, l->peer_fd >= 0, l->client, l->v6);
	warm_up(&m);
	int inner = set_of(l->s, EPOLLIN), outer = set_of(inner, EPOLLIN | EPOLLET);
	struct epoll_event none = {.events = 0, .data.u64 = 0xfeedfacecafebeef}, all[2];
	must(epoll_ctl(inner, EPOLL_CTL_ADD, m.s, &none));
	arrive(l, 10, 10);
	EQ(events(outer, LONG), EPOLLIN);
	EQ(events(outer, NOW), 0);
	for (int i = 0; i < 3; i++) {
		arrive(&m, 10, 10);
		EQ(events(outer, SHORT), 0);
		modify(inner, m.s, EPOLLIN);
		EQ(events(outer, LONG), EPOLLIN);
		EQ(events(outer, SHORT), 0);
		get(&m, 10);
		EQ(epoll_wait(inner, all, 2, NOW), 1);
		arrive(&m, 10, 10);
		modify(inner, m.s, 0);
		EQ(events(outer, LONG), EPOLLIN);
		EQ(events(outer, SHORT), 0);
		get(&m, 10);
		EQ(epoll_wait(inner, all, 2, NOW), 1);
	}
	link_close(&m);
}

static void edges_outside_a_level(struct link *l)
{
	edges_outside(l, 0);
}

static void edges_outside_an_edge(struct link *l)
{
	edges_outside(l, EPOLLET);
}

static void blocked_wait(struct link *l, uint32_t flags)
{
	int ep = set_of(l->s, EPOLLIN | flags);
	for (int i = 0; i < 20; i++) {
		post_asleep(l, OP_SEND, 8);
		EQ(events(ep, LONG), EPOLLIN);
		EQ(answer(l), 8);
		get(l, 8);
	}
}

static void blocked_wait_level(struct link *l)
{
	blocked_wait(l, 0);
}

static void blocked_wait_edge(struct link *l)
{
	blocked_wait(l, EPOLLET);
}

static void space(struct link *l, uint32_t names)
{
	int ep = set_of(l->s, names);
	EQ(events(ep, NOW), names);
	for (int i = 0; i < 3; i++) {
		size_t n = stuff(l);
		EQ(events(ep, SHORT), 0);
		post_asleep(l, OP_RECV, (long)n);
		EQ(events(ep, LONG), names);
		EQ(answer(l), n);
		EQ(ready(l->s, POLLOUT), POLLOUT);
	}
}

static void space_level(struct link *l)
{
	space(l, EPOLLOUT);
}

static void space_by_its_other_name(struct link *l)
{
	space(l, EPOLLWRNORM);
}

static void space_by_both_names(struct link *l)
{
	space(l, EPOLLOUT | EPOLLWRNORM);
}

// Space may come as several edges; after the last of them there is none left.
static void space_edge(struct link *l)
{
	int ep = set_of(l->s, EPOLLOUT | EPOLLET);
	EQ(events(ep, NOW), EPOLLOUT);
	EQ(events(ep, NOW), 0);
	for (int i = 0; i < 3; i++) {
		size_t n = stuff(l);
		post_asleep(l, OP_RECV, (long)n);
		EQ(events(ep, LONG), EPOLLOUT);
		EQ(answer(l), n);
		for (int k = 0; k < 1000 && events(ep, SHORT); k++)
			;
		EQ(events(ep, SHORT), 0);
	}
}

static void hang_ups(struct link *l, uint32_t flags)
{
	int ep = set_of(l->s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | flags);
	EQ(events(ep, NOW), EPOLLOUT);
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	until_event(l->s, POLLRDHUP);
	EQ(events(ep, LONG), EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	if (flags & EPOLLET)
		EQ(events(ep, SHORT), 0);
	must(shutdown(l->s, SHUT_WR));
	EQ(ask(l, OP_DRAIN, 0), 0);
	until_event(l->s, POLLHUP);
	EQ(events(ep, LONG), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
}

static void hang_ups_level(struct link *l)
{
	hang_ups(l, 0);
}

static void hang_ups_edge(struct link *l)
{
	hang_ups(l, EPOLLET);
}

// Whoever asks for what: FIN is one edge, in which shows what was asked for.
static void end_is_one_edge(struct link *l)
{
	static const uint32_t asked[] = {EPOLLIN, EPOLLOUT, EPOLLWRNORM, EPOLLRDHUP, EPOLLPRI, EPOLLIN | EPOLLOUT, EPOLLOUT | EPOLLRDHUP, EPOLLRDNORM};
	enum { N = sizeof asked / sizeof *asked };
	int ep[N];
	for (int i = 0; i < N; i++) {
		ep[i] = set_of(l->s, asked[i] | EPOLLET);
		EQ(events(ep[i], NOW), asked[i] & (EPOLLOUT | EPOLLWRNORM));
	}
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	until_event(l->s, POLLRDHUP);
	for (int i = 0; i < N; i++) {
		EQ(events(ep[i], NOW), asked[i] & ~EPOLLPRI);
		EQ(events(ep[i], SHORT), 0);
	}
}

// It is one too where our own shutdown has shown the same before.
static void end_after_shutdown(struct link *l, int how, enum op end)
{
	static const uint32_t asked[] = {EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLRDHUP, EPOLLRDHUP};
	enum { N = sizeof asked / sizeof *asked };
	uint32_t also = how == SHUT_RDWR ? EPOLLHUP : 0;
	int ep[N];
	for (int i = 0; i < N; i++) {
		ep[i] = set_of(l->s, asked[i] | EPOLLET);
		EQ(events(ep[i], NOW), asked[i] & EPOLLOUT);
	}
	must(shutdown(l->s, how));
	if (how == SHUT_RDWR)
		until_fin_acknowledged(l->s); // that is an edge, too
	for (int i = 0; i < N; i++) {
		EQ(events(ep[i], NOW), asked[i] | also);
		EQ(events(ep[i], SHORT), 0);
	}
	EQ(ask(l, end, 0), 0);
	for (int i = 0; i < N; i++) {
		EQ(events(ep[i], LONG), asked[i] | also);
		EQ(events(ep[i], SHORT), 0);
	}
}

static void half_end_after_shut_rd(struct link *l) { end_after_shutdown(l, SHUT_RD, OP_SHUT_WR); }
static void end_after_shut_rd(struct link *l) { end_after_shutdown(l, SHUT_RD, OP_CLOSE); }
static void end_after_shut_both(struct link *l) { end_after_shutdown(l, SHUT_RDWR, OP_CLOSE); }

static void close_wakes_wait(struct link *l)
{
	int ep = set_of(l->s, EPOLLIN | EPOLLRDHUP | EPOLLET);
	post_asleep(l, OP_CLOSE, 0);
	EQ(events(ep, LONG), EPOLLIN | EPOLLRDHUP);
	EQ(answer(l), 0);
	char c;
	EQ(recv(l->s, &c, 1, 0), 0);
}

static void reset_wakes_wait(struct link *l)
{
	int ep = set_of(l->s, EPOLLIN);
	post_asleep(l, OP_RESET, 0);
	EQ(events(ep, LONG), EPOLLIN | EPOLLERR | EPOLLHUP);
	EQ(answer(l), 0);
}

const struct check epoll_checks[] = {
	{"epoll_level", level, false},
	{"epoll_level_cold", level, true},
	{"epoll_edge", edge, false},
	{"epoll_edge_cold", edge, true},
	{"epoll_edge_again_on_new_data", edge_again_on_new_data, false},
	{"epoll_edge_reports_all", edge_reports_all, false},
	{"epoll_edge_found_at_add", edge_found_at_add, false},
	{"epoll_edge_after_our_end", edge_after_our_end, false},
	{"epoll_edges_outside_a_level", edges_outside_a_level, false},
	{"epoll_edges_outside_an_edge", edges_outside_an_edge, false},
	{"epoll_edge_outside_a_change", edge_outside_a_change, false},
	{"epoll_inner_sets_number_again", inner_sets_number_again, false},
	{"epoll_one_shot_outside", one_shot_outside, false},
	{"epoll_edge_in_the_middle", edge_in_the_middle, false},
	{"epoll_one_shot", one_shot, false},
	{"epoll_blocked_wait_level", blocked_wait_level, false},
	{"epoll_blocked_wait_edge", blocked_wait_edge, false},
	{"epoll_blocked_wait_edge_cold", blocked_wait_edge, true},
	{"epoll_space_level", space_level, false},
	{"epoll_space_by_its_other_name", space_by_its_other_name, false},
	{"epoll_space_by_both_names", space_by_both_names, false},
	{"epoll_space_edge", space_edge, false},
	{"epoll_hang_ups_level", hang_ups_level, false},
	{"epoll_hang_ups_edge", hang_ups_edge, false},
	{"epoll_end_is_one_edge", end_is_one_edge, false},
	{"epoll_half_end_after_shut_rd", half_end_after_shut_rd, false},
	{"epoll_end_after_shut_rd", end_after_shut_rd, false},
	{"epoll_end_after_shut_both", end_after_shut_both, false},
	{"epoll_close_wakes_wait", close_wakes_wait, false},
	{"epoll_reset_wakes_wait", reset_wakes_wait, false},
	{0},
};
