// SPDX-License-Identifier: Apache-2.0
// Flags, addresses, control messages and vectors that TCP takes without effect, or refuses.
#include "contract.h"
#include <limits.h>

#ifndef MSG_BATCH
#define MSG_BATCH 0x40000
#endif

static void both_ways(struct link *l)
{
	put(l, 50);
	EQ(ask(l, OP_RECV, 50), 50);
	EQ(ask(l, OP_SEND, 50), 50);
	get(l, 50);
}

static void sent_with(struct link *l, int flags, const void *to, socklen_t len)
{
	uint8_t b[10];
	fill(l, b, sizeof b);
	EQ(sendto(l->s, b, sizeof b, flags, to, len), sizeof b);
	fill(l, b, sizeof b);
	struct iovec v = {b, sizeof b};
	struct mmsghdr m = {{.msg_iov = &v, .msg_iovlen = 1, .msg_name = (void *)to, .msg_namelen = len}, 0};
	EQ(sendmsg(l->s, &m.msg_hdr, flags), sizeof b);
	fill(l, b, sizeof b);
	EQ(sendmmsg(l->s, &m, 1, flags), 1);
	EQ(ask(l, OP_RECV, 30), 30);
}

static void sends_without_effect(struct link *l)
{
	int flags[] = {MSG_NOSIGNAL, MSG_DONTROUTE, MSG_CONFIRM, MSG_EOR, MSG_BATCH, MSG_ZEROCOPY, MSG_PEEK, MSG_WAITALL, MSG_ERRQUEUE};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		sent_with(l, flags[i], NULL, 0);
		both_ways(l);
	}
}

static void receives_without_effect(struct link *l)
{
	int flags[] = {MSG_NOSIGNAL, MSG_DONTROUTE, MSG_CONFIRM, MSG_WAITFORONE, MSG_EOR, MSG_MORE};
	uint8_t b[20];
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		EQ(ask(l, OP_SEND, 20), 20);
		until_arrived(l->s, 20);
		EQ(recv(l->s, b, 10, flags[i]), 10);
		EQ(recvfrom(l->s, b + 10, 20, flags[i] | MSG_DONTWAIT, NULL, NULL), 10);
		verify(l, b, 20);
	}
}

// TCP knows where its bytes go: an address is looked at, and not used.
static void sent_to_an_address(struct link *l)
{
	struct addr a = loopback(l->v6, 1);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	uint8_t b[200] = {0};
	sent_with(l, 0, &a.ss, a.len);
	sent_with(l, 0, &none, sizeof none);
	ERR(sendto(l->s, b, 10, 0, (void *)&a.ss, sizeof a.ss + 1), EINVAL);
	ERR(sendto(l->s, b, 10, 0, (void *)8, a.len), EFAULT);
	both_ways(l);
}

static void fast_open_when_connected(struct link *l)
{
	struct addr a = loopback(l->v6, peer_port(l->s));
	ERR(sendto(l->s, "hello", 5, MSG_FASTOPEN, (void *)&a.ss, a.len), EISCONN);
	ERR(send(l->s, "hello", 5, MSG_FASTOPEN), EISCONN);
	both_ways(l);
}

struct control {
	struct cmsghdr h;
	int value[4];
};

static ssize_t controlled(struct link *l, struct control *c, size_t n)
{
	uint8_t b[10];
	stream_fill(1, l->tx, b, sizeof b);
	struct iovec v = {b, sizeof b};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = n};
	ssize_t r = sendmsg(l->s, &m, 0);
	if (r > 0)
		l->tx += (uint64_t)r;
	return r;
}

static void sent_with_control(struct link *l)
{
	struct control c = {{CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}, {STDERR_FILENO}};
	EQ(controlled(l, &c, CMSG_SPACE(sizeof(int))), 10); // only AF_UNIX carries it
	EQ(ask(l, OP_RECV, 10), 10);
	c.h.cmsg_type = 12345;
	ERR(controlled(l, &c, CMSG_SPACE(sizeof(int))), EINVAL);
	c.h = (struct cmsghdr){3, SOL_SOCKET, SCM_RIGHTS};
	ERR(controlled(l, &c, CMSG_SPACE(sizeof(int))), EINVAL);
	c.h = (struct cmsghdr){CMSG_LEN(sizeof(int)), IPPROTO_IP, 12345}; // another level's is passed over
	EQ(controlled(l, &c, CMSG_SPACE(sizeof(int))), 10);
	EQ(ask(l, OP_RECV, 10), 10);
	ERR(controlled(l, (void *)8, CMSG_SPACE(sizeof(int))), EFAULT);
	both_ways(l);
}

static void received_message(struct link *l)
{
	uint8_t b[20], control[64];
	struct iovec v = {b, sizeof b};
	struct sockaddr_storage name;
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &name, .msg_namelen = 77, .msg_control = control,
			   .msg_controllen = sizeof control, .msg_flags = 99};
	ERR(recvmsg(l->s, &m, MSG_DONTWAIT), EAGAIN);
	EQ(m.msg_controllen, sizeof control);
	EQ(m.msg_namelen, 77);
	EQ(m.msg_flags, 99);
	EQ(ask(l, OP_SEND, 20), 20);
	until_arrived(l->s, 20);
	EQ(recvmsg(l->s, &m, MSG_CMSG_CLOEXEC), 20);
	EQ(m.msg_flags, MSG_CMSG_CLOEXEC);
	EQ(m.msg_controllen, 0);
	EQ(m.msg_namelen, 0);
	verify(l, b, 20);
}

static void vectors_to_the_limit(struct link *l)
{
	static uint8_t b[IOV_MAX + 1];
	static struct iovec v[IOV_MAX + 1];
	struct msghdr m = {.msg_iov = v, .msg_iovlen = IOV_MAX};
	for (int i = 0; i <= IOV_MAX; i++)
		v[i] = (struct iovec){b + i, 1};
	fill(l, b, IOV_MAX);
	EQ(writev(l->s, v, IOV_MAX), IOV_MAX);
	fill(l, b, IOV_MAX);
	EQ(sendmsg(l->s, &m, 0), IOV_MAX);
	EQ(ask(l, OP_RECV, 2 * IOV_MAX), 2 * IOV_MAX);
	EQ(ask(l, OP_SEND, 2 * IOV_MAX), 2 * IOV_MAX);
	until_arrived(l->s, 2 * IOV_MAX);
	EQ(readv(l->s, v, IOV_MAX), IOV_MAX);
	verify(l, b, IOV_MAX);
	EQ(recvmsg(l->s, &m, 0), IOV_MAX);
	verify(l, b, IOV_MAX);
	m.msg_iovlen++;
	ERR(writev(l->s, v, IOV_MAX + 1), EINVAL);
	ERR(readv(l->s, v, IOV_MAX + 1), EINVAL);
	ERR(syscall(SYS_writev, l->s, v, -1), EINVAL);
	ERR(recv(l->s, b, SIZE_MAX, MSG_DONTWAIT), EAGAIN);
	ERR(sendmsg(l->s, &m, 0), EMSGSIZE);
	ERR(recvmsg(l->s, &m, 0), EMSGSIZE);
	EQ(writev(l->s, v, 0), 0);
	v[1].iov_len = (size_t)-1;
	ERR(writev(l->s, v, 2), EINVAL);
	ERR(readv(l->s, v, 2), EINVAL);
	m.msg_iovlen = 2;
	ERR(sendmsg(l->s, &m, 0), EINVAL);
	ERR(recvmsg(l->s, &m, MSG_DONTWAIT), EINVAL);
	both_ways(l);
}

static void error_queue_leaves_the_error(struct link *l)
{
	char b[8];
	struct iovec v = {b, sizeof b};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
	EQ(ask(l, OP_RESET, 0), 0);
	until_event(l->s, POLLERR);
	ERR(recvmmsg(l->s, &m, 1, MSG_ERRQUEUE, NULL), EAGAIN);
	ERR(recv(l->s, b, sizeof b, MSG_ERRQUEUE), EAGAIN);
	ERR(recvmmsg(l->s, &m, 1, 0, NULL), ECONNRESET);
}

static void batches(struct link *l)
{
	enum { N = 4 };
	uint8_t b[N][10];
	struct iovec v[N];
	struct mmsghdr m[N] = {0};
	struct timespec at_once = {0, 0}, bad = {0, -1};
	for (int i = 0; i < N; i++) {
		v[i] = (struct iovec){b[i], sizeof b[i]};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
	}
	EQ(sendmmsg(l->s, m, 0, 0), 0);
	EQ(recvmmsg(l->s, m, 0, 0, NULL), 0);
	ERR(recvmmsg(l->s, m, N, MSG_DONTWAIT, NULL), EAGAIN);
	ERR(recvmmsg(l->s, m, N, 0, &bad), EINVAL);
	EQ(ask(l, OP_SEND, 25), 25);
	until_arrived(l->s, 25);
	EQ(recvmmsg(l->s, m, N, MSG_WAITFORONE, NULL), 3); // does not wait for the fourth
	EQ(m[2].msg_len, 5);
	for (int i = 0; i < 3; i++)
		verify(l, b[i], m[i].msg_len);
	EQ(ask(l, OP_SEND, 20), 20);
	until_arrived(l->s, 20);
	EQ(recvmmsg(l->s, m, N, 0, &at_once), 1); // the time is looked at after each
	verify(l, b[0], 10);
	get(l, 10);
	EQ(ask(l, OP_SEND, 5), 5);
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	until_event(l->s, POLLRDHUP);
	EQ(recvmmsg(l->s, m, N, 0, NULL), N); // the end is a message of no bytes, and not the last
	EQ(m[0].msg_len, 5);
	EQ(m[1].msg_len + m[2].msg_len + m[3].msg_len, 0);
	verify(l, b[0], 5);
}

static void positioned(struct link *l)
{
	int flags[] = {0, RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND, RWF_DSYNC | RWF_NOWAIT};
	uint8_t b[10];
	struct iovec v = {b, sizeof b};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		fill(l, b, sizeof b);
		EQ(pwritev2(l->s, &v, 1, -1, flags[i]), sizeof b);
		EQ(ask(l, OP_RECV, 10), 10);
		EQ(ask(l, OP_SEND, 10), 10);
		until_arrived(l->s, 10);
		EQ(preadv2(l->s, &v, 1, -1, flags[i]), sizeof b);
		verify(l, b, sizeof b);
	}
	ERR(preadv2(l->s, &v, 1, -1, RWF_NOWAIT), EAGAIN);
	ERR(preadv2(l->s, &v, 1, -1, 1 << 30), EOPNOTSUPP);
	ERR(pwritev2(l->s, &v, 1, -1, 1 << 30), EOPNOTSUPP);
	ERR(preadv2(l->s, &v, 1, 0, 0), ESPIPE);
	ERR(pwritev2(l->s, &v, 1, 0, 0), ESPIPE);
	both_ways(l);
}

static void waits_refused(struct link *l)
{
	struct timespec bad[] = {{-1, 0}, {0, -1}, {0, 1000000000}};
	struct timeval before = {-1, 0};
	struct pollfd p = {l->s, POLLIN, 0};
	struct epoll_event e = {.events = EPOLLIN};
	fd_set r;
	volatile int below = -1;
	volatile nfds_t many = 1 << 30; // more than RLIMIT_NOFILE
	int ep = (int)must(epoll_create1(0));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	FD_ZERO(&r);
	FD_SET(l->s, &r);
	for (int i = 0; i < 3; i++) {
		ERR(ppoll(&p, 1, &bad[i], NULL), EINVAL);
		ERR(pselect(l->s + 1, &r, NULL, NULL, &bad[i], NULL), EINVAL);
		ERR(epoll_pwait2(ep, &e, 1, &bad[i], NULL), EINVAL);
	}
	ERR(select(l->s + 1, &r, NULL, NULL, &before), EINVAL);
	ERR(select(-1, &r, NULL, NULL, NULL), EINVAL);
	ERR(epoll_wait(ep, &e, below, 0), EINVAL);
	ERR(epoll_wait(-1, &e, 1, 0), EBADF);
	ERR(epoll_ctl(ep, 99, l->s, &e), EINVAL);
	ERR(epoll_ctl(ep, EPOLL_CTL_MOD, -1, &e), EBADF);
	ERR(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, NULL), EFAULT);
	ERR(poll(&p, many, 0), EINVAL);
	both_ways(l);
}

// Sets beyond FD_SETSIZE, as servers have that allocate them.
static void selects_beyond(struct link *l)
{
	enum { BITS = 4096 };
	static uint64_t r[BITS / 64], w[BITS / 64];
	struct rlimit many;
	must(getrlimit(RLIMIT_NOFILE, &many));
	if (many.rlim_cur < BITS) {
		many.rlim_cur = BITS;
		must(setrlimit(RLIMIT_NOFILE, &many));
	}
	int d = (int)must(fcntl(l->s, F_DUPFD, 3000));
	struct timeval zero = {0, 0};
	for (int i = 0; i < 20; i++) {
		r[d / 64] = w[d / 64] = 1ull << (d % 64);
		EQ(select(d + 1, (void *)r, (void *)w, NULL, &zero), 1);
		EXPECT(r[d / 64] == 0 && w[d / 64] != 0);
		EQ(ask(l, OP_SEND, 10), 10);
		r[d / 64] = 1ull << (d % 64);
		EQ(select(d + 1, (void *)r, NULL, NULL, NULL), 1);
		get(l, 10);
	}
	must(close(d));
}

static void names_refused(struct link *l)
{
	int port, ls = other_listener(l, &port), s = (int)must(socket(l->v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0));
	struct addr a = loopback(l->v6, port);
	void *none = (void *)8;
	ERR(connect(s, none, a.len), EFAULT);
	ERR(connect(s, NULL, a.len), EFAULT);
	ERR(connect(s, (void *)&a.ss, 1), EINVAL);
	ERR(connect(-1, (void *)&a.ss, a.len), EBADF);
	ERR(connect(STDOUT_FILENO, (void *)&a.ss, a.len), ENOTSOCK);
	ERR(accept4(ls, NULL, NULL, 1), EINVAL);
	ERR(accept(-1, NULL, NULL), EBADF);
	ERR(getsockname(l->s, none, &a.len), EFAULT);
	ERR(getsockopt(l->s, SOL_SOCKET, SO_TYPE, none, &a.len), EFAULT);
	must(connect(s, (void *)&a.ss, a.len));
	must(close(accept_one(ls)));
	both_ways(l);
}

// A copy by the kernel is refused; a copy in user space is a fault of the program.
static void faults(struct link *l, void (*copy)(int))
{
	int st;
	pid_t pid = fork_link(l);
	if (pid == 0) {
		copy(l->s);
		_exit(0);
	}
	must(waitpid(pid, &st, 0));
	if (WIFSIGNALED(st))
		EXPECT(WTERMSIG(st) == SIGSEGV && getenv("SD_WANT_PROMOTED"));
	else
		EQ(st, 0);
}

static void copy_out(int fd) { ERR(send(fd, (void *)8, 10, 0), EFAULT); }
static void copy_in(int fd) { ERR(recv(fd, (void *)8, 10, 0), EFAULT); }

static void bad_buffers(struct link *l)
{
	faults(l, copy_out);
	both_ways(l);
	EQ(ask(l, OP_SEND, 10), 10);
	until_arrived(l->s, 10);
	faults(l, copy_in);
	get(l, 10);
	both_ways(l);
}

const struct check flag_checks[] = {
	{"flag_sends_without_effect", sends_without_effect, false},
	{"flag_sends_without_effect_cold", sends_without_effect, true},
	{"flag_receives_without_effect", receives_without_effect, false},
	{"flag_receives_without_effect_cold", receives_without_effect, true},
	{"flag_sent_to_an_address", sent_to_an_address, false},
	{"flag_sent_to_an_address_cold", sent_to_an_address, true},
	{"flag_fast_open_when_connected", fast_open_when_connected, false},
	{"flag_fast_open_when_connected_cold", fast_open_when_connected, true},
	{"flag_sent_with_control", sent_with_control, false},
	{"flag_sent_with_control_cold", sent_with_control, true},
	{"flag_received_message", received_message, false},
	{"flag_received_message_cold", received_message, true},
	{"flag_vectors_to_the_limit", vectors_to_the_limit, false},
	{"flag_vectors_to_the_limit_cold", vectors_to_the_limit, true},
	{"flag_error_queue_leaves_the_error", error_queue_leaves_the_error, false},
	{"flag_error_queue_leaves_the_error_cold", error_queue_leaves_the_error, true},
	{"flag_batches", batches, false},
	{"flag_batches_cold", batches, true},
	{"flag_waits_refused", waits_refused, false},
	{"flag_waits_refused_cold", waits_refused, true},
	{"flag_selects_beyond", selects_beyond, false},
	{"flag_names_refused", names_refused, false},
	{"flag_bad_buffers", bad_buffers, false},
	{"flag_bad_buffers_cold", bad_buffers, true},
	{"flag_positioned", positioned, false},
	{"flag_positioned_cold", positioned, true},
	{0},
};
