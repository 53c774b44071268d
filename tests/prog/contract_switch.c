// SPDX-License-Identifier: Apache-2.0
// What programs take for granted while, under libsd, the stream leaves TCP: with bytes unread there,
// with the connection full, corked.
#include "contract.h"

enum { ROUNDS = 10, TRIES = 40, PATIENCE = 3000, PIECES = 100 };

// goes_on says whether the peers need another round to be introduced and to leave TCP; in a check
// that wants promotion it fails when that never happens. moved: the last round did not use TCP.
static bool goes_on(int round, bool moved)
{
	if (!getenv("SD_WANT_PROMOTED"))
		return round < ROUNDS;
	if (round == PATIENCE)
		fail(__FILE__, __LINE__, "the direction never left TCP", 0, 1);
	nap_us(1000); // the monitor needs a processor now and then
	return !moved;
}

// across makes the peer's direction leave TCP with bytes unread there; returns how many can be read.
static size_t across(struct link *l)
{
	size_t n = 0;
	bool moved = false;
	char c;
	for (int i = 0; goes_on(i, moved); i++) {
		uint64_t before = kernel_bytes(l->s);
		EQ(ask(l, OP_SEND, 8), 8);
		until_arrived(l->s, n += 8);
		EQ(recv(l->s, &c, 1, MSG_PEEK | MSG_DONTWAIT), 1);
		moved = kernel_bytes(l->s) == before;
	}
	return n;
}

// A receive that returns less than was asked for tells that nothing is left (epoll(7)): programs that
// wait for edges then do not ask again.
static void short_means_empty(struct link *l)
{
	size_t n = across(l);
	uint8_t b[n + 100];
	EQ(recv(l->s, b, sizeof b, MSG_PEEK), n);
	EQ(recv(l->s, b, sizeof b, 0), n);
	verify(l, b, n);
	ERR(recv(l->s, b, 1, MSG_DONTWAIT), EAGAIN);
}

static void short_means_empty_in_pieces(struct link *l)
{
	size_t n = across(l), each = n / PIECES + 2;
	uint8_t b[PIECES * each];
	struct iovec v[PIECES];
	for (int i = 0; i < PIECES; i++)
		v[i] = (struct iovec){b + (size_t)i * each, each};
	EQ(readv(l->s, v, PIECES), n);
	verify(l, b, n);
}

static void all_in_one(struct link *l)
{
	size_t n = across(l);
	uint8_t b[n];
	EQ(recv(l->s, b, n, MSG_WAITALL), n);
	verify(l, b, n);
}

static void in_pieces_of_three(struct link *l)
{
	size_t n = across(l);
	uint8_t b[3];
	for (size_t done = 0; done < n;) {
		size_t k = n - done < 3 ? n - done : 3;
		EQ(recv(l->s, b, 3, 0), k);
		verify(l, b, k);
		done += k;
	}
}

static void edge_after_short(struct link *l)
{
	int ep = (int)must(epoll_create1(0));
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	size_t n = across(l);
	uint8_t b[n + 100];
	for (int i = 0; i < 3; i++) {
		EQ(epoll_wait(ep, &e, 1, LONG), 1);
		EQ(recv(l->s, b, sizeof b, 0), n);
		verify(l, b, n);
		n = 8;
		EQ(ask(l, OP_SEND, 8), 8);
		until_arrived(l->s, 8);
	}
}

// What event loops do: a socket is registered first and connected then.
static void added_before_connect(struct link *l)
{
	int ep = (int)must(epoll_create1(0)), port, ls = other_listener(l, &port);
	int s = (int)must(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0));
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
	must(epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
	inet_pton(AF_INET6, l->v6 ? "::1" : "::ffff:127.0.0.1", &a.sin6_addr);
	if (connect(s, (struct sockaddr *)&a, sizeof a) < 0)
		EQ(errno, EINPROGRESS);
	int t = accept_one(ls);
	until_event(s, POLLOUT);
	bool moved = false;
	for (int i = 0; goes_on(i, moved); i++) {
		uint64_t before = kernel_bytes(s);
		while (epoll_wait(ep, &e, 1, 0) == 1)
			;
		write_all(s, "ask", 3);
		char c[4];
		read_all(t, c, 3);
		write_all(t, "tell", 4);
		do
			EQ(epoll_wait(ep, &e, 1, LONG), 1);
		while (!(e.events & EPOLLIN));
		EQ(recv(s, c, sizeof c, 0), 4);
		moved = kernel_bytes(s) == before;
	}
	close(s);
	close(t);
}

static void duplicated_before_connect(struct link *l)
{
	int port, ls = other_listener(l, &port), s = (int)must(socket(AF_INET6, SOCK_STREAM, 0));
	int d = (int)must(dup(s));
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	inet_pton(AF_INET6, l->v6 ? "::1" : "::ffff:127.0.0.1", &a.sin6_addr);
	must(connect(s, (struct sockaddr *)&a, sizeof a));
	int t = accept_one(ls);
	for (int i = 0; i < 100; i++) {
		char c[4];
		write_all(i % 2 ? s : d, "ask", 3);
		read_all(t, c, 3);
		write_all(t, "tell", 4);
		read_all(i % 3 ? d : s, c, 4);
	}
	close(d);
	write_all(s, "x", 1);
	close(s);
	char c;
	read_all(t, &c, 1);
	EQ(read(t, &c, 1), 0);
	close(t);
}

// full: the connection takes no more. Then both ends come to know each other.
static size_t full(struct link *l)
{
	size_t n = stuff(l);
	for (int i = 0; i < TRIES; i++) {
		EQ(ask(l, OP_TRY, 1), 1);
		EXPECT(ready(l->s, POLLIN) == 0);
		nap_us(1000);
	}
	return n - TRIES;
}

// What was refused for want of space is told of when there is space, even if another send succeeded.
static void out_after_refusal(struct link *l, uint32_t how)
{
	int ep = (int)must(epoll_create1(0));
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | how};
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	EQ(epoll_wait(ep, &e, 1, LONG), 1);
	size_t n = full(l);
	uint8_t b[8];
	fill(l, b, 8);
	if (send(l->s, b, 8, MSG_DONTWAIT) == 8)
		n += 8;
	else
		EQ(errno, EAGAIN);
	while (epoll_wait(ep, &e, 1, 0) == 1 && (how & EPOLLET))
		; // space, if there is any, need not be told of again before more is sent
	post(l, OP_RECV, (long)n);
	EQ(epoll_wait(ep, &e, 1, LONG), 1);
	EQ(e.events, EPOLLOUT);
	EQ(answer(l), n);
}

static void out_edge_after_refusal(struct link *l) { out_after_refusal(l, EPOLLET); }
static void out_level_after_refusal(struct link *l) { out_after_refusal(l, 0); }

// nginx with tcp_nopush: corked at every answer, and much left unsent.
static void corked_and_full(struct link *l)
{
	int on = 1, got = 0;
	socklen_t len = sizeof got;
	must(setsockopt(l->s, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
	size_t n = full(l);
	post(l, OP_RECV, (long)n + 100000);
	put(l, 100000);
	EQ(answer(l), n + 100000);
	must(getsockopt(l->s, IPPROTO_TCP, TCP_CORK, &got, &len));
	EQ(got, 1);
	must(getsockopt(l->s, IPPROTO_TCP, TCP_NODELAY, &got, &len));
	EQ(got, 0);
}

// held_back: bytes that wait for more on TCP must neither keep our direction there nor stay behind.
static void held_back(struct link *l, int flags)
{
	uint8_t b[8];
	bool moved = false;
	fill(l, b, 8);
	EQ(send(l->s, b, 8, flags), 8);
	for (int i = 0; goes_on(i, moved); i++) {
		uint64_t before = kernel_bytes(l->s);
		EQ(ask(l, OP_SEND, 8), 8);
		get(l, 8);
		moved = kernel_bytes(l->s) == before; // the peer's direction: both ends are ready
	}
	fill(l, b, 8);
	EQ(send(l->s, b, 8, flags), 8);
	EQ(ask(l, OP_RECV, 16), 16);
	uint64_t before = kernel_bytes(l->s);
	fill(l, b, 8);
	EQ(send(l->s, b, 8, flags), 8);
	EQ(ask(l, OP_RECV, 8), 8);
	if (getenv("SD_WANT_PROMOTED"))
		EQ(kernel_bytes(l->s), before);
}

static void corked_is_promoted(struct link *l)
{
	int on = 1;
	must(setsockopt(l->s, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
	held_back(l, 0);
}

static void more_is_promoted(struct link *l) { held_back(l, MSG_MORE); }

// Whoever answers after all was asked leaves TCP too.
static void answers_after_the_peers_end(struct link *l)
{
	enum { SIZE = 1 << 20 };
	char c;
	get(l, across(l));
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	until_event(l->s, POLLRDHUP);
	EQ(recv(l->s, &c, 1, 0), 0);
	uint64_t before = kernel_bytes(l->s);
	post(l, OP_RECV, SIZE);
	put(l, SIZE);
	EQ(answer(l), SIZE);
	if (getenv("SD_WANT_PROMOTED"))
		EXPECT(kernel_bytes(l->s) - before < SIZE / 2);
	EQ(ask(l, OP_CLOSE, 0), 0);
	EQ(send(l->s, "x", 1, MSG_NOSIGNAL), 1);
	until_event(l->s, POLLERR);
	ERR(send(l->s, "x", 1, MSG_NOSIGNAL), EPIPE);
}

const struct check switch_checks[] = {
	{"switch_answers_after_the_peers_end", answers_after_the_peers_end, true},
	{"switch_short_means_empty", short_means_empty, true},
	{"switch_short_means_empty_in_pieces", short_means_empty_in_pieces, true},
	{"switch_all_in_one", all_in_one, true},
	{"switch_in_pieces_of_three", in_pieces_of_three, true},
	{"switch_edge_after_short", edge_after_short, true},
	{"switch_added_before_connect", added_before_connect, true},
	{"switch_duplicated_before_connect", duplicated_before_connect, true},
	{"switch_out_edge_after_refusal", out_edge_after_refusal, true},
	{"switch_out_level_after_refusal", out_level_after_refusal, true},
	{"switch_corked_and_full", corked_and_full, true},
	{"switch_corked_is_promoted", corked_is_promoted, true},
	{"switch_more_is_promoted", more_is_promoted, true},
	{0},
};
