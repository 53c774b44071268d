// SPDX-License-Identifier: Apache-2.0
// Urgent bytes, signals, ancillary data: what only the kernel does. Such a connection stays with it, goes
// back to it, or the program is told.
#include "contract.h"

static void urgent_byte_is_beside_the_stream(struct link *l)
{
	for (int i = 0; i < 3; i++) {
		put(l, 1000);
		EQ(send(l->s, "!", 1, MSG_OOB), 1);
		put(l, 1000);
		EQ(ask(l, OP_RECV, 2000), 2000);
		EQ(ask(l, OP_SEND, 1000), 1000);
		get(l, 1000);
	}
}

static void nothing_urgent(struct link *l)
{
	char c;
	ERR(recv(l->s, &c, 1, MSG_OOB), EINVAL);
	ERR(recv(l->s, &c, 1, MSG_ERRQUEUE), EAGAIN);
	EQ(ask(l, OP_SEND, 10), 10);
	until_arrived(l->s, 10);
	ERR(recv(l->s, &c, 1, MSG_OOB), EINVAL);
	ERR(recv(l->s, &c, 1, MSG_ERRQUEUE), EAGAIN);
	get(l, 10);
}

static volatile sig_atomic_t told;
static void tell(int sig) { (void)sig; told = 1; }

// owner_is_told: by SIGIO of every arrival, once that was asked for with success.
static void owner_is_told(struct link *l, int r)
{
	if (r < 0) {
		EQ(errno, EOPNOTSUPP); // by a connection that has left the kernel, and by no other
		EXPECT(getenv("SD_WANT_PROMOTED"));
		EQ(ask(l, OP_SEND, 10), 10);
		get(l, 10);
		return;
	}
	for (int turn = 0; turn < 300; turn++) {
		told = 0;
		EQ(ask(l, OP_SEND, 10), 10);
		for (int i = 0; !told; i++) {
			EXPECT(i < 5000);
			nap_us(1000);
		}
		get(l, 10);
	}
}

static void may_tell(struct link *l)
{
	struct sigaction a = {.sa_handler = tell, .sa_flags = SA_RESTART};
	must(sigaction(SIGIO, &a, NULL));
	must(fcntl(l->s, F_SETOWN, getpid()));
	EQ(fcntl(l->s, F_GETOWN), getpid());
}

static void owner_by_flag(struct link *l)
{
	may_tell(l);
	owner_is_told(l, fcntl(l->s, F_SETFL, must(fcntl(l->s, F_GETFL)) | O_ASYNC));
}

static void owner_by_ioctl(struct link *l)
{
	int on = 1;
	may_tell(l);
	owner_is_told(l, ioctl(l->s, FIOASYNC, &on));
}

static int at_mark(int fd)
{
	int r = -1;
	must(ioctl(fd, SIOCATMARK, &r));
	EQ(sockatmark(fd), r);
	return r;
}

static void urgent_byte_from_the_peer(struct link *l)
{
	uint8_t b[64];
	for (int i = 0; i < 3; i++) {
		EQ(ask(l, OP_SEND, 10), 10);
		EQ(ask(l, OP_URGENT, 0), 1);
		EQ(ask(l, OP_SEND, 10), 10);
		until_event(l->s, POLLPRI);
		until_arrived(l->s, 10); // FIONREAD counts up to the mark
		EQ(at_mark(l->s), 0);
		EQ(recv(l->s, b, 5, 0), 5);
		EQ(recv(l->s, b + 5, sizeof b - 5, 0), 5); // a receive ends at the mark
		EQ(at_mark(l->s), 1);
		EQ(recv(l->s, b + 10, sizeof b, MSG_OOB), 1);
		read_all(l->s, b + 11, 10);
		verify(l, b, 21);
		EQ(at_mark(l->s), 0);
		ERR(recv(l->s, b, 1, MSG_OOB), EINVAL);
		put(l, 100);
		EQ(ask(l, OP_RECV, 100), 100);
	}
}

static void urgent_byte_in_line(struct link *l)
{
	int on = 1;
	uint8_t b[64];
	must(setsockopt(l->s, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
	for (int i = 0; i < 3; i++) {
		EQ(ask(l, OP_SEND, 10), 10);
		EQ(ask(l, OP_URGENT, 0), 1);
		EQ(ask(l, OP_SEND, 10), 10);
		until_arrived(l->s, 21);
		EQ(recv(l->s, b, sizeof b, 0), 10);
		EQ(at_mark(l->s), 1);
		ERR(recv(l->s, b, 1, MSG_OOB), EINVAL);
		EQ(recv(l->s, b + 10, sizeof b - 10, 0), 11);
		verify(l, b, 21);
	}
}

// A connection that has left the kernel has no timestamps to give, and says so.
static void timestamps(struct link *l)
{
	int on = 1;
	uint8_t b[16];
	if (setsockopt(l->s, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on) < 0) {
		EQ(errno, ENOPROTOOPT);
		EXPECT(getenv("SD_WANT_PROMOTED"));
		return;
	}
	for (int stamped = 0, i = 0; stamped < 30; i++) { // the kernel starts to stamp a little later
		char control[256];
		struct iovec v = {b, sizeof b};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
		EQ(ask(l, OP_SEND, 16), 16);
		until_arrived(l->s, 16);
		EQ(recvmsg(l->s, &m, 0), 16);
		verify(l, b, 16);
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		stamped += h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_TIMESTAMP;
		EXPECT(i < 2000);
		nap_us(stamped ? 0 : 1000);
	}
}

// A connection that has left the kernel does not remember where it was peeked at, and says so.
static void peek_offset(struct link *l)
{
	int at = 0, off = -1;
	uint8_t b[16];
	must(setsockopt(l->s, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof off));
	if (setsockopt(l->s, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof at) < 0) {
		EQ(errno, getenv("SD_WANT_PROMOTED") ? ENOPROTOOPT : EOPNOTSUPP); // EOPNOTSUPP: Linux before 6.9
		return;
	}
	for (int i = 0; i < 300; i++) {
		EQ(ask(l, OP_SEND, 16), 16);
		until_arrived(l->s, 16);
		EQ(recv(l->s, b, 6, MSG_PEEK), 6);
		EQ(recv(l->s, b + 6, 10, MSG_PEEK), 10);
		EQ(stream_check(2, l->rx, b, 16), 16);
		get(l, 16);
	}
}

// So does it of bytes that would be mapped, or copied beside recv.
static void zerocopy_receive(struct link *l)
{
	uint8_t b[16];
	for (int i = 0; i < 300; i++) {
		struct tcp_zerocopy_receive z = {.copybuf_address = (uintptr_t)b, .copybuf_len = sizeof b};
		socklen_t n = sizeof z;
		EQ(ask(l, OP_SEND, 16), 16);
		until_arrived(l->s, 16);
		if (getsockopt(l->s, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &z, &n) < 0) {
			EQ(errno, ENOPROTOOPT);
			EXPECT(getenv("SD_WANT_PROMOTED"));
			get(l, 16);
			continue;
		}
		EQ(z.length, 0);
		if (z.copybuf_len > 0)
			verify(l, b, (size_t)z.copybuf_len);
		get(l, z.recv_skip_hint);
	}
}

// A message, of the error queue perhaps, has a control message.
static bool with_control(int fd, int flags)
{
	uint8_t b[64], control[256];
	struct iovec v = {b, sizeof b};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	if (flags & MSG_ERRQUEUE)
		until_event(fd, POLLERR);
	must(recvmsg(fd, &m, flags));
	return CMSG_FIRSTHDR(&m) != NULL;
}

// An option that its listener has, or that was set before connect, has its effect for good.
static void early_option(struct link *l, int level, int name)
{
	int port, on = 1, ls = other_listener(l, &port);
	bool zerocopy = level == SOL_SOCKET && name == SO_ZEROCOPY;
	for (int accepted = 0; accepted < 2; accepted++) {
		bool seen = false;
		int c = (int)must(socket(l->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
		struct addr a = loopback(l->v6, port);
		must(setsockopt(accepted ? ls : c, level, name, &on, sizeof on));
		must(connect(c, (void *)&a.ss, a.len));
		int s = (int)must(accept4(ls, NULL, NULL, SOCK_CLOEXEC)), own = accepted ? s : c, other = accepted ? c : s;
		uint8_t b[64] = {0};
		for (int i = 0; i < 40; i++) {
			write_all(other, b, sizeof b);
			if (zerocopy)
				read_all(own, b, sizeof b);
			else if (with_control(own, 0))
				seen = true;
			else
				EQ(seen || i > 20 || name != SO_TIMESTAMP, false); // the first time stamps take the kernel a moment
			nap_us(seen || zerocopy ? 0 : 10000);
			EQ(send(own, b, sizeof b, zerocopy ? MSG_ZEROCOPY : 0), sizeof b);
			read_all(other, b, sizeof b);
			if (zerocopy)
				EQ(with_control(own, MSG_ERRQUEUE), true);
		}
		close(c);
		close(s);
	}
	close(ls);
}

static void early_zerocopy(struct link *l) { early_option(l, SOL_SOCKET, SO_ZEROCOPY); }
static void early_timestamp(struct link *l) { early_option(l, SOL_SOCKET, SO_TIMESTAMP); }
static void early_inq(struct link *l) { early_option(l, IPPROTO_TCP, TCP_INQ); }

const struct check anchor_checks[] = {
	{"anchor_urgent_byte_is_beside_the_stream", urgent_byte_is_beside_the_stream, false},
	{"anchor_urgent_byte_is_beside_the_stream_cold", urgent_byte_is_beside_the_stream, true},
	{"anchor_urgent_byte_from_the_peer", urgent_byte_from_the_peer, false},
	{"anchor_urgent_byte_from_the_peer_cold", urgent_byte_from_the_peer, true},
	{"anchor_urgent_byte_in_line", urgent_byte_in_line, false},
	{"anchor_urgent_byte_in_line_cold", urgent_byte_in_line, true},
	{"anchor_nothing_urgent", nothing_urgent, false},
	{"anchor_nothing_urgent_cold", nothing_urgent, true},
	{"anchor_owner_is_told", owner_by_flag, false},
	{"anchor_owner_is_told_cold", owner_by_flag, true},
	{"anchor_owner_is_told_by_ioctl", owner_by_ioctl, false},
	{"anchor_owner_is_told_by_ioctl_cold", owner_by_ioctl, true},
	{"anchor_timestamps", timestamps, false},
	{"anchor_timestamps_cold", timestamps, true},
	{"anchor_peek_offset", peek_offset, false},
	{"anchor_peek_offset_cold", peek_offset, true},
	{"anchor_zerocopy_receive", zerocopy_receive, false},
	{"anchor_zerocopy_receive_cold", zerocopy_receive, true},
	{"anchor_early_zerocopy", early_zerocopy, true},
	{"anchor_early_timestamp", early_timestamp, true},
	{"anchor_early_inq", early_inq, true},
	{0},
};
