// SPDX-License-Identifier: Apache-2.0
// agent: reads programs on stdin, runs each, writes the outcomes on stdout.
#include "agent.h"
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>

struct world *w;
int me;

// A call that a signal starts again may sleep for as long as a time-out that programs set.
enum { SAMPLE_US = 500, SAMPLES = 6, SAMPLES_RESTARTED = 30, PATIENCE_US = 10000000, PATIENCE_STRAINED_US = 500000, HUNG_US = 20000000 };

long futex(_Atomic uint32_t *word, int op, uint32_t value, long us)
{
	struct timespec ts = {us / 1000000, us % 1000000 * 1000};
	return syscall(SYS_futex, word, op, value, us < 0 ? NULL : &ts, NULL, 0);
}

void ring(void)
{
	w->bell++;
	futex(&w->bell, FUTEX_WAKE, 1, -1);
}

// pass_turn goes on to operation next, unless somebody has.
static void pass_turn(uint32_t next)
{
	uint32_t turn = w->turn;
	while ((int32_t)turn < (int32_t)next)
		if (atomic_compare_exchange_strong(&w->turn, &turn, next))
			futex(&w->turn, FUTEX_WAKE, INT32_MAX, -1);
}

// plain tells whether operation t can be handed to its process without the coordinator.
static bool plain(uint32_t t)
{
	if (t >= w->nops || w->asleep > 0)
		return false;
	struct process *p = &w->proc[w->op[t].proc];
	return p->pid != 0 && p->call == IDLE && !(w->op[t].hint & HINT_WATCH);
}

static uint32_t running(uint32_t t) { return RUNNING + t; }

// finish publishes an outcome, unless the call has been declared asleep: then it is late.
static void finish(uint32_t t, struct outcome *out)
{
	struct process *p = &w->proc[me];
	uint32_t call = running(t);
	out->signals = atomic_exchange(&p->ran, 0);
	if (!atomic_compare_exchange_strong(&p->call, &call, IDLE)) {
		p->late = *out;
		p->call = RETURNED;
		ring();
		return;
	}
	w->out[t] = *out;
	settle(w->op[t].hint & HINT_STRAINED);
	bool next = plain(t + 1); // once done says so, the program may be another
	w->done = t + 1;
	if (next)
		pass_turn(t + 1);
	else
		ring();
}

void agent_loop(void)
{
	struct outcome out;
	for (;;) {
		uint32_t t = w->turn;
		uint32_t call = w->proc[me].call;
		if (t < w->nops && t == w->done && w->op[t].proc == me && call == IDLE) {
			w->proc[me].call = running(t);
			memset(&out, 0, sizeof out);
			execute((int)t, &out);
			finish(t, &out);
		} else {
			if (futex(&w->turn, FUTEX_WAIT, t, PATIENCE_US) < 0 && errno == ETIMEDOUT && kill(w->coordinator, 0) < 0)
				_exit(1);
		}
	}
}

// become makes this process number index of the world.
void become(int index)
{
	me = index;
	w->proc[me].call = IDLE;
	w->proc[me].masked = 0;
	w->proc[me].pid = getpid(); // whoever made us waits for it
}

static void spawn(void)
{
	memset(&w->proc[0], 0, sizeof w->proc[0]); // the dispositions of the one before
	pid_t pid = (pid_t)must(fork());
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int fd = 0; fd < 3; fd++)
			must(dup2(NULL_FD, fd));
		become(0);
		agent_loop();
	}
	w->proc[0].pid = pid;
	w->proc[0].call = IDLE;
}

// stat_of gives a process's state as ps shows it, and its wait status if it is a zombie.
static char stat_of(int pid, int *status)
{
	enum { EXIT_CODE = 50 }; // fields after the state
	char path[64], buf[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, buf, sizeof buf - 1);
	close(fd);
	if (n <= 0)
		return 0;
	buf[n] = 0;
	char *p = strrchr(buf, ')');
	if (!p)
		return 0;
	char state = *(p += 2);
	for (int i = 0; i < EXIT_CODE - 1 && p; i++)
		p = strchr(p + 1, ' ');
	if (p && status)
		*status = atoi(p);
	return state;
}

static bool asleep(int pid) { return stat_of(pid, NULL) == 'S'; }

static bool dead(int pid)
{
	int fd = pidfd_open(pid, 0);
	if (fd < 0)
		return true;
	struct pollfd p = {fd, POLLIN, 0};
	poll(&p, 1, 0);
	close(fd);
	return p.revents != 0;
}

static void bury(int index)
{
	struct process *p = &w->proc[index];
	if (p->call == ASLEEP || p->call == RETURNED)
		w->asleep--;
	p->pid = 0;
	p->call = IDLE;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void conclude(uint32_t t, int32_t r)
{
	w->out[t].r = r;
	w->done = t + 1;
}

// patience is how long a call is waited for that the plan does not see asleep: close may linger, and so may what closes.
// In a strained program a call that waits may find less than planned.
static uint64_t patience(const struct op *o)
{
	bool waits = o->kind == K_ACCEPT || o->kind == K_RECV || o->kind == K_SEND || o->kind == K_POLL || o->kind == K_EPWAIT;
	return o->hint & HINT_STRAINED && waits ? PATIENCE_STRAINED_US : PATIENCE_US;
}

static void reap(int index)
{
	struct process *p = &w->proc[index];
	if (p->pid == 0)
		return;
	kill(p->pid, SIGKILL);
	wait_gone(p->pid);
	bury(index);
}

// not_hung ends everything if process index has run for too long in operation t, neither done nor asleep.
static void not_hung(uint64_t start, uint32_t t, int index)
{
	if ((now_ns() - start) / 1000 < HUNG_US)
		return;
	char state = stat_of(w->proc[index].pid, NULL);
	for (int i = 0; i < MAX_PROCS; i++)
		reap(i);
	die("operation %u: process %d neither returns nor sleeps, its state is %c", t, index, state);
}

// watch waits for operation t to finish, or for its process to sleep in it or die of it.
static void watch(uint32_t t)
{
	int index = w->op[t].proc, seen = 0;
	struct process *p = &w->proc[index];
	uint64_t start = now_ns(), limit = patience(&w->op[t]);
	while (w->done == t) {
		uint32_t b = w->bell;
		if (w->done != t)
			break;
		bool hinted = w->op[t].hint & HINT_WATCH && w->op[t].kind != K_EXEC; // which may linger at a close
		futex(&w->bell, FUTEX_WAIT, b, hinted ? SAMPLE_US : 20000);
		if (w->done != t)
			break;
		if (dead(p->pid)) {
			int status = 0;
			stat_of(p->pid, &status);
			bury(index);
			settle(w->op[t].hint & HINT_STRAINED);
			if (w->op[t].kind == K_RESET)
				dprintf(ERR_FD, "agent: process 0 died at the end of a program, status %#x\n", status);
			conclude(t, WIFSIGNALED(status) ? DIED - WTERMSIG(status) : WEXITSTATUS(status));
			return;
		}
		seen = p->call == running(t) && asleep(p->pid) ? seen + 1 : 0;
		bool late = (now_ns() - start) / 1000 > limit;
		not_hung(start, t, index);
		if (!(hinted ? seen >= SAMPLES : late && seen > 0))
			continue;
		uint32_t call = running(t);
		if (atomic_compare_exchange_strong(&p->call, &call, ASLEEP)) {
			w->asleep++;
			conclude(t, BLOCKED);
		}
	}
}

// quiesce waits until each sleeper has returned or sleeps on, and collects what returned.
static void quiesce(uint32_t t)
{
	int enough = w->op[t].kind == K_KILL ? SAMPLES_RESTARTED : SAMPLES;
	for (int i = 0; i < MAX_PROCS && w->asleep > 0; i++) {
		struct process *p = &w->proc[i];
		uint64_t start = now_ns();
		for (int seen = 0; p->pid && p->call == ASLEEP && seen < enough;) {
			not_hung(start, t, i);
			uint32_t b = w->bell;
			if (p->call == ASLEEP)
				futex(&w->bell, FUTEX_WAIT, b, SAMPLE_US);
			seen = asleep(p->pid) ? seen + 1 : 0;
			if (dead(p->pid))
				bury(i);
		}
		if (p->pid && p->call == RETURNED) {
			settle(w->op[t].hint & HINT_STRAINED);
			w->late[w->nlate++] = (struct late){(int32_t)t, i, p->late};
			w->asleep--;
			p->call = IDLE;
			i = -1; // what it did may have let another go on
		}
	}
}

static void run_program(void)
{
	uint32_t last = w->nops;
	w->op[w->nops++] = (struct op){.kind = K_RESET};
	w->turn = UINT32_MAX; // before the first
	w->done = w->nlate = w->nconns = 0;
	memset(w->out, 0, sizeof *w->out * w->nops);
	must(fcntl(NULL_FD, F_SETFL, O_RDWR)); // all descriptors 0, 1 and 2 share it
	if (w->proc[0].pid == 0)
		spawn();
	pass_turn(0);
	for (uint32_t t; (t = w->done) < w->nops;) { // read once: the processes pass the turn on without us
		struct process *p = &w->proc[w->op[t].proc];
		if (p->pid == 0)
			conclude(t, GONE);
		else if (p->call == ASLEEP || p->call == RETURNED)
			conclude(t, BUSY);
		else {
			pass_turn(t);
			watch(t);
		}
		if (w->done > 0)
			quiesce(w->done - 1);
	}
	pass_turn(w->nops);
	for (int i = MAX_PROCS - 1; i >= 0; i--)
		if (i > 0 || w->proc[0].call != IDLE)
			reap(i);
	w->done = UINT32_MAX; // before the next program's nops: who wakes late finds nothing to do
	w->nops = last;
}

static bool read_n(void *buf, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = read(STDIN_FILENO, (char *)buf + done, n - done);
		if (r <= 0)
			return false;
		done += (size_t)r;
	}
	return true;
}

static void coordinate(void)
{
	uint32_t head[2];
	while (read_n(head, sizeof head)) {
		if (head[0] > MAX_OPS)
			die("a program of %u operations", head[0]);
		w->nops = head[0];
		w->ip = head[1];
		if (!read_n(w->op, sizeof *w->op * w->nops))
			break;
		run_program();
		write_all(STDOUT_FILENO, &w->nlate, sizeof w->nlate);
		write_all(STDOUT_FILENO, w->late, sizeof *w->late * w->nlate);
		write_all(STDOUT_FILENO, w->out, sizeof *w->out * w->nops);
	}
	for (int i = 0; i < MAX_PROCS; i++)
		reap(i);
}

static void map_world(void)
{
	w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED, WORLD_FD, 0);
	if (w == MAP_FAILED)
		die("mmap");
}

int main(int argc, char **argv)
{
	if (argc >= 2) { // after exec: process argv[1], new or still in its operation
		map_world();
		me = atoi(argv[1]);
		if (argc > 2) {
			become(me);
			agent_loop();
		}
		struct outcome out = {0};
		finish(w->turn, &out);
		agent_loop();
	}
	must(close_range(3, ~0u, 0)); // whatever we were started with
	int fd = (int)must(memfd_create("agent", 0));
	must(ftruncate(fd, sizeof *w));
	must(dup2(fd, WORLD_FD));
	close(fd);
	map_world();
	fd = (int)must(socket(AF_NETLINK, SOCK_RAW, 4 /* NETLINK_SOCK_DIAG */));
	must(dup2(fd, DIAG_FD));
	close(fd);
	fd = (int)must(open("/dev/null", O_RDWR));
	must(dup2(fd, NULL_FD));
	close(fd);
	must(dup2(STDERR_FILENO, ERR_FD));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	w->coordinator = getpid();
	coordinate();
	return 0;
}
