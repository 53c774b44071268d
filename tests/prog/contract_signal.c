// SPDX-License-Identifier: Apache-2.0
// Calls that a signal interrupts while they wait, with and without SA_RESTART.
#include "contract.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

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
	bool stop; // no more signals, please
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

// start_interrupter runs fn in a thread that no signal interrupts.
static void start_interrupter(struct interruption *in, void *(*fn)(void *))
{
	sigset_t all, old;
	in->tid = gettid();
	in->stop = false;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	EQ(pthread_create(&in->thread, NULL, fn, in), 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

// interrupt_when_asleep sends SIGUSR1 to the calling thread when it sleeps.
static void interrupt_when_asleep(struct interruption *in, struct link *l)
{
	in->l = l;
	start_interrupter(in, interrupt);
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

// A handler decides by itself, whichever others are installed and however they were.
static void recv_obeys_each_handler(struct link *l)
{
	struct interruption in;
	char c;
	signals = 0;
	for (int i = 0; i < 2; i++) {
		EXPECT(signal(SIGUSR1, on_signal) != SIG_ERR); // SA_RESTART
		EXPECT(sysv_signal(SIGUSR2, on_signal) != SIG_ERR);
		interrupt_when_asleep(&in, l);
		get(l, 1);
		pthread_join(in.thread, NULL);

		must(siginterrupt(SIGUSR1, 1));
		EXPECT(signal(SIGUSR2, on_signal) != SIG_ERR);
		interrupt_when_asleep(&in, NULL);
		ERR(recv(l->s, &c, 1, 0), EINTR);
		pthread_join(in.thread, NULL);
		must(siginterrupt(SIGUSR1, 0));
	}
	EQ(signals, 2 + 2);
}

// Both signals are pending when the thread runs again, because the process is stopped meanwhile.
static void *interrupt_twice(void *arg)
{
	struct interruption *in = arg;
	until_asleep(getpid(), in->tid);
	pid_t self = getpid(), pid = (pid_t)must(_Fork());
	if (pid == 0) {
		kill(self, SIGSTOP);
		until_state(self, in->tid, 'T');
		tgkill(self, in->tid, SIGUSR1);
		tgkill(self, in->tid, SIGUSR2);
		_exit(kill(self, SIGCONT));
	}
	child_ok(pid);
	for (int i = 0; i < 5000 && signals < 2; i++)
		nap_us(1000);
	if (in->l) {
		until_asleep(getpid(), in->tid);
		EQ(ask(in->l, OP_SEND, 1), 1);
	}
	return NULL;
}

// Of signals that come at once the first decides: here the one with the lower number.
static void first_of_two_signals_decides(struct link *l)
{
	struct interruption in;
	for (int i = 0; i < 4; i++) {
		struct sigaction usr1 = {.sa_handler = on_signal, .sa_flags = i & 1 ? SA_RESTART : 0};
		struct sigaction usr2 = {.sa_handler = on_signal, .sa_flags = i & 1 ? 0 : SA_RESTART};
		must(sigaction(SIGUSR1, &usr1, NULL));
		must(sigaction(SIGUSR2, &usr2, NULL));
		signals = 0;
		in.l = i & 1 ? l : NULL;
		start_interrupter(&in, interrupt_twice);
		if (i & 1)
			get(l, 1);
		else
			ERR(recv(l->s, (char[1]){0}, 1, 0), EINTR);
		pthread_join(in.thread, NULL);
		EQ(signals, 2);
	}
}

// Signals at every moment, each after the one before it was handled.
static void *pester(void *arg)
{
	struct interruption *in = arg;
	for (unsigned i = 0; !__atomic_load_n(&in->stop, __ATOMIC_ACQUIRE); i++) {
		int before = signals;
		for (volatile unsigned j = 0; j < i * 37 % 4000; j++)
			;
		must(tgkill(getpid(), in->tid, SIGUSR1));
		while (signals == before && !__atomic_load_n(&in->stop, __ATOMIC_ACQUIRE))
			sched_yield();
	}
	return NULL;
}

static void end_interrupter(struct interruption *in)
{
	__atomic_store_n(&in->stop, true, __ATOMIC_RELEASE);
	pthread_join(in->thread, NULL);
}

// A signal that is let through only while a call waits interrupts that call, whenever it comes.
static void no_signal_is_slept_over(struct link *l)
{
	struct interruption in;
	struct pollfd p = {l->s, POLLIN, 0};
	struct epoll_event e = {.events = EPOLLIN};
	int ep = (int)must(epoll_create1(0));
	sigset_t usr1, none;
	fd_set rs;
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	catch(SA_RESTART);
	start_interrupter(&in, pester);
	for (int i = 0; i < 3000; i += 3) {
		EQ(signals, i);
		ERR(ppoll(&p, 1, NULL, &none), EINTR);
		EQ(signals, i + 1);
		ERR(epoll_pwait(ep, &e, 1, -1, &none), EINTR);
		EQ(signals, i + 2);
		FD_ZERO(&rs);
		FD_SET(l->s, &rs);
		ERR(pselect(l->s + 1, &rs, NULL, NULL, NULL, &none), EINTR);
	}
	end_interrupter(&in);
}

// ppoll with no time to wait lets a pending signal through too, unless there is something to report.
static void masks_are_installed_without_waiting(struct link *l)
{
	struct pollfd p = {l->s, POLLIN, 0};
	struct epoll_event e = {.events = EPOLLIN};
	int ep = (int)must(epoll_create1(0));
	struct timespec zero = {0, 0};
	sigset_t usr1, none;
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	catch(0);
	raise(SIGUSR1);
	ERR(ppoll(&p, 1, &zero, &none), EINTR);
	raise(SIGUSR1);
	EQ(epoll_pwait(ep, &e, 1, 0, &none), 0); // it does not look for signals
	EQ(signals, 1);
	EQ(ask(l, OP_SEND, 1), 1);
	until_arrived(l->s, 1);
	EQ(ppoll(&p, 1, &zero, &none), 1);
	EQ(epoll_pwait(ep, &e, 1, 0, &none), 1);
	EQ(ppoll(&p, 1, NULL, &none), 1);
	EQ(epoll_pwait(ep, &e, 1, -1, &none), 1);
	EQ(signals, 1);
}

// A call that is interrupted after it moved bytes returns how many.
static void stream_between_signals(struct link *l)
{
	enum { TOTAL = 8 << 20, PIECE = 100000 };
	struct interruption in;
	static uint8_t b[PIECE];
	catch(0);
	post(l, OP_RECV, TOTAL);
	start_interrupter(&in, pester);
	for (size_t left = TOTAL; left > 0;) {
		size_t k = left < PIECE ? left : PIECE;
		stream_fill(1, l->tx, b, k);
		ssize_t r = send(l->s, b, k, 0);
		if (r < 0) {
			EQ(errno, EINTR);
			continue;
		}
		l->tx += (uint64_t)r;
		left -= (size_t)r;
	}
	end_interrupter(&in);
	EQ(answer(l), TOTAL);
	post(l, OP_SEND, TOTAL);
	start_interrupter(&in, pester);
	for (size_t left = TOTAL; left > 0;) {
		ssize_t r = recv(l->s, b, left < PIECE ? left : PIECE, left & 1 ? MSG_WAITALL : 0);
		if (r < 0) {
			EQ(errno, EINTR);
			continue;
		}
		EXPECT(r > 0);
		verify(l, b, (size_t)r);
		left -= (size_t)r;
	}
	end_interrupter(&in);
	EQ(answer(l), TOTAL);
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

// What was there at the signal is returned, and a receive of nothing sleeps once: neither starts again.
static void some_do_not_restart(struct link *l)
{
	struct interruption in;
	int low = 50;
	uint8_t b[100];
	catch(SA_RESTART);
	interrupt_when_asleep(&in, NULL);
	EQ(recv(l->s, b, 0, 0), 0);
	pthread_join(in.thread, NULL);
	must(setsockopt(l->s, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
	EQ(ask(l, OP_SEND, 6), 6);
	until_arrived(l->s, 6);
	interrupt_when_asleep(&in, NULL);
	EQ(recv(l->s, b, sizeof b, 0), 6);
	verify(l, b, 6);
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
	EQ(epoll_wait(ep, &e, 1, LONG), 1);
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
	{"signal_recv_obeys_each_handler", recv_obeys_each_handler, false},
	{"signal_first_of_two_signals_decides", first_of_two_signals_decides, false},
	{"signal_no_signal_is_slept_over", no_signal_is_slept_over, false},
	{"signal_masks_are_installed_without_waiting", masks_are_installed_without_waiting, false},
	{"signal_stream_between_signals", stream_between_signals, false},
	{"signal_recv_with_timeout_never_restarts", recv_with_timeout_never_restarts, false},
	{"signal_waitall_returns_what_it_has", waitall_returns_what_it_has, false},
	{"signal_some_do_not_restart", some_do_not_restart, false},
	{"signal_some_do_not_restart_cold", some_do_not_restart, true},
	{"signal_send_is_interrupted", send_is_interrupted, false},
	{"signal_poll_is_interrupted", poll_is_interrupted, false},
	{"signal_select_is_interrupted", select_is_interrupted, false},
	{"signal_epoll_is_interrupted", epoll_is_interrupted, false},
	{"signal_masks_are_installed", masks_are_installed, false},
	{0},
};
