// SPDX-License-Identifier: Apache-2.0
// The operations, each one call of libc.
#include "agent.h"

extern char **environ;

socklen_t address(int fd, int i, struct sockaddr_storage *at)
{
	int domain = AF_INET;
	socklen_t len = sizeof domain;
	*at = (struct sockaddr_storage){.ss_family = AF_UNSPEC};
	if (i < 0)
		return sizeof(struct sockaddr_in);
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	if (domain == AF_INET6) {
		struct sockaddr_in6 *v6 = (void *)at;
		*v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)(PORT + i))};
		v6->sin6_addr.s6_addr32[2] = htonl(0xffff);
		v6->sin6_addr.s6_addr32[3] = htonl(w->ip);
		return sizeof *v6;
	}
	*(struct sockaddr_in *)at = (struct sockaddr_in){AF_INET, htons((uint16_t)(PORT + i)), {htonl(w->ip)}};
	return sizeof(struct sockaddr_in);
}

// plain_address turns a mapped address into the IPv4 address that it stands for.
void plain_address(struct sockaddr_storage *at)
{
	struct sockaddr_in6 *v6 = (void *)at;
	if (at->ss_family == AF_INET6) {
		struct sockaddr_in v4 = {AF_INET, v6->sin6_port, {v6->sin6_addr.s6_addr32[3]}};
		*at = (struct sockaddr_storage){0};
		memcpy(at, &v4, sizeof v4);
	}
}

static void handler(int sig)
{
	atomic_fetch_or(&w->proc[me].ran, 1u << sig);
	w->proc[me].handled++;
}

static long set_action(int sig, int how)
{
	struct sigaction sa = {.sa_handler = how == 0 ? SIG_DFL : how == 1 ? SIG_IGN : handler, .sa_flags = how == 3 ? SA_RESTART : 0};
	w->proc[me].act[sig] = how;
	return sigaction(sig, &sa, NULL);
}

static long do_socket(const int32_t *a)
{
	int one = 1, fd = socket(a[1] ? AF_INET6 : AF_INET, SOCK_STREAM | a[0], 0);
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); // a small segment does not wait for an ACK
	return fd;
}

static long do_connect(const int32_t *a)
{
	struct sockaddr_storage to;
	socklen_t len = address(a[0], a[1], &to);
	long r = connect(a[0], (void *)&to, len);
	int e = errno;
	if ((r == 0 || e == EINPROGRESS) && a[1] >= 0)
		note_connection(a[0]);
	errno = e;
	return r;
}

static long do_name(const int32_t *a)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof at;
	long r = a[1] ? getpeername(a[0], (void *)&at, &len) : getsockname(a[0], (void *)&at, &len);
	if (r < 0)
		return r;
	plain_address(&at);
	struct sockaddr_in *v4 = (void *)&at;
	int i = ntohs(v4->sin_port) - PORT;
	return ntohl(v4->sin_addr.s_addr) == w->ip && i >= 0 && i < ADDRS ? i : ANY_PORT;
}

static pid_t spawn_by_vfork(int child)
{
	char num[16];
	snprintf(num, sizeof num, "%d", child);
	char *argv[] = {"agent", num, "born", NULL};
	for (int sig = 0; sig < 32; sig++)
		if (w->proc[child].act[sig] > 1)
			w->proc[child].act[sig] = 0;
	pid_t pid = vfork();
	if (pid == 0) {
		execve("/proc/self/exe", argv, environ);
		_exit(1);
	}
	return pid;
}

static long do_fork(const int32_t *a)
{
	if (a[0] <= 0 || a[0] >= MAX_PROCS || w->proc[a[0]].pid != 0) {
		errno = EINVAL;
		return -1;
	}
	memcpy(w->proc[a[0]].act, w->proc[me].act, sizeof w->proc[me].act);
	w->proc[a[0]].ran = 0;
	pid_t pid = a[1] ? spawn_by_vfork(a[0]) : fork();
	if (pid == 0) {
		become(a[0]);
		agent_loop();
	}
	while (pid > 0 && w->proc[a[0]].pid == 0 && waitpid(pid, NULL, WNOHANG) == 0)
		nap_us(20); // until it knows its number: a signal may be next
	return pid < 0 ? -1 : 0;
}

static long do_exec(void)
{
	char num[16];
	snprintf(num, sizeof num, "%d", me);
	char *argv[] = {"agent", num, NULL};
	for (int s = 0; s < 32; s++)
		if (w->proc[me].act[s] > 1)
			w->proc[me].act[s] = 0;
	return execve("/proc/self/exe", argv, environ);
}

// do_kill returns when the signal has done what it does.
static long do_kill(const int32_t *a)
{
	struct process *p = &w->proc[a[0]];
	int pid = a[0] >= 0 && a[0] < MAX_PROCS ? p->pid : 0;
	if (pid == 0) {
		errno = ESRCH;
		return -1;
	}
	uint32_t before = p->handled;
	bool masked = p->masked && a[1] == SIGUSR1;
	int how = a[1] == SIGKILL ? 0 : p->act[a[1]];
	long r = kill(pid, a[1]);
	if (r < 0 || how == 1 || masked)
		return r;
	if (how == 0) {
		wait_gone(pid);
		if (p->call == ASLEEP || p->call == RETURNED)
			w->asleep--;
		p->pid = 0;
		p->call = IDLE;
		return r;
	}
	for (int i = 0; i < 100000 && p->handled == before; i++)
		nap_us(20);
	return r;
}

static long do_pass(const int32_t *a)
{
	char byte = 0, ctl[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	*c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(c), &a[1], sizeof a[1]);
	return sendmsg(a[0], &m, MSG_NOSIGNAL);
}

static long do_take(const int32_t *a)
{
	char byte, ctl[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
	long r = recvmsg(a[0], &m, a[1] ? MSG_CMSG_CLOEXEC : 0);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (r < 0)
		return r;
	if (r == 0 || c == NULL) {
		errno = ENODATA;
		return -1;
	}
	int fd;
	memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

static long reset(void)
{
	struct linger l = {1, 0}; // no TIME_WAIT
	for (int fd = 3; fd < FIRST_OWN_FD; fd++)
		if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0 || errno != EBADF)
			close(fd);
	for (int fd = 0; fd < 3; fd++)
		must(dup2(NULL_FD, fd));
	set_action(SIGPIPE, 0);
	set_action(SIGUSR1, 0);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	w->nconns = 0;
	w->pushes = false;
	return 0;
}

// wrong_family: AF_UNIX sockets carry descriptors here and are nothing else to the model.
static bool wrong_family(enum kind k, int fd)
{
	int domain = 0;
	socklen_t len = sizeof domain;
	if (k < K_BIND || k > K_SHUTDOWN && k < K_SETOPT || k > K_NAME && k != K_PASS && k != K_TAKE)
		return false;
	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && (domain == AF_UNIX) != (k == K_PASS || k == K_TAKE);
}

static long call(int t, const struct op *o, struct outcome *out)
{
	const int32_t *a = o->arg;
	struct epoll_event ev = {.events = (uint32_t)a[3], .data.fd = a[2]};
	int v = 0, sv[2];
	long r;
	switch ((enum kind)o->kind) {
	case K_SOCKET: return do_socket(a);
	case K_BIND: {
		struct sockaddr_storage at;
		socklen_t len = address(a[0], a[1], &at);
		return bind(a[0], (void *)&at, len);
	}
	case K_LISTEN: return listen(a[0], a[1]);
	case K_CONNECT: return do_connect(a);
	case K_ACCEPT: return accept4(a[0], NULL, NULL, a[1]);
	case K_SEND: return send_form((uint32_t)t + 1, a);
	case K_RECV: return recv_form(a, out);
	case K_SHUTDOWN: return shutdown(a[0], a[1]);
	case K_CLOSE: return o->hint & HINT_LAST ? close_last(a[0]) : close(a[0]);
	case K_DUP: return dup(a[0]);
	case K_DUP3: return o->hint & HINT_LAST ? dup3_over_last(a[0], a[1], a[2]) : dup3(a[0], a[1], a[2]);
	case K_DUPFD: return fcntl(a[0], a[2] ? F_DUPFD_CLOEXEC : F_DUPFD, a[1]);
	case K_SETFL: return fcntl(a[0], F_SETFL, a[1]);
	case K_GETFL: return (r = fcntl(a[0], F_GETFL)) < 0 ? r : r & O_NONBLOCK;
	case K_SETFD: return fcntl(a[0], F_SETFD, a[1]);
	case K_GETFD: return fcntl(a[0], F_GETFD);
	case K_SETOPT: return set_option(a);
	case K_GETOPT: return get_option(a);
	case K_INQ: return ioctl(a[0], a[1] ? SIOCATMARK : FIONREAD, &v) < 0 ? -1 : v;
	case K_NAME: return do_name(a);
	case K_POLL: return poll_form(a, out);
	case K_EPCREATE: return epoll_create1(a[0]);
	case K_EPCTL: return epoll_ctl(a[0], a[1], a[2], &ev);
	case K_EPWAIT: return epwait_form(a, out);
	case K_FORK: return do_fork(a);
	case K_EXEC: return do_exec();
	case K_EXIT: _exit(0);
	case K_KILL: return do_kill(a);
	case K_SIGACT: return set_action(a[0], a[1]);
	case K_PAIR:
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | a[0], 0, sv) < 0)
			return -1;
		out->n = 2;
		out->vec[0] = sv[0];
		out->vec[1] = sv[1];
		return 0;
	case K_PASS: return do_pass(a);
	case K_TAKE: return do_take(a);
	case K_REST: nap_us(a[0]); return 0;
	case K_RESET: return reset();
	}
	die("no operation %d", o->kind);
}

void execute(int t, struct outcome *out)
{
	const struct op *o = &w->op[t];
	long r = -1;
	errno = ENOTSOCK;
	if (!wrong_family((enum kind)o->kind, o->arg[0]))
		r = call(t, o, out);
	out->r = (int32_t)(r < 0 ? -errno : r);
}
