// SPDX-License-Identifier: Apache-2.0
// Handlers that use the connection which they interrupt, handlers that jump out of a waiting call, and
// threads that are cancelled in one.
#include "contract.h"
#include <setjmp.h>

// signal_timer makes a timer that sends a signal to this thread; set starts it.
static timer_t signal_timer(int sig)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = sig};
	timer_t id;
	ev._sigev_un._tid = gettid();
	must(timer_create(CLOCK_MONOTONIC, &ev, &id));
	return id;
}

static void set(timer_t id, long ns)
{
	struct itimerspec t = {{0, 0}, {0, ns}};
	must(timer_settime(id, 0, &t, NULL));
}

enum { RUNS = 2000, OURS = RUNS + 1, MAIN = 8 << 20, OUTSTANDING = 400, GAP_NS = 20000 };
static int own[2];
static uint8_t seen[MAIN + OURS];
static volatile int sent, taken, ours, runs;
static timer_t next_run;

static void give(uint64_t id)
{
	__atomic_fetch_add(&sent, 1, __ATOMIC_RELAXED);
	EQ(send(own[0], &id, sizeof id, MSG_DONTWAIT), sizeof id);
}

static void take(void)
{
	uint64_t id;
	ssize_t r = recv(own[1], &id, sizeof id, MSG_DONTWAIT);
	if (r < 0) {
		EQ(errno, EAGAIN);
		return;
	}
	EQ(r, sizeof id);
	EXPECT(id < MAIN + OURS && !seen[id]);
	seen[id] = 1;
	__atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED);
}

static void use_connection(int sig)
{
	int e = errno;
	(void)sig;
	if (ours < OURS && sent - taken < OUTSTANDING)
		give((uint64_t)(MAIN + ours++));
	take();
	if (++runs < RUNS)
		set(next_run, GAP_NS); // not by itself: however slow this is, the thread gets its turn
	errno = e;
}

// Records go through a connection of which this thread has both ends; a handler sends and receives as
// well. Each arrives once, whole.
static void handler_uses_the_connection(struct link *l)
{
	struct sigaction sa = {.sa_handler = use_connection, .sa_flags = SA_RESTART};
	int port, ls = other_listener(l, &port);
	char b[8] = "warm up";
	own[0] = connect_to(l->v6, port);
	own[1] = accept_one(ls);
	close(ls);
	for (int i = 0; i < 50; i++)
		for (int k = 0; k < 2; k++) {
			write_all(own[k], b, 8);
			read_all(own[!k], b, 8);
		}
	must(sigaction(SIGUSR1, &sa, NULL));
	next_run = signal_timer(SIGUSR1);
	set(next_run, GAP_NS);
	uint64_t given = 0;
	while (given < MAIN && runs < RUNS) {
		give(given++);
		do
			take();
		while (sent - taken > OUTSTANDING / 2);
	}
	must(timer_delete(next_run));
	for (int i = 0; i < 10000000 && taken < sent; i++)
		take();
	EQ(taken, sent);
	EQ(sent, given + (uint64_t)ours);
	EXPECT(runs > 100);
}

static sigjmp_buf out;
static volatile sig_atomic_t jumps;

static void jump(int sig)
{
	(void)sig;
	jumps++;
	siglongjmp(out, 1);
}

static void jumps_out_of_waiting_calls(struct link *l)
{
	struct pollfd p = {l->s, POLLIN, 0};
	struct epoll_event e = {.events = EPOLLIN};
	int ep = (int)must(epoll_create1(0));
	volatile int i;
	fd_set rs;
	char c;
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	timer_t t = signal_timer(SIGALRM);
	EXPECT(signal(SIGALRM, jump) != SIG_ERR);
	for (i = 0; i < 1000; i++) {
		if (sigsetjmp(out, 1) == 0) {
			set(t, 1000 + i * 7000 % 200000);
			switch (i % 5) {
			case 0:
			case 1:
				recv(l->s, &c, 1, 0);
				break;
			case 2:
				poll(&p, 1, -1);
				break;
			case 3:
				epoll_wait(ep, &e, 1, -1);
				break;
			case 4:
				FD_ZERO(&rs);
				FD_SET(l->s, &rs);
				select(l->s + 1, &rs, NULL, NULL, NULL);
			}
			fail(__FILE__, __LINE__, "a call returned", 0, 1);
		}
		if (i % 50 == 0) {
			EQ(ask(l, OP_SEND, 3), 3);
			get(l, 3);
		}
	}
	EQ(jumps, 1000);
	EQ(ask(l, OP_SEND, 100000), 100000);
	get(l, 100000);
	post(l, OP_RECV, 100000);
	put(l, 100000);
	EQ(answer(l), 100000);
}

static void jumps_out_of_send(struct link *l)
{
	static uint8_t b[1 << 16];
	volatile int i;
	stuff(l);
	timer_t t = signal_timer(SIGALRM);
	EXPECT(signal(SIGALRM, jump) != SIG_ERR);
	for (i = 0; i < 100; i++)
		if (sigsetjmp(out, 1) == 0) {
			set(t, 1000 + i * 7000 % 200000);
			for (;;) // the buffers may take a little more
				must(send(l->s, b, sizeof b, 0));
		}
	EQ(jumps, 100);
	EQ(ask(l, OP_SEND, 100000), 100000);
	get(l, 100000);
}

struct victim {
	struct link *l;
	void (*wait)(struct link *);
	pid_t tid;
	bool ready;
};

static void *be_cancelled(void *arg)
{
	struct victim *v = arg;
	v->tid = gettid();
	__atomic_store_n(&v->ready, true, __ATOMIC_RELEASE);
	v->wait(v->l);
	return NULL;
}

static void in_recv(struct link *l) { recv(l->s, (char[1]){0}, 1, 0); }
static void in_read(struct link *l) { must(read(l->s, (char[1]){0}, 1)); }
static void in_poll(struct link *l) { poll(&(struct pollfd){l->s, POLLIN, 0}, 1, -1); }

static void in_epoll(struct link *l)
{
	struct epoll_event e = {.events = EPOLLIN};
	int ep = (int)must(epoll_create1(0));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	epoll_wait(ep, &e, 1, -1);
}

static void in_select(struct link *l)
{
	fd_set rs;
	FD_ZERO(&rs);
	FD_SET(l->s, &rs);
	select(l->s + 1, &rs, NULL, NULL, NULL);
}

static void cancel(struct link *l, void (*wait)(struct link *), bool asleep)
{
	struct victim v = {l, wait, 0, false};
	pthread_t t;
	void *result;
	EQ(pthread_create(&t, NULL, be_cancelled, &v), 0);
	while (!__atomic_load_n(&v.ready, __ATOMIC_ACQUIRE))
		sched_yield();
	if (asleep)
		until_asleep(getpid(), v.tid);
	EQ(pthread_cancel(t), 0);
	EQ(pthread_join(t, &result), 0);
	EXPECT(result == PTHREAD_CANCELED);
}

static void waiting_threads_are_cancelled(struct link *l)
{
	void (*const waits[])(struct link *) = {in_recv, in_read, in_poll, in_epoll, in_select};
	for (int i = 0; i < 25; i++) {
		cancel(l, waits[i % 5], i < 15);
		EQ(ask(l, OP_SEND, 3), 3);
		get(l, 3);
	}
}

static void in_send(struct link *l)
{
	static uint8_t b[1 << 16];
	for (;;)
		must(send(l->s, b, sizeof b, 0));
}

static void sending_thread_is_cancelled(struct link *l) { cancel(l, in_send, true); }

// A thread that never waits is cancelled at its next call.
static void in_full_swing(struct link *l)
{
	for (;;)
		recv(l->s, (char[1]){0}, 1, MSG_DONTWAIT | MSG_PEEK);
}

static void busy_thread_is_cancelled(struct link *l)
{
	cancel(l, in_full_swing, false);
	EQ(ask(l, OP_SEND, 1), 1);
	until_arrived(l->s, 1);
	cancel(l, in_full_swing, false);
	get(l, 1);
}

static void while_disabled(struct link *l)
{
	int old;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	get(l, 1);
	pthread_setcancelstate(old, &old);
	pthread_testcancel();
}

static void disabled_cancellation_waits(struct link *l)
{
	struct victim v = {l, while_disabled, 0, false};
	pthread_t t;
	void *result;
	EQ(pthread_create(&t, NULL, be_cancelled, &v), 0);
	while (!__atomic_load_n(&v.ready, __ATOMIC_ACQUIRE))
		sched_yield();
	until_asleep(getpid(), v.tid);
	EQ(pthread_cancel(t), 0);
	EQ(ask(l, OP_SEND, 1), 1);
	EQ(pthread_join(t, &result), 0);
	EXPECT(result == PTHREAD_CANCELED);
}

const struct check jump_checks[] = {
	{"jump_handler_uses_the_connection", handler_uses_the_connection, false},
	{"jump_out_of_waiting_calls", jumps_out_of_waiting_calls, false},
	{"jump_out_of_waiting_calls_cold", jumps_out_of_waiting_calls, true},
	{"jump_out_of_send", jumps_out_of_send, false},
	{"jump_out_of_send_cold", jumps_out_of_send, true},
	{"cancel_waiting_threads", waiting_threads_are_cancelled, false},
	{"cancel_waiting_threads_cold", waiting_threads_are_cancelled, true},
	{"cancel_sending_thread", sending_thread_is_cancelled, false},
	{"cancel_sending_thread_cold", sending_thread_is_cancelled, true},
	{"cancel_busy_thread", busy_thread_is_cancelled, false},
	{"cancel_disabled", disabled_cancellation_waits, false},
	{0},
};
