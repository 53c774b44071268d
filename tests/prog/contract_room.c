// SPDX-License-Identifier: Apache-2.0
// What a connection takes before it is full follows SO_SNDBUF and SO_RCVBUF: within twice of what the
// kernel takes in the same run, which a connection shows that was made by direct system calls.
#include "contract_room.h"

enum { PATIENCE = 5000 };

static void size(int fd, int option, int bytes)
{
	if (bytes != 0)
		must(setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof bytes));
}

static long direct(long r)
{
	EXPECT(r >= 0);
	return r;
}

void pair(struct link *l, bool by_kernel, struct sizes s, bool before, int end[2])
{
	int ls = listen_on(l->v6, 0);
	struct addr a = loopback(l->v6, local_port(ls));
	int type = SOCK_STREAM | SOCK_CLOEXEC;
	end[0] = (int)(by_kernel ? direct(raw(SYS_socket, a.ss.ss_family, type, 0, 0, 0, 0))
				 : must(socket(a.ss.ss_family, type, 0)));
	if (before) {
		size(ls, SO_RCVBUF, s.recv);
		size(end[0], SO_SNDBUF, s.send);
	}
	if (by_kernel) {
		direct(raw(SYS_connect, end[0], (long)&a.ss, a.len, 0, 0, 0));
		end[1] = (int)direct(raw(SYS_accept4, ls, 0, 0, SOCK_CLOEXEC, 0, 0));
	} else {
		must(connect(end[0], (void *)&a.ss, a.len));
		end[1] = accept_one(ls);
	}
	close(ls);
}

void round_trip(int end[2])
{
	char b[8] = {0};
	for (int i = 0; i < 2; i++) {
		write_all(end[i], b, sizeof b);
		read_all(end[1 - i], b, sizeof b);
	}
}

bool own_promote(void) { return getenv("SD_WANT_OWN_PROMOTED") != NULL; }

void warm(int end[2], bool promote)
{
	uint64_t before = 0;
	for (int i = 0; i < PATIENCE; i++) {
		round_trip(end);
		if (i >= 20 && (!promote || kernel_bytes(end[0]) == before))
			return;
		before = kernel_bytes(end[0]);
		nap_us(i < 20 ? 0 : 1000);
	}
	fail(__FILE__, __LINE__, "the pair was never promoted", 0, 1);
}

size_t taken(int fd)
{
	static const char b[16 << 10];
	size_t n = 0;
	for (bool settled = false;;) {
		ssize_t r = send(fd, b, sizeof b, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (r < 0) {
			EQ(errno, EAGAIN);
			if (settled)
				return n;
			settled = kernel_info(fd).tcpi_unacked == 0;
			nap_us(2000);
			continue;
		}
		settled = false;
		n += (size_t)r;
	}
}

size_t taken_at_once(int fd, size_t piece)
{
	static const char b[64 << 10];
	size_t n = 0;
	ssize_t r;
	while ((r = send(fd, b, piece, MSG_DONTWAIT | MSG_NOSIGNAL)) >= 0)
		n += (size_t)r;
	EQ(errno, EAGAIN);
	return n;
}

void drain(int fd, size_t n)
{
	static char b[64 << 10];
	while (n > 0)
		n -= (size_t)must(recv(fd, b, n < sizeof b ? n : sizeof b, 0));
}

// holds is what the connection takes; piece 0: in the end.
static size_t holds(struct link *l, bool by_kernel, struct sizes s, bool before, size_t piece)
{
	int e[2];
	pair(l, by_kernel, s, before, e);
	warm(e, !by_kernel && own_promote());
	if (!before) {
		size(e[0], SO_SNDBUF, s.send);
		size(e[1], SO_RCVBUF, s.recv);
	}
	EXPECT(ready(e[0], POLLOUT) & POLLOUT);
	size_t n = piece ? taken_at_once(e[0], piece) : taken(e[0]);
	if (piece == 0)
		EQ(ready(e[0], POLLOUT), 0);
	drain(e[1], n);
	until_event(e[0], POLLOUT);
	round_trip(e);
	close(e[0]);
	close(e[1]);
	return n;
}

static bool alike(size_t n, size_t kernel) { return n <= 2 * kernel && 2 * n >= kernel; }

static void compare(struct link *l, struct sizes s, bool before)
{
	size_t kernel = holds(l, true, s, before, 0), n = holds(l, false, s, before, 0);
	printf("# SO_SNDBUF %d, SO_RCVBUF %d, set %s: the kernel takes %zu bytes, this %zu\n", s.send, s.recv,
	       before ? "before" : "afterwards", kernel, n);
	EXPECT(alike(n, kernel));
}

static void compare_all(struct link *l, const struct sizes *all, size_t n, bool before)
{
	for (size_t i = 0; i < n; i++)
		compare(l, all[i], before);
}

// Of a few tries that of which no acknowledgement came in time; beside other programs that takes a few more. What rings
// take no acknowledgement changes: one try counts.
static void at_first(struct link *l)
{
	static const struct sizes all[] = {{0, 0}, {4096, 0}, {16384, 0}, {32768, 0}, {65536, 0}, {4096, 16384}, {16384, 16384},
		{65536, 65536}, {4096, 1 << 18}, {32768, 1 << 18}, {16384, 1 << 20}, {65536, 1 << 20}, {4096, 1 << 22}, {1 << 18, 1 << 22}};
	static const size_t pieces[] = {100, 1460, 4096, 16 << 10, 64 << 10};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		for (size_t j = 0; j < sizeof pieces / sizeof *pieces; j++) {
			size_t kernel = SIZE_MAX, n = SIZE_MAX;
			for (int k = 0; k < 3 || (k < 20 && !alike(n, kernel)); k++) {
				size_t m = holds(l, false, all[i], true, pieces[j]), of_kernel = holds(l, true, all[i], true, pieces[j]);
				n = m < n && (k == 0 || !own_promote()) ? m : n;
				kernel = of_kernel < kernel ? of_kernel : kernel;
			}
			printf("# SO_SNDBUF %d, SO_RCVBUF %d, pieces of %zu: the kernel takes %zu bytes at once, this %zu\n",
			       all[i].send, all[i].recv, pieces[j], kernel, n);
			EXPECT(alike(n, kernel));
		}
}

// With a small send buffer the kernel takes its time: 40 ms for an acknowledgement of each 4 KiB.
static void follows_small_options(struct link *l)
{
	static const struct sizes all[] = {{1, 0}, {1, 1}, {4096, 0}};
	compare_all(l, all, sizeof all / sizeof *all, true);
}

static void follows_small_options_of_both(struct link *l)
{
	static const struct sizes all[] = {{4096, 4096}, {4096, 131072}, {16384, 65536}};
	compare_all(l, all, sizeof all / sizeof *all, true);
}

static void follows_options(struct link *l)
{
	static const struct sizes all[] = {
		{0, 0}, {32768, 0}, {262144, 0}, {0, 65536}, {65536, 65536}, {0, 1 << 20},
	};
	compare_all(l, all, sizeof all / sizeof *all, true);
}

static void follows_large_options(struct link *l)
{
	static const struct sizes all[] = {{1 << 20, 0}, {4 << 20, 0}, {1 << 20, 1 << 20}, {4 << 20, 4 << 20}};
	compare_all(l, all, sizeof all / sizeof *all, true);
}

// A window that was offered is not taken back: the receive buffer only grows here.
static void follows_options_set_later(struct link *l)
{
	static const struct sizes all[] = {{65536, 0}, {1 << 20, 0}, {0, 262144}, {4 << 20, 4 << 20}};
	compare_all(l, all, sizeof all / sizeof *all, false);
}

static void follows_small_options_set_later(struct link *l)
{
	static const struct sizes all[] = {{4096, 0}, {32768, 262144}, {4096, 131072}, {4 << 20, 0}};
	compare_all(l, all, sizeof all / sizeof *all, false);
}

// Whoever waits for room is told when the buffer grows.
static void grows_while_full(struct link *l)
{
	int small = 4096, large = 1 << 20;
	must(setsockopt(l->s, SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
	size_t n = stuff(l);
	EQ(ready(l->s, POLLOUT), 0);
	must(setsockopt(l->s, SOL_SOCKET, SO_SNDBUF, &large, sizeof large));
	until_event(l->s, POLLOUT);
	n += stuff(l);
	EQ(ask(l, OP_RECV, (long)n), n);
}

struct later { pthread_t thread; pid_t tid; int fd; };

static void *enlarge(void *arg)
{
	struct later *a = arg;
	int large = 1 << 20;
	until_asleep(getpid(), a->tid);
	must(setsockopt(a->fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof large));
	return NULL;
}

static void growing_wakes_send(struct link *l)
{
	int small = 4096;
	struct later a = {.tid = gettid(), .fd = l->s};
	must(setsockopt(l->s, SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
	size_t n = stuff(l);
	EQ(pthread_create(&a.thread, NULL, enlarge, &a), 0);
	put(l, 100000);
	EQ(pthread_join(a.thread, NULL), 0);
	EQ(ask(l, OP_RECV, (long)n + 100000), n + 100000);
}

// With little room every send is cut, every receive is short, and all of it is there.
static void narrow(struct link *l)
{
	enum { SIZE = 1 << 20 };
	int small = 1;
	must(setsockopt(l->s, SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
	post(l, OP_RECV, SIZE);
	put(l, SIZE);
	EQ(answer(l), SIZE);
	post(l, OP_ECHO, SIZE / 4);
	put(l, SIZE / 4);
	get(l, SIZE / 4);
	EQ(answer(l), SIZE / 4);
}

const struct check room_checks[] = {
	{"room_follows_options", follows_options, true},
	{"room_follows_options_set_later", follows_options_set_later, true},
	{"room_at_first", at_first, true},
	{"room_follows_small_options", follows_small_options, true},
	{"room_follows_small_options_of_both", follows_small_options_of_both, true},
	{"room_follows_large_options", follows_large_options, true},
	{"room_follows_small_options_set_later", follows_small_options_set_later, true},
	{"room_grows_while_full", grows_while_full, false},
	{"room_growing_wakes_send", growing_wakes_send, false},
	{"room_narrow", narrow, false},
	{"room_narrow_cold", narrow, true},
	{0},
};
