// SPDX-License-Identifier: Apache-2.0
// splice between pipes and the connection, and the calls of its kind that refuse sockets.
#include "contract.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

static void to_a_pipe(struct link *l)
{
	static uint8_t b[200000];
	int p[2];
	must(pipe2(p, O_CLOEXEC));
	set_nonblock(l->s, true);
	ERR(splice(l->s, NULL, p[1], NULL, 100, 0), EAGAIN);
	set_nonblock(l->s, false);
	for (int i = 0; i < 20; i++) {
		EQ(ask(l, OP_SEND, 1000), 1000);
		until_arrived(l->s, 1000);
		EQ(splice(l->s, NULL, p[1], NULL, 400, 0), 400);
		EQ(splice(l->s, NULL, p[1], NULL, 65536, SPLICE_F_MOVE), 600);
		read_all(p[0], b, 1000);
		verify(l, b, 1000);
		post_asleep(l, OP_SEND, 8);
		EQ(splice(l->s, NULL, p[1], NULL, 8, 0), 8);
		EQ(answer(l), 8);
		read_all(p[0], b, 8);
		verify(l, b, 8);
		put(l, 8);
		EQ(ask(l, OP_RECV, 8), 8);
	}
	post(l, OP_SEND, sizeof b);
	for (size_t done = 0; done < sizeof b;) {
		ssize_t r = must(splice(l->s, NULL, p[1], NULL, sizeof b - done, 0));
		EXPECT(r > 0);
		read_all(p[0], b + done, (size_t)r);
		done += (size_t)r;
	}
	verify(l, b, sizeof b);
	EQ(answer(l), sizeof b);
	int low = 50;
	must(setsockopt(l->s, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
	EQ(ask(l, OP_SEND, 5), 5);
	until_arrived(l->s, 5);
	EQ(splice(l->s, NULL, p[1], NULL, 100, 0), 5); // what is there
	read_all(p[0], b, 5);
	verify(l, b, 5);
}

static void to_a_full_pipe(struct link *l)
{
	static uint8_t b[1 << 20];
	int p[2];
	must(pipe2(p, O_CLOEXEC | O_NONBLOCK));
	ssize_t room = must(write(p[1], b, sizeof b));
	EQ(ask(l, OP_SEND, 100), 100);
	until_arrived(l->s, 100);
	ERR(splice(l->s, NULL, p[1], NULL, 100, 0), EAGAIN);
	read_all(p[0], b, (size_t)room);
	EQ(splice(l->s, NULL, p[1], NULL, 100, 0), 100);
	read_all(p[0], b, 100);
	verify(l, b, 100);
	EQ(ask(l, OP_SEND, 10), 10);
	until_arrived(l->s, 10);
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	ERR(splice(l->s, NULL, p[1], NULL, 10, 0), EPIPE);
	get(l, 10);
}

static void is_sent_to_a_pipe(struct link *l)
{
	uint8_t b[100];
	int p[2];
	must(pipe2(p, O_CLOEXEC));
	for (int i = 0; i < 20; i++) {
		EQ(ask(l, OP_SEND, sizeof b), sizeof b);
		until_arrived(l->s, sizeof b);
		EQ(sendfile(p[1], l->s, NULL, 1000), sizeof b);
		read_all(p[0], b, sizeof b);
		verify(l, b, sizeof b);
	}
}

static void to_a_pipe_until_eof(struct link *l)
{
	uint8_t b[10];
	int p[2];
	must(pipe2(p, O_CLOEXEC));
	EQ(ask(l, OP_SEND, 10), 10);
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	EQ(splice(l->s, NULL, p[1], NULL, 100, 0), 10);
	EQ(splice(l->s, NULL, p[1], NULL, 100, 0), 0);
	read_all(p[0], b, 10);
	verify(l, b, 10);
}

static void from_a_pipe(struct link *l)
{
	static uint8_t b[50000];
	int p[2];
	must(pipe2(p, O_CLOEXEC));
	ERR(splice(p[0], NULL, l->s, NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
	for (int i = 0; i < 20; i++) {
		fill(l, b, sizeof b);
		write_all(p[1], b, sizeof b);
		EQ(splice(p[0], NULL, l->s, NULL, 1000, SPLICE_F_MORE), 1000);
		EQ(splice(p[0], NULL, l->s, NULL, 1 << 20, 0), sizeof b - 1000);
		EQ(ask(l, OP_RECV, sizeof b), sizeof b);
		EQ(ask(l, OP_SEND, 8), 8);
		get(l, 8);
	}
	fill(l, b, 10);
	write_all(p[1], b, 10);
	close(p[1]);
	EQ(splice(p[0], NULL, l->s, NULL, 100, 0), 10);
	EQ(splice(p[0], NULL, l->s, NULL, 100, 0), 0);
	EQ(ask(l, OP_RECV, 10), 10);
}

// What a full connection does not take stays in the pipe.
static void from_a_pipe_when_full(struct link *l)
{
	uint8_t b[1000];
	int p[2];
	must(pipe2(p, O_CLOEXEC));
	size_t n = stuff(l);
	fill(l, b, sizeof b);
	write_all(p[1], b, sizeof b);
	set_nonblock(l->s, true);
	ERR(splice(p[0], NULL, l->s, NULL, sizeof b, 0), EAGAIN);
	EQ(ask(l, OP_RECV, (long)n), n);
	until_event(l->s, POLLOUT);
	EQ(splice(p[0], NULL, l->s, NULL, sizeof b, 0), sizeof b);
	EQ(ask(l, OP_RECV, sizeof b), sizeof b);
}

static void is_refused(struct link *l)
{
	int p[2], f = (int)must(memfd_create("file", MFD_CLOEXEC));
	off64_t off = 0;
	char c = 'x';
	struct iovec v = {&c, 1};
	must(pipe2(p, O_CLOEXEC));
	must(ftruncate(f, 100));
	EQ(ask(l, OP_SEND, 10), 10);
	until_arrived(l->s, 10);
	EQ(splice(l->s, NULL, p[1], NULL, 0, 0), 0);
	ERR(splice(l->s, NULL, p[1], NULL, 1, 1 << 10), EINVAL);
	EXPECT(splice(l->s, &off, p[1], NULL, 1, 0) == -1 && (errno == ESPIPE || errno == EINVAL));
	ERR(splice(l->s, NULL, p[1], &off, 1, 0), ESPIPE);
	ERR(splice(l->s, NULL, l->s, NULL, 1, 0), EINVAL);
	ERR(splice(l->s, NULL, p[0], NULL, 1, 0), EBADF);
	ERR(splice(l->s, NULL, p[0], NULL, 1, SPLICE_F_NONBLOCK), EBADF);
	ERR(splice(p[1], NULL, l->s, NULL, 1, 0), EBADF);
	ERR(sendfile(f, l->s, NULL, 0), EINVAL);
	EQ(sendfile(p[1], l->s, NULL, 0), 0);
	ERR(splice(l->s, NULL, f, NULL, 1, 0), EINVAL);
	ERR(tee(l->s, p[1], 1, 0), EINVAL);
	ERR(tee(p[0], l->s, 1, 0), EINVAL);
	EXPECT(vmsplice(l->s, &v, 1, 0) == -1 && errno == EBADF);
	ERR(copy_file_range(l->s, NULL, f, NULL, 1, 0), EINVAL);
	ERR(copy_file_range(f, NULL, l->s, NULL, 1, 0), EINVAL);
	ERR(sendfile(f, l->s, NULL, 1), EINVAL);
	ERR(sendfile(p[1], l->s, &off, 1), ESPIPE);
	ERR(sendfile(l->s, p[0], NULL, 1), EINVAL);
	get(l, 10);
	put(l, 10);
	EQ(ask(l, OP_RECV, 10), 10);
}

static int in_pipe(int fd)
{
	int n = -1;
	must(ioctl(fd, FIONREAD, &n));
	return n;
}

// What the connection refuses stays in the pipe, for another one.
static void refused_stays(struct link *l)
{
	static uint8_t b[20000];
	int p[2];
	must(pipe2(p, O_CLOEXEC));
	signal(SIGPIPE, SIG_IGN);
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(l->s, 8);
	write_all(p[1], b, sizeof b);
	must(shutdown(l->s, SHUT_WR));
	ERR(splice(p[0], NULL, l->s, NULL, sizeof b, 0), EPIPE);
	EQ(in_pipe(p[0]), sizeof b);
	ERR(splice(p[0], NULL, l->s, NULL, sizeof b, SPLICE_F_NONBLOCK), EPIPE);
	EQ(in_pipe(p[0]), sizeof b);
	must(pipe2(p, O_CLOEXEC));
	EQ(ask(l, OP_RESET, 0), 0);
	until_event(l->s, POLLERR);
	write_all(p[1], b, sizeof b);
	ERR(splice(p[0], NULL, l->s, NULL, sizeof b, 0), ECONNRESET);
	EQ(in_pipe(p[0]), sizeof b);
	ERR(splice(p[0], NULL, l->s, NULL, sizeof b, 0), EPIPE);
	EQ(in_pipe(p[0]), sizeof b);
}

// It never passes an urgent mark: 0, or EAGAIN of a socket that may not block, until a receive does.
static void urgent_mark(struct link *l, int in_line)
{
	uint8_t b[64];
	int p[2];
	must(pipe2(p, O_CLOEXEC));
	must(setsockopt(l->s, SOL_SOCKET, SO_OOBINLINE, &in_line, sizeof in_line));
	EQ(ask(l, OP_SEND, 5), 5);
	EQ(ask(l, OP_URGENT, 0), 1);
	EQ(ask(l, OP_SEND, 5), 5);
	until_event(l->s, POLLPRI);
	until_arrived(l->s, 5);
	EQ(splice(l->s, NULL, p[1], NULL, 64, 0), 5);
	for (int i = 0; i < 3; i++)
		EQ(splice(l->s, NULL, p[1], NULL, 64, 0), 0);
	set_nonblock(l->s, true);
	ERR(splice(l->s, NULL, p[1], NULL, 64, 0), EAGAIN);
	set_nonblock(l->s, false);
	EQ(in_pipe(p[0]), 5);
	read_all(p[0], b, 5);
	if (!in_line)
		EQ(recv(l->s, b + 5, 1, MSG_OOB), 1);
	EQ(recv(l->s, b + 6 - in_line, 5 + in_line, MSG_WAITALL), 5 + in_line);
	verify(l, b, 11);
	post_asleep(l, OP_URGENT, 0);
	EQ(splice(l->s, NULL, p[1], NULL, 64, 0), 0);
	EQ(answer(l), 1);
	EQ(ask(l, OP_SEND, 5), 5);
	until_event(l->s, POLLIN);
	if (!in_line)
		EQ(recv(l->s, b, 1, MSG_OOB), 1);
	EQ(recv(l->s, b + 1 - in_line, 5 + in_line, MSG_WAITALL), 5 + in_line);
	verify(l, b, 6);
}

static void stops_at_urgent(struct link *l) { urgent_mark(l, 0); }
static void stops_at_urgent_in_line(struct link *l) { urgent_mark(l, 1); }

const struct check splice_checks[] = {
	{"splice_to_a_pipe", to_a_pipe, false},
	{"splice_to_a_pipe_cold", to_a_pipe, true},
	{"splice_to_a_full_pipe", to_a_full_pipe, false},
	{"splice_to_a_full_pipe_cold", to_a_full_pipe, true},
	{"splice_is_sent_to_a_pipe", is_sent_to_a_pipe, false},
	{"splice_is_sent_to_a_pipe_cold", is_sent_to_a_pipe, true},
	{"splice_to_a_pipe_until_eof", to_a_pipe_until_eof, false},
	{"splice_to_a_pipe_until_eof_cold", to_a_pipe_until_eof, true},
	{"splice_from_a_pipe", from_a_pipe, false},
	{"splice_from_a_pipe_cold", from_a_pipe, true},
	{"splice_from_a_pipe_when_full", from_a_pipe_when_full, false},
	{"splice_from_a_pipe_when_full_cold", from_a_pipe_when_full, true},
	{"splice_is_refused", is_refused, false},
	{"splice_is_refused_cold", is_refused, true},
	{"splice_refused_stays", refused_stays, false},
	{"splice_refused_stays_cold", refused_stays, true},
	{"splice_stops_at_urgent", stops_at_urgent, false},
	{"splice_stops_at_urgent_cold", stops_at_urgent, true},
	{"splice_stops_at_urgent_in_line", stops_at_urgent_in_line, false},
	{"splice_stops_at_urgent_in_line_cold", stops_at_urgent_in_line, true},
	{0},
};
