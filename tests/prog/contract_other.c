// SPDX-License-Identifier: Apache-2.0
// Calls that are not hooked on a connection: the kernel answers for the anchor, or refuses. And sockets of
// other kinds, which nobody stands before.
#include "contract.h"
#include <dirent.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <termios.h>

// The stream goes on, with bytes under way both ways.
static void goes_on(struct link *l)
{
	put(l, 100);
	EQ(ask(l, OP_SEND, 100), 100);
	EQ(ask(l, OP_RECV, 100), 100);
	get(l, 100);
}

static void named(struct link *l)
{
	struct addr a = loopback(l->v6, local_port(l->s));
	goes_on(l);
	EQ(peer_port(l->s) != local_port(l->s), 1);
	ERR(bind(l->s, (void *)&a.ss, a.len), EINVAL);
	ERR(listen(l->s, 1), EINVAL);
	ERR(accept(l->s, NULL, NULL), EINVAL);
	goes_on(l);
}

static void positions(struct link *l)
{
	char c = 'x';
	struct iovec v = {&c, 1};
	EQ(ask(l, OP_SEND, 100), 100);
	until_arrived(l->s, 100);
	ERR(lseek(l->s, 0, SEEK_SET), ESPIPE);
	ERR(lseek(l->s, 0, SEEK_END), ESPIPE);
	ERR(pread(l->s, &c, 1, 0), ESPIPE);
	ERR(pwrite(l->s, &c, 1, 0), ESPIPE);
	ERR(preadv(l->s, &v, 1, 0), ESPIPE);
	ERR(pwritev(l->s, &v, 1, 0), ESPIPE);
	get(l, 100);
	goes_on(l);
}

static void as_a_file(struct link *l)
{
	EQ(ask(l, OP_SEND, 100), 100);
	until_arrived(l->s, 100);
	ERR(ftruncate(l->s, 0), EINVAL);
	ERR(fsync(l->s), EINVAL);
	ERR(fdatasync(l->s), EINVAL);
	EQ(syncfs(l->s), 0);
	ERR(fallocate(l->s, 0, 0, 1), ENODEV);
	EQ(posix_fallocate(l->s, 0, 1), ENODEV);
	EQ(posix_fadvise(l->s, 0, 0, POSIX_FADV_DONTNEED), 0);
	ERR(readahead(l->s, 0, 100), EINVAL);
	ERR(sync_file_range(l->s, 0, 1, SYNC_FILE_RANGE_WRITE), ESPIPE);
	get(l, 100);
	goes_on(l);
}

static void status(struct link *l)
{
	struct stat st, same;
	struct statx x;
	struct statfs fs;
	int d = (int)must(dup(l->s));
	must(fstat(l->s, &st));
	must(fstat(d, &same));
	EXPECT(S_ISSOCK(st.st_mode));
	EQ(st.st_ino, same.st_ino);
	EQ(st.st_size, 0);
	must(statx(l->s, "", AT_EMPTY_PATH, STATX_INO, &x));
	EQ(x.stx_ino, st.st_ino);
	must(fstatfs(l->s, &fs));
	EQ(fs.f_type, 0x534f434b); // SOCKFS_MAGIC
	must(close(d));
	goes_on(l);
	must(fstat(l->s, &same));
	EQ(st.st_ino, same.st_ino);
}

static void owners_and_locks(struct link *l)
{
	char b[64];
	struct flock k = {.l_type = F_WRLCK};
	struct timespec now[2] = {{1, 0}, {1, 0}};
	must(flock(l->s, LOCK_EX | LOCK_NB));
	must(flock(l->s, LOCK_UN));
	must(fcntl(l->s, F_SETLK, &k));
	must(fcntl(l->s, F_GETLK, &k));
	EQ(k.l_type, F_UNLCK);
	must(lockf(l->s, F_ULOCK, 0));
	must(fchmod(l->s, 0600));
	must(fchown(l->s, getuid(), getgid()));
	must(futimens(l->s, now));
	EXPECT(fgetxattr(l->s, "system.sockprotoname", b, sizeof b) >= 4);
	ERR(fsetxattr(l->s, "user.x", "1", 1, 0), EPERM);
	EXPECT(flistxattr(l->s, b, sizeof b) > 0);
	goes_on(l);
}

static void mapped(struct link *l)
{
	void *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, l->s, 0); // for TCP_ZEROCOPY_RECEIVE: no bytes are in it
	EXPECT(at != MAP_FAILED);
	EXPECT(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, l->s, 0) == MAP_FAILED);
	EQ(errno, EPERM);
	goes_on(l);
	must(munmap(at, 4096));
	goes_on(l);
}

static void no_directory(struct link *l)
{
	struct stat st;
	char b[256];
	ERR(fchdir(l->s), ENOTDIR);
	EXPECT(fdopendir(l->s) == NULL);
	EQ(errno, ENOTDIR);
	ERR(getdents64(l->s, b, sizeof b), ENOTDIR);
	ERR(openat(l->s, "x", O_RDONLY), ENOTDIR);
	ERR(fstatat(l->s, "x", &st, 0), ENOTDIR);
	ERR(unlinkat(l->s, "x", 0), ENOTDIR);
	ERR(inotify_add_watch(l->s, "/", IN_OPEN), EINVAL);
	goes_on(l);
}

static void no_terminal(struct link *l)
{
	struct termios t;
	EQ(isatty(l->s), 0);
	EXPECT(ttyname(l->s) == NULL);
	ERR(tcgetattr(l->s, &t), ENOTTY);
	ERR(tcflush(l->s, TCIFLUSH), ENOTTY);
	ERR(tcsendbreak(l->s, 0), ENOTTY);
	ERR(tcgetpgrp(l->s), ENOTTY);
	goes_on(l);
}

static void no_other_kind(struct link *l)
{
	struct itimerspec t = {0};
	sigset_t none;
	sigemptyset(&none);
	ERR(timerfd_settime(l->s, 0, &t, NULL), EINVAL);
	ERR(signalfd(l->s, &none, 0), EINVAL);
	ERR(fcntl(l->s, F_SETPIPE_SZ, 4096), EBADF);
	ERR(fcntl(l->s, F_GET_SEALS), EINVAL);
	ERR(fcntl(l->s, F_SETLEASE, F_RDLCK), EINVAL);
	ERR(fcntl(l->s, 9999), EINVAL);
	goes_on(l);
}

static void status_flags(struct link *l)
{
	int was = (int)must(fcntl(l->s, F_GETFL)), d = (int)must(dup(l->s));
	must(fcntl(l->s, F_SETFL, was | O_APPEND | O_NOATIME));
	EQ(fcntl(d, F_GETFL) & (O_APPEND | O_NOATIME), O_APPEND | O_NOATIME);
	ERR(fcntl(l->s, F_SETFL, was | O_DIRECT), EINVAL);
	goes_on(l);
	must(fcntl(l->s, F_SETFL, was));
	EQ(fcntl(d, F_GETFL), was);
	must(close(d));
	goes_on(l);
}

static void other_requests(struct link *l)
{
	char b[256];
	int n = -1;
	must(ioctl(l->s, FIOCLEX));
	EQ(fcntl(l->s, F_GETFD), FD_CLOEXEC);
	must(ioctl(l->s, FIONCLEX));
	EQ(fcntl(l->s, F_GETFD), 0);
	n = getpid();
	must(ioctl(l->s, SIOCSPGRP, &n));
	n = 0;
	must(ioctl(l->s, SIOCGPGRP, &n));
	EQ(n, getpid());
	n = 0;
	must(ioctl(l->s, SIOCSPGRP, &n));
	ERR(ioctl(l->s, TIOCGWINSZ, b), ENOTTY);
	ERR(ioctl(l->s, SIOCGSTAMP, b), ENOENT);
	struct ifconf { int len; char *buf; } c = {0, NULL};
	must(ioctl(l->s, SIOCGIFCONF, &c)); // of the network, not of this socket
	EXPECT(c.len > 0);
	goes_on(l);
}

// Sockets that are no TCP connections.

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

const struct check other_checks[] = {
	{"other_named", named, false},
	{"other_named_cold", named, true},
	{"other_positions", positions, false},
	{"other_positions_cold", positions, true},
	{"other_as_a_file", as_a_file, false},
	{"other_as_a_file_cold", as_a_file, true},
	{"other_status", status, false},
	{"other_status_cold", status, true},
	{"other_owners_and_locks", owners_and_locks, false},
	{"other_owners_and_locks_cold", owners_and_locks, true},
	{"other_mapped", mapped, false},
	{"other_no_directory", no_directory, false},
	{"other_no_terminal", no_terminal, false},
	{"other_no_other_kind", no_other_kind, false},
	{"other_status_flags", status_flags, false},
	{"other_status_flags_cold", status_flags, true},
	{"other_requests", other_requests, false},
	{"other_requests_cold", other_requests, true},
	{"other_unix_pairs", unix_pairs, false},
	{"other_unix_named", unix_named, false},
	{"other_unix_passes", unix_passes, false},
	{"other_datagrams", datagrams, false},
	{"other_kernel_messages", kernel_messages, false},
	{"other_families", other_families, false},
	{0},
};
