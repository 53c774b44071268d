// SPDX-License-Identifier: Apache-2.0
// Calls that a signal interrupts while they wait, with and without SA_RESTART.
#include "contract.h"

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void catch(int flags)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};
	must(sigaction(SIGUSR1, &sa, NULL));
	signals = 0;
}

struct interruption {
	struct link *l; // not NULL: when the thread sleeps again, let the peer send a byte
	pid_t tid;
	pthread_t thread;
};

static void *interrupt(void *arg)
{
	struct interruption *in = arg;
	until_asleep(getpid(), in->tid);
	must(tgkill(getpid(), in->tid, SIGUSR1));
	if (!in->l)
		return NULL;
	for (int i = 0; i < 5000 && signals == 0; i++)
		nap_us(1000);
	until_asleep(getpid(), in->tid);
	EQ(ask(in->l, OP_SEND, 1), 1);
	return NULL;
}

// interrupt_when_asleep sends SIGUSR1 to the calling thread when it sleeps.
static void interrupt_when_asleep(struct interruption *in, struct link *l)
{
	sigset_t all, old;
	*in = (struct interruption){.l = l, .tid = gettid()};
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	EQ(pthread_create(&in->thread, NULL, interrupt, in), 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void recv_is_interrupted(struct link *l)
{
	struct interruption in;
	char c;
	catch(0);
	for (int i = 0; i < 3; i++) {
		interrupt_when_asleep(&in, NULL);
		ERR(recv(l->s, &c, 1, 0), EINTR);
		EQ(signals, i + 1);
		pthread_join(in.thread, NULL);
	}
	EQ(ask(l, OP_SEND, 1), 1);
	get(l, 1);
}

static void recv_restarts(struct link *l)
{
	struct interruption in;
	catch(SA_RESTART);
	for (int i = 0; i < 3; i++) {
		signals = 0;
		interrupt_when_asleep(&in, l);
		get(l, 1);
		EQ(signals, 1);
		pthread_join(in.thread, NULL);
	}
}

static void crash(int sig)
{
	(void)sig;
	_exit(1);
}

// Many programs have a handler for their own crash, without SA_RESTART. It never runs.
static void recv_restarts_beside_a_crash_handler(struct link *l)
{
	struct sigaction a = {.sa_handler = crash};
	must(sigaction(SIGSEGV, &a, NULL));
	must(sigaction(SIGABRT, &a, NULL));
	recv_restarts(l);
}

static void recv_with_timeout_never_restarts(struct link *l)
{
	struct interruption in;
	struct timeval tv = {30, 0};
	char c;
	must(setsockopt(l->s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	catch(SA_RESTART);
	interrupt_when_asleep(&in, NULL);
	ERR(recv(l->s, &c, 1, 0), EINTR);
	EQ(signals, 1);
	pthread_join(in.thread, NULL);
}

static void waitall_returns_what_it_has(struct link *l)
{
	struct interruption in;
	uint8_t b[100];
	EQ(ask(l, OP_SEND, 10), 10);
	until_arrived(l->s, 10);
	catch(0);
	interrupt_when_asleep(&in, NULL);
	EQ(recv(l->s, b, sizeof b, MSG_WAITALL), 10);
	verify(l, b, 10);
	pthread_join(in.thread, NULL);
}

static void send_is_interrupted(struct link *l)
{
	struct interruption in;
	static uint8_t b[1 << 20];
	size_t n = stuff(l);
	catch(0);
	interrupt_when_asleep(&in, NULL);
	stream_fill(1, l->tx, b, sizeof b);
	ssize_t r = send(l->s, b, sizeof b, 0);
	if (r < 0)
		EQ(errno, EINTR);
	else
		l->tx += (uint64_t)r;
	EQ(signals, 1);
	pthread_join(in.thread, NULL);
	n += r < 0 ? 0 : (size_t)r;
	EQ(ask(l, OP_RECV, (long)n), n);
}

// Waiting for readiness is interrupted whatever SA_RESTART says.
static void poll_is_interrupted(struct link *l)
{
	struct interruption in;
	struct pollfd p = {l->s, POLLIN, 0};
	for (int i = 0; i < 2; i++) {
		catch(i ? SA_RESTART : 0);
		interrupt_when_asleep(&in, NULL);
		ERR(poll(&p, 1, -1), EINTR);
		EQ(signals, 1);
		pthread_join(in.thread, NULL);
	}
}

static void select_is_interrupted(struct link *l)
{
	struct interruption in;
	fd_set rs;
	FD_ZERO(&rs);
	FD_SET(l->s, &rs);
	catch(SA_RESTART);
	interrupt_when_asleep(&in, NULL);
	ERR(select(l->s + 1, &rs, NULL, NULL, NULL), EINTR);
	pthread_join(in.thread, NULL);
}

static void epoll_is_interrupted(struct link *l)
{
	struct interruption in;
	struct epoll_event e = {.events = EPOLLIN};
	int ep = (int)must(epoll_create1(0));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	for (int i = 0; i < 2; i++) {
		catch(i ? SA_RESTART : 0);
		interrupt_when_asleep(&in, NULL);
		ERR(epoll_wait(ep, &e, 1, -1), EINTR);
		EQ(signals, 1);
		pthread_join(in.thread, NULL);
	}
	EQ(ask(l, OP_SEND, 1), 1);
	EQ(epoll_wait(ep, &e, 1, 10000), 1);
}

// The mask that ppoll and epoll_pwait install lets a blocked signal through, only while they wait.
static void masks_are_installed(struct link *l)
{
	struct interruption in;
	struct pollfd p = {l->s, POLLIN, 0};
	struct epoll_event e = {.events = EPOLLIN};
	int ep = (int)must(epoll_create1(0));
	sigset_t usr1, none, now;
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	catch(0);
	interrupt_when_asleep(&in, NULL);
	ERR(ppoll(&p, 1, NULL, &none), EINTR);
	pthread_join(in.thread, NULL);
	interrupt_when_asleep(&in, NULL);
	ERR(epoll_pwait(ep, &e, 1, -1, &none), EINTR);
	pthread_join(in.thread, NULL);
	EQ(signals, 2);
	raise(SIGUSR1);
	EQ(poll(&p, 1, 0), 0);
	EQ(signals, 2);
	ERR(ppoll(&p, 1, NULL, &none), EINTR);
	EQ(signals, 3);
	sigprocmask(SIG_BLOCK, NULL, &now);
	EQ(sigismember(&now, SIGUSR1), 1);
}

const struct check signal_checks[] = {
	{"signal_recv_is_interrupted", recv_is_interrupted, false},
	{"signal_recv_is_interrupted_cold", recv_is_interrupted, true},
	{"signal_recv_restarts", recv_restarts, false},
	{"signal_recv_restarts_beside_a_crash_handler", recv_restarts_beside_a_crash_handler, false},
	{"signal_recv_with_timeout_never_restarts", recv_with_timeout_never_restarts, false},
	{"signal_waitall_returns_what_it_has", waitall_returns_what_it_has, false},
	{"signal_send_is_interrupted", send_is_interrupted, false},
	{"signal_poll_is_interrupted", poll_is_interrupted, false},
	{"signal_select_is_interrupted", select_is_interrupted, false},
	{"signal_epoll_is_interrupted", epoll_is_interrupted, false},
	{"signal_masks_are_installed", masks_are_installed, false},
	{0},
};
