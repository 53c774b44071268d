// SPDX-License-Identifier: Apache-2.0
// The peer: it takes one command at a time from a socket pair and replies with the result.
#include "contract.h"

enum { TX_SEED = 2, RX_SEED = 1, PIECE = 64 << 10 };

struct cmd {
	long op, n;
	pid_t pid, tid; // not 0: wait until this thread sleeps
};

struct peer {
	int fd, extra;
	uint64_t tx, rx;
	bool v6;
	uint8_t buf[PIECE];
};

static long peer_send(struct peer *p, long n)
{
	for (long left = n; left > 0;) {
		size_t k = left < PIECE ? (size_t)left : PIECE;
		stream_fill(TX_SEED, p->tx, p->buf, k);
		ssize_t r = send(p->fd, p->buf, k, MSG_NOSIGNAL);
		if (r < 0)
			return -errno;
		p->tx += (uint64_t)r;
		left -= r;
	}
	return n;
}

static long peer_urgent(struct peer *p)
{
	stream_fill(TX_SEED, p->tx, p->buf, 1);
	ssize_t r = send(p->fd, p->buf, 1, MSG_OOB | MSG_NOSIGNAL);
	p->tx += r == 1;
	return r < 0 ? -errno : r;
}

static long peer_recv(struct peer *p, long n, int flags)
{
	long got = 0;
	while (got < n) {
		size_t k = n - got < PIECE ? (size_t)(n - got) : PIECE;
		ssize_t r = recv(p->fd, p->buf, k, flags);
		if (r < 0)
			return -errno;
		if (stream_check(RX_SEED, p->rx, p->buf, (size_t)r) != (size_t)r)
			die("peer: wrong byte after %llu", (unsigned long long)p->rx);
		p->rx += (uint64_t)r;
		got += r;
		if (r == 0 || flags != 0)
			return got;
	}
	return got;
}

static long peer_echo(struct peer *p, long n)
{
	long r = peer_recv(p, n, 0);
	return r == n ? peer_send(p, n) : r;
}

static long peer_close(struct peer *p, bool reset)
{
	struct linger lg = {1, 0};
	if (reset)
		must(setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg));
	int r = close(p->fd);
	p->fd = -1;
	return r < 0 ? -errno : 0;
}

static long peer_do(struct peer *p, const struct cmd *c)
{
	switch ((enum op)c->op) {
	case OP_ECHO:
		return peer_echo(p, c->n);
	case OP_SEND:
		return peer_send(p, c->n);
	case OP_URGENT:
		return peer_urgent(p);
	case OP_RECV:
		return peer_recv(p, c->n, 0);
	case OP_DRAIN:
		return peer_recv(p, 1L << 40, 0);
	case OP_TRY:
		return peer_recv(p, c->n, MSG_DONTWAIT);
	case OP_SHUT_WR:
		return shutdown(p->fd, SHUT_WR) < 0 ? -errno : 0;
	case OP_SHUT_RD:
		return shutdown(p->fd, SHUT_RD) < 0 ? -errno : 0;
	case OP_CLOSE:
		return peer_close(p, false);
	case OP_RESET:
		return peer_close(p, true);
	case OP_ARRIVED:
		until_arrived(p->fd, (size_t)c->n);
		return 0;
	case OP_CONNECT:
		if (p->extra >= 0)
			close(p->extra);
		p->extra = connect_to(p->v6, (int)c->n);
		return 0;
	case OP_QUIT:
		break;
	}
	return -EINVAL;
}

// peer_main makes the connection, tells its descriptor, and serves until OP_QUIT or the end of ctl.
int peer_main(int ctl, bool client, bool v6)
{
	struct peer p = {.fd = -1, .extra = -1, .v6 = v6};
	struct cmd c;
	int port;
	if (client) {
		must(recv(ctl, &port, sizeof port, 0));
		p.fd = connect_to(v6, port);
	} else {
		int ls = listen_on(v6, 0);
		port = local_port(ls);
		must(send(ctl, &port, sizeof port, 0));
		p.fd = accept_one(ls);
		close(ls);
	}
	must(send(ctl, &p.fd, sizeof p.fd, 0));
	while (must(recv(ctl, &c, sizeof c, 0)) == sizeof c && c.op != OP_QUIT) {
		if (c.pid != 0)
			until_asleep(c.pid, c.tid);
		long r = peer_do(&p, &c);
		must(send(ctl, &r, sizeof r, MSG_NOSIGNAL));
	}
	if (p.extra >= 0)
		close(p.extra);
	if (p.fd >= 0)
		close(p.fd);
	return 0;
}

static void command(struct link *l, enum op op, long n, pid_t pid, pid_t tid)
{
	struct cmd c = {op, n, pid, tid};
	must(send(l->ctl, &c, sizeof c, MSG_NOSIGNAL));
	if (op == OP_CLOSE || op == OP_RESET)
		l->peer_fd = -1;
}

void post(struct link *l, enum op op, long n)
{
	command(l, op, n, 0, 0);
}

void post_asleep(struct link *l, enum op op, long n)
{
	command(l, op, n, getpid(), gettid());
}

long answer(struct link *l)
{
	long r;
	if (must(recv(l->ctl, &r, sizeof r, 0)) != sizeof r)
		fail(__FILE__, __LINE__, "the peer has gone", 0, 1);
	return r;
}

long ask(struct link *l, enum op op, long n)
{
	post(l, op, n);
	return answer(l);
}
