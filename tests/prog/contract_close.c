// SPDX-License-Identifier: Apache-2.0
// The ways in which a stream ends, and what each end is told.
#include "contract.h"

static void expect_eof(struct link *l)
{
	char c;
	for (int i = 0; i < 3; i++)
		EQ(recv(l->s, &c, 1, 0), 0);
}

static int so_error(int fd)
{
	int e = -1;
	socklen_t n = sizeof e;
	must(getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n));
	return e;
}

static void data_before_eof(struct link *l)
{
	EQ(ask(l, OP_SEND, 500000), 500000);
	EQ(ask(l, OP_CLOSE, 0), 0);
	get(l, 500000);
	expect_eof(l);
}

static void eof_wakes_recv(struct link *l)
{
	char c;
	post_asleep(l, OP_CLOSE, 0);
	EQ(recv(l->s, &c, 1, 0), 0);
	EQ(answer(l), 0);
}

static void half_close_of_ours(struct link *l)
{
	put(l, 1000);
	must(shutdown(l->s, SHUT_WR));
	EQ(ask(l, OP_DRAIN, 0), 1000);
	EQ(ask(l, OP_SEND, 100000), 100000);
	get(l, 100000);
	ERR(send(l->s, "x", 1, MSG_NOSIGNAL), EPIPE);
	EQ(ask(l, OP_CLOSE, 0), 0);
	expect_eof(l);
}

static void half_close_of_the_peer(struct link *l)
{
	EQ(ask(l, OP_SEND, 1000), 1000);
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	get(l, 1000);
	expect_eof(l);
	for (int i = 0; i < 5; i++) {
		put(l, 100000);
		EQ(ask(l, OP_RECV, 100000), 100000);
	}
	must(shutdown(l->s, SHUT_WR));
	EQ(ask(l, OP_DRAIN, 0), 0);
}

static void half_close_then_large_reply(struct link *l)
{
	enum { SIZE = 8 << 20 };
	must(shutdown(l->s, SHUT_WR));
	EQ(ask(l, OP_DRAIN, 0), 0);
	post(l, OP_SEND, SIZE);
	get(l, SIZE);
	EQ(answer(l), SIZE);
	EQ(ask(l, OP_CLOSE, 0), 0);
	expect_eof(l);
}

static void epipe_after_close(struct link *l)
{
	EQ(ask(l, OP_CLOSE, 0), 0);
	until_event(l->s, POLLIN);
	EQ(send(l->s, "x", 1, MSG_NOSIGNAL), 1);
	until_event(l->s, POLLHUP);
	ERR(send(l->s, "x", 1, MSG_NOSIGNAL), EPIPE);
	ERR(send(l->s, "x", 1, MSG_NOSIGNAL), EPIPE);
	expect_eof(l);
}

// Calls for no bytes ask the socket, but for those of the read and the writev family.
static void nothing_asked_for(struct link *l)
{
	char c = 0;
	struct iovec none = {&c, 0};
	EQ(recv(l->s, &c, 0, MSG_DONTWAIT | MSG_PEEK), -1);
	post_asleep(l, OP_SEND, 8);
	EQ(recv(l->s, &c, 0, 0), 0);
	EQ(answer(l), 8);
	until_arrived(l->s, 8);
	EQ(recv(l->s, &c, 0, MSG_DONTWAIT), 0);
	get(l, 8);
	ERR(recv(l->s, &c, 0, MSG_DONTWAIT), EAGAIN);
	put(l, 8);
	EQ(send(l->s, &c, 0, 0), 0);
	post_asleep(l, OP_CLOSE, 0);
	EQ(recv(l->s, &c, 0, 0), 0);
	EQ(answer(l), 0);
	until_event(l->s, POLLERR);
	EQ(readv(l->s, &none, 1), 0);
	EQ(read(l->s, &c, 0), 0);
	EQ(writev(l->s, &none, 1), 0);
	ERR(recv(l->s, &c, 0, 0), ECONNRESET);
	ERR(send(l->s, &c, 0, MSG_NOSIGNAL), EPIPE);
	EQ(writev(l->s, &none, 1), 0);
	EQ(recv(l->s, &c, 0, 0), 0);
}

// Whoever knows that the peer has closed is told so by the second send: the first is answered by RST.
static void closed_is_known_at_once(struct link *l)
{
	EQ(ask(l, OP_SEND, 8), 8);
	get(l, 8);
	for (int i = 0; i < 5; i++) {
		put(l, 1);
		EQ(ask(l, OP_RECV, 1), 1);
	}
	EQ(ask(l, OP_CLOSE, 0), 0);
	EQ(send(l->s, "x", 1, MSG_NOSIGNAL), 1);
	until_event(l->s, POLLHUP);
	ERR(send(l->s, "x", 1, MSG_NOSIGNAL), EPIPE);
}

static volatile sig_atomic_t pipes;

static void on_pipe(int sig)
{
	(void)sig;
	pipes++;
}

static void sigpipe(struct link *l)
{
	signal(SIGPIPE, on_pipe);
	must(shutdown(l->s, SHUT_WR));
	ERR(send(l->s, "x", 1, MSG_NOSIGNAL), EPIPE);
	EQ(pipes, 0);
	ERR(send(l->s, "x", 1, 0), EPIPE);
	EQ(pipes, 1);
	ERR(write(l->s, "x", 1), EPIPE);
	EQ(pipes, 2);
	struct iovec v = {(void *)"x", 1};
	ERR(writev(l->s, &v, 1), EPIPE);
	EQ(pipes, 3);
}

static void sigpipe_kills(struct link *l)
{
	int st;
	EQ(ask(l, OP_CLOSE, 0), 0);
	pid_t pid = fork_link(l);
	if (pid == 0) {
		for (int i = 0; i < 1000; i++) {
			write(l->s, "x", 1);
			nap_us(1000);
		}
		_exit(0);
	}
	must(waitpid(pid, &st, 0));
	EXPECT(WIFSIGNALED(st));
	EQ(WTERMSIG(st), SIGPIPE);
}

static void close_with_unread_resets(struct link *l)
{
	char c;
	put(l, 100);
	EQ(ask(l, OP_ARRIVED, 100), 0);
	EQ(ask(l, OP_CLOSE, 0), 0);
	until_event(l->s, POLLHUP);
	ERR(recv(l->s, &c, 1, 0), ECONNRESET);
	EQ(recv(l->s, &c, 1, 0), 0);
	ERR(send(l->s, &c, 1, MSG_NOSIGNAL), EPIPE);
}

static void reset_after_data(struct link *l)
{
	char c;
	put(l, 100);
	EQ(ask(l, OP_ARRIVED, 100), 0);
	EQ(ask(l, OP_SEND, 50), 50);
	until_arrived(l->s, 50);
	EQ(ask(l, OP_CLOSE, 0), 0);
	until_event(l->s, POLLHUP);
	get(l, 50);
	ERR(recv(l->s, &c, 1, 0), ECONNRESET);
	EQ(recv(l->s, &c, 1, 0), 0);
}

static void linger_resets(struct link *l)
{
	char c;
	EQ(ask(l, OP_RESET, 0), 0);
	until_event(l->s, POLLHUP);
	EQ(ready(l->s, POLLIN | POLLOUT | POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP);
	ERR(recv(l->s, &c, 1, 0), ECONNRESET);
	EQ(ready(l->s, POLLIN | POLLOUT | POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	EQ(recv(l->s, &c, 1, 0), 0);
}

static void reset_shows_in_so_error(struct link *l)
{
	EQ(so_error(l->s), 0);
	EQ(ask(l, OP_RESET, 0), 0);
	until_event(l->s, POLLERR);
	EQ(so_error(l->s), ECONNRESET);
	EQ(so_error(l->s), 0);
	ERR(send(l->s, "x", 1, MSG_NOSIGNAL), EPIPE);
}

static void reset_wakes_recv(struct link *l)
{
	char c;
	post_asleep(l, OP_RESET, 0);
	ERR(recv(l->s, &c, 1, 0), ECONNRESET);
	EQ(answer(l), 0);
}

static void reset_wakes_send(struct link *l)
{
	stuff(l);
	post_asleep(l, OP_CLOSE, 0);
	uint8_t b[4 << 20] = {0};
	for (int i = 0; i < 10; i++)
		if (send(l->s, b, sizeof b, MSG_NOSIGNAL) < 0)
			break;
	EXPECT(errno == ECONNRESET || errno == EPIPE);
	EQ(answer(l), 0);
}

// The error that ends a send which has sent a part is left to the next call.
static void reset_after_a_part(struct link *l)
{
	static uint8_t b[64 << 20];
	post_asleep(l, OP_RESET, 0);
	ssize_t part = send(l->s, b, sizeof b, MSG_NOSIGNAL);
	EXPECT(part > 0 && part < (ssize_t)sizeof b);
	EQ(answer(l), 0);
	EQ(ready(l->s, POLLIN), POLLIN | POLLERR | POLLHUP);
	ERR(recv(l->s, b, 1, 0), ECONNRESET);
	EQ(recv(l->s, b, 1, 0), 0);
	ERR(send(l->s, b, 1, MSG_NOSIGNAL), EPIPE);
}

static void shut_rd(struct link *l)
{
	char b[8];
	must(shutdown(l->s, SHUT_RD));
	EQ(recv(l->s, b, 8, 0), 0);
	EQ(ready(l->s, POLLIN | POLLRDHUP), POLLIN | POLLRDHUP);
	put(l, 100);
	EQ(ask(l, OP_RECV, 100), 100);
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(l->s, 8);
	get(l, 8); // Linux delivers what comes after a shutdown of the reading side
	EQ(recv(l->s, b, 8, 0), 0);
}

static void shut_both(struct link *l)
{
	char b[8];
	must(shutdown(l->s, SHUT_RDWR));
	EQ(recv(l->s, b, 8, 0), 0);
	ERR(send(l->s, b, 8, MSG_NOSIGNAL), EPIPE);
	EQ(ask(l, OP_DRAIN, 0), 0);
	EQ(ask(l, OP_CLOSE, 0), 0);
	ERR(shutdown(l->s, 99), EINVAL);
}

static void shut_twice(struct link *l)
{
	must(shutdown(l->s, SHUT_WR));
	must(shutdown(l->s, SHUT_WR));
	EQ(ask(l, OP_DRAIN, 0), 0);
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	until_event(l->s, POLLHUP);
	ERR(shutdown(l->s, SHUT_WR), ENOTCONN);
	expect_eof(l);
}

static void close_delivers(struct link *l)
{
	put(l, 2 << 20);
	must(close(l->s));
	l->s = -1;
	EQ(ask(l, OP_DRAIN, 0), 2 << 20);
}

static void exit_delivers(struct link *l)
{
	pid_t pid = fork_link(l);
	if (pid == 0) {
		put(l, 100000);
		_exit(0);
	}
	must(close(l->s));
	l->s = -1;
	l->tx += 100000;
	child_ok(pid);
	EQ(ask(l, OP_DRAIN, 0), 100000);
}

const struct check close_checks[] = {
	{"data_before_eof", data_before_eof, false},
	{"data_before_eof_cold", data_before_eof, true},
	{"eof_wakes_recv", eof_wakes_recv, false},
	{"half_close_of_ours", half_close_of_ours, false},
	{"half_close_of_ours_cold", half_close_of_ours, true},
	{"half_close_of_the_peer", half_close_of_the_peer, false},
	{"half_close_of_the_peer_cold", half_close_of_the_peer, true},
	{"half_close_then_large_reply", half_close_then_large_reply, false},
	{"nothing_asked_for", nothing_asked_for, false},
	{"nothing_asked_for_cold", nothing_asked_for, true},
	{"closed_is_known_at_once", closed_is_known_at_once, false},
	{"epipe_after_close", epipe_after_close, false},
	{"sigpipe", sigpipe, false},
	{"sigpipe_kills", sigpipe_kills, false},
	{"close_with_unread_resets", close_with_unread_resets, false},
	{"close_with_unread_resets_cold", close_with_unread_resets, true},
	{"reset_after_data", reset_after_data, false},
	{"linger_resets", linger_resets, false},
	{"reset_shows_in_so_error", reset_shows_in_so_error, false},
	{"reset_wakes_recv", reset_wakes_recv, false},
	{"reset_wakes_send", reset_wakes_send, false},
	{"reset_after_a_part", reset_after_a_part, false},
	{"reset_after_a_part_cold", reset_after_a_part, true},
	{"shut_rd", shut_rd, false},
	{"shut_both", shut_both, false},
	{"shut_twice", shut_twice, false},
	{"close_delivers", close_delivers, false},
	{"close_delivers_cold", close_delivers, true},
	{"exit_delivers", exit_delivers, false},
	{0},
};
