// SPDX-License-Identifier: Apache-2.0
// A send that does not wait is refused where the send buffer is full of what has not been acknowledged.
// An acknowledgement makes room, though nobody reads; who waits for room hears of it, however he waits.
#include "contract_room.h"
#include <sys/timerfd.h>

enum { PIECE = 64 << 10 }; // more than is taken before the first refusal

static void refused(struct link *l, int e[2])
{
	pair(l, false, (struct sizes){16384, 0}, true, e);
	warm(e, own_promote());
}

static bool held_all; // this thread lost its processor before the second try, which came after an acknowledgement

// A check that counts is one whose sender was refused first.
static void until_refused(struct link *l, void (*check)(struct link *))
{
	for (int tries = 0; tries == 0 || (held_all && tries < 20); tries++)
		check(l);
	EXPECT(!held_all);
}

static size_t to_the_first_refusal(int e[2])
{
	size_t n = taken_at_once(e[0], PIECE);
	held_all = n > PIECE;
	if (!held_all)
		return n;
	drain(e[1], n);
	return 0;
}

static void more_after_a_refusal(int e[2], size_t n)
{
	n += taken_at_once(e[0], PIECE);
	EXPECT(n > PIECE || held_all);
	drain(e[1], n);
	round_trip(e);
	close(e[0]);
	close(e[1]);
}

static void then_polls(struct link *l)
{
	int e[2];
	refused(l, e);
	size_t n = to_the_first_refusal(e);
	struct pollfd p = {e[0], POLLOUT, 0};
	EQ(poll(&p, 1, LONG), 1);
	more_after_a_refusal(e, n);
}

static void then_selects(struct link *l)
{
	int e[2];
	refused(l, e);
	size_t n = to_the_first_refusal(e);
	fd_set w;
	FD_ZERO(&w);
	FD_SET(e[0], &w);
	EQ(select(e[0] + 1, NULL, &w, NULL, NULL), 1);
	more_after_a_refusal(e, n);
}

static void refused_then_waits(struct link *l, uint32_t how, bool nested)
{
	struct epoll_event v;
	int e[2];
	refused(l, e);
	int ep = watched(e[0], EPOLLOUT | how), outer = watched(ep, EPOLLIN);
	if (how & EPOLLET)
		EQ(epoll_wait(ep, &v, 1, 0), 1);
	size_t n = to_the_first_refusal(e);
	if (nested)
		EQ(epoll_wait(outer, &v, 1, LONG), 1);
	EQ(epoll_wait(ep, &v, 1, LONG), 1);
	EQ(v.events, EPOLLOUT);
	close(outer);
	close(ep);
	more_after_a_refusal(e, n);
}

static void then_waits_level(struct link *l) { refused_then_waits(l, 0, false); }
static void then_waits_edge(struct link *l) { refused_then_waits(l, EPOLLET, false); }
static void then_waits_outside(struct link *l) { refused_then_waits(l, 0, true); }

struct other_waiter { pthread_t thread; int ep, tid; uint32_t events; };

static void *wait_for_room(void *arg)
{
	struct other_waiter *w = arg;
	struct epoll_event v;
	__atomic_store_n(&w->tid, gettid(), __ATOMIC_RELEASE);
	EQ(epoll_wait(w->ep, &v, 1, LONG), 1);
	EQ(v.events, w->events);
	return NULL;
}

// Another thread sleeps on the set already, or on one around it.
static void refused_beside_a_waiter(struct link *l, bool nested)
{
	struct epoll_event v;
	int e[2], tid;
	refused(l, e);
	int ep = watched(e[0], EPOLLOUT | EPOLLET), outer = watched(ep, EPOLLIN);
	EQ(epoll_wait(ep, &v, 1, 0), 1);
	struct other_waiter w = {.ep = nested ? outer : ep, .events = nested ? EPOLLIN : EPOLLOUT};
	EQ(pthread_create(&w.thread, NULL, wait_for_room, &w), 0);
	while ((tid = __atomic_load_n(&w.tid, __ATOMIC_ACQUIRE)) == 0)
		nap_us(100);
	until_asleep(getpid(), tid);
	nap_us(20000); // for good, not to look again at once
	size_t n = to_the_first_refusal(e);
	EQ(pthread_join(w.thread, NULL), 0);
	close(outer);
	close(ep);
	more_after_a_refusal(e, n);
}

static void while_another_waits(struct link *l) { refused_beside_a_waiter(l, false); }
static void while_another_waits_outside(struct link *l) { refused_beside_a_waiter(l, true); }

// However short its waits are.
static void then_looks(struct link *l)
{
	int e[2];
	refused(l, e);
	size_t n = to_the_first_refusal(e);
	while (!(ready(e[0], POLLOUT) & POLLOUT))
		nap_us(100);
	more_after_a_refusal(e, n);
}

static void then_waits_briefly(struct link *l)
{
	int e[2];
	struct epoll_event v;
	refused(l, e);
	int ep = watched(e[0], EPOLLOUT | EPOLLET);
	EQ(epoll_wait(ep, &v, 1, 0), 1);
	size_t n = to_the_first_refusal(e);
	while (must(epoll_wait(ep, &v, 1, 1)) == 0)
		;
	close(ep);
	more_after_a_refusal(e, n);
}

static int often(void)
{
	struct itimerspec every = {{0, 300000}, {0, 300000}};
	int fd = (int)must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	must(timerfd_settime(fd, 0, &every, NULL));
	return fd;
}

// However busy it is with something else.
static void in_a_busy_set(struct link *l)
{
	int e[2], timer = often();
	struct epoll_event v = {.events = EPOLLIN, .data.fd = timer};
	uint64_t times;
	refused(l, e);
	int ep = watched(e[0], EPOLLOUT | EPOLLET);
	EQ(epoll_wait(ep, &v, 1, 0), 1);
	v = (struct epoll_event){.events = EPOLLIN, .data.fd = timer};
	must(epoll_ctl(ep, EPOLL_CTL_ADD, timer, &v));
	size_t n = to_the_first_refusal(e);
	for (v.data.fd = timer; v.data.fd == timer;) {
		EQ(epoll_wait(ep, &v, 1, LONG), 1);
		read(timer, &times, sizeof times);
	}
	close(ep);
	close(timer);
	more_after_a_refusal(e, n);
}

static void in_a_busy_poll(struct link *l)
{
	int e[2], timer = often();
	uint64_t times;
	refused(l, e);
	size_t n = to_the_first_refusal(e);
	struct pollfd p[] = {{e[0], POLLOUT, 0}, {timer, POLLIN, 0}};
	while (must(poll(p, 2, LONG)) > 0 && p[0].revents == 0)
		read(timer, &times, sizeof times);
	close(timer);
	more_after_a_refusal(e, n);
}

static void then_splices(struct link *l)
{
	int e[2], from[2];
	refused(l, e);
	must(pipe2(from, O_CLOEXEC | O_NONBLOCK));
	size_t n = to_the_first_refusal(e);
	EQ(write(from[1], "x", 1), 1);
	ssize_t r;
	while ((r = splice(from[0], NULL, e[0], NULL, 1, SPLICE_F_NONBLOCK)) < 0 && errno == EAGAIN)
		nap_us(1000);
	EQ(r, 1);
	close(from[0]);
	close(from[1]);
	more_after_a_refusal(e, n + 1);
}

// Both buffers are full, and a part is read: who waits for room has it.
struct reader { int fd; pid_t tid; size_t n; };

static void *reads_a_part(void *arg)
{
	struct reader *r = arg;
	until_asleep(getpid(), r->tid);
	nap_us(20000);
	drain(r->fd, r->n);
	return NULL;
}

static void part_is_read(struct link *l, void (*wait)(int fd))
{
	enum { PART = 500000 }; // Linux tells of a window that is worth it
	int e[2];
	pthread_t t;
	pair(l, false, (struct sizes){16384, 1 << 19}, true, e);
	warm(e, own_promote());
	size_t n = taken(e[0]);
	struct reader r = {e[1], gettid(), PART};
	EQ(pthread_create(&t, NULL, reads_a_part, &r), 0);
	wait(e[0]);
	EQ(pthread_join(t, NULL), 0);
	EQ(send(e[0], "x", 1, MSG_DONTWAIT), 1);
	drain(e[1], n + 1 - PART);
	round_trip(e);
	close(e[0]);
	close(e[1]);
}

static void by_poll(int fd)
{
	struct pollfd p = {fd, POLLOUT, 0};
	EQ(poll(&p, 1, LONG), 1);
}

static void by_set(int fd)
{
	struct epoll_event v;
	int ep = watched(fd, EPOLLOUT);
	EQ(epoll_wait(ep, &v, 1, LONG), 1);
	close(ep);
}

static void part_wakes_poll(struct link *l) { part_is_read(l, by_poll); }
static void part_wakes_a_set(struct link *l) { part_is_read(l, by_set); }

// Who was told of room, and has it, is not told again when a little is read.
static void then_quiet(struct link *l)
{
	struct epoll_event v;
	int e[2], again = 0;
	refused(l, e);
	int ep = watched(e[0], EPOLLOUT | EPOLLET);
	EQ(epoll_wait(ep, &v, 1, 0), 1);
	size_t n = to_the_first_refusal(e);
	EQ(epoll_wait(ep, &v, 1, LONG), 1);
	drain(e[1], n);
	for (int i = 0; i < 1000 && epoll_wait(ep, &v, 1, 20) != 0; i++)
		;
	for (int i = 0; i < 200; i++) {
		round_trip(e);
		again += epoll_wait(ep, &v, 1, 0);
	}
	EQ(again, 0);
	close(ep);
	close(e[0]);
	close(e[1]);
}

#define UNTIL_REFUSED(check) static void refused_##check(struct link *l) { until_refused(l, check); }
UNTIL_REFUSED(then_polls)
UNTIL_REFUSED(then_selects)
UNTIL_REFUSED(then_waits_level)
UNTIL_REFUSED(then_waits_edge)
UNTIL_REFUSED(then_waits_outside)
UNTIL_REFUSED(while_another_waits)
UNTIL_REFUSED(while_another_waits_outside)
UNTIL_REFUSED(then_quiet)
UNTIL_REFUSED(then_looks)
UNTIL_REFUSED(then_waits_briefly)
UNTIL_REFUSED(in_a_busy_set)
UNTIL_REFUSED(in_a_busy_poll)
UNTIL_REFUSED(then_splices)

const struct check refuse_checks[] = {
	{"refused_then_polls", refused_then_polls, true},
	{"refused_then_selects", refused_then_selects, true},
	{"refused_then_waits_level", refused_then_waits_level, true},
	{"refused_then_waits_edge", refused_then_waits_edge, true},
	{"refused_then_waits_outside", refused_then_waits_outside, true},
	{"refused_while_another_waits", refused_while_another_waits, true},
	{"refused_while_another_waits_outside", refused_while_another_waits_outside, true},
	{"refused_then_quiet", refused_then_quiet, true},
	{"refused_then_looks", refused_then_looks, true},
	{"refused_then_waits_briefly", refused_then_waits_briefly, true},
	{"refused_in_a_busy_set", refused_in_a_busy_set, true},
	{"refused_in_a_busy_poll", refused_in_a_busy_poll, true},
	{"refused_then_splices", refused_then_splices, true},
	{"refused_until_a_part_is_read_in_poll", part_wakes_poll, true},
	{"refused_until_a_part_is_read_in_a_set", part_wakes_a_set, true},
	{0},
};
