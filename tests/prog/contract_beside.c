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
	enum { SENDS = 100000 };
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

static int number, idle; // idle: what the number is to name instead, or -1

static void take_number(struct link *l)
{
	if (idle < 0)
		must(close(number));
	else
		must(dup2(idle, number));
	EQ(ask(l, OP_SEND, 20), 20);
}

// A call goes on when the number that it was made by is closed, and another names the connection.
static void duplicate_closed(struct link *l)
{
	uint8_t b[25];
	int pipe[2];
	must(pipe2(pipe, O_CLOEXEC));
	for (int i = 0; i < 8; i++) {
		size_t n = i % 2 ? 20 : 25; // 5 of which come before it waits
		if (n == 25)
			EQ(ask(l, OP_SEND, 5), 5);
		number = (int)must(dup(l->s));
		idle = i & 2 ? pipe[0] : -1;
		struct deed *d = meanwhile(l, take_number);
		EQ(recv(number, b, n, MSG_WAITALL), n);
		joined(d);
		verify(l, b, n);
		if (idle >= 0)
			must(close(number));
	}
}

// The same of the first call on a connection, which nothing but the kernel wakes.
static void number_taken(struct link *l)
{
	uint8_t b[20];
	int pipe[2];
	must(pipe2(pipe, O_CLOEXEC));
	number = (int)must(dup(l->s));
	idle = pipe[0];
	struct deed *d = meanwhile(l, take_number);
	EQ(recv(number, b, sizeof b, MSG_WAITALL), sizeof b);
	joined(d);
	verify(l, b, sizeof b);
}

static void name_a_pipe_and_interrupt(struct link *l)
{
	(void)l;
	must(dup2(idle, number));
	must(tgkill(getpid(), sleeper, SIGUSR1));
}

// A send that is interrupted does not go on with what its number names by then.
static void sender_number_taken(struct link *l)
{
	static char b[1 << 20];
	int pipe[2];
	struct sigaction a = {.sa_handler = heard};
	must(sigaction(SIGUSR1, &a, NULL));
	must(pipe2(pipe, O_CLOEXEC));
	for (int i = 0; i < 2; i++) {
		stuff(l);
		number = (int)must(dup(l->s));
		idle = pipe[1];
		sleeper = gettid();
		struct deed *d = meanwhile(l, name_a_pipe_and_interrupt);
		ssize_t r = send(number, b, sizeof b, 0);
		joined(d);
		EXPECT(r > 0 || errno == EINTR);
		EQ(ready(pipe[0], POLLIN), 0);
		must(close(number));
	}
}

static int other[2], control;

static void reuse_number(struct link *l)
{
	(void)l;
	int p[2];
	must(pipe2(p, O_CLOEXEC));
	write_all(p[1], "ZZZZZ", 5);
	must(dup2(p[0], number));
	other[0] = p[0];
	other[1] = p[1];
	write_all(control, "s", 1);
}

// A receive that sleeps takes nothing of what its number names next.
static void number_reused(struct link *l)
{
	int port, ls = other_listener(l, &port), pipe[2];
	char b[8];
	must(pipe2(pipe, O_CLOEXEC));
	control = pipe[1];
	pid_t pid = fork_link(l);
	if (pid == 0) {
		int s = connect_to(l->v6, port);
		for (int i = 0; i < 200; i++) {
			write_all(s, "12345678", 8);
			read_all(s, b, 8);
		}
		read_all(pipe[0], b, 1);
		send(s, "the old", 7, MSG_NOSIGNAL);
		_exit(0);
	}
	number = accept_one(ls);
	for (int i = 0; i < 200; i++) {
		read_all(number, b, 8);
		write_all(number, b, 8);
	}
	struct deed *d = meanwhile(l, reuse_number);
	ssize_t r = recv(number, b, sizeof b, 0);
	EXPECT(r == 7 ? memcmp(b, "the old", 7) == 0 : r == -1 && errno == EBADF); // docs/compatibility.md
	joined(d);
	EQ(read(number, b, sizeof b), 5);
	EQ(memcmp(b, "ZZZZZ", 5), 0);
	child_ok(pid);
	must(close(number));
	must(close(other[0]));
	must(close(other[1]));
	must(close(ls));
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
	{"beside_duplicate_closed", duplicate_closed, false},
	{"beside_duplicate_closed_cold", duplicate_closed, true},
	{"beside_number_taken", number_taken, false},
	{"beside_number_taken_cold", number_taken, true},
	{"beside_sender_number_taken", sender_number_taken, false},
	{"beside_sender_number_taken_cold", sender_number_taken, true},
	{"beside_number_reused", number_reused, false},
	{"beside_closed_by_two", closed_by_two, false},
	{0},
};
