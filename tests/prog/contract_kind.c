// SPDX-License-Identifier: Apache-2.0
// Sockets that are no TCP connections: nobody stands before them.
#include "contract.h"
#include <linux/netlink.h>
#include <sys/un.h>

// The connection beside them is not disturbed.
static void goes_on(struct link *l)
{
	put(l, 100);
	EQ(ask(l, OP_SEND, 100), 100);
	EQ(ask(l, OP_RECV, 100), 100);
	get(l, 100);
}

static void pair(int domain, int type)
{
	int e[2];
	char b[8];
	must(socketpair(domain, type | SOCK_CLOEXEC, 0, e));
	for (int i = 0; i < 300; i++) {
		EQ(send(e[0], "ping", 4, 0), 4);
		EQ(recv(e[1], b, sizeof b, 0), 4);
		EQ(write(e[1], "pong!", 5), 5);
		EQ(read(e[0], b, sizeof b), 5);
	}
	EQ(memcmp(b, "pong!", 5), 0);
	close(e[0]);
	EQ(type == SOCK_DGRAM ? 0 : read(e[1], b, 1), 0);
	ERR(send(e[1], "x", 1, MSG_NOSIGNAL), type == SOCK_DGRAM ? ECONNREFUSED : EPIPE);
	close(e[1]);
}

static void unix_pairs(struct link *l)
{
	pair(AF_UNIX, SOCK_STREAM);
	pair(AF_UNIX, SOCK_SEQPACKET);
	pair(AF_UNIX, SOCK_DGRAM);
	int e[2];
	ERR(socketpair(AF_INET, SOCK_STREAM, 0, e), EOPNOTSUPP);
	goes_on(l);
}

static void unix_named(struct link *l)
{
	int ls = (int)must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), c = (int)must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	socklen_t len = sizeof a;
	struct ucred u;
	char b[4];
	must(bind(ls, (void *)&a, sizeof(sa_family_t))); // the kernel chooses an abstract name
	must(getsockname(ls, (void *)&a, &len));
	must(listen(ls, 1));
	must(connect(c, (void *)&a, len));
	int s = accept_one(ls);
	len = sizeof u;
	must(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &len));
	EQ(u.pid, getpid());
	for (int i = 0; i < 300; i++) {
		write_all(c, "ping", 4);
		read_all(s, b, 4);
		write_all(s, b, 4);
		read_all(c, b, 4);
	}
	EQ(memcmp(b, "ping", 4), 0);
	close(c);
	EQ(read(s, b, 1), 0);
	goes_on(l);
}

// A descriptor of another kind passes, with its control message cut where there is no room.
static void unix_passes(struct link *l)
{
	int e[2], p[2], got = -1;
	char b[4], control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec v = {b, 4};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, e));
	must(pipe2(p, O_CLOEXEC));
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	*h = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(h), &p[0], sizeof(int));
	memcpy(b, "with", 4);
	EQ(sendmsg(e[0], &m, 0), 4);
	EQ(recvmsg(e[1], &m, MSG_CMSG_CLOEXEC), 4);
	EXPECT((h = CMSG_FIRSTHDR(&m)) && h->cmsg_type == SCM_RIGHTS);
	memcpy(&got, CMSG_DATA(h), sizeof got);
	EQ(fcntl(got, F_GETFD), FD_CLOEXEC);
	write_all(p[1], "pipe", 4);
	read_all(got, b, 4);
	EQ(memcmp(b, "pipe", 4), 0);
	m.msg_control = (void *)8;
	m.msg_controllen = sizeof control;
	ERR(sendmsg(e[0], &m, 0), EFAULT);
	ERR(sendmsg(e[0], (void *)8, 0), EFAULT);
	ERR(recvmsg(e[1], (void *)8, MSG_DONTWAIT), EFAULT);
	goes_on(l);
}

static void datagrams(struct link *l)
{
	struct addr a = loopback(l->v6, 0), from = {.len = sizeof from.ss};
	int s = (int)must(socket(a.ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)), c = (int)must(socket(a.ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	char b[16];
	int n = 0;
	must(bind(s, (void *)&a.ss, a.len));
	a = loopback(l->v6, local_port(s));
	EQ(sendto(c, "one", 3, 0, (void *)&a.ss, a.len), 3);
	EQ(recvfrom(s, b, sizeof b, 0, (void *)&from.ss, &from.len), 3);
	EQ(port_of(&from), local_port(c));
	must(connect(c, (void *)&a.ss, a.len));
	for (int i = 0; i < 300; i++) {
		EQ(send(c, "12345", 5, 0), 5);
		EQ(recv(s, b, 2, MSG_TRUNC | MSG_PEEK), 5);
		must(ioctl(s, FIONREAD, &n));
		EQ(n, 5);
		EQ(recv(s, b, 2, 0), 2); // the rest of a message is gone
		ERR(recv(s, b, 2, MSG_DONTWAIT), EAGAIN);
	}
	EQ(send(c, "", 0, 0), 0);
	EQ(recv(s, b, sizeof b, 0), 0);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	must(connect(c, &none, sizeof none));
	ERR(send(c, "x", 1, 0), EDESTADDRREQ);
	goes_on(l);
}

static void kernel_messages(struct link *l)
{
	int s = (int)must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	struct { struct nlmsghdr h; char family; } q = {{.nlmsg_len = sizeof q, .nlmsg_type = 18 /* RTM_GETLINK */,
							 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}, AF_UNSPEC};
	char b[32768];
	EQ(send(s, &q, sizeof q, 0), sizeof q);
	EXPECT(recv(s, b, sizeof b, 0) > (ssize_t)sizeof(struct nlmsghdr));
	goes_on(l);
}

// As whoever may not, or may, make one: what the kernel says itself.
static void other_families(struct link *l)
{
	static const struct { int domain, type, protocol; } kinds[] = {
		{AF_INET, SOCK_RAW, IPPROTO_ICMP}, {AF_INET6, SOCK_RAW, IPPROTO_ICMPV6}, {AF_PACKET, SOCK_DGRAM, 0},
		{AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */}, {AF_INET, SOCK_STREAM, IPPROTO_SCTP}, {AF_INET, SOCK_SEQPACKET, 0},
		{AF_VSOCK, SOCK_STREAM, 0}, {AF_ALG, SOCK_SEQPACKET, 0}, {12345, SOCK_STREAM, 0}, {AF_INET, 99, 0},
	};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		long direct = raw(SYS_socket, kinds[i].domain, kinds[i].type, kinds[i].protocol, 0, 0, 0);
		int s = socket(kinds[i].domain, kinds[i].type, kinds[i].protocol), e = errno;
		EXPECT((s >= 0) == (direct >= 0));
		if (s < 0) {
			EQ(e, -direct);
			continue;
		}
		EQ(fcntl(s, F_GETFD), 0);
		must(close(s));
		must(raw(SYS_close, direct, 0, 0, 0, 0, 0));
	}
	goes_on(l);
}

// Several paths under one connection: not one TCP connection.
static void multipath(struct link *l)
{
	enum { MPTCP = 262 };
	struct addr a = loopback(l->v6, 0);
	int ls = socket(a.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, MPTCP);
	char b[4];
	if (ls < 0) {
		EXPECT(errno == EPROTONOSUPPORT || errno == ENOPROTOOPT); // built without it, or switched off
		return;
	}
	must(bind(ls, (void *)&a.ss, a.len));
	must(listen(ls, 1));
	a = loopback(l->v6, local_port(ls));
	int c = (int)must(socket(a.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, MPTCP));
	must(connect(c, (void *)&a.ss, a.len));
	int s = accept_one(ls);
	for (int i = 0; i < 300; i++) {
		write_all(c, "ping", 4);
		read_all(s, b, 4);
		write_all(s, b, 4);
		read_all(c, b, 4);
	}
	EQ(memcmp(b, "ping", 4), 0);
	goes_on(l);
}

const struct check kind_checks[] = {
	{"kind_unix_pairs", unix_pairs, false},
	{"kind_unix_named", unix_named, false},
	{"kind_unix_passes", unix_passes, false},
	{"kind_datagrams", datagrams, false},
	{"kind_kernel_messages", kernel_messages, false},
	{"kind_multipath", multipath, false},
	{"kind_families", other_families, false},
	{0},
};
