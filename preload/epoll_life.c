/* How epoll sets come and go. */
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "epoll.h"

struct sd_set *sd_sets;

/* Records are never freed, and rest before they are used again: a thread that still looks at one whose number
 * another has just closed finds it over. Guarded by sd_promote_mutex. */
enum { RESTING = 64 };
static struct sd_set *resting, **last_resting = &resting;
static int rest;

static struct sd_set *record(void)
{
	struct sd_set *s = resting;
	if (rest < RESTING)
		return calloc(1, sizeof *s);
	rest--;
	resting = s->next; /* not the last one */
	return s;
}

static void begin(struct sd_set *s, int fd)
{
	sd_mutex_lock(&s->mutex);
	memset((char *)s + offsetof(struct sd_set, over), 0, sizeof *s - offsetof(struct sd_set, over));
	s->ent.kind = SD_SET;
	s->fd = fd;
	s->refs = 1;
	s->owner = sd_g.pid;
	s->waker.fd = s->show_fd = -1;
	if (sd_sys(SYS_getrandom, &s->secret, sizeof s->secret, 0) != sizeof s->secret)
		s->secret = sd_tsc() * 0x9E3779B97F4A7C15ull ^ (uintptr_t)s;
	if (sd_load(&s->users) & SD_CLOSED)
		sd_add(&s->users, -SD_CLOSED);
	sd_mutex_unlock(&s->mutex);
}

void sd_set_created(int fd)
{
	sd_evict(fd);
	sd_mutex_lock(&sd_promote_mutex);
	struct sd_set *s = (unsigned)fd < SD_FD_MAX ? record() : NULL;
	if (s) {
		begin(s, fd);
		s->next = sd_sets;
		sd_sets = s;
	}
	sd_mutex_unlock(&sd_promote_mutex);
	if (s)
		sd_put_set(fd, &s->ent);
}

void sd_set_alias(struct sd_set *s, int to)
{
	sd_mutex_lock(&sd_promote_mutex);
	int open = s->refs != 0;
	s->refs += open;
	sd_mutex_unlock(&sd_promote_mutex);
	if (open)
		sd_put_set(to, &s->ent);
}

static void no_show(struct sd_set *s)
{
	if (s->show_fd >= 0)
		sd_unhide(s->show_fd);
	s->show_fd = -1;
	s->shown = 0;
}

void sd_set_orphan(struct sd_set *s)
{
	s->waker.bell = -1; /* its owner gives it back */
	if (s->waker.fd >= 0)
		sd_waker_fini(&s->waker);
	s->waker.fd = -1;
	no_show(s);
	s->waker.waiting = s->nested;
	s->waking = 0;
	s->bell = NULL;
	if (s->bits)
		memset(s->by_bit, 0, s->bits * sizeof *s->by_bit);
}

/* Nobody has a number of it, and nobody sleeps on it. Under both mutexes. */
static void end(struct sd_set *s)
{
	struct sd_set **p = &sd_sets;
	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	for (uint32_t i = 0; i < s->fds; i++)
		if (s->by_fd[i])
			sd_member_unlink(s->by_fd[i]);
	while (s->left)
		sd_member_unlink(s->left);
	if (s->owner != sd_g.pid)
		sd_set_orphan(s);
	if (s->waker.fd >= 0)
		sd_waker_fini(&s->waker);
	no_show(s);
	free(s->by_fd);
	free(s->by_bit);
	s->by_fd = s->by_bit = NULL;
	s->fds = s->bits = 0;
	s->waking = s->nested = 0;
	s->over = 1;
	s->next = NULL;
	*last_resting = s;
	last_resting = &s->next;
	rest++;
}

/* One of its numbers that is left. Who sleeps on a set whose last one is closed goes on, as on Linux, by one of ours. */
static void renumber(struct sd_set *s, int fd)
{
	if (s->refs == 0) {
		int spare = sd_sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
		s->fd = spare < 0 ? -1 : sd_hide(spare);
		if (s->waking && sd_set_kernel(s, EPOLL_CTL_MOD, s->waker.fd, EPOLLIN | EPOLLET, sd_waker_tag(s)) == 0)
			return;
		sd_unhide(s->fd); /* it was closed unseen: the number names something else */
		s->fd = -1;
		return;
	}
	for (int other = 0; s->fd == fd && other < sd_peek(&sd_fd_top); other++)
		if (sd_set_of(other) == s)
			s->fd = other;
}

void sd_set_closed(struct sd_set *s, int fd)
{
	sd_mutex_lock(&sd_promote_mutex);
	sd_mutex_lock(&s->mutex);
	if (--s->refs == 0 && sd_or(&s->users, SD_CLOSED) == 0)
		end(s);
	else
		renumber(s, fd);
	sd_mutex_unlock(&s->mutex);
	sd_mutex_unlock(&sd_promote_mutex);
}

void sd_set_moved(int fd, int to)
{
	sd_mutex_lock(&sd_promote_mutex);
	for (struct sd_set *s = sd_sets; s; s = s->next) {
		sd_mutex_lock(&s->mutex);
		if (s->fd == fd)
			s->fd = to;
		if (s->show_fd == fd)
			s->show_fd = to;
		sd_mutex_unlock(&s->mutex);
	}
	sd_mutex_unlock(&sd_promote_mutex);
}

void sd_set_awake(struct sd_set *s)
{
	if (sd_load(&s->users) != SD_CLOSED)
		return;
	sd_mutex_lock(&sd_promote_mutex);
	sd_mutex_lock(&s->mutex);
	if (sd_load(&s->users) == SD_CLOSED && !s->over) {
		int spare = s->fd;
		end(s);
		sd_unhide(spare);
	}
	sd_mutex_unlock(&s->mutex);
	sd_mutex_unlock(&sd_promote_mutex);
}

/* Before a fork: a level by an eventfd would be the other process's, too, so from now on it shows by kicks. */
static void share(struct sd_set *s)
{
	int shown = s->shown;
	if (s->show_fd >= 0)
		sd_set_kernel(s, EPOLL_CTL_DEL, s->show_fd, 0, 0);
	no_show(s);
	s->shared = 1;
	if (shown)
		sd_set_wake(s);
}

/* Who holds a set may wait for one in it: whoever cannot have all at once lets go of all. */
void sd_sets_fork(void)
{
	for (struct sd_set *s = sd_sets; s;) {
		if (sd_mutex_try(&s->mutex)) {
			share(s);
			s = s->next;
			continue;
		}
		for (struct sd_set *held = sd_sets; held != s; held = held->next)
			sd_mutex_unlock(&held->mutex);
		sd_mutex_lock(&s->mutex);
		sd_mutex_unlock(&s->mutex);
		s = sd_sets;
	}
}

void sd_sets_fork_parent(void)
{
	for (struct sd_set *s = sd_sets; s; s = s->next)
		sd_mutex_unlock(&s->mutex);
}

/* Nobody sleeps in the child. */
void sd_sets_fork_child(void)
{
	for (struct sd_set *s = sd_sets; s; s = s->next) {
		s->mutex = 0;
		s->users &= SD_CLOSED;
	}
	for (struct sd_set *s = resting; s; s = s->next) {
		s->mutex = 0;
		s->users = SD_CLOSED;
	}
}
