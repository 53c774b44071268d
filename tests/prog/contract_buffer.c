// SPDX-License-Identifier: Apache-2.0
// How much a connection holds, what happens when it is full, time limits, FIONREAD.
#include "contract.h"

// Linux takes more than 2 MiB on loopback before it blocks; programs rely on it.
static void full_and_drained(struct link *l)
{
	size_t n = stuff(l);
	printf("# %zu bytes accepted before EAGAIN\n", n);
	EXPECT(n >= 2 << 20);
	EQ(ready(l->s, POLLOUT), 0);
	EQ(ask(l, OP_RECV, (long)n), n);
	until_event(l->s, POLLOUT);
	put(l, 1000);
	EQ(ask(l, OP_RECV, 1000), 1000);
	n = stuff(l);
	EXPECT(n >= 2 << 20);
	EQ(ask(l, OP_RECV, (long)n), n);
}

static void full_both_ways(struct link *l)
{
	enum { SIZE = 2 << 20 };
	EQ(ask(l, OP_SEND, SIZE), SIZE);
	put(l, SIZE);
	get(l, SIZE);
	EQ(ask(l, OP_RECV, SIZE), SIZE);
}

static void blocked_send(struct link *l)
{
	enum { SIZE = 3 << 20 };
	size_t n = stuff(l);
	post_asleep(l, OP_RECV, (long)n + SIZE);
	put(l, SIZE);
	EQ(answer(l), n + SIZE);
}

static void nonblocking_send_is_partial(struct link *l)
{
	enum { SIZE = 32 << 20 };
	uint8_t *b = malloc(SIZE);
	stream_fill(1, l->tx, b, SIZE);
	set_nonblock(l->s, true);
	ssize_t r = must(send(l->s, b, SIZE, 0));
	EXPECT(r > 0 && r < SIZE);
	l->tx += (uint64_t)r;
	size_t n = (size_t)r + stuff(l);
	ERR(send(l->s, b, 1, 0), EAGAIN);
	ERR(write(l->s, b, 1), EAGAIN);
	EQ(ask(l, OP_RECV, (long)n), n);
	free(b);
}

static void echo_of_a_megabyte(struct link *l)
{
	for (int i = 0; i < 5; i++) {
		post(l, OP_ECHO, 1 << 20);
		put(l, 1 << 20);
		get(l, 1 << 20);
		EQ(answer(l), 1 << 20);
	}
}

static void set_time_limit(int fd, int option, int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000}, got;
	socklen_t len = sizeof got;
	must(setsockopt(fd, SOL_SOCKET, option, &tv, sizeof tv));
	must(getsockopt(fd, SOL_SOCKET, option, &got, &len));
	EQ(got.tv_sec, tv.tv_sec);
	EXPECT(got.tv_usec >= tv.tv_usec && got.tv_usec < tv.tv_usec + 10000); // ticks of the kernel
}

static void rcvtimeo(struct link *l)
{
	uint8_t b[8];
	set_time_limit(l->s, SO_RCVTIMEO, 40);
	uint64_t t = now_ns();
	ERR(recv(l->s, b, 8, 0), EAGAIN);
	EXPECT(now_ns() - t >= 35000000);
	EQ(ask(l, OP_SEND, 3), 3);
	until_arrived(l->s, 3);
	EQ(recv(l->s, b, 8, MSG_WAITALL), 3);
	verify(l, b, 3);
	set_time_limit(l->s, SO_RCVTIMEO, 0);
	post_asleep(l, OP_SEND, 8);
	get(l, 8);
	EQ(answer(l), 8);
}

static void sndtimeo(struct link *l)
{
	uint8_t b[4096] = {0};
	size_t n = stuff(l);
	set_time_limit(l->s, SO_SNDTIMEO, 40);
	uint64_t t = now_ns();
	ssize_t r = send(l->s, b, sizeof b, 0);
	EXPECT(now_ns() - t >= 35000000 || r > 0);
	if (r < 0)
		EQ(errno, EAGAIN);
	EQ(ask(l, OP_RECV, (long)n), n);
}

static void fionread(struct link *l)
{
	int n = -1;
	must(ioctl(l->s, FIONREAD, &n));
	EQ(n, 0);
	EQ(ask(l, OP_SEND, 100000), 100000);
	until_arrived(l->s, 100000);
	must(ioctl(l->s, FIONREAD, &n));
	EQ(n, 100000);
	get(l, 40000);
	must(ioctl(l->s, FIONREAD, &n));
	EQ(n, 60000);
	get(l, 60000);
	must(ioctl(l->s, FIONREAD, &n));
	EQ(n, 0);
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	until_event(l->s, POLLIN);
	must(ioctl(l->s, FIONREAD, &n));
	EQ(n, 0);
}

static void outq_drains(struct link *l)
{
	int n = -1;
	put(l, 100);
	EQ(ask(l, OP_RECV, 100), 100);
	for (int i = 0; i < 5000 && n != 0; i++) {
		must(ioctl(l->s, TIOCOUTQ, &n));
		nap_us(n ? 1000 : 0);
	}
	EQ(n, 0);
}

const struct check buffer_checks[] = {
	{"full_and_drained", full_and_drained, false},
	{"full_and_drained_cold", full_and_drained, true},
	{"full_both_ways", full_both_ways, false},
	{"blocked_send", blocked_send, false},
	{"blocked_send_cold", blocked_send, true},
	{"nonblocking_send_is_partial", nonblocking_send_is_partial, false},
	{"echo_of_a_megabyte", echo_of_a_megabyte, false},
	{"rcvtimeo", rcvtimeo, false},
	{"sndtimeo", sndtimeo, false},
	{"fionread", fionread, false},
	{"fionread_cold", fionread, true},
	{"outq_drains", outq_drains, false},
	{0},
};
