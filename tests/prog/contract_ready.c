// SPDX-License-Identifier: Apache-2.0
// poll and select.
#include "contract.h"

static void poll_levels(struct link *l)
{
	EQ(ready(l->s, POLLIN | POLLOUT), POLLOUT);
	EQ(ask(l, OP_SEND, 10), 10);
	until_event(l->s, POLLIN);
	EQ(ready(l->s, POLLIN | POLLOUT), POLLIN | POLLOUT);
	get(l, 9);
	EQ(ready(l->s, POLLIN | POLLRDNORM), POLLIN | POLLRDNORM);
	get(l, 1);
	EQ(ready(l->s, POLLIN), 0);
}

static void poll_blocks(struct link *l)
{
	struct pollfd p = {l->s, POLLIN, 0};
	EQ(poll(&p, 1, 30), 0);
	for (int i = 0; i < 10; i++) {
		post_asleep(l, OP_SEND, 8);
		EQ(poll(&p, 1, LONG), 1);
		EQ(p.revents, POLLIN);
		EQ(answer(l), 8);
		get(l, 8);
	}
	struct timespec ts = {LONG / 1000, 0};
	post_asleep(l, OP_SEND, 8);
	EQ(ppoll(&p, 1, &ts, NULL), 1);
	EQ(answer(l), 8);
	get(l, 8);
}

static void poll_mixed(struct link *l)
{
	int pfd[2], efd = (int)must(eventfd(0, 0));
	must(pipe(pfd));
	struct pollfd p[4] = {{pfd[0], POLLIN, 0}, {l->s, POLLIN, 0}, {efd, POLLIN, 0}, {-1, POLLIN, 0}};
	EQ(poll(p, 4, 0), 0);
	write_all(pfd[1], "x", 1);
	EQ(poll(p, 4, LONG), 1);
	EQ(p[0].revents, POLLIN);
	EQ(ask(l, OP_SEND, 1), 1);
	until_arrived(l->s, 1);
	EQ(poll(p, 4, LONG), 2);
	EQ(p[1].revents, POLLIN);
	EQ(p[3].revents, 0);
	char c;
	read_all(pfd[0], &c, 1);
	get(l, 1);
	post_asleep(l, OP_SEND, 1);
	EQ(poll(p, 4, LONG), 1);
	EQ(p[1].revents, POLLIN);
	EQ(answer(l), 1);
}

static void poll_hang_up(struct link *l)
{
	short all = POLLIN | POLLOUT | POLLRDHUP;
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	until_event(l->s, POLLRDHUP);
	EQ(ready(l->s, all), POLLIN | POLLOUT | POLLRDHUP);
	must(shutdown(l->s, SHUT_WR));
	EQ(ask(l, OP_DRAIN, 0), 0);
	until_event(l->s, POLLHUP);
	EQ(ready(l->s, all), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
}

static void poll_eof_with_data(struct link *l)
{
	EQ(ask(l, OP_SEND, 10), 10);
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	until_event(l->s, POLLRDHUP);
	EQ(ready(l->s, POLLIN | POLLRDHUP), POLLIN | POLLRDHUP);
	get(l, 10);
	EQ(ready(l->s, POLLIN | POLLRDHUP), POLLIN | POLLRDHUP);
}

static void poll_space(struct link *l)
{
	struct pollfd p = {l->s, POLLOUT, 0};
	size_t n = stuff(l);
	EQ(poll(&p, 1, 0), 0);
	EQ(poll(&p, 1, 30), 0);
	post_asleep(l, OP_RECV, (long)n);
	EQ(poll(&p, 1, LONG), 1);
	EQ(p.revents, POLLOUT);
	EQ(answer(l), n);
}

static void poll_closed_number(struct link *l)
{
	struct pollfd p = {l->s, POLLIN, 0};
	must(close(l->s));
	l->s = -1;
	EQ(poll(&p, 1, 0), 1);
	EQ(p.revents, POLLNVAL);
	char c;
	ERR(recv(p.fd, &c, 1, 0), EBADF);
	ERR(send(p.fd, &c, 1, 0), EBADF);
	ERR(close(p.fd), EBADF);
}

static int selected(int fd, bool *r, bool *w, int ms)
{
	fd_set rs, ws;
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	FD_ZERO(&rs);
	FD_ZERO(&ws);
	if (r)
		FD_SET(fd, &rs);
	if (w)
		FD_SET(fd, &ws);
	int n = (int)must(select(fd + 1, r ? &rs : NULL, w ? &ws : NULL, NULL, &tv));
	if (r)
		*r = FD_ISSET(fd, &rs);
	if (w)
		*w = FD_ISSET(fd, &ws);
	return n;
}

static void select_levels(struct link *l)
{
	bool r, w;
	EQ(selected(l->s, &r, &w, LONG), 1);
	EXPECT(!r && w);
	EQ(selected(l->s, &r, NULL, 30), 0);
	post_asleep(l, OP_SEND, 8);
	EQ(selected(l->s, &r, NULL, LONG), 1);
	EXPECT(r);
	EQ(answer(l), 8);
	EQ(selected(l->s, &r, &w, LONG), 2);
	EXPECT(r && w);
	get(l, 8);
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	EQ(selected(l->s, &r, NULL, LONG), 1);
	EXPECT(r);
	size_t n = stuff(l);
	EQ(selected(l->s, NULL, &w, 0), 0);
	post_asleep(l, OP_RECV, (long)n);
	EQ(selected(l->s, NULL, &w, LONG), 1);
	EXPECT(w);
	EQ(answer(l), n);
}

static void select_mixed(struct link *l)
{
	int pfd[2];
	fd_set rs;
	must(pipe(pfd));
	struct timespec ts = {LONG / 1000, 0};
	for (int i = 0; i < 4; i++) {
		FD_ZERO(&rs);
		FD_SET(pfd[0], &rs);
		FD_SET(l->s, &rs);
		post_asleep(l, OP_SEND, 4);
		EQ(pselect((pfd[0] > l->s ? pfd[0] : l->s) + 1, &rs, NULL, NULL, &ts, NULL), 1);
		EXPECT(FD_ISSET(l->s, &rs) && !FD_ISSET(pfd[0], &rs));
		EQ(answer(l), 4);
		get(l, 4);
	}
}

const struct check ready_checks[] = {
	{"poll_levels", poll_levels, false},
	{"poll_levels_cold", poll_levels, true},
	{"poll_blocks", poll_blocks, false},
	{"poll_mixed", poll_mixed, false},
	{"poll_hang_up", poll_hang_up, false},
	{"poll_eof_with_data", poll_eof_with_data, false},
	{"poll_space", poll_space, false},
	{"poll_closed_number", poll_closed_number, false},
	{"select_levels", select_levels, false},
	{"select_mixed", select_mixed, false},
	{0},
};
