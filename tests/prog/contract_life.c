// SPDX-License-Identifier: Apache-2.0
// How connections come about, fail and are made again, and which listener gets them.
#include "contract.h"

static int new_socket(struct link *l, int flags)
{
	return (int)must(socket(l->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
}

// Many turns, so that a connection that may be promoted is.
static void talk(int a, int b)
{
	char c[2];
	for (int i = 0; i < 300; i++) {
		write_all(a, "q", 1);
		read_all(b, c, 1);
		write_all(b, "a", 1);
		read_all(a, c + 1, 1);
		EXPECT(c[0] == 'q' && c[1] == 'a');
	}
}

static void again_after_refusal(struct link *l)
{
	int port, ls = other_listener(l, &port), s = new_socket(l, 0);
	struct addr a = loopback(l->v6, port);
	close(ls);
	ERR(connect(s, (void *)&a.ss, a.len), ECONNREFUSED);
	ls = listen_on(l->v6, port);
	must(connect(s, (void *)&a.ss, a.len));
	talk(s, accept_one(ls));
	ERR(connect(s, (void *)&a.ss, a.len), EISCONN);
}

static void again_after_unspec(struct link *l)
{
	int port, ls = other_listener(l, &port), s = new_socket(l, 0);
	struct addr a = loopback(l->v6, port);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	must(connect(s, (void *)&a.ss, a.len));
	int e = accept_one(ls);
	talk(s, e);
	must(connect(s, &none, sizeof none)); // disconnects by RST
	until_event(e, POLLERR);
	char c;
	ERR(recv(e, &c, 1, 0), ECONNRESET);
	ERR(recv(s, &c, 1, 0), ECONNRESET);
	ERR(recv(s, &c, 1, 0), ENOTCONN);
	must(connect(s, (void *)&a.ss, a.len));
	talk(s, accept_one(ls));
}

static void backlog_full(struct link *l)
{
	enum { BACKLOG = 1, LET_IN = BACKLOG + 1, ALL = 8 };
	int ls = new_socket(l, 0), s[ALL];
	struct addr a = loopback(l->v6, 0);
	must(bind(ls, (void *)&a.ss, a.len));
	must(listen(ls, BACKLOG));
	a = loopback(l->v6, local_port(ls));
	for (int i = 0; i < ALL; i++) {
		s[i] = new_socket(l, SOCK_NONBLOCK);
		ERR(connect(s[i], (void *)&a.ss, a.len), EINPROGRESS);
		if (i < LET_IN)
			until_event(s[i], POLLOUT);
		for (int k = 0; i < LET_IN && kernel_info(ls).tcpi_unacked != (unsigned)i + 1; k++) { // of a listener: its queue
			EXPECT(k < 2000);
			nap_us(1000);
		}
	}
	for (int i = LET_IN; i < ALL; i++) {
		char c;
		EQ(ready(s[i], POLLOUT), 0);
		ERR(connect(s[i], (void *)&a.ss, a.len), EALREADY);
		ERR(send(s[i], "x", 1, 0), EAGAIN);
		ERR(recv(s[i], &c, 1, 0), EAGAIN);
	}
	for (int i = 0; i < LET_IN; i++)
		close(accept_one(ls));
}

static void self_connect(struct link *l)
{
	int s = new_socket(l, 0);
	struct addr a = loopback(l->v6, 0);
	must(bind(s, (void *)&a.ss, a.len));
	a = loopback(l->v6, local_port(s));
	must(connect(s, (void *)&a.ss, a.len));
	int one = 1;
	must(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
	talk(s, s);
}

static void bind_and_listen_errors(struct link *l)
{
	int port, ls = other_listener(l, &port), s = new_socket(l, 0);
	struct addr a = loopback(l->v6, port);
	ERR(bind(s, (void *)&a.ss, a.len), EADDRINUSE);
	ERR(bind(l->s, (void *)&a.ss, a.len), EINVAL);
	ERR(listen(l->s, 5), EINVAL);
	ERR(connect(ls, (void *)&a.ss, a.len), EISCONN);
	ERR(bind(s, (void *)&a.ss, 3), EINVAL);
	a.ss.ss_family = AF_UNIX;
	ERR(connect(s, (void *)&a.ss, a.len), EAFNOSUPPORT);
	ERR(getpeername(ls, (void *)&a.ss, &a.len), ENOTCONN);
	put(l, 10);
	EQ(ask(l, OP_RECV, 10), 10);
}

static void *accepting(void *ls)
{
	return (void *)(long)(accept(*(int *)ls, NULL, NULL) < 0 ? errno : 0);
}

static void shutdown_of_a_listener(struct link *l)
{
	int port, ls = other_listener(l, &port), s = new_socket(l, 0);
	pthread_t t;
	void *e;
	EQ(pthread_create(&t, NULL, accepting, &ls), 0);
	nap_us(20000); // likely asleep by now; right either way
	must(shutdown(ls, SHUT_RD));
	EQ(pthread_join(t, &e), 0);
	EQ((long)e, EINVAL);
	struct addr a = loopback(l->v6, port);
	ERR(connect(s, (void *)&a.ss, a.len), ECONNREFUSED);
}

static void closed_listener_resets_its_queue(struct link *l)
{
	int port, ls = other_listener(l, &port), s = connect_to(l->v6, port);
	char c;
	close(ls);
	ERR(recv(s, &c, 1, 0), ECONNRESET);
	EQ(recv(s, &c, 1, 0), 0);
	ERR(send(s, &c, 1, MSG_NOSIGNAL), EPIPE);
}

static int wildcard(bool v6, int port, int only6)
{
	int ls = (int)must(socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), one = 1;
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	must(setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
	if (v6)
		must(setsockopt(ls, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof only6));
	must(v6 ? bind(ls, (void *)&a6, sizeof a6) : bind(ls, (void *)&a4, sizeof a4));
	must(listen(ls, 16));
	return ls;
}

static void dual_stack(struct link *l)
{
	(void)l;
	int ls = wildcard(true, 0, 0), c = connect_to(false, local_port(ls));
	struct sockaddr_in6 a;
	socklen_t n = sizeof a;
	int s = (int)must(accept(ls, (void *)&a, &n));
	EQ(n, sizeof a);
	EXPECT(IN6_IS_ADDR_V4MAPPED(&a.sin6_addr));
	EQ(ntohs(a.sin6_port), local_port(c));
	talk(c, s);
	int c6 = connect_to(true, local_port(ls));
	talk(c6, accept_one(ls));
	int only, held = -1, none = (int)must(socket(AF_INET, SOCK_STREAM, 0));
	struct addr to;
	do { // a port that no other program has of IPv4, nor gets
		if (held >= 0) {
			close(only);
			close(held);
		}
		only = wildcard(true, 0, 1);
		to = loopback(false, local_port(only));
		held = (int)must(socket(AF_INET, SOCK_STREAM, 0));
	} while (bind(held, (void *)&to.ss, to.len) < 0);
	ERR(connect(none, (void *)&to.ss, to.len), ECONNREFUSED);
}

// The specific address wins; the others go to the wildcard.
static void wildcard_beside_specific(struct link *l)
{
	(void)l;
	int any = wildcard(false, 0, 0), one = 1;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)local_port(any)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
	close(any); // two listeners on overlapping addresses need SO_REUSEPORT on Linux
	int ls[2];
	for (int i = 0; i < 2; i++) {
		ls[i] = (int)must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
		must(setsockopt(ls[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
		must(bind(ls[i], (void *)&a, sizeof a));
		must(listen(ls[i], 16));
		a.sin_addr.s_addr = 0;
	}
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	int c = (int)must(socket(AF_INET, SOCK_STREAM, 0));
	must(connect(c, (void *)&a, sizeof a));
	talk(c, accept_one(ls[0]));
	c = connect_to(false, ntohs(a.sin_port));
	talk(c, accept_one(ls[1]));
}

static void reuse_port_balances(struct link *l)
{
	enum { N = 40 };
	int ls[2], port = 0, one = 1, got[2] = {0, 0};
	for (int i = 0; i < 2; i++) {
		struct addr a = loopback(l->v6, port);
		ls[i] = new_socket(l, SOCK_NONBLOCK);
		must(setsockopt(ls[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
		must(bind(ls[i], (void *)&a.ss, a.len));
		must(listen(ls[i], N));
		port = local_port(ls[i]);
	}
	for (int i = 0; i < N; i++) {
		int c = connect_to(l->v6, port), s = -1;
		struct pollfd p[2] = {{ls[0], POLLIN, 0}, {ls[1], POLLIN, 0}};
		EQ(poll(p, 2, 10000), 1);
		int k = p[1].revents != 0;
		s = accept_one(ls[k]);
		EQ(peer_port(s), local_port(c));
		got[k]++;
		if (i < 4)
			talk(c, s);
		close(s);
		close(c);
	}
	EQ(got[0] + got[1], N);
	EXPECT(got[0] > 0 && got[1] > 0); // by a hash of ports: both but once in 2^39
}

static void bound_before_connect(struct link *l)
{
	int port, ls = other_listener(l, &port), s = new_socket(l, 0);
	struct addr a = loopback(l->v6, 0);
	must(bind(s, (void *)&a.ss, a.len));
	int mine = local_port(s);
	a = loopback(l->v6, port);
	must(connect(s, (void *)&a.ss, a.len));
	EQ(local_port(s), mine);
	int e = accept_one(ls);
	EQ(peer_port(e), mine);
	talk(s, e);
}

static void fast_open(struct link *l)
{
	int port, ls = other_listener(l, &port), s = new_socket(l, 0), n = 5;
	struct addr a = loopback(l->v6, port);
	char b[5];
	must(setsockopt(ls, IPPROTO_TCP, TCP_FASTOPEN, &n, sizeof n));
	EQ(sendto(s, "hello", 5, MSG_FASTOPEN, (void *)&a.ss, a.len), 5);
	int e = accept_one(ls);
	read_all(e, b, 5);
	EQ(memcmp(b, "hello", 5), 0);
	talk(s, e);
}

// Both ends shut down at once: each still gets what the other one sent.
static void simultaneous_close(struct link *l)
{
	EQ(ask(l, OP_SEND, 100), 100);
	put(l, 100);
	post(l, OP_SHUT_WR, 0);
	must(shutdown(l->s, SHUT_WR));
	EQ(answer(l), 0);
	get(l, 100);
	char c;
	EQ(recv(l->s, &c, 1, 0), 0);
	EQ(ask(l, OP_DRAIN, 0), 100);
	until_event(l->s, POLLHUP);
	ERR(send(l->s, &c, 1, MSG_NOSIGNAL), EPIPE);
}

const struct check life_checks[] = {
	{"life_again_after_refusal", again_after_refusal, true},
	{"life_again_after_unspec", again_after_unspec, true},
	{"life_backlog_full", backlog_full, true},
	{"life_self_connect", self_connect, true},
	{"life_bind_and_listen_errors", bind_and_listen_errors, false},
	{"life_shutdown_of_a_listener", shutdown_of_a_listener, true},
	{"life_closed_listener_resets_its_queue", closed_listener_resets_its_queue, true},
	{"life_dual_stack", dual_stack, true},
	{"life_wildcard_beside_specific", wildcard_beside_specific, true},
	{"life_reuse_port_balances", reuse_port_balances, true},
	{"life_bound_before_connect", bound_before_connect, true},
	{"life_fast_open", fast_open, true},
	{"life_simultaneous_close", simultaneous_close, false},
	{"life_simultaneous_close_cold", simultaneous_close, true},
	{0},
};
