#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>

#include "sd.h"

/* Who holds a lock is in a section: no handler runs that could want the same lock. */

static long futex(uint32_t *w, int op, uint32_t v, const struct timespec *t)
{
	return sd_sys(SYS_futex, w, op, v, t);
}

void sd_mutex_lock(sd_mutex *m)
{
	sd_enter();
	if (sd_cas(m, 0, 1))
		return;
	for (int i = 0; i < 100; i++) {
		sd_pause();
		if (sd_peek(m) == 0 && sd_cas(m, 0, 1))
			return;
	}
	while (sd_xchg(m, 2) != 0)
		futex(m, FUTEX_WAIT_PRIVATE, 2, NULL);
}

int sd_mutex_try(sd_mutex *m)
{
	sd_enter();
	if (sd_cas(m, 0, 1))
		return 1;
	sd_leave();
	return 0;
}

void sd_mutex_unlock(sd_mutex *m)
{
	if (sd_xchg(m, 0) == 2)
		futex(m, FUTEX_WAKE_PRIVATE, 1, NULL);
	sd_leave();
}

#define SLEPT 0x80000000u

/* An owner that died is replaced: payload is published last, so whatever it was doing is invisible. Nobody need have
 * waited for it yet. */
static int owner_dead(struct sd_lock_line *l, uint32_t w)
{
	uint32_t pid = w & ~SLEPT;
	if (pid == 0 || sd_peek(&l->mode) == SD_LOCK_FAR)
		return 0;
	int fd = sd_sys(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return sd_sys(SYS_kill, pid, 0) == -ESRCH;
	struct pollfd p = {fd, POLLIN, 0};
	struct timespec zero = {0, 0};
	int dead = sd_sys(SYS_ppoll, &p, 1, &zero, 0, 8) == 1;
	sd_sys(SYS_close, fd);
	return dead;
}

void sd_lock(struct sd_lock_line *l)
{
	sd_enter();
	uint32_t me = sd_g.pid;
	if (sd_cas(&l->word, 0, me))
		return;
	for (int i = 0; i < 200; i++) {
		sd_pause();
		if (sd_peek(&l->word) == 0 && sd_cas(&l->word, 0, me))
			return;
	}
	for (;;) {
		uint32_t w = sd_load(&l->word);
		if (w == 0) {
			/* Others may sleep: whoever got here through sleeping keeps the bit. */
			if (sd_cas(&l->word, 0, me | SLEPT))
				return;
			continue;
		}
		if (owner_dead(l, w)) {
			if (sd_cas(&l->word, w, me | SLEPT)) {
				sd_count(SD_COUNT_LOCK_BROKEN);
				return;
			}
			continue;
		}
		if (!(w & SLEPT) && !sd_cas(&l->word, w, w | SLEPT))
			continue;
		struct timespec ms = {0, 1000000};
		futex(&l->word, FUTEX_WAIT, w | SLEPT, &ms);
	}
}

void sd_unlock(struct sd_lock_line *l)
{
	if (sd_xchg(&l->word, 0) & SLEPT)
		futex(&l->word, FUTEX_WAKE, 1, NULL);
	sd_leave();
}
