// SPDX-License-Identifier: Apache-2.0
// io_uring: the kernel acts on descriptors where nothing can stand in. Right, or the connection is reset.
#include "contract.h"
#include <linux/io_uring.h>
#include <sys/mman.h>

struct uring {
	int fd;
	uint32_t *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

// uring_open fails only where nobody could use io_uring, and says so.
static bool uring_open(struct uring *u)
{
	struct io_uring_params p = {0};
	u->fd = (int)raw(SYS_io_uring_setup, 8, (long)&p, 0, 0, 0, 0);
	if (u->fd < 0) {
		EXPECT(u->fd == -ENOSYS || u->fd == -EPERM);
		printf("# io_uring is not allowed on this machine: %s\n", strerror(-u->fd));
		fflush(stdout);
		return false;
	}
	size_t cq = p.cq_off.cqes + p.cq_entries * sizeof *u->cqes, sq = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
	EXPECT(p.features & IORING_FEAT_SINGLE_MMAP);
	char *at = mmap(NULL, cq > sq ? cq : sq, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, IORING_OFF_SQ_RING);
	u->sqes = mmap(NULL, p.sq_entries * sizeof *u->sqes, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, IORING_OFF_SQES);
	EXPECT(at != MAP_FAILED && u->sqes != MAP_FAILED);
	u->sq_tail = (void *)(at + p.sq_off.tail);
	u->sq_mask = (void *)(at + p.sq_off.ring_mask);
	u->sq_array = (void *)(at + p.sq_off.array);
	u->cq_head = (void *)(at + p.cq_off.head);
	u->cq_tail = (void *)(at + p.cq_off.tail);
	u->cq_mask = (void *)(at + p.cq_off.ring_mask);
	u->cqes = (void *)(at + p.cq_off.cqes);
	return true;
}

static void submit(struct uring *u, struct io_uring_sqe e)
{
	uint32_t t = *u->sq_tail, i = t & *u->sq_mask;
	u->sqes[i] = e;
	u->sq_array[i] = i;
	__atomic_store_n(u->sq_tail, t + 1, __ATOMIC_RELEASE);
	EQ(raw(SYS_io_uring_enter, u->fd, 1, 0, 0, 0, 0), 1);
}

static int completed(struct uring *u)
{
	uint32_t h = *u->cq_head;
	while (__atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE) == h)
		EXPECT(raw(SYS_io_uring_enter, u->fd, 0, 1, IORING_ENTER_GETEVENTS, 0, 0) >= 0);
	int r = u->cqes[h & *u->cq_mask].res;
	__atomic_store_n(u->cq_head, h + 1, __ATOMIC_RELEASE);
	return r;
}

static int done(struct uring *u, struct io_uring_sqe e)
{
	submit(u, e);
	return completed(u);
}

static struct io_uring_sqe moving(int op, int fd, void *b, size_t n, int flags)
{
	return (struct io_uring_sqe){.opcode = (uint8_t)op, .fd = fd, .addr = (uintptr_t)b, .len = (uint32_t)n, .msg_flags = (uint32_t)flags};
}

static bool told(void) { return getenv("SD_WANT_PROMOTED") != NULL; }

static void sends(struct link *l)
{
	struct uring u;
	uint8_t b[10];
	if (!uring_open(&u))
		return;
	put(l, 100);
	EQ(ask(l, OP_RECV, 100), 100);
	fill(l, b, sizeof b);
	EQ(done(&u, moving(IORING_OP_SEND, l->s, b, sizeof b, MSG_NOSIGNAL)), sizeof b);
	long r = ask(l, OP_RECV, sizeof b);
	if (r == -ECONNRESET)
		EXPECT(told());
	else
		EQ(r, sizeof b);
}

// Of bytes in a ring it gets nothing, and takes none of them.
static void receives(struct link *l)
{
	struct uring u;
	uint8_t b[100];
	if (!uring_open(&u))
		return;
	EQ(ask(l, OP_SEND, 100), 100);
	until_arrived(l->s, 100);
	int r = done(&u, moving(IORING_OP_RECV, l->s, b, sizeof b, MSG_DONTWAIT));
	if (r >= 0)
		verify(l, b, (size_t)r);
	else
		EXPECT(r == -EAGAIN && told());
	get(l, sizeof b - (size_t)(r < 0 ? 0 : r));
}

// Who waits by io_uring hears of the end at the latest.
static void polls(struct link *l)
{
	struct uring u;
	if (!uring_open(&u))
		return;
	submit(&u, (struct io_uring_sqe){.opcode = IORING_OP_POLL_ADD, .fd = l->s, .poll32_events = POLLIN});
	EQ(ask(l, OP_SEND, 100), 100);
	until_arrived(l->s, 100);
	if (!told())
		EXPECT(completed(&u) & POLLIN);
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	if (told())
		EXPECT(completed(&u) & POLLIN);
	get(l, 100);
	char c;
	EQ(recv(l->s, &c, 1, 0), 0);
}

static void talk(int a, int b)
{
	char c[4];
	for (int i = 0; i < 300; i++) {
		write_all(a, "ping", 4);
		read_all(b, c, 4);
		write_all(b, c, 4);
		read_all(a, c, 4);
	}
	EQ(memcmp(c, "ping", 4), 0);
}

// Connections that libsd did not see made.
static void makes(struct link *l)
{
	struct uring u;
	if (!uring_open(&u))
		return;
	int port, ls = other_listener(l, &port), c = connect_to(l->v6, port);
	int s = done(&u, moving(IORING_OP_ACCEPT, ls, NULL, 0, 0));
	EXPECT(s >= 0);
	talk(c, s);
	struct addr a = loopback(l->v6, port);
	int d = (int)must(socket(a.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
	EQ(done(&u, (struct io_uring_sqe){.opcode = IORING_OP_CONNECT, .fd = d, .addr = (uintptr_t)&a.ss, .off = a.len}), 0);
	talk(d, accept_one(ls));
	must(close(d));
	must(close(c));
	put(l, 10);
	EQ(ask(l, OP_RECV, 10), 10);
}

// The peer gets what was sent before, and the end.
static void ends(struct link *l, int op)
{
	struct uring u;
	if (!uring_open(&u))
		return;
	put(l, 1000);
	EQ(done(&u, (struct io_uring_sqe){.opcode = (uint8_t)op, .fd = l->s, .len = op == IORING_OP_SHUTDOWN ? SHUT_RDWR : 0}), 0);
	if (op == IORING_OP_CLOSE)
		l->s = -1;
	EQ(ask(l, OP_DRAIN, 0), 1000);
}

static void shuts(struct link *l) { ends(l, IORING_OP_SHUTDOWN); }
static void closes(struct link *l) { ends(l, IORING_OP_CLOSE); }

const struct check uring_checks[] = {
	{"unhooked_uring_sends", sends, false},
	{"unhooked_uring_sends_cold", sends, true},
	{"unhooked_uring_receives", receives, false},
	{"unhooked_uring_receives_cold", receives, true},
	{"unhooked_uring_polls", polls, false},
	{"unhooked_uring_makes", makes, true},
	{"unhooked_uring_shuts", shuts, false},
	{"unhooked_uring_shuts_cold", shuts, true},
	{"unhooked_uring_closes", closes, false},
	{"unhooked_uring_closes_cold", closes, true},
	{0},
};
