// SPDX-License-Identifier: Apache-2.0
// A call's number taken by another thread, which closes it or gives it to something else: a call that is under way has
// the file, and goes on. Of and_reused it is the connection's last number, all others leave it another one.
#include "contract.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

static pid_t sleeper;

static void heard(int sig) { (void)sig; }

static int number;
static _Atomic int idle; // what the number is to name instead, or -1

static void take(void)
{
	if (idle < 0)
		must(close(number));
	else
		must(dup2(idle, number));
}

static void take_number(struct link *l)
{
	take();
	EQ(ask(l, OP_SEND, 20), 20);
}

// A call goes on when the number that it was made by is closed, and another names the connection.
static void a_duplicate(struct link *l)
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
static void by_dup2(struct link *l)
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

struct taker { pthread_t thread; _Atomic int under_way; int delay; struct link *asks; };

static void *takes_number(void *arg)
{
	struct taker *t = arg;
	while (!t->under_way)
		;
	for (volatile int i = 0; i < t->delay; i++)
		;
	if (t->asks)
		take_number(t->asks);
	else
		take();
	return NULL;
}

// Until it is joined a thread takes a new number of the connection's; pipe: it is a pipe's then, in every other round.
static void let_take(struct taker *t, struct link *l, int round, int pipe)
{
	number = (int)must(dup(l->s));
	idle = round % 2 ? pipe : -1;
	EQ(pthread_create(&t->thread, NULL, takes_number, t), 0);
	t->under_way = 1;
}

static bool taken_first(struct taker *t, ssize_t r)
{
	bool refused = r < 0 && errno == (idle < 0 ? EBADF : ENOTSOCK);
	EQ(pthread_join(t->thread, NULL), 0);
	if (idle >= 0)
		must(close(number));
	return refused;
}

// At whatever moment: a call does all that it was asked for, or has found no such number and done nothing.
static void any_time(struct link *l)
{
	enum { ROUNDS = 600 };
	uint8_t b[25];
	int pipe[2];
	must(pipe2(pipe, O_CLOEXEC));
	for (int i = 0; i < ROUNDS; i++) {
		struct taker t = {.delay = i % 100 * 100, .asks = l};
		EQ(ask(l, OP_SEND, 5), 5);
		let_take(&t, l, i, pipe[0]);
		ssize_t r = recv(number, b, sizeof b, MSG_WAITALL);
		if (taken_first(&t, r))
			r = recv(l->s, b, sizeof b, MSG_WAITALL);
		EQ(r, sizeof b);
		verify(l, b, sizeof b);
	}
}

static void any_time_from_sender(struct link *l)
{
	enum { ROUNDS = 300 };
	static uint8_t b[8 << 20]; // more than anybody buffers
	int pipe[2];
	must(pipe2(pipe, O_CLOEXEC));
	for (int i = 0; i < ROUNDS; i++) {
		size_t n = i % 10 ? 100 : sizeof b;
		struct taker t = {.delay = n == 100 ? i % 100 * 100 : i * 3000};
		post(l, OP_RECV, n);
		fill(l, b, n);
		let_take(&t, l, i, pipe[0]);
		ssize_t r = send(number, b, n, MSG_NOSIGNAL);
		if (taken_first(&t, r))
			r = send(l->s, b, n, MSG_NOSIGNAL);
		EQ(r, n);
		EQ(answer(l), n);
	}
}

static void name_a_pipe_and_interrupt(struct link *l)
{
	(void)l;
	must(dup2(idle, number));
	must(tgkill(getpid(), sleeper, SIGUSR1));
}

// A send that is interrupted does not go on with what its number names by then.
static void from_sender_and_interrupted(struct link *l)
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
static void and_reused(struct link *l)
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

// SO_RCVTIMEO holds by whatever number the call goes on.
static void before_a_timeout(struct link *l)
{
	enum { ROUNDS = 40 };
	struct timeval t = {0, 10000};
	int pipe[2];
	char b;
	must(pipe2(pipe, O_CLOEXEC));
	must(setsockopt(l->s, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	for (int i = 0; i < ROUNDS; i++) {
		struct taker k = {.delay = i * 1000};
		let_take(&k, l, i, pipe[0]);
		ssize_t r = recv(number, &b, 1, 0);
		int late = r < 0 && errno == EAGAIN;
		EQ(taken_first(&k, r) + late, 1);
	}
}

static void take_for_another(struct link *l)
{
	take();
	post(l, OP_RECV, (8 << 20) + 100);
}

// What is left of a call that waited goes where its beginning went.
static void for_another(struct link *l)
{
	static uint8_t b[(8 << 20) + 100];
	enum { FIRST = sizeof b - 100 };
	int port, ls = other_listener(l, &port), file = (int)must(memfd_create("", MFD_CLOEXEC));
	idle = connect_to(l->v6, port);
	int far = accept_one(ls);
	for (int i = 0; i < 3; i++) {
		struct iovec v[2] = {{b, FIRST}, {b + FIRST, 100}};
		struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = v, .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = v + 1, .msg_iovlen = 1}}};
		fill(l, b, sizeof b);
		must(pwrite(file, b, sizeof b, 0));
		must(lseek(file, 0, SEEK_SET));
		number = (int)must(dup(l->s));
		struct deed *d = meanwhile(l, take_for_another);
		if (i == 0)
			EQ(sendmmsg(number, m, 2, 0), 2);
		else if (i == 1)
			EQ(sendfile(number, file, NULL, sizeof b), sizeof b);
		else
			EQ(send(number, b, sizeof b, 0), sizeof b);
		joined(d);
		EQ(answer(l), sizeof b);
		EQ(ready(far, POLLIN), 0);
		must(close(number));
	}
}

static int set, set_number;

static void *names_them_again(void *arg)
{
	struct link *l = arg;
	while (idle < 0) {
		must(dup2(l->s, number));
		must(dup2(set, set_number));
	}
	return NULL;
}

// Numbers to which the connection, or the epoll set, is given that they name already.
static void by_itself(struct link *l)
{
	enum { ROUNDS = 1000 };
	pthread_t other;
	struct epoll_event e;
	uint8_t b[20];
	number = (int)must(dup(l->s));
	set = watched(l->s, EPOLLIN);
	set_number = (int)must(dup(set));
	idle = -1;
	EQ(pthread_create(&other, NULL, names_them_again, l), 0);
	for (int i = 0; i < ROUNDS; i++) {
		post(l, OP_ECHO, sizeof b);
		fill(l, b, sizeof b);
		EQ(send(number, b, sizeof b, 0), sizeof b);
		EQ(epoll_wait(set_number, &e, 1, LONG), 1);
		EQ(recv(number, b, sizeof b, MSG_WAITALL), sizeof b);
		verify(l, b, sizeof b);
		EQ(answer(l), sizeof b);
	}
	idle = 0;
	EQ(pthread_join(other, NULL), 0);
}

const struct check taken_checks[] = {
	{"taken_a_duplicate", a_duplicate, false},
	{"taken_a_duplicate_cold", a_duplicate, true},
	{"taken_by_dup2", by_dup2, false},
	{"taken_by_dup2_cold", by_dup2, true},
	{"taken_any_time", any_time, false},
	{"taken_any_time_cold", any_time, true},
	{"taken_any_time_from_sender", any_time_from_sender, false},
	{"taken_any_time_from_sender_cold", any_time_from_sender, true},
	{"taken_from_sender_and_interrupted", from_sender_and_interrupted, false},
	{"taken_from_sender_and_interrupted_cold", from_sender_and_interrupted, true},
	{"taken_before_a_timeout", before_a_timeout, false},
	{"taken_before_a_timeout_cold", before_a_timeout, true},
	{"taken_for_another", for_another, false},
	{"taken_for_another_cold", for_another, true},
	{"taken_by_itself", by_itself, false},
	{"taken_by_itself_cold", by_itself, true},
	{"taken_and_reused", and_reused, false},
	{0},
};
