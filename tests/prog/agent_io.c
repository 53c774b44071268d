// SPDX-License-Identifier: Apache-2.0
// The calls that send and receive, in the order of model.Forms.
#include "agent.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

// byte_of is byte off of what operation id sends; as model.Byte.
static uint8_t byte_of(uint32_t id, uint32_t off)
{
	return (uint8_t)((id * 0x9e3779b9u + off * 0x85ebca6bu) >> 24);
}

static uint64_t digest(const uint8_t *b, size_t n)
{
	uint64_t h = 0;
	for (size_t i = 0; i < n; i++)
		h = (h + b[i] + 1) * 0x100000001b3u;
	return h;
}

static uint8_t *buffer(size_t n)
{
	static uint8_t *b;
	static size_t have;
	if (n > have)
		b = realloc(b, have = n);
	return b;
}

// three cuts a buffer into three pieces.
static void three(struct iovec v[3], uint8_t *b, size_t n)
{
	size_t first = n / 3, second = n / 2 - first;
	v[0] = (struct iovec){b, first};
	v[1] = (struct iovec){b + first, second};
	v[2] = (struct iovec){b + first + second, n - first - second};
}

// send_file needs a file of its own: its pages are what is sent.
static long send_file(int fd, const uint8_t *b, size_t n)
{
	int low = (int)must(memfd_create("sent", 0));
	must(dup2(low, FILE_FD));
	close(low);
	write_all(FILE_FD, b, n);
	off_t at = 0;
	long r = sendfile(fd, FILE_FD, &at, n);
	int e = errno;
	close(FILE_FD);
	errno = e;
	return r;
}

// push sends what MSG_MORE, TCP_CORK or Nagle's algorithm hold back.
static void push(int fd)
{
	int on = 1, off = 0, cork = 0, nodelay = 0, e = errno;
	socklen_t len = sizeof on;
	getsockopt(fd, IPPROTO_TCP, TCP_CORK, &cork, &len);
	getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len);
	setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (cork)
		setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
	if (!nodelay)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof off);
	errno = e;
}

long send_form(uint32_t id, const int32_t *a)
{
	int fd = a[0], flags = a[2];
	size_t n = (size_t)a[1];
	uint8_t *b = buffer(n);
	for (size_t i = 0; i < n; i++)
		b[i] = byte_of(id, (uint32_t)i);
	struct iovec v[3];
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
	struct mmsghdr many = {.msg_hdr = m};
	three(v, b, n);
	long r;
	switch (a[3]) {
	case 1: r = write(fd, b, n); break;
	case 2: r = writev(fd, v, 3); break;
	case 3: r = sendto(fd, b, n, flags, NULL, 0); break;
	case 4: r = sendmsg(fd, &m, flags); break;
	case 5: r = sendmmsg(fd, &many, 1, flags) < 0 ? -1 : (long)many.msg_len; break;
	case 6: r = send_file(fd, b, n); break;
	default: r = send(fd, b, n, flags);
	}
	if (r > 0 && (w->pushes || flags & MSG_MORE))
		push(fd);
	return r;
}

// receive_message: for TCP its flags are 0, whatever was asked.
static long receive_message(int fd, struct iovec *v, int flags, bool many, struct outcome *out)
{
	struct mmsghdr m = {.msg_hdr = {.msg_iov = v, .msg_iovlen = 3, .msg_flags = -1}};
	long r = many ? recvmmsg(fd, &m, 1, flags, NULL) : recvmsg(fd, &m.msg_hdr, flags);
	if (r < 0)
		return r;
	if (m.msg_hdr.msg_flags != 0) {
		out->n = 1;
		out->vec[0] = m.msg_hdr.msg_flags;
	}
	return many ? (long)m.msg_len : r;
}

long recv_form(const int32_t *a, struct outcome *out)
{
	int fd = a[0], flags = a[2];
	size_t n = (size_t)a[1];
	uint8_t *b = buffer(n);
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	struct iovec v[3];
	three(v, b, n);
	long r;
	switch (a[3]) {
	case 1: r = read(fd, b, n), flags = 0; break;
	case 2: r = readv(fd, v, 3), flags = 0; break;
	case 3: r = recvfrom(fd, b, n, flags, (void *)&from, &len); break;
	case 4: r = receive_message(fd, v, flags, false, out); break;
	case 5: r = receive_message(fd, v, flags, true, out); break;
	default: r = recv(fd, b, n, flags);
	}
	if (r > 0 && !(flags & MSG_TRUNC))
		out->sum = digest(b, (size_t)r);
	return r;
}

enum { LINGER_0, RCVTIMEO, SNDTIMEO, LINGER = 7, OPTIONS = 42 };

// The options in the order of model.Option; those with a value that is no number are special.
static const struct option { int level, name; } option[OPTIONS] = {
	{SOL_SOCKET, SO_LINGER}, {SOL_SOCKET, SO_RCVTIMEO}, {SOL_SOCKET, SO_SNDTIMEO}, {SOL_SOCKET, SO_RCVLOWAT},
	{SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_ERROR}, {SOL_SOCKET, SO_ACCEPTCONN}, {SOL_SOCKET, SO_LINGER},
	{IPPROTO_TCP, TCP_NODELAY}, {IPPROTO_TCP, TCP_CORK}, {SOL_SOCKET, SO_SNDBUF}, {SOL_SOCKET, SO_RCVBUF},
	{SOL_SOCKET, SO_KEEPALIVE}, {IPPROTO_TCP, TCP_KEEPIDLE}, {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_KEEPCNT},
	{IPPROTO_TCP, TCP_USER_TIMEOUT}, {SOL_SOCKET, SO_OOBINLINE}, {SOL_SOCKET, SO_PRIORITY},
	{SOL_SOCKET, SO_DOMAIN}, {SOL_SOCKET, SO_TYPE}, {SOL_SOCKET, SO_PROTOCOL},
	{SOL_SOCKET, SO_BUSY_POLL}, {SOL_SOCKET, SO_DONTROUTE}, {SOL_SOCKET, SO_BROADCAST}, {SOL_SOCKET, SO_MAX_PACING_RATE},
	{IPPROTO_TCP, TCP_MAXSEG}, {IPPROTO_TCP, TCP_QUICKACK}, {IPPROTO_TCP, TCP_NOTSENT_LOWAT},
	{IPPROTO_TCP, TCP_SYNCNT}, {IPPROTO_TCP, TCP_LINGER2}, {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS}, {IPPROTO_TCP, TCP_SAVE_SYN},
	{IPPROTO_TCP, TCP_FASTOPEN}, {IPPROTO_TCP, TCP_INFO}, {IPPROTO_IP, IP_TOS}, {IPPROTO_IP, IP_TTL}, {IPPROTO_IP, IP_MTU_DISCOVER},
	{IPPROTO_IP, IP_FREEBIND}, {IPPROTO_IP, IP_RECVERR}, {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
	{SOL_SOCKET, SO_REUSEPORT},
};

long set_option(const int32_t *a)
{
	const struct option *o = &option[a[1]];
	struct linger l = {a[2] != 0, a[1] == LINGER ? a[2] : 0};
	struct timeval tv = {a[2] / 1000, a[2] % 1000 * 1000};
	if (o->level == IPPROTO_TCP && (o->name == TCP_CORK || o->name == TCP_NODELAY))
		w->pushes = true;
	switch (a[1]) {
	case LINGER_0:
	case LINGER: return setsockopt(a[0], o->level, o->name, &l, sizeof l);
	case RCVTIMEO:
	case SNDTIMEO: return setsockopt(a[0], o->level, o->name, &tv, sizeof tv);
	default: return setsockopt(a[0], o->level, o->name, &a[2], sizeof a[2]);
	}
}

long get_option(const int32_t *a)
{
	const struct option *o = &option[a[1]];
	struct linger l = {0, 0};
	struct timeval tv = {0, 0};
	int v = 0; // of TCP_INFO, too: its first byte is the state
	void *value = o->name == SO_LINGER && o->level == SOL_SOCKET ? (void *)&l : a[1] == RCVTIMEO || a[1] == SNDTIMEO ? (void *)&tv : &v;
	socklen_t len = value == &v ? sizeof v : value == &l ? sizeof l : sizeof tv;
	if (getsockopt(a[0], o->level, o->name, value, &len) < 0)
		return -1;
	switch (a[1]) {
	case LINGER_0: return l.l_onoff && l.l_linger == 0;
	case LINGER: return l.l_onoff ? l.l_linger : 0;
	case RCVTIMEO:
	case SNDTIMEO: return tv.tv_sec * 1000 + tv.tv_usec / 1000;
	default: return o->level == IPPROTO_TCP && o->name == TCP_INFO ? v & 0xff : v & INT32_MAX;
	}
}
