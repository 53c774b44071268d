// SPDX-License-Identifier: Apache-2.0
// Descriptors: duplicates, closing, flags shared and not shared.
#include "contract.h"
#include <sys/stat.h>

static void dup_and_close(struct link *l)
{
	int d = (int)must(dup(l->s));
	put(l, 10);
	must(close(l->s));
	l->s = d;
	put(l, 10);
	EQ(ask(l, OP_RECV, 20), 20);
	EQ(ask(l, OP_SEND, 20), 20);
	get(l, 20);
	must(close(d));
	l->s = -1;
	EQ(ask(l, OP_DRAIN, 0), 0);
}

static void stream_through_two_numbers(struct link *l)
{
	int a = l->s, b = (int)must(fcntl(a, F_DUPFD_CLOEXEC, 100));
	EXPECT(b >= 100);
	EXPECT(must(fcntl(b, F_GETFD)) & FD_CLOEXEC);
	EQ(ask(l, OP_SEND, 300), 300);
	for (int i = 0; i < 30; i++) {
		l->s = i % 2 ? b : a;
		put(l, 10);
		get(l, 10);
	}
	EQ(ask(l, OP_RECV, 300), 300);
	must(close(a));
	l->s = b;
	put(l, 10);
	EQ(ask(l, OP_RECV, 10), 10);
}

static void dup2_to_a_number(struct link *l)
{
	int n = (int)must(open("/dev/null", O_RDONLY));
	EQ(dup2(l->s, n), n);
	must(close(l->s));
	l->s = n;
	put(l, 10);
	EQ(ask(l, OP_RECV, 10), 10);
	EQ(dup2(n, n), n);
	ERR(dup3(n, n, 0), EINVAL);
	put(l, 10);
	EQ(ask(l, OP_RECV, 10), 10);
}

static void dup2_over_closes(struct link *l)
{
	int f = (int)must(open("/dev/null", O_RDWR)), s = l->s;
	char c;
	EQ(dup3(f, s, O_CLOEXEC), s);
	EQ(ask(l, OP_DRAIN, 0), 0);
	EQ(read(s, &c, 1), 0);
	EQ(write(s, "x", 1), 1);
	ERR(recv(s, &c, 1, 0), ENOTSOCK);
}

static void number_is_reused(struct link *l)
{
	int s = l->s, pfd[2], n = -1;
	char b[4];
	must(pipe(pfd));
	must(close(s));
	l->s = -1;
	for (int i = 0; i < 100 && n != s; i++)
		n = (int)must(dup(pfd[0]));
	EQ(n, s);
	write_all(pfd[1], "pipe", 4);
	EXPECT(ready(n, POLLIN) == POLLIN);
	read_all(n, b, 4);
	EQ(memcmp(b, "pipe", 4), 0);
	ERR(recv(n, b, 4, 0), ENOTSOCK);
	EQ(ask(l, OP_DRAIN, 0), 0);
}

static void range_closes(struct link *l)
{
	int hi = (int)must(fcntl(l->s, F_DUPFD, 700));
	must(close(l->s));
	l->s = hi;
	must(syscall(SYS_close_range, (unsigned)hi, (unsigned)hi, 0));
	l->s = -1;
	EQ(ask(l, OP_DRAIN, 0), 0);
}

static void libc_range_closes(struct link *l)
{
	int hi = (int)must(fcntl(l->s, F_DUPFD, 700));
	must(close(l->s));
	l->s = -1;
	must(close_range((unsigned)hi, (unsigned)hi + 100, 0));
	EQ(ask(l, OP_DRAIN, 0), 0);
}

static void closefrom_closes(struct link *l)
{
	int hi = (int)must(fcntl(l->s, F_DUPFD, 700));
	must(close(l->s));
	l->s = -1;
	closefrom(hi);
	EQ(ask(l, OP_DRAIN, 0), 0);
}

static void nonblock_is_shared_by_dup(struct link *l)
{
	char c;
	int d = (int)must(dup(l->s));
	set_nonblock(d, true);
	EXPECT(must(fcntl(l->s, F_GETFL)) & O_NONBLOCK);
	ERR(recv(l->s, &c, 1, 0), EAGAIN);
	ERR(read(d, &c, 1), EAGAIN);
	set_nonblock(l->s, false);
	EXPECT(!(must(fcntl(d, F_GETFL)) & O_NONBLOCK));
	post_asleep(l, OP_SEND, 1);
	EQ(recv(d, &c, 1, 0), 1);
	EQ(answer(l), 1);
	must(close(d));
}

static void fionbio(struct link *l)
{
	char c;
	int on = 1, off = 0;
	must(ioctl(l->s, FIONBIO, &on));
	EXPECT(must(fcntl(l->s, F_GETFL)) & O_NONBLOCK);
	ERR(recv(l->s, &c, 1, 0), EAGAIN);
	must(ioctl(l->s, FIONBIO, &off));
	post_asleep(l, OP_SEND, 1);
	get(l, 1);
	EQ(answer(l), 1);
}

static void flags_of_the_number(struct link *l)
{
	struct stat st;
	must(fstat(l->s, &st));
	EXPECT(S_ISSOCK(st.st_mode));
	EQ(must(fcntl(l->s, F_GETFL)) & O_ACCMODE, O_RDWR);
	must(fcntl(l->s, F_SETFD, 0));
	EQ(fcntl(l->s, F_GETFD), 0);
	must(fcntl(l->s, F_SETFD, FD_CLOEXEC));
	EQ(fcntl(l->s, F_GETFD), FD_CLOEXEC);
	int d = (int)must(dup(l->s));
	EQ(fcntl(d, F_GETFD), 0);
	must(close(d));
}

const struct check fd_checks[] = {
	{"dup_and_close", dup_and_close, false},
	{"stream_through_two_numbers", stream_through_two_numbers, false},
	{"dup2_to_a_number", dup2_to_a_number, false},
	{"dup2_over_closes", dup2_over_closes, false},
	{"number_is_reused", number_is_reused, false},
	{"range_closes_by_syscall", range_closes, false},
	{"range_closes", libc_range_closes, false},
	{"closefrom_closes", closefrom_closes, false},
	{"nonblock_is_shared_by_dup", nonblock_is_shared_by_dup, false},
	{"fionbio", fionbio, false},
	{"flags_of_the_number", flags_of_the_number, false},
	{0},
};
