// SPDX-License-Identifier: Apache-2.0
// The driver: runs each check in a process of its own, with a time limit, and prints TAP.
//
//	contract list                                          the names of all checks
//	contract run process|thread client|server 4|6 [NAME...]
//	contract one process|thread client|server 4|6 NAME     one check, in this process
//	contract peer CTL client|server 4|6                    the other end (started by a check)
#include "contract.h"
#include <sys/pidfd.h>

static const struct check *const groups[] = {
	io_checks, buffer_checks, room_checks, refuse_checks, mark_checks, wake_checks, urgent_checks, splice_checks, unhooked_checks, close_checks, ready_checks, epoll_checks, epoll_more_checks, order_checks,
	switch_checks, fd_checks, setup_checks, option_checks, life_checks, anchor_checks, stdio_checks, proc_checks, exec_checks, signal_checks,
	handler_checks, jump_checks, thread_checks, beside_checks, taken_checks, death_checks, heir_checks, flag_checks, other_checks, kind_checks, uring_checks, module_checks,
};
enum { GROUPS = sizeof groups / sizeof *groups };

static const struct check *find(const char *name)
{
	for (int g = 0; g < GROUPS; g++)
		for (const struct check *c = groups[g]; c->name; c++)
			if (strcmp(c->name, name) == 0)
				return c;
	errno = 0;
	die("no check named %s", name);
}

static int run_one(char **argv)
{
	const struct check *c = find(argv[5]);
	struct link l;
	signal(SIGPIPE, SIG_DFL);
	link_open(&l, strcmp(argv[2], "thread") == 0, strcmp(argv[3], "client") == 0, strcmp(argv[4], "6") == 0);
	if (!c->cold)
		warm_up(&l);
	c->run(&l);
	link_close(&l);
	return 0;
}

// guarded runs one check; a check that does not end in time is killed with all of its group.
static bool guarded(char **argv, const char *name)
{
	fflush(stdout);
	pid_t pid = (pid_t)must(fork());
	if (pid == 0) {
		char *child[] = {argv[0], "one", argv[2], argv[3], argv[4], (char *)name, NULL};
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		must(dup2(STDOUT_FILENO, STDERR_FILENO));
		execv("/proc/self/exe", child);
		die("exec");
	}
	setpgid(pid, pid);
	int st, pfd = (int)must(pidfd_open(pid, 0));
	struct pollfd p = {pfd, POLLIN, 0};
	bool late = must(poll(&p, 1, TIME_LIMIT_MS)) == 0;
	close(pfd);
	siginfo_t si;
	if (late)
		kill(-pid, SIGKILL);
	must(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT));
	kill(-pid, SIGKILL); // a peer that a failed check left behind
	must(waitpid(pid, &st, 0));
	if (late)
		printf("# no end after %d ms\n", TIME_LIMIT_MS);
	else if (WIFSIGNALED(st))
		printf("# killed by signal %d\n", WTERMSIG(st));
	return st == 0 && !late;
}

static int run_all(int argc, char **argv)
{
	int n = 0, bad = 0;
	for (int g = 0; g < GROUPS; g++)
		for (const struct check *c = groups[g]; c->name; c++) {
			bool wanted = argc == 5;
			for (int i = 5; i < argc; i++)
				wanted |= strcmp(argv[i], c->name) == 0;
			if (!wanted)
				continue;
			bool ok = guarded(argv, c->name);
			bad += !ok;
			printf("%s %d - %s\n", ok ? "ok" : "not ok", ++n, c->name);
		}
	printf("1..%d\n", n);
	return bad > 0 || n == 0;
}

static int list(void)
{
	for (int g = 0; g < GROUPS; g++)
		for (const struct check *c = groups[g]; c->name; c++)
			puts(c->name);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "list") == 0)
		return list();
	if (argc == 5 && strcmp(argv[1], "peer") == 0)
		return peer_main(atoi(argv[2]), strcmp(argv[3], "client") == 0, strcmp(argv[4], "6") == 0);
	if (argc == 6 && strcmp(argv[1], "one") == 0)
		return run_one(argv);
	if (argc >= 5 && strcmp(argv[1], "run") == 0)
		return run_all(argc, argv);
	die("usage: contract list | contract run process|thread client|server 4|6 [NAME...]");
}
