// SPDX-License-Identifier: Apache-2.0
// One connection in several processes.
#include "contract.h"

static void child_uses(struct link *l)
{
	EQ(ask(l, OP_SEND, 100000), 100000);
	pid_t pid = fork_link(l);
	if (pid == 0) {
		get(l, 100000);
		put(l, 100000);
		_exit(0);
	}
	EQ(ask(l, OP_RECV, 100000), 100000);
	child_ok(pid);
}

static void turns(struct link *l)
{
	for (int i = 0; i < 4; i++) {
		post(l, OP_ECHO, 1000);
		put(l, 1000);
		get(l, 1000);
		EQ(answer(l), 1000);
		post(l, OP_ECHO, 1000);
		pid_t pid = fork_link(l);
		if (pid == 0) {
			put(l, 1000);
			get(l, 1000);
			_exit(0);
		}
		child_ok(pid);
		l->tx += 1000;
		l->rx += 1000;
		EQ(answer(l), 1000);
	}
}

// Small sends and receives, in the middle of many: each process goes on where the other one stopped.
static void in_a_burst(struct link *l)
{
	enum { SMALL = 8, SOME = 21, ALL = 3 * SOME };
	for (int turn = 0; turn < 3; turn++) {
		EQ(ask(l, OP_SEND, ALL * SMALL), ALL * SMALL);
		until_arrived(l->s, ALL * SMALL);
		for (int i = 0; i < SOME; i++)
			get(l, SMALL);
		post(l, OP_RECV, ALL * SMALL);
		for (int i = 0; i < SOME; i++)
			put(l, SMALL);
		pid_t pid = fork_link(l);
		if (pid == 0) {
			for (int i = 0; i < SOME; i++) {
				put(l, SMALL);
				get(l, SMALL);
			}
			_exit(0);
		}
		child_ok(pid);
		l->tx += SOME * SMALL;
		l->rx += SOME * SMALL;
		for (int i = 0; i < SOME; i++)
			put(l, SMALL);
		EQ(answer(l), ALL * SMALL);
		for (int i = 0; i < SOME; i++)
			get(l, SMALL);
	}
}

// Both processes send whole records at once; records must arrive whole, in any order.
static void both_send(struct link *l)
{
	enum { RECORD = 64, COUNT = 500 };
	int port, ls = other_listener(l, &port), c = connect_to(l->v6, port), s = accept_one(ls);
	uint8_t b[RECORD];
	for (int i = 0; i < 50; i++) {
		memset(b, 0, RECORD);
		write_all(c, b, RECORD);
		read_all(s, b, RECORD);
		write_all(s, b, RECORD);
		read_all(c, b, RECORD);
	}
	pid_t pid = fork_link(l);
	memset(b, pid == 0 ? 'c' : 'p', RECORD);
	for (int i = 0; i < COUNT; i++)
		EQ(send(c, b, RECORD, 0), RECORD);
	if (pid == 0)
		_exit(0);
	int parents = 0, children = 0;
	for (int i = 0; i < 2 * COUNT; i++) {
		read_all(s, b, RECORD);
		for (int k = 1; k < RECORD; k++)
			EQ(b[k], b[0]);
		parents += b[0] == 'p';
		children += b[0] == 'c';
	}
	EQ(parents, COUNT);
	EQ(children, COUNT);
	child_ok(pid);
}

static void no_eof_while_a_child_holds(struct link *l)
{
	int go[2];
	char c;
	must(pipe(go));
	pid_t pid = fork_link(l);
	if (pid == 0) {
		close(go[1]);
		read(go[0], &c, 1);
		put(l, 10);
		_exit(0);
	}
	must(close(l->s));
	l->s = -1;
	EQ(ask(l, OP_TRY, 1), -EAGAIN);
	close(go[1]);
	l->tx += 10;
	EQ(ask(l, OP_DRAIN, 0), 10);
	child_ok(pid);
}

static void child_closes_parent_goes_on(struct link *l)
{
	pid_t pid = fork_link(l);
	if (pid == 0) {
		must(close(l->s));
		_exit(0);
	}
	child_ok(pid);
	EQ(ask(l, OP_TRY, 1), -EAGAIN);
	post(l, OP_ECHO, 100000);
	put(l, 100000);
	get(l, 100000);
	EQ(answer(l), 100000);
}

static void shutdown_in_a_child_is_for_all(struct link *l)
{
	pid_t pid = fork_link(l);
	if (pid == 0) {
		must(shutdown(l->s, SHUT_WR));
		_exit(0);
	}
	child_ok(pid);
	EQ(ask(l, OP_DRAIN, 0), 0);
	ERR(send(l->s, "x", 1, MSG_NOSIGNAL), EPIPE);
	EQ(ask(l, OP_SEND, 10), 10);
	get(l, 10);
}

static void child_waits_parent_sends(struct link *l)
{
	pid_t pid = fork_link(l);
	if (pid == 0) {
		get(l, 1000);
		_exit(0);
	}
	put(l, 500);
	EQ(ask(l, OP_RECV, 500), 500);
	until_asleep(pid, pid);
	EQ(ask(l, OP_SEND, 1000), 1000);
	child_ok(pid);
}

static void killed_child_leaves_the_parent_alone(struct link *l)
{
	for (int i = 0; i < 10; i++) {
		int st;
		pid_t pid = fork_link(l);
		if (pid == 0) {
			char c;
			recv(l->s, &c, 1, 0);
			_exit(1);
		}
		until_asleep(pid, pid);
		kill(pid, SIGKILL);
		must(waitpid(pid, &st, 0));
		post(l, OP_ECHO, 1000);
		put(l, 1000);
		get(l, 1000);
		EQ(answer(l), 1000);
	}
}

static void child_makes_connections(struct link *l)
{
	int port, ls = other_listener(l, &port);
	pid_t pid = fork_link(l);
	if (pid == 0) {
		int c = connect_to(l->v6, port);
		char b[8];
		for (int i = 0; i < 200; i++) {
			write_all(c, "12345678", 8);
			read_all(c, b, 8);
		}
		_exit(0);
	}
	int s = accept_one(ls);
	char b[8];
	for (int i = 0; i < 200; i++) {
		read_all(s, b, 8);
		write_all(s, b, 8);
	}
	child_ok(pid);
	EQ(read(s, b, 1), 0);
}

// The socket is connected by one of two processes that have it.
static void connected_after_fork(struct link *l)
{
	int port, ls = other_listener(l, &port), go[2];
	struct addr a = loopback(l->v6, port);
	int s = (int)must(socket(a.ss.ss_family, SOCK_STREAM, 0));
	char b[8];
	must(pipe(go));
	pid_t pid = fork_link(l);
	if (pid == 0) {
		read_all(go[0], b, 1);
		read_all(s, b, 8);
		for (int i = 0; i < 50; i++)
			write_all(s, b, 8);
		_exit(0);
	}
	must(connect(s, (void *)&a.ss, a.len));
	int t = accept_one(ls);
	for (int i = 0; i < 50; i++) {
		write_all(s, "12345678", 8);
		read_all(t, b, 8);
		write_all(t, "12345678", 8);
		read_all(s, b, 8);
	}
	write_all(t, "abcdefgh", 8);
	write_all(go[1], "x", 1);
	for (int i = 0; i < 50; i++) {
		read_all(t, b, 8);
		EQ(memcmp(b, "abcdefgh", 8), 0);
	}
	child_ok(pid);
	write_all(s, "12345678", 8);
	read_all(t, b, 8);
}

// The socket has a second number that came from a socket of the Unix domain.
static void passed_before_connect(struct link *l)
{
	int port, ls = other_listener(l, &port), u[2], d;
	struct addr a = loopback(l->v6, port);
	int s = (int)must(socket(a.ss.ss_family, SOCK_STREAM, 0));
	union { struct cmsghdr h; char b[CMSG_SPACE(sizeof d)]; } m = {0};
	char b[8] = "x";
	struct iovec v = {b, 1};
	struct msghdr mh = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &m, .msg_controllen = sizeof m};
	m.h = (struct cmsghdr){CMSG_LEN(sizeof d), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(&m.h), &s, sizeof s);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, u));
	must(sendmsg(u[0], &mh, 0));
	must(recvmsg(u[1], &mh, 0));
	memcpy(&d, CMSG_DATA(&m.h), sizeof d);
	EXPECT(d != s);
	must(connect(s, (void *)&a.ss, a.len));
	int t = accept_one(ls);
	for (int i = 0; i < 100; i++) {
		write_all(i % 2 ? s : d, "12345678", 8);
		read_all(t, b, 8);
		write_all(t, "12345678", 8);
		read_all(i % 3 ? d : s, b, 8);
	}
}

static void child_accepts(struct link *l)
{
	int port, ls = other_listener(l, &port);
	pid_t pid = fork_link(l);
	if (pid == 0) {
		int s = accept_one(ls);
		char b[8];
		for (int i = 0; i < 200; i++) {
			read_all(s, b, 8);
			write_all(s, b, 8);
		}
		_exit(0);
	}
	must(close(ls));
	int c = connect_to(l->v6, port);
	char b[8];
	for (int i = 0; i < 200; i++) {
		write_all(c, "12345678", 8);
		read_all(c, b, 8);
	}
	child_ok(pid);
	EQ(read(c, b, 1), 0);
}

const struct check proc_checks[] = {
	{"connected_after_fork", connected_after_fork, true},
	{"passed_before_connect", passed_before_connect, true},
	{"fork_child_uses", child_uses, false},
	{"fork_child_uses_cold", child_uses, true},
	{"fork_turns", turns, false},
	{"fork_turns_cold", turns, true},
	{"fork_in_a_burst", in_a_burst, false},
	{"fork_in_a_burst_cold", in_a_burst, true},
	{"fork_both_send", both_send, true},
	{"fork_no_eof_while_a_child_holds", no_eof_while_a_child_holds, false},
	{"fork_no_eof_while_a_child_holds_cold", no_eof_while_a_child_holds, true},
	{"fork_child_closes_parent_goes_on", child_closes_parent_goes_on, false},
	{"fork_shutdown_in_a_child_is_for_all", shutdown_in_a_child_is_for_all, false},
	{"fork_child_waits_parent_sends", child_waits_parent_sends, false},
	{"fork_killed_child_leaves_the_parent_alone", killed_child_leaves_the_parent_alone, false},
	{"fork_child_makes_connections", child_makes_connections, false},
	{"fork_child_accepts", child_accepts, false},
	{0},
};
