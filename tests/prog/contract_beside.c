// SPDX-License-Identifier: Apache-2.0
// What other threads do to a connection, or to an epoll set, beside a call that uses it.
#include "contract.h"

struct use { _Atomic int stop; int ep, s; };

static void *waits(void *arg)
{
	struct use *u = arg;
	struct epoll_event got;
	while (!u->stop)
		epoll_wait(u->ep, &got, 1, 0);
	return NULL;
}

static void *modifies(void *arg)
{
	struct use *u = arg;
	struct epoll_event e = {.events = EPOLLIN};
	while (!u->stop)
		must(epoll_ctl(u->ep, EPOLL_CTL_MOD, u->s, &e));
	return NULL;
}

// A child is not held up by what its parent's threads were doing with an epoll set.
static void forks(struct link *l)
{
	enum { FORKS = 100 };
	struct use u = {.ep = (int)must(epoll_create1(EPOLL_CLOEXEC)), .s = l->s};
	struct epoll_event e = {.events = EPOLLIN};
	pthread_t waiter, modifier;
	must(epoll_ctl(u.ep, EPOLL_CTL_ADD, l->s, &e));
	EQ(pthread_create(&waiter, NULL, waits, &u), 0);
	EQ(pthread_create(&modifier, NULL, modifies, &u), 0);
	for (int i = 0; i < FORKS; i++) {
		pid_t pid = fork_link(l);
		if (pid == 0) {
			if (i % 2)
				must(close(l->s));
			must(close(u.ep));
			_exit(0);
		}
		child_ok(pid);
	}
	u.stop = 1;
	EQ(pthread_join(waiter, NULL), 0);
	EQ(pthread_join(modifier, NULL), 0);
	EQ(ask(l, OP_SEND, 8), 8);
	get(l, 8);
}

static void do_not_block(struct link *l)
{
	must(fcntl(l->s, F_SETFL, must(fcntl(l->s, F_GETFL)) | O_NONBLOCK));
	EQ(ask(l, OP_SEND, 7), 7);
	EQ(ask(l, OP_SEND, 13), 13);
}

// Whether a call waits is settled when it begins to.
static void nonblock_set(struct link *l)
{
	uint8_t b[20];
	struct deed *d = meanwhile(l, do_not_block);
	EQ(recv(l->s, b, 20, MSG_WAITALL), 20);
	joined(d);
	verify(l, b, 20);
	ERR(recv(l->s, b, 1, 0), EAGAIN);
}

static pid_t sleeper;

static void do_not_block_and_interrupt(struct link *l)
{
	must(fcntl(l->s, F_SETFL, O_RDWR | O_NONBLOCK));
	must(tgkill(getpid(), sleeper, SIGUSR1));
}

static void heard(int sig) { (void)sig; }

// A call that starts again after a handler begins anew; one that ends by it does not look.
static void nonblock_set_and_signal(struct link *l)
{
	static char b[1 << 20];
	sleeper = gettid();
	for (int i = 0; i < 4; i++) {
		struct sigaction a = {.sa_handler = heard, .sa_flags = i & 1 ? SA_RESTART : 0};
		must(sigaction(SIGUSR1, &a, NULL));
		ssize_t r = i == 2 ? (ssize_t)stuff(l) : 1;
		while (r > 0) { // there may be a little more room than one thought
			must(fcntl(l->s, F_SETFL, O_RDWR));
			struct deed *d = meanwhile(l, do_not_block_and_interrupt);
			r = i < 2 ? recv(l->s, b, 1, 0) : send(l->s, b, sizeof b, 0);
			r = r < 0 ? -errno : r;
			joined(d);
		}
		EQ(r, i & 1 ? -EAGAIN : -EINTR);
	}
}

static void *interrupts(void *arg)
{
	struct use *u = arg;
	while (!u->stop)
		must(tgkill(getpid(), sleeper, SIGUSR1));
	return NULL;
}

// A send that may not wait is never interrupted, whenever the signal comes.
static void nonblocking_send_and_signals(struct link *l)
{
	enum { SENDS = 25000 };
	static const char b[64];
	struct use u = {0};
	struct sigaction a = {.sa_handler = heard};
	pthread_t other;
	must(sigaction(SIGUSR1, &a, NULL));
	must(fcntl(l->s, F_SETFL, O_RDWR | O_NONBLOCK));
	stuff(l);
	sleeper = gettid();
	EQ(pthread_create(&other, NULL, interrupts, &u), 0);
	for (int i = 0; i < SENDS; i++)
		EXPECT(send(l->s, b, sizeof b, 0) > 0 || errno == EAGAIN);
	u.stop = 1;
	EQ(pthread_join(other, NULL), 0);
}

struct closer { _Atomic int number, round; int closed; };

static void *closes_too(void *arg)
{
	struct closer *c = arg;
	for (int seen = 0, round; (round = c->round) >= 0;) {
		if (round == seen)
			continue;
		seen = round;
		c->closed = close(c->number) == 0 ? 1 : -errno;
		c->number = -1;
	}
	return NULL;
}

// Two threads close a number: one does, and the other is told that there is none.
static void closed_by_two(struct link *l)
{
	enum { ROUNDS = 2000 };
	struct closer c = {.number = -1};
	pthread_t other;
	EQ(pthread_create(&other, NULL, closes_too, &c), 0);
	for (int i = 1; i <= ROUNDS; i++) {
		int d = (int)must(dup(l->s));
		c.number = d;
		c.round = i;
		int closed = close(d) == 0 ? 1 : -errno;
		while (c.number >= 0)
			;
		EQ(closed + c.closed, 1 - EBADF);
	}
	c.round = -1;
	EQ(pthread_join(other, NULL), 0);
	post(l, OP_ECHO, 100000);
	put(l, 100000);
	get(l, 100000);
	EQ(answer(l), 100000);
}

const struct check beside_checks[] = {
	{"beside_forks", forks, false},
	{"beside_nonblock_set", nonblock_set, false},
	{"beside_nonblock_set_cold", nonblock_set, true},
	{"beside_nonblock_set_and_signal", nonblock_set_and_signal, false},
	{"beside_nonblock_set_and_signal_cold", nonblock_set_and_signal, true},
	{"beside_nonblocking_send_and_signals", nonblocking_send_and_signals, false},
	{"beside_nonblocking_send_and_signals_cold", nonblocking_send_and_signals, true},
	{"beside_closed_by_two", closed_by_two, false},
	{0},
};
