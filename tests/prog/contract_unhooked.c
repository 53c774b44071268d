// SPDX-License-Identifier: Apache-2.0
// Calls that reach the connection beside libc's usual ones: no byte is lost, doubled or takes another's
// place. They do what the kernel does, or the program is told.
#include "contract.h"
#include <aio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>

ssize_t __read(int, void *, size_t);
ssize_t __write(int, const void *, size_t);
ssize_t __send(int, const void *, size_t, int);
int __poll(struct pollfd *, nfds_t, int);
int __select(int, fd_set *, fd_set *, fd_set *, struct timeval *);
int __dup2(int, int);
int __fcntl(int, int, ...);
int __close(int);

static bool told(void) { return getenv("SD_WANT_PROMOTED") != NULL; }

static void by_syscall(struct link *l)
{
	uint8_t b[100];
	struct iovec v = {b, sizeof b};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct pollfd p = {l->s, POLLIN, 0};
	struct timespec zero = {0, 0};
	for (int i = 0; i < 20; i++) {
		EQ(syscall(SYS_poll, &p, 1, 0), 0);
		EQ(syscall(SYS_ppoll, &p, 1, &zero, NULL, 8), 0);
		ERR(syscall(SYS_recvfrom, l->s, b, sizeof b, MSG_DONTWAIT, NULL, NULL), EAGAIN);
		fill(l, b, sizeof b);
		EQ(syscall(SYS_write, l->s, b, sizeof b), sizeof b);
		fill(l, b, sizeof b);
		EQ(syscall(SYS_writev, l->s, &v, 1), sizeof b);
		fill(l, b, sizeof b);
		EQ(syscall(SYS_sendto, l->s, b, sizeof b, 0, NULL, 0), sizeof b);
		fill(l, b, sizeof b);
		EQ(syscall(SYS_sendmsg, l->s, &m, 0), sizeof b);
		put(l, 100);
		EQ(ask(l, OP_RECV, 500), 500);
		EQ(ask(l, OP_SEND, 500), 500);
		until_arrived(l->s, 500);
		EQ(syscall(SYS_poll, &p, 1, LONG), 1);
		EQ(syscall(SYS_read, l->s, b, sizeof b), sizeof b);
		verify(l, b, sizeof b);
		EQ(syscall(SYS_readv, l->s, &v, 1), sizeof b);
		verify(l, b, sizeof b);
		EQ(syscall(SYS_recvfrom, l->s, b, sizeof b, 0, NULL, NULL), sizeof b);
		verify(l, b, sizeof b);
		EQ(syscall(SYS_recvmsg, l->s, &m, 0), sizeof b);
		verify(l, b, sizeof b);
		get(l, 100);
	}
}

static void sets_by_syscall(struct link *l)
{
	int ep = (int)must(syscall(SYS_epoll_create1, EPOLL_CLOEXEC)), d = (int)must(syscall(SYS_dup, l->s));
	struct epoll_event e = {.events = EPOLLIN}, got;
	must(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, d, &e));
	for (int i = 0; i < 20; i++) {
		EQ(syscall(SYS_epoll_wait, ep, &got, 1, 0), 0);
		EQ(ask(l, OP_SEND, 10), 10);
		EQ(syscall(SYS_epoll_pwait, ep, &got, 1, LONG, NULL, 8), 1);
		get(l, 10);
		put(l, 10);
		EQ(ask(l, OP_RECV, 10), 10);
	}
	must(syscall(SYS_close, l->s));
	l->s = d;
	put(l, 10);
	EQ(ask(l, OP_RECV, 10), 10);
	must(syscall(SYS_shutdown, d, SHUT_WR));
	EQ(ask(l, OP_DRAIN, 0), 0);
}

static void by_other_names(struct link *l)
{
	uint8_t b[100];
	struct pollfd p = {l->s, POLLIN, 0};
	struct timeval zero = {0, 0};
	fd_set r;
	for (int i = 0; i < 20; i++) {
		FD_ZERO(&r);
		FD_SET(l->s, &r);
		EQ(__poll(&p, 1, 0), 0);
		EQ(__select(l->s + 1, &r, NULL, NULL, &zero), 0);
		fill(l, b, sizeof b);
		EQ(__write(l->s, b, sizeof b), sizeof b);
		fill(l, b, sizeof b);
		EQ(__send(l->s, b, sizeof b, 0), sizeof b);
		EQ(ask(l, OP_RECV, 200), 200);
		EQ(ask(l, OP_SEND, 100), 100);
		until_event(l->s, POLLIN);
		EQ(__read(l->s, b, sizeof b), sizeof b);
		verify(l, b, sizeof b);
	}
	int d = (int)must(__fcntl(l->s, F_DUPFD, 100));
	put(l, 10);
	EQ(__dup2(d, l->s), l->s);
	put(l, 10);
	must(__close(l->s));
	l->s = d;
	put(l, 10);
	EQ(ask(l, OP_RECV, 30), 30);
}

// What nobody saw written is found by its receiver.
static void takes(struct link *l, long n)
{
	long r = ask(l, OP_RECV, n);
	if (r == -ECONNRESET)
		EXPECT(told());
	else
		EQ(r, n);
}

static void direct_write(struct link *l)
{
	uint8_t b[10];
	put(l, 100);
	EQ(ask(l, OP_RECV, 100), 100);
	fill(l, b, sizeof b);
	EQ(raw(SYS_write, l->s, (long)b, sizeof b, 0, 0, 0), sizeof b);
	takes(l, sizeof b);
}

static void direct_message(struct link *l)
{
	uint8_t b[10];
	struct iovec v = {b, sizeof b};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	fill(l, b, sizeof b);
	EQ(raw(SYS_sendmsg, l->s, (long)&m, MSG_NOSIGNAL, 0, 0, 0), sizeof b);
	takes(l, sizeof b);
}

// A program that inherits the number by exec.
static void program_with_a_number(struct link *l)
{
	uint8_t b[5000];
	fflush(stdout);
	pid_t pid = fork_link(l);
	if (pid == 0) {
		int f = (int)must(memfd_create("file", 0));
		fill(l, b, sizeof b);
		write_all(f, b, sizeof b);
		must(lseek(f, 0, SEEK_SET));
		must(dup2(f, 8));
		must(dup2(l->s, 9));
		execlp("sh", "sh", "-c", "cat <&8 >&9", NULL);
		die("exec sh");
	}
	child_ok(pid);
	l->tx += sizeof b;
	takes(l, sizeof b);
}

// A direct read sees what the anchor has: of bytes in a ring nothing, and it takes none of them.
static void direct_read(struct link *l)
{
	uint8_t b[100];
	EQ(ask(l, OP_SEND, 100), 100);
	until_arrived(l->s, 100);
	long r = raw(SYS_recvfrom, l->s, (long)b, sizeof b, MSG_DONTWAIT, 0, 0);
	if (r >= 0)
		verify(l, b, (size_t)r);
	else
		EXPECT(r == -EAGAIN && told());
	get(l, sizeof b - (size_t)(r < 0 ? 0 : r));
}

// Numbers that a descriptor of the process itself gives out.
static void number_from_pidfd(struct link *l)
{
	int pid = (int)must(pidfd_open(getpid(), 0)), d = (int)must(pidfd_getfd(pid, l->s, 0));
	for (int i = 0; i < 20; i++) {
		put(l, 10);
		EQ(send(d, "", 0, 0), 0);
		int s = l->s;
		l->s = d;
		put(l, 10);
		EQ(ask(l, OP_RECV, 20), 20);
		EQ(ask(l, OP_SEND, 20), 20);
		get(l, 10);
		l->s = s;
		get(l, 10);
	}
}

static void awaited(struct link *l, struct aiocb *a, int r, bool out)
{
	const struct aiocb *list[] = {a};
	if (r < 0) {
		EXPECT(errno == EOPNOTSUPP && told());
		if (out)
			l->tx -= a->aio_nbytes;
		return;
	}
	while (aio_error(a) == EINPROGRESS)
		aio_suspend(list, 1, NULL);
	EQ(aio_return(a), a->aio_nbytes);
	if (!out)
		verify(l, (void *)a->aio_buf, a->aio_nbytes);
}

static void asynchronous(struct link *l)
{
	uint8_t b[100];
	struct aiocb a = {.aio_fildes = l->s, .aio_buf = b, .aio_nbytes = sizeof b}, *list[] = {&a};
	for (int i = 0; i < 5; i++) {
		uint64_t received = l->rx, sent = l->tx;
		fill(l, b, sizeof b);
		awaited(l, &a, aio_write(&a), true);
		fill(l, b, sizeof b);
		a.aio_lio_opcode = LIO_WRITE;
		awaited(l, &a, lio_listio(LIO_NOWAIT, list, 1, NULL), true);
		put(l, 10);
		EQ(ask(l, OP_RECV, (long)(l->tx - sent)), l->tx - sent);
		EQ(ask(l, OP_SEND, 100), 100);
		until_arrived(l->s, 100);
		awaited(l, &a, aio_read(&a), false);
		get(l, 100 - (size_t)(l->rx - received));
	}
}

const struct check unhooked_checks[] = {
	{"unhooked_by_syscall", by_syscall, false},
	{"unhooked_by_syscall_cold", by_syscall, true},
	{"unhooked_sets_by_syscall", sets_by_syscall, false},
	{"unhooked_sets_by_syscall_cold", sets_by_syscall, true},
	{"unhooked_by_other_names", by_other_names, false},
	{"unhooked_by_other_names_cold", by_other_names, true},
	{"unhooked_direct_write", direct_write, false},
	{"unhooked_direct_write_cold", direct_write, true},
	{"unhooked_direct_message", direct_message, false},
	{"unhooked_program_with_a_number", program_with_a_number, false},
	{"unhooked_program_with_a_number_cold", program_with_a_number, true},
	{"unhooked_direct_read", direct_read, false},
	{"unhooked_number_from_pidfd", number_from_pidfd, false},
	{"unhooked_number_from_pidfd_cold", number_from_pidfd, true},
	{"unhooked_asynchronous", asynchronous, false},
	{"unhooked_asynchronous_cold", asynchronous, true},
	{0},
};
