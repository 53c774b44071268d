// SPDX-License-Identifier: Apache-2.0
// Installing handlers: what is installed is what is read back and what runs, and each way of
// installing decides whether a waiting call is interrupted.
#include "contract.h"
#include <time.h>
#include <ucontext.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static volatile sig_atomic_t count, other_count, seen_code, seen_blocked, seen_altstack;
static volatile pid_t seen_pid;
static char altstack[1 << 16];

static void counted(int sig)
{
	sigset_t now;
	sigprocmask(SIG_BLOCK, NULL, &now);
	seen_blocked = sigismember(&now, sig) | sigismember(&now, SIGUSR2) << 1;
	seen_altstack = (char *)&now >= altstack && (char *)&now < altstack + sizeof altstack;
	count++;
}

static void other(int sig)
{
	(void)sig;
	other_count++;
}

static void informed(int sig, siginfo_t *si, void *ctx)
{
	EQ(si->si_signo, sig);
	EXPECT(((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP] != 0);
	seen_code = si->si_code;
	seen_pid = si->si_pid;
	count++;
}

static struct sigaction installed(int sig)
{
	struct sigaction now;
	memset(&now, 0xa5, sizeof now);
	must(sigaction(sig, NULL, &now));
	return now;
}

enum { FLAGS = SA_SIGINFO | SA_RESTART | SA_NODEFER | SA_ONSTACK | SA_NOCLDSTOP | (int)SA_RESETHAND };

static void what_is_installed_is_read_back(struct link *l)
{
	static const int flags[] = {0, SA_RESTART, SA_SIGINFO, SA_SIGINFO | SA_RESTART, SA_NODEFER | SA_ONSTACK,
				    (int)SA_RESETHAND | SA_NOCLDSTOP | SA_RESTART};
	struct sigaction old;
	(void)l;
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		struct sigaction sa = {.sa_flags = flags[i]};
		if (flags[i] & SA_SIGINFO)
			sa.sa_sigaction = informed;
		else
			sa.sa_handler = counted;
		sigaddset(&sa.sa_mask, SIGUSR2);
		must(sigaction(SIGUSR1, &sa, NULL));
		struct sigaction now = installed(SIGUSR1);
		EXPECT(now.sa_handler == sa.sa_handler);
		EQ(now.sa_flags & FLAGS, flags[i]);
		EQ(sigismember(&now.sa_mask, SIGUSR2), 1);
		EQ(sigismember(&now.sa_mask, SIGUSR1), 0);
		// Installing what was read back changes nothing.
		must(sigaction(SIGUSR1, &now, &old));
		now = old;
		EXPECT(now.sa_handler == sa.sa_handler);
		EQ(now.sa_flags & FLAGS, flags[i]);
	}
	struct sigaction off = {.sa_handler = SIG_IGN};
	must(sigaction(SIGUSR1, &off, &old));
	EXPECT(old.sa_handler == counted);
	EXPECT(installed(SIGUSR1).sa_handler == SIG_IGN);
	EQ(installed(SIGUSR1).sa_flags & SA_SIGINFO, 0);
	raise(SIGUSR1);
	EXPECT(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
	EXPECT(installed(SIGUSR1).sa_handler == SIG_DFL);
}

static void impossible_handlers_are_refused(struct link *l)
{
	struct sigaction sa = {.sa_handler = counted}, old;
	(void)l;
	ERR(sigaction(SIGKILL, &sa, NULL), EINVAL);
	ERR(sigaction(SIGSTOP, &sa, &old), EINVAL);
	ERR(sigaction(0, &sa, NULL), EINVAL);
	ERR(sigaction(65, &sa, NULL), EINVAL);
	ERR(sigaction(-1, NULL, &old), EINVAL);
	errno = 0;
	EXPECT(signal(SIGKILL, counted) == SIG_ERR);
	EQ(errno, EINVAL);
	EXPECT(signal(999, counted) == SIG_ERR);
	EXPECT(signal(SIGUSR1, SIG_ERR) == SIG_ERR);
	ERR(siginterrupt(0, 1), EINVAL);
	must(sigaction(SIGKILL, NULL, &old));
	EXPECT(old.sa_handler == SIG_DFL);
}

static void informed_handler_knows_the_sender(struct link *l)
{
	struct sigaction sa = {.sa_sigaction = informed, .sa_flags = SA_SIGINFO};
	(void)l;
	must(sigaction(SIGUSR1, &sa, NULL));
	must(kill(getpid(), SIGUSR1));
	EQ(count, 1);
	EQ(seen_pid, getpid());
	EQ(seen_code, SI_USER);
	union sigval v = {.sival_int = 7};
	must(sigqueue(getpid(), SIGUSR1, v));
	EQ(count, 2);
	EQ(seen_code, SI_QUEUE);
	pid_t pid = (pid_t)must(fork());
	if (pid == 0)
		_exit(kill(getppid(), SIGUSR1) != 0);
	for (int i = 0; i < 5000 && count < 3; i++)
		nap_us(1000);
	EQ(seen_pid, pid);
	child_ok(pid);
}

static void masks_and_flags_hold(struct link *l)
{
	struct sigaction sa = {.sa_handler = counted};
	(void)l;
	must(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	EQ(seen_blocked, 1);
	sa.sa_flags = SA_NODEFER;
	sigaddset(&sa.sa_mask, SIGUSR2);
	must(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	EQ(seen_blocked, 2);
	EQ(seen_altstack, 0);
	stack_t ss = {.ss_sp = altstack, .ss_size = sizeof altstack};
	must(sigaltstack(&ss, NULL));
	sa.sa_flags = SA_ONSTACK;
	must(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	EQ(seen_altstack, 1);
	sa.sa_flags = (int)SA_RESETHAND;
	must(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	EQ(count, 4);
	EXPECT(installed(SIGUSR1).sa_handler == SIG_DFL);
}

static void older_ways_to_install(struct link *l)
{
	(void)l;
	EXPECT(signal(SIGUSR1, counted) == SIG_DFL);
	struct sigaction now = installed(SIGUSR1);
	EXPECT(now.sa_handler == counted);
	EQ(now.sa_flags & FLAGS, SA_RESTART);
	EQ(sigismember(&now.sa_mask, SIGUSR1), 1);
	EXPECT(ssignal(SIGUSR1, other) == counted);
	EXPECT(signal(SIGUSR1, counted) == other);

	must(siginterrupt(SIGUSR1, 1));
	EQ(installed(SIGUSR1).sa_flags & FLAGS, 0);
	EXPECT(signal(SIGUSR1, counted) == counted);
	EQ(installed(SIGUSR1).sa_flags & FLAGS, 0);
	must(siginterrupt(SIGUSR1, 0));
	EXPECT(signal(SIGUSR1, counted) == counted);
	EQ(installed(SIGUSR1).sa_flags & FLAGS, SA_RESTART);

	EXPECT(sysv_signal(SIGUSR1, other) == counted);
	EQ(installed(SIGUSR1).sa_flags & FLAGS, SA_NODEFER | (int)SA_RESETHAND);
	raise(SIGUSR1);
	EQ(other_count, 1);
	EXPECT(installed(SIGUSR1).sa_handler == SIG_DFL);

	EXPECT(sigset(SIGUSR1, counted) == SIG_DFL);
	EQ(installed(SIGUSR1).sa_flags & FLAGS, 0);
	EXPECT(sigset(SIGUSR1, SIG_HOLD) == counted);
	EXPECT(sigset(SIGUSR1, other) == SIG_HOLD);
	must(sigignore(SIGUSR1));
	EXPECT(sigset(SIGUSR1, counted) == SIG_IGN);
	EXPECT(sigset(0, counted) == SIG_ERR);
	raise(SIGUSR1);
	EQ(count, 1);
}

// A handler may install handlers, itself included.
static void reinstall(int sig)
{
	EXPECT(signal(sig, reinstall) == reinstall);
	EXPECT(signal(SIGUSR2, other) != SIG_ERR);
	count++;
}

static void *install_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20000; i++) {
		struct sigaction sa = {.sa_handler = i & 1 ? counted : other, .sa_flags = i & 2 ? SA_RESTART : 0}, old;
		must(sigaction(SIGUSR2, &sa, &old));
		EXPECT(old.sa_handler == SIG_DFL || old.sa_handler == counted || old.sa_handler == other);
	}
	return NULL;
}

static void handlers_are_installed_anywhere(struct link *l)
{
	pthread_t t;
	(void)l;
	EXPECT(signal(SIGUSR1, reinstall) == SIG_DFL);
	EQ(pthread_create(&t, NULL, install_many, NULL), 0);
	for (int i = 0; i < 2000; i++)
		raise(SIGUSR1);
	pthread_join(t, NULL);
	EQ(count >= 2000, 1);
}

static void handlers_after_fork_and_exec(struct link *l)
{
	EXPECT(signal(SIGUSR1, counted) == SIG_DFL);
	pid_t pid = fork_link(l);
	if (pid == 0) {
		raise(SIGUSR1);
		EQ(count, 1);
		EXPECT(signal(SIGUSR1, SIG_IGN) == counted);
		// exec keeps what is ignored and resets the rest.
		EXPECT(signal(SIGUSR2, counted) == SIG_DFL);
		execl("/bin/sh", "sh", "-c", "kill -USR1 $$; kill -USR2 $$; exit 0", NULL);
		_exit(1);
	}
	int st;
	must(waitpid(pid, &st, 0));
	EQ(WIFSIGNALED(st) ? WTERMSIG(st) : 0, SIGUSR2);
	EXPECT(installed(SIGUSR1).sa_handler == counted);
	pid = vfork();
	if (pid == 0) {
		signal(SIGUSR1, SIG_DFL);
		execl("/bin/sh", "sh", "-c", "kill -USR1 $$; exit 0", NULL);
		_exit(1);
	}
	must(waitpid(pid, &st, 0));
	EQ(WIFSIGNALED(st) ? WTERMSIG(st) : 0, SIGUSR1);
	EXPECT(installed(SIGUSR1).sa_handler == counted);
	EQ(system("exit 3"), 3 << 8); // it saves and restores handlers of its own
	raise(SIGUSR1);
	EQ(count, 1);
}

// What the mask of a wait blocks is not let through before it ends, in however many pieces it sleeps.
static void a_mask_holds_while_it_waits(struct link *l)
{
	struct timespec t = {0, 30000000};
	struct itimerspec soon = {{0, 0}, {0, 300000}};
	struct sigevent here = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM, ._sigev_un._tid = gettid()};
	timer_t timer;
	struct sigaction sa = {.sa_handler = counted};
	struct pollfd p = {l->s, POLLIN, 0};
	struct epoll_event v;
	sigset_t alarm;
	int ep = watched(l->s, EPOLLIN);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	must(sigaction(SIGALRM, &sa, NULL));
	must(timer_create(CLOCK_MONOTONIC, &here, &timer));
	count = 0;
	for (int i = 1; i <= 10; i += 2) {
		must(timer_settime(timer, 0, &soon, NULL));
		EQ(ppoll(&p, 1, &t, &alarm), 0);
		EQ(count, i);
		must(timer_settime(timer, 0, &soon, NULL));
		EQ(epoll_pwait(ep, &v, 1, 30, &alarm), 0);
		EQ(count, i + 1);
	}
	timer_delete(timer);
	close(ep);
}

const struct check handler_checks[] = {
	{"handler_what_is_installed_is_read_back", what_is_installed_is_read_back, false},
	{"handler_impossible_handlers_are_refused", impossible_handlers_are_refused, false},
	{"handler_informed_handler_knows_the_sender", informed_handler_knows_the_sender, false},
	{"handler_a_mask_holds_while_it_waits", a_mask_holds_while_it_waits, false},
	{"handler_masks_and_flags_hold", masks_and_flags_hold, false},
	{"handler_older_ways_to_install", older_ways_to_install, false},
	{"handler_handlers_are_installed_anywhere", handlers_are_installed_anywhere, false},
	{"handler_handlers_after_fork_and_exec", handlers_after_fork_and_exec, false},
	{0},
};
