/* fork: the anchor is inherited by the kernel, the arena and the bell page by their mapping, the
 * table by copying. What is not promoted yet stays on the kernel in both, for good. Handlers and not a
 * wrapper, because libc forks by itself too (daemon, forkpty). */
#include <errno.h>
#include <pthread.h>

#include "sd.h"

static int inherits; /* the child has promoted connections of ours */

/* Holds sd_promote_mutex over the fork, so that nothing is attached meanwhile. */
static void before_fork(void)
{
	if (sd_foreign())
		return;
	sd_mutex_lock(&sd_promote_mutex);
	sd_sets_fork();
	sd_table_fork();
	sd_claim_fork();
	sd_bell_fork();
	inherits = 0;
	for (int fd = 0; fd < sd_peek(&sd_fd_top); fd++) {
		struct sd_conn *c = sd_conn_of(fd);
		sd_share_unconnected(fd);
		if (c == NULL)
			continue;
		uint32_t st = sd_peek(&c->state);
		if (st == SD_ST_ATTACHED) {
			inherits = 1;
			sd_cas(&sd_in(c)->rx_lock.mode, 0, SD_LOCK_SHARED);
			sd_conn_share_tx(c);
			sd_conn_think(c);
		} else if (st != SD_ST_KERNEL) {
			sd_store(&c->state, SD_ST_KERNEL);
			sd_count(SD_COUNT_FORKED);
		}
	}
}

static void in_parent(void)
{
	if (sd_foreign())
		return;
	sd_claim_fork_parent();
	sd_table_fork_parent();
	sd_sets_fork_parent();
	sd_mutex_unlock(&sd_promote_mutex);
}

/* In a namespace of processes of its own: of those outside nobody here can tell whether they live. */
static void far_from_parent(void)
{
	for (int fd = 0; fd < sd_peek(&sd_fd_top); fd++) {
		struct sd_conn *c = sd_conn_of(fd);
		if (c && sd_attached(c)) {
			sd_store(&sd_in(c)->rx_lock.mode, SD_LOCK_FAR);
			sd_store(&sd_out(c)->tx_lock.mode, SD_LOCK_FAR);
		}
	}
}

static void in_child(void)
{
	sd_g.pid = sd_sys(SYS_getpid);
	sd_table_fork_child();
	sd_sets_fork_child();
	sd_mon_fork_child();
	sd_claim_fork_child();
	sd_waker_fork_child();
	sd_stdio_fork_child();
	sd_promote_mutex = 0;
	sd_inq_mutex = 0;
	if (sd_sys(SYS_getppid) == 0)
		far_from_parent();
	if (inherits) /* before a handler that waits runs, and sends */
		sd_mon_inherit();
	while (sd_section) /* those of before_fork */
		sd_leave();
}

/* Around a fork of which pthread_atfork tells nobody; a child that begins elsewhere calls sd_forked. */
long sd_forking(long (*fork)(const long *), const long *how)
{
	before_fork();
	long pid = fork(how), e = errno;
	if (pid == 0)
		in_child();
	else
		in_parent();
	errno = e;
	return pid;
}

void sd_forked(void) { in_child(); }

void sd_fork_init(void) { pthread_atfork(before_fork, in_parent, in_child); }
