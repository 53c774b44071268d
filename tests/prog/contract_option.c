// SPDX-License-Identifier: Apache-2.0
// Socket options: what was set is read back, whatever path the bytes take, and they still flow.
#include "contract.h"
#include <linux/sockios.h>
#include <stddef.h>

struct number { int level, name, set, get; };

// What Linux reads back: buffers are doubled; what is no boolean keeps its value.
static const struct number numbers[] = {
	{SOL_SOCKET, SO_REUSEADDR, 1, 1},
	{SOL_SOCKET, SO_REUSEPORT, 1, 1},
	{SOL_SOCKET, SO_KEEPALIVE, 7, 1},
	{SOL_SOCKET, SO_DONTROUTE, 1, 1},
	{SOL_SOCKET, SO_BROADCAST, 1, 1},
	{SOL_SOCKET, SO_PRIORITY, 3, 3},
	{SOL_SOCKET, SO_SNDBUF, 50000, 100000},
	{SOL_SOCKET, SO_RCVBUF, 60000, 120000},
	{SOL_SOCKET, SO_RCVBUF, 0, 2304},
	{SOL_SOCKET, SO_RCVLOWAT, 1, 1},
	{IPPROTO_TCP, TCP_NODELAY, 1, 1},
	{IPPROTO_TCP, TCP_QUICKACK, 1, 1},
	{IPPROTO_TCP, TCP_KEEPIDLE, 100, 100},
	{IPPROTO_TCP, TCP_KEEPINTVL, 20, 20},
	{IPPROTO_TCP, TCP_KEEPCNT, 5, 5},
	{IPPROTO_TCP, TCP_SYNCNT, 3, 3},
	{IPPROTO_TCP, TCP_LINGER2, 10, 10},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, 30000, 30000},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384, 16384},
	{IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1, 1},
	{IPPROTO_TCP, TCP_SAVE_SYN, 1, 1},
	{IPPROTO_IP, IP_TTL, 33, 33},
	{IPPROTO_IP, IP_RECVERR, 1, 1},
	{IPPROTO_IP, IP_FREEBIND, 1, 1},
};

int get_number(int fd, int level, int name)
{
	int v = -1;
	socklen_t n = sizeof v;
	must(getsockopt(fd, level, name, &v, &n));
	return v;
}

static void both_ways(struct link *l)
{
	put(l, 1000);
	EQ(ask(l, OP_RECV, 1000), 1000);
	EQ(ask(l, OP_SEND, 1000), 1000);
	get(l, 1000);
}

static void read_back(struct link *l)
{
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		struct number o = numbers[i];
		if (setsockopt(l->s, o.level, o.name, &o.set, sizeof o.set) < 0)
			die("option %d of level %d", o.name, o.level);
		EQ(get_number(l->s, o.level, o.name), o.get);
		both_ways(l);
	}
}

static void refused(struct link *l)
{
	int one = 1;
	socklen_t n = sizeof one;
	ERR(setsockopt(l->s, SOL_SOCKET, SO_KEEPALIVE, &one, 1), EINVAL);
	ERR(setsockopt(l->s, SOL_SOCKET, SO_KEEPALIVE, NULL, sizeof one), EFAULT);
	ERR(setsockopt(l->s, SOL_SOCKET, 12345, &one, sizeof one), ENOPROTOOPT);
	ERR(setsockopt(l->s, IPPROTO_TCP, TCP_MAXSEG, &one, sizeof one), EINVAL);
	ERR(setsockopt(l->s, IPPROTO_TCP, 12345, &one, sizeof one), ENOPROTOOPT);
	ERR(setsockopt(l->s, SOL_SOCKET, SO_TYPE, &one, sizeof one), ENOPROTOOPT);
	ERR(getsockopt(l->s, SOL_SOCKET, 12345, &one, &n), ENOPROTOOPT);
	ERR(getsockopt(l->s, SOL_SOCKET, SO_TYPE, &one, NULL), EFAULT);
	both_ways(l);
}

static void values_are_cut(struct link *l)
{
	uint8_t b[8] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee};
	socklen_t n = 2;
	EQ(getsockopt(l->s, SOL_SOCKET, SO_TYPE, b, &n), 0);
	EQ(n, 2);
	EQ(b[0], SOCK_STREAM);
	EQ(b[2], 0xee);
	n = sizeof b;
	EQ(getsockopt(l->s, SOL_SOCKET, SO_ERROR, b, &n), 0);
	EQ(n, sizeof(int));
	EQ(b[4], 0xee);
}

static void who_is_it(struct link *l)
{
	struct ucred u;
	socklen_t n = sizeof u;
	must(getsockopt(l->s, SOL_SOCKET, SO_PEERCRED, &u, &n)); // of no use on TCP, yet no error
	EQ(u.pid, 0);
	EQ((int)u.uid, -1);
	EQ(get_number(l->s, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	EQ(get_number(l->s, SOL_SOCKET, SO_ACCEPTCONN), 0);
	uint64_t cookie = 0, again = 0;
	n = sizeof cookie;
	must(getsockopt(l->s, SOL_SOCKET, SO_COOKIE, &cookie, &n));
	both_ways(l);
	must(getsockopt(l->s, SOL_SOCKET, SO_COOKIE, &again, &n));
	EXPECT(cookie != 0);
	EQ(cookie, again);
}

static void timeouts_are_read_back(struct link *l)
{
	int names[] = {SO_RCVTIMEO, SO_SNDTIMEO};
	for (int i = 0; i < 2; i++) {
		struct timeval t = {3, 500000}, got;
		socklen_t n = sizeof got;
		must(setsockopt(l->s, SOL_SOCKET, names[i], &t, sizeof t));
		must(getsockopt(l->s, SOL_SOCKET, names[i], &got, &n));
		EQ(got.tv_sec, 3);
		EQ(got.tv_usec, 500000);
		t = (struct timeval){0, 1000000};
		ERR(setsockopt(l->s, SOL_SOCKET, names[i], &t, sizeof t), EDOM);
	}
	both_ways(l);
}

static int tcp_state(int fd)
{
	struct tcp_info i = {0};
	socklen_t n = sizeof i;
	must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &n));
	EXPECT(n >= offsetof(struct tcp_info, tcpi_delivered));
	EXPECT(i.tcpi_snd_mss > 0 && i.tcpi_rcv_mss > 0 && i.tcpi_snd_cwnd > 0);
	return i.tcpi_state;
}

enum { ESTABLISHED = 1, FIN_WAIT2 = 5, CLOSE_WAIT = 8 }; // of the kernel's tcp_states.h

void until_fin_acknowledged(int fd)
{
	for (int i = 0; tcp_state(fd) != FIN_WAIT2; i++) { // which may be delayed
		EXPECT(i < 2000);
		nap_us(1000);
	}
}

static void tcp_info_after_our_shutdown(struct link *l)
{
	both_ways(l);
	EQ(tcp_state(l->s), ESTABLISHED);
	must(shutdown(l->s, SHUT_WR));
	EQ(ask(l, OP_DRAIN, 0), 0);
	until_fin_acknowledged(l->s);
	EQ(ask(l, OP_SEND, 10), 10);
	get(l, 10);
}

static void tcp_info_after_the_peers_shutdown(struct link *l)
{
	both_ways(l);
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	until_event(l->s, POLLRDHUP);
	EQ(tcp_state(l->s), CLOSE_WAIT);
}

static struct tcp_info info(struct link *l)
{
	struct tcp_info i = {0};
	socklen_t n = sizeof i;
	must(getsockopt(l->s, IPPROTO_TCP, TCP_INFO, &i, &n));
	return i;
}

// Bytes are counted, whatever path they take; short answers are no longer than asked for.
static void tcp_info_counts_bytes(struct link *l)
{
	enum { MUCH = 3000000 };
	struct tcp_info a, b;
	struct { struct tcp_info i; uint8_t end; } cut;
	socklen_t n = offsetof(struct tcp_info, tcpi_bytes_acked) + 4;
	for (int i = 0; a = info(l), a.tcpi_unacked; i++) { // what was sent before would count later
		EXPECT(i < 2000);
		nap_us(1000);
	}
	post(l, OP_RECV, MUCH);
	put(l, MUCH);
	EQ(answer(l), MUCH);
	EQ(ask(l, OP_SEND, 500), 500);
	get(l, 500);
	for (int i = 0; b = info(l), b.tcpi_bytes_acked - a.tcpi_bytes_acked != MUCH; i++) {
		EXPECT(i < 2000);
		nap_us(1000);
	}
	EXPECT(b.tcpi_bytes_sent - a.tcpi_bytes_sent >= MUCH); // what was sent again counts again
	EQ(b.tcpi_bytes_received - a.tcpi_bytes_received, 500);
	EQ(b.tcpi_notsent_bytes, 0);
	memset(&cut, 0xee, sizeof cut);
	must(getsockopt(l->s, IPPROTO_TCP, TCP_INFO, &cut, &n));
	EQ(n, offsetof(struct tcp_info, tcpi_bytes_acked) + 4);
	EQ(cut.i.tcpi_bytes_received, 0xeeeeeeeeeeeeeeee);
	must(shutdown(l->s, SHUT_WR));
	EQ(ask(l, OP_SEND, 500), 500);
	get(l, 500);
	b = info(l);
	EXPECT(b.tcpi_bytes_acked - a.tcpi_bytes_acked >= MUCH); // FIN may count
	EQ(b.tcpi_bytes_received - a.tcpi_bytes_received, 1000);
}

static void of_a_listener(struct link *l)
{
	int port, ls = other_listener(l, &port), one = 1, size = 50000;
	EQ(get_number(ls, SOL_SOCKET, SO_ACCEPTCONN), 1);
	must(setsockopt(ls, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one));
	must(setsockopt(ls, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
	must(setsockopt(ls, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
	int c = connect_to(l->v6, port), s = accept_one(ls);
	EQ(get_number(s, SOL_SOCKET, SO_KEEPALIVE), 1);
	EQ(get_number(s, IPPROTO_TCP, TCP_NODELAY), 1);
	EQ(get_number(s, SOL_SOCKET, SO_SNDBUF), 100000);
	EQ(get_number(c, SOL_SOCKET, SO_KEEPALIVE), 0);
	EQ(get_number(s, SOL_SOCKET, SO_ACCEPTCONN), 0);
}

static void defer_accept(struct link *l)
{
	int port, ls = other_listener(l, &port), seconds = 5;
	must(setsockopt(ls, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds));
	set_nonblock(ls, true);
	int c = connect_to(l->v6, port);
	char b = 'x';
	ERR(accept(ls, NULL, NULL), EAGAIN);
	write_all(c, &b, 1);
	until_event(ls, POLLIN);
	int s = accept_one(ls);
	EQ(recv(s, &b, 1, MSG_DONTWAIT), 1);
}

static void queues(struct link *l)
{
	int n = -1;
	EQ(ask(l, OP_SEND, 500), 500);
	until_arrived(l->s, 500);
	must(ioctl(l->s, SIOCINQ, &n));
	EQ(n, 500);
	must(ioctl(l->s, SIOCATMARK, &n));
	EQ(n, 0);
	ERR(ioctl(l->s, 0xdead, &n), ENOTTY);
	get(l, 500);
	must(ioctl(l->s, SIOCINQ, &n));
	EQ(n, 0);
	put(l, 100);
	EQ(ask(l, OP_RECV, 100), 100);
	for (int i = 0; must(ioctl(l->s, SIOCOUTQ, &n)), n != 0; i++) {
		EXPECT(i < 2000);
		nap_us(1000);
	}
	must(ioctl(l->s, SIOCOUTQNSD, &n));
	EQ(n, 0);
}

const struct check option_checks[] = {
	{"option_read_back", read_back, false},
	{"option_read_back_cold", read_back, true},
	{"option_refused", refused, false},
	{"option_refused_cold", refused, true},
	{"option_values_are_cut", values_are_cut, false},
	{"option_who_is_it", who_is_it, false},
	{"option_timeouts_are_read_back", timeouts_are_read_back, false},
	{"option_timeouts_are_read_back_cold", timeouts_are_read_back, true},
	{"option_tcp_info_after_our_shutdown", tcp_info_after_our_shutdown, false},
	{"option_tcp_info_after_the_peers_shutdown", tcp_info_after_the_peers_shutdown, false},
	{"option_tcp_info_counts_bytes", tcp_info_counts_bytes, false},
	{"option_tcp_info_counts_bytes_cold", tcp_info_counts_bytes, true},
	{"option_of_a_listener", of_a_listener, true},
	{"option_defer_accept", defer_accept, true},
	{"option_queues", queues, false},
	{"option_queues_cold", queues, true},
	{0},
};
