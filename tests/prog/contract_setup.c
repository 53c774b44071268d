// SPDX-License-Identifier: Apache-2.0
// Making connections, their names and their options.
#include "contract.h"

static int int_option(int fd, int level, int name)
{
	int v = -1;
	socklen_t n = sizeof v;
	must(getsockopt(fd, level, name, &v, &n));
	return v;
}

static void names(struct link *l)
{
	struct addr a = {.len = sizeof a.ss}, b = {.len = sizeof b.ss};
	must(getsockname(l->s, (void *)&a.ss, &a.len));
	must(getpeername(l->s, (void *)&b.ss, &b.len));
	EQ(a.ss.ss_family, l->v6 ? AF_INET6 : AF_INET);
	EQ(a.len, l->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
	struct addr want = loopback(l->v6, port_of(&a));
	EQ(memcmp(&want.ss, &a.ss, want.len), 0);
	want = loopback(l->v6, port_of(&b));
	EQ(memcmp(&want.ss, &b.ss, want.len), 0);
	EXPECT(port_of(&a) != port_of(&b));
}

static void name_is_cut(struct link *l)
{
	uint8_t b[64];
	memset(b, 0xee, sizeof b);
	socklen_t n = 4;
	must(getpeername(l->s, (void *)b, &n));
	EQ(n, l->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
	EQ(b[4], 0xee);
}

static void options(struct link *l)
{
	EQ(int_option(l->s, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	EQ(int_option(l->s, SOL_SOCKET, SO_ERROR), 0);
	EQ(int_option(l->s, SOL_SOCKET, SO_ACCEPTCONN), 0);
	EQ(int_option(l->s, SOL_SOCKET, SO_DOMAIN), l->v6 ? AF_INET6 : AF_INET);
	int one = 1;
	must(setsockopt(l->s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
	EQ(int_option(l->s, IPPROTO_TCP, TCP_NODELAY), 1);
	must(setsockopt(l->s, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one));
	EQ(int_option(l->s, SOL_SOCKET, SO_KEEPALIVE), 1);
	EXPECT(int_option(l->s, SOL_SOCKET, SO_SNDBUF) > 0);
	put(l, 10);
	EQ(ask(l, OP_RECV, 10), 10);
}

static void cork(struct link *l)
{
	int on = 1, off = 0;
	must(setsockopt(l->s, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
	put(l, 10);
	put(l, 10);
	must(setsockopt(l->s, IPPROTO_TCP, TCP_CORK, &off, sizeof off));
	EQ(ask(l, OP_RECV, 20), 20);
	put(l, 10);
	EQ(ask(l, OP_RECV, 10), 10);
}

static void more(struct link *l)
{
	uint8_t b[10];
	fill(l, b, 10);
	EQ(send(l->s, b, 10, MSG_MORE), 10);
	put(l, 10);
	EQ(ask(l, OP_RECV, 20), 20);
}

// own_pair makes a second connection within this process.
static void own_pair(struct link *l, int flags, int end[2])
{
	int port, ls = other_listener(l, &port);
	end[0] = connect_to(l->v6, port);
	end[1] = (int)must(accept4(ls, NULL, NULL, flags));
	close(ls);
}

static void accept_flags(struct link *l)
{
	int e[2];
	char c;
	own_pair(l, SOCK_NONBLOCK | SOCK_CLOEXEC, e);
	EXPECT(must(fcntl(e[1], F_GETFL)) & O_NONBLOCK);
	EQ(fcntl(e[1], F_GETFD), FD_CLOEXEC);
	ERR(recv(e[1], &c, 1, 0), EAGAIN);
	close(e[0]);
	close(e[1]);
	own_pair(l, 0, e);
	EXPECT(!(must(fcntl(e[1], F_GETFL)) & O_NONBLOCK));
	EQ(fcntl(e[1], F_GETFD), 0);
	close(e[0]);
	close(e[1]);
}

static void accept_tells_the_name(struct link *l)
{
	int port, ls = other_listener(l, &port), c = connect_to(l->v6, port);
	struct addr a = {.len = sizeof a.ss};
	int s = (int)must(accept(ls, (void *)&a.ss, &a.len));
	EQ(port_of(&a), local_port(c));
	EQ(peer_port(s), local_port(c));
	EQ(local_port(s), port);
	set_nonblock(ls, true);
	ERR(accept(ls, NULL, NULL), EAGAIN);
	ERR(accept(c, NULL, NULL), EINVAL);
}

static void connect_nonblocking(struct link *l)
{
	int port, ls = other_listener(l, &port);
	struct addr a = loopback(l->v6, port);
	int s = (int)must(socket(a.ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	char c = 'x';
	ERR(connect(s, (void *)&a.ss, a.len), EINPROGRESS);
	until_event(s, POLLOUT);
	EQ(int_option(s, SOL_SOCKET, SO_ERROR), 0);
	ERR(recv(s, &c, 1, 0), EAGAIN);
	int e = accept_one(ls);
	EQ(send(s, &c, 1, 0), 1);
	EQ(recv(e, &c, 1, 0), 1);
	EQ(connect(s, (void *)&a.ss, a.len), 0); // tells once that it has succeeded
	ERR(connect(s, (void *)&a.ss, a.len), EISCONN);
}

static void connect_refused(struct link *l)
{
	struct addr a = loopback(l->v6, 0);
	int s, held = (int)must(socket(a.ss.ss_family, SOCK_STREAM, 0)); // a port that nobody else gets
	must(bind(held, (void *)&a.ss, a.len));
	a = loopback(l->v6, local_port(held));
	s = (int)must(socket(a.ss.ss_family, SOCK_STREAM, 0));
	ERR(connect(s, (void *)&a.ss, a.len), ECONNREFUSED);
	s = (int)must(socket(a.ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	if (connect(s, (void *)&a.ss, a.len) < 0 && errno == EINPROGRESS) {
		until_event(s, POLLERR);
		EQ(int_option(s, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	} else {
		EQ(errno, ECONNREFUSED);
	}
}

static void not_connected(struct link *l)
{
	char c = 'x';
	int s = (int)must(socket(l->v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0));
	struct addr a = {.len = sizeof a.ss};
	ERR(recv(s, &c, 1, 0), ENOTCONN);
	ERR(send(s, &c, 1, MSG_NOSIGNAL), EPIPE);
	ERR(getpeername(s, (void *)&a.ss, &a.len), ENOTCONN);
	ERR(shutdown(s, SHUT_WR), ENOTCONN);
}

static void listener_closes_early(struct link *l)
{
	int e[2];
	own_pair(l, 0, e);
	char b[4];
	for (int i = 0; i < 100; i++) {
		write_all(e[0], "ping", 4);
		read_all(e[1], b, 4);
		write_all(e[1], "pong", 4);
		read_all(e[0], b, 4);
	}
	EQ(memcmp(b, "pong", 4), 0);
	close(e[0]);
	EQ(read(e[1], b, 4), 0);
	close(e[1]);
}

static void sent_before_accept(struct link *l)
{
	int port, ls = other_listener(l, &port), c = connect_to(l->v6, port);
	char b[8];
	for (int i = 0; i < 10; i++)
		write_all(c, "12345678", 8);
	int s = accept_one(ls);
	for (int i = 0; i < 10; i++)
		read_all(s, b, 8);
	EQ(memcmp(b, "12345678", 8), 0);
	ERR(recv(s, b, 1, MSG_DONTWAIT), EAGAIN);
}

const struct check setup_checks[] = {
	{"names", names, false},
	{"name_is_cut", name_is_cut, false},
	{"options", options, false},
	{"cork", cork, false},
	{"cork_cold", cork, true},
	{"more", more, false},
	{"more_cold", more, true},
	{"accept_flags", accept_flags, true},
	{"accept_tells_the_name", accept_tells_the_name, true},
	{"connect_nonblocking", connect_nonblocking, true},
	{"connect_refused", connect_refused, true},
	{"not_connected", not_connected, true},
	{"listener_closes_early", listener_closes_early, true},
	{"sent_before_accept", sent_before_accept, true},
	{0},
};
