// SPDX-License-Identifier: Apache-2.0
// What the death of a process tells who is connected to it: RST, if it left bytes unread.
#include "contract.h"

enum { PIECE = 64 << 10 };

struct doomed {
	pid_t pid;
	int s;    // our end
	int full; // a byte here says that our end is full and that we go to sleep
};

static void talk(int fd, bool first)
{
	char c = 'q';
	for (int i = 0; i < 300; i++) {
		if (first)
			write_all(fd, &c, 1);
		read_all(fd, &c, 1);
		if (!first)
			write_all(fd, &c, 1);
	}
}

static void until_full(int fd)
{
	struct link to = {.s = fd};
	stuff(&to);
}

// doom makes a connection to a process that reads nothing, and is killed when we sleep. It has sent more
// than fits, on TCP: its end is behind bytes that nobody reads.
static struct doomed doom(struct link *l)
{
	int port, ls = other_listener(l, &port), ready[2], full[2];
	char c;
	pid_t us = getpid();
	must(pipe2(ready, O_CLOEXEC));
	must(pipe2(full, O_CLOEXEC));
	struct doomed d = {.pid = fork_link(l), .full = full[1]};
	if (d.pid == 0) {
		int s = connect_to(l->v6, port);
		talk(s, true);
		EQ(send(s, "u", 1, MSG_OOB), 1);
		until_full(s);
		write_all(ready[1], "r", 1);
		read_all(full[0], &c, 1);
		until_asleep(us, us);
		kill(getpid(), SIGKILL);
	}
	d.s = accept_one(ls);
	talk(d.s, false);
	read_all(ready[0], &c, 1);
	until_full(d.s);
	close(ls);
	return d;
}

static void expect_reset(struct doomed *d)
{
	char c[PIECE];
	int st;
	ERR(send(d->s, "x", 1, MSG_NOSIGNAL), ECONNRESET);
	ERR(send(d->s, "x", 1, MSG_NOSIGNAL), EPIPE);
	must(waitpid(d->pid, &st, 0));
	EXPECT(WIFSIGNALED(st));
	ssize_t r;
	while ((r = recv(d->s, c, sizeof c, MSG_DONTWAIT)) > 0)
		;
	EQ(r, 0);
	close(d->s);
}

static void epoll_for_room(struct link *l)
{
	struct doomed d = doom(l);
	struct epoll_event e = {.events = EPOLLOUT}, got;
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, d.s, &e));
	write_all(d.full, "f", 1);
	EQ(epoll_wait(ep, &got, 1, LONG), 1);
	EQ(got.events, EPOLLOUT | EPOLLERR | EPOLLHUP);
	expect_reset(&d);
}

static void poll_for_room(struct link *l)
{
	struct doomed d = doom(l);
	struct pollfd p = {d.s, POLLOUT, 0};
	write_all(d.full, "f", 1);
	EQ(poll(&p, 1, LONG), 1);
	EQ(p.revents, POLLOUT | POLLERR | POLLHUP);
	expect_reset(&d);
}

static void sender(struct link *l)
{
	struct doomed d = doom(l);
	write_all(d.full, "f", 1);
	ERR(send(d.s, "x", 1, MSG_NOSIGNAL), ECONNRESET);
	ERR(send(d.s, "x", 1, MSG_NOSIGNAL), EPIPE);
	close(d.s);
}

enum end { UNREAD_FIN, READ_FIN, OUR_SHUT_RD };

// killed_after: RST after the peer's FIN says EPIPE; our own SHUT_RD is no FIN, and its death is told as a reset.
static void killed_after(struct link *l, enum end end)
{
	int port, ls = other_listener(l, &port), full[2], st;
	char c;
	must(pipe2(full, O_CLOEXEC));
	pid_t us = getpid(), child = fork_link(l);
	if (child == 0) {
		int s = connect_to(l->v6, port);
		talk(s, true);
		if (end != OUR_SHUT_RD)
			must(shutdown(s, SHUT_WR));
		read_all(full[0], &c, 1);
		until_asleep(us, us);
		kill(getpid(), SIGKILL);
	}
	int s = accept_one(ls);
	talk(s, false);
	if (end == OUR_SHUT_RD)
		must(shutdown(s, SHUT_RD));
	if (end != UNREAD_FIN)
		EQ(recv(s, &c, 1, 0), 0);
	until_full(s);
	write_all(full[1], "f", 1);
	while (send(s, "x", 1, MSG_NOSIGNAL) == 1)
		; // TCP was full, and now there is a ring
	EQ(errno, end == OUR_SHUT_RD ? ECONNRESET : EPIPE);
	ERR(send(s, "x", 1, MSG_NOSIGNAL), EPIPE);
	EQ(recv(s, &c, 1, MSG_DONTWAIT), 0);
	must(waitpid(child, &st, 0));
	EXPECT(WIFSIGNALED(st));
	close(s);
	close(ls);
}

static void sender_after_the_end(struct link *l) { killed_after(l, READ_FIN); }
static void sender_after_an_unread_end(struct link *l) { killed_after(l, UNREAD_FIN); }
static void sender_after_our_shut_rd(struct link *l) { killed_after(l, OUR_SHUT_RD); }

// Of two processes that send on one connection one is killed, perhaps in the middle; nobody has waited for it yet.
static void of_another_sender(struct link *l)
{
	enum { ROUNDS = 10, SMALL = 512 };
	int port, ls = other_listener(l, &port);
	static char c[PIECE];
	pid_t sink = fork_link(l);
	if (sink == 0) {
		int s = connect_to(l->v6, port);
		talk(s, true);
		while (recv(s, c, sizeof c, 0) > 0)
			;
		_exit(0);
	}
	int s = accept_one(ls);
	talk(s, false);
	for (int i = 0; i < ROUNDS; i++) {
		siginfo_t dead;
		pid_t pid = fork_link(l);
		if (pid == 0)
			for (;;)
				write_all(s, c, SMALL);
		for (int j = 0; j < 100 * (i + 1); j++)
			write_all(s, c, SMALL);
		must(kill(pid, SIGKILL));
		must(waitid(P_PID, (id_t)pid, &dead, WEXITED | WNOWAIT));
		write_all(s, c, SMALL);
		must(waitpid(pid, NULL, 0));
	}
	must(close(s));
	child_ok(sink);
	must(close(ls));
}

// An epoll set that has always something to tell of tells of a death too; libsd.so does in the sixteenth wait at last.
static void beside_bytes(struct link *l)
{
	enum { WAITS = 16 };
	int port, ls = other_listener(l, &port), st, n = 1, waits = 0, ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	struct epoll_event in = {.events = EPOLLIN}, end = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.u64 = 1}, e[2];
	pid_t pid = fork_link(l);
	if (pid == 0) {
		talk(connect_to(l->v6, port), false);
		pause();
	}
	int s = accept_one(ls);
	talk(s, true); // it has read all when we have
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &in));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, s, &end));
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(l->s, 8);
	EQ(epoll_wait(ep, e, 2, LONG), 1);
	must(kill(pid, SIGKILL));
	must(waitpid(pid, &st, 0));
	until_event(s, POLLRDHUP);
	for (; n == 1 && waits < WAITS; waits++)
		n = (int)must(epoll_wait(ep, e, 2, LONG));
	EQ(n, 2);
	EQ(e[e[1].data.u64 == 1].events, EPOLLIN | EPOLLRDHUP);
	close(s);
	close(ls);
	close(ep);
}

const struct check death_checks[] = {
	{"death_wakes_epoll_for_room", epoll_for_room, true},
	{"death_wakes_poll_for_room", poll_for_room, true},
	{"death_wakes_a_sender", sender, true},
	{"death_after_our_shut_rd_wakes_a_sender", sender_after_our_shut_rd, true},
	{"death_beside_bytes", beside_bytes, false},
	{"death_of_another_sender", of_another_sender, false},
	{"death_after_its_end_wakes_a_sender", sender_after_the_end, true},
	{"death_after_an_unread_end_wakes_a_sender", sender_after_an_unread_end, true},
	{0},
};
