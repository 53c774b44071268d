// SPDX-License-Identifier: Apache-2.0
// An epoll set that a forked child waits on, whatever becomes of it in the process that made it.
#include "contract.h"

enum { TURNS = 20 };

enum fate { KEPT, SET_CLOSED, NUMBER_CLOSED, BOTH_CLOSED };

static void serve(struct link *l, int ep, int outer)
{
	struct epoll_event e;
	for (int i = 0; i < TURNS; i++) {
		if (outer >= 0)
			EQ(epoll_wait(outer, &e, 1, LONG), 1);
		EQ(epoll_wait(ep, &e, 1, LONG), 1);
		EQ(e.events, EPOLLIN);
		get(l, 1);
		put(l, 1);
	}
}

static void ask_the_child(struct link *l, pid_t pid)
{
	for (int i = 0; i < TURNS; i++) {
		until_asleep(pid, pid);
		EQ(ask(l, OP_SEND, 1), 1);
		EQ(ask(l, OP_RECV, 1), 1);
	}
}

static void inherited(struct link *l, uint32_t how, enum fate fate, bool nested)
{
	struct epoll_event e;
	int ep = watched(l->s, EPOLLIN | how), outer = nested ? watched(ep, EPOLLIN) : -1;
	EQ(epoll_wait(ep, &e, 1, 0), 0);
	pid_t pid = fork_link(l);
	if (pid == 0) {
		serve(l, ep, outer);
		_exit(0);
	}
	if (fate == SET_CLOSED || fate == BOTH_CLOSED)
		must(close(ep));
	if (fate == NUMBER_CLOSED || fate == BOTH_CLOSED) {
		must(close(l->s));
		l->s = -1;
	}
	ask_the_child(l, pid);
	child_ok(pid);
}

static void kept(struct link *l) { inherited(l, 0, KEPT, false); }
static void kept_edge(struct link *l) { inherited(l, EPOLLET, KEPT, false); }
static void set_closed(struct link *l) { inherited(l, 0, SET_CLOSED, false); }
static void set_closed_edge(struct link *l) { inherited(l, EPOLLET, SET_CLOSED, false); }
static void number_closed(struct link *l) { inherited(l, 0, NUMBER_CLOSED, false); }
static void both_closed(struct link *l) { inherited(l, 0, BOTH_CLOSED, false); }
static void both_closed_outside(struct link *l) { inherited(l, 0, BOTH_CLOSED, true); }

// Who made the set exits, as a daemon's parent does.
static void maker_exits(struct link *l)
{
	int up[2];
	pid_t pid;
	char done = 0;
	must(pipe(up));
	pid_t maker = fork_link(l);
	if (maker == 0) {
		int ep = watched(l->s, EPOLLIN);
		struct epoll_event e;
		EQ(epoll_wait(ep, &e, 1, 0), 0);
		pid = (pid_t)must(fork());
		if (pid == 0) {
			serve(l, ep, -1);
			write_all(up[1], "d", 1);
		} else {
			write_all(up[1], &pid, sizeof pid);
		}
		_exit(0);
	}
	read_all(up[0], &pid, sizeof pid);
	child_ok(maker);
	ask_the_child(l, pid);
	read_all(up[0], &done, 1);
	EQ(done, 'd');
}

// A child adds to its parent's set, and waits for what it has added; the parent does not.
static void child_adds(struct link *l)
{
	struct epoll_event e = {.events = EPOLLIN};
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	pid_t pid = fork_link(l);
	if (pid == 0) {
		must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
		serve(l, ep, -1);
		_exit(0);
	}
	ask_the_child(l, pid);
	child_ok(pid);
}

const struct check heir_checks[] = {
	{"heir_waits", kept, false},
	{"heir_waits_cold", kept, true},
	{"heir_waits_edge", kept_edge, false},
	{"heir_of_a_closed_set", set_closed, false},
	{"heir_of_a_closed_set_cold", set_closed, true},
	{"heir_of_a_closed_set_edge", set_closed_edge, false},
	{"heir_of_a_closed_number", number_closed, false},
	{"heir_of_both_closed", both_closed, false},
	{"heir_of_both_closed_cold", both_closed, true},
	{"heir_of_both_closed_outside", both_closed_outside, false},
	{"heir_of_a_maker_that_exits", maker_exits, false},
	{"heir_of_a_maker_that_exits_cold", maker_exits, true},
	{"heir_adds", child_adds, false},
	{0},
};
