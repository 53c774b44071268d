// SPDX-License-Identifier: Apache-2.0
// Calls that reach the connection beside libc's usual ones: no byte is lost, doubled or takes another's
// place. They do what the kernel does, or the program is told.
#include "contract.h"
#include <aio.h>
#include <linux/sched.h>
#include <sched.h>
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

static pid_t by_number(void) { return (pid_t)syscall(SYS_fork); }
static pid_t by_clone(void) { return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL); }

static pid_t by_clone3(void)
{
	struct clone_args a = {.exit_signal = SIGCHLD};
	return (pid_t)syscall(SYS_clone3, &a, sizeof a);
}

// Forks that run no handlers: the child has the stream, too.
static void forked(struct link *l, pid_t (*fork)(void))
{
	put(l, 100);
	EQ(ask(l, OP_SEND, 200), 200);
	pid_t pid = (pid_t)must(fork());
	if (pid == 0) {
		put(l, 100);
		get(l, 100);
		_exit(0);
	}
	child_ok(pid);
	l->tx += 100;
	l->rx += 100;
	put(l, 100);
	get(l, 100);
	EQ(ask(l, OP_RECV, 300), 300);
}

static void forks(struct link *l) { forked(l, _Fork); }
static void forks_by_number(struct link *l) { forked(l, by_number); }
static void forks_by_clone(struct link *l) { forked(l, by_clone); }
static void forks_by_clone3(struct link *l) { forked(l, by_clone3); }

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

int eventfd_write(int, uint64_t);
int eventfd_read(int, uint64_t *);

// libc's own calls for other descriptors. One word of its stream is what an eventfd would be told.
static void inside_libc(struct link *l)
{
	uint64_t word, start = l->rx;
	put(l, 100);
	EQ(ask(l, OP_RECV, 100), 100);
	EQ(ask(l, OP_SEND, 16), 16);
	until_arrived(l->s, 16);
	set_nonblock(l->s, true);
	if (eventfd_read(l->s, &word) == 0)
		verify(l, &word, sizeof word);
	else
		EXPECT(errno == EAGAIN && told());
	get(l, 16 - (size_t)(l->rx - start));
	fill(l, &word, sizeof word);
	EQ(eventfd_write(l->s, word), 0);
	takes(l, sizeof word);
}

// The stream is whole, with its end, when it is closed where nobody looks.
static void direct_close(struct link *l)
{
	put(l, 1000);
	EQ(raw(SYS_close, l->s, 0, 0, 0, 0, 0), 0);
	l->s = -1;
	EQ(ask(l, OP_DRAIN, 0), 1000);
}

// A child that clone(2) of libc makes with a stack of its own.
static int in_clone(void *arg)
{
	struct link *l = arg;
	uint8_t b[10];
	fill(l, b, sizeof b);
	return write(l->s, b, sizeof b) != sizeof b;
}

static void clones(struct link *l)
{
	static char stack[1 << 16];
	int st;
	put(l, 100);
	EQ(ask(l, OP_RECV, 100), 100);
	pid_t pid = (pid_t)must(clone(in_clone, stack + sizeof stack, SIGCHLD, l));
	must(waitpid(pid, &st, 0));
	EQ(st, 0);
	l->tx += 10;
	put(l, 100);
	EQ(ask(l, OP_RECV, 110), 110);
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

// A statically linked program that inherits the number: the exit code.
static int outsider(struct link *l, const char *what, int n, uint64_t pos)
{
	const char *program = getenv("SD_OUTSIDER");
	char words[3][32];
	int st;
	EXPECT(program != NULL);
	pid_t pid = fork_link(l);
	if (pid == 0) {
		snprintf(words[0], sizeof words[0], "%d", n);
		snprintf(words[1], sizeof words[1], "%d", *what == 'w' ? 1 : 2);
		snprintf(words[2], sizeof words[2], "%llu", (unsigned long long)pos);
		must(dup2(l->s, 9));
		execl(program, program, what, "9", words[0], words[1], words[2], (char *)NULL);
		die("exec %s", program);
	}
	must(waitpid(pid, &st, 0));
	EXPECT(WIFEXITED(st));
	return WEXITSTATUS(st);
}

static void static_program_writes(struct link *l)
{
	put(l, 100);
	EQ(outsider(l, "write", 5000, l->tx), 0);
	l->tx += 5000;
	put(l, 100);
	EQ(ask(l, OP_RECV, 5200), 5200);
	EQ(ask(l, OP_SEND, 10), 10);
	get(l, 10);
}

// What has come by a ring it does not see, and takes none of it.
static void static_program_reads(struct link *l)
{
	EQ(ask(l, OP_SEND, 100), 100);
	until_arrived(l->s, 100);
	int n = outsider(l, "read", 60, l->rx);
	EXPECT(n == 60 || (n == 0 && told()));
	l->rx += (uint64_t)n;
	get(l, 100 - (size_t)n);
	put(l, 10);
	EQ(ask(l, OP_RECV, 10), 10);
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
	{"unhooked_forks", forks, false},
	{"unhooked_forks_cold", forks, true},
	{"unhooked_forks_by_number", forks_by_number, false},
	{"unhooked_forks_by_clone", forks_by_clone, false},
	{"unhooked_forks_by_clone3", forks_by_clone3, false},
	{"unhooked_clones", clones, false},
	{"unhooked_clones_cold", clones, true},
	{"unhooked_inside_libc", inside_libc, false},
	{"unhooked_inside_libc_cold", inside_libc, true},
	{"unhooked_direct_close", direct_close, false},
	{"unhooked_direct_close_cold", direct_close, true},
	{"unhooked_direct_message", direct_message, false},
	{"unhooked_program_with_a_number", program_with_a_number, false},
	{"unhooked_program_with_a_number_cold", program_with_a_number, true},
	{"unhooked_static_program_writes", static_program_writes, false},
	{"unhooked_static_program_writes_cold", static_program_writes, true},
	{"unhooked_static_program_reads", static_program_reads, false},
	{"unhooked_static_program_reads_cold", static_program_reads, true},
	{"unhooked_direct_read", direct_read, false},
	{"unhooked_number_from_pidfd", number_from_pidfd, false},
	{"unhooked_number_from_pidfd_cold", number_from_pidfd, true},
	{"unhooked_asynchronous", asynchronous, false},
	{"unhooked_asynchronous_cold", asynchronous, true},
	{0},
};
