/* A set whose own descriptor is waited on: by another set, by poll or by select. Its readiness must
 * show in the kernel, so its bell counts as parked for good and every mark rings the waker, which is
 * a member of the kernel set. What the kernel then reports is checked against the rings. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "epoll.h"

/* The kernel set still holds what it once told us of: a number that is closed says nothing of it. */
static int registered(struct sd_member *m)
{
	char name[48], tag[24], text[4096];
	size_t had = 0;
	long n;
	snprintf(name, sizeof name, "/proc/self/fdinfo/%d", m->set->fd);
	snprintf(tag, sizeof tag, "%16llx", (unsigned long long)m->tag);
	int found = 0, fd = sd_sys(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 1;
	while (!found && (n = sd_sys(SYS_read, fd, text + had, sizeof text - had)) > 0) {
		had += n;
		found = memmem(text, had, tag, strlen(tag)) != NULL;
		if (had > sizeof tag) { /* it may begin at the end of this piece */
			memmove(text, text + had - sizeof tag, sizeof tag);
			had = sizeof tag;
		}
	}
	sd_sys(SYS_close, fd);
	return found;
}

uint32_t sd_member_owed(struct sd_member *m)
{
	if (m->owed && !registered(m))
		m->owed = 0;
	return m->owed;
}

void sd_set_nest(struct sd_set *s)
{
	sd_set_adopt(s);
	sd_mutex_lock(&s->mutex);
	if (!s->nested && !s->over) {
		s->nested = 1;
		sd_add(&s->waker.waiting, 1);
		if (s->bell)
			sd_add(&s->bell->parked, 1);
	}
	sd_mutex_unlock(&s->mutex);
	sd_set_ready(s);
}

/* Under the set's mutex: 1 if a member that is not ours is ready. What the kernel set tells is taken, so that no
 * anchor shows in it; what would be told once only is put back, and reported again if it still holds. */
static int others_ready(struct sd_set *s)
{
	enum { MANY = 16 };
	struct epoll_event ev[MANY];
	int ready = 0;
	for (long r = MANY; r == MANY && !ready;) {
		r = sd_set_look(s, ev, MANY);
		for (long i = 0; i < r; i++) {
			struct sd_member *m;
			if (!sd_set_told(s, &ev[i], &m))
				continue;
			ready = 1;
			if (m)
				sd_member_put_back(m, ev[i].events);
		}
	}
	return ready;
}

/* 1 if epoll_wait on the set would report something now. */
int sd_set_ready(struct sd_set *s)
{
	int ready = 0;
	sd_mutex_lock(&s->mutex);
	if (s->over) {
		sd_mutex_unlock(&s->mutex);
		return 1;
	}
	if (s->waking)
		sd_waker_drain(&s->waker);
	struct sd_member *before = s->hot_tail;
	int others = others_ready(s); /* takes what the waker has: marks are harvested after it */
	sd_set_harvest(s);
	sd_set_order(s, before);
	sd_set_relook(s);
	for (struct sd_member *m = s->hot_head, *next; m && !ready; m = next) {
		next = m->hot_next;
		uint32_t mask = m->disabled ? 0 : sd_member_mask(m);
		if (m->ours && !m->disabled)
			mask |= sd_member_want_out(s, m, mask);
		if (mask)
			ready = 1;
		else
			sd_member_cool(m);
	}
	if (ready && s->waking)
		sd_waker_kick(&s->waker);
	sd_mutex_unlock(&s->mutex);
	return ready || others;
}

int sd_nested_unsettled(void)
{
	int unsettled = 0;
	sd_mutex_lock(&sd_promote_mutex);
	for (struct sd_set *s = sd_sets; s && !unsettled; s = s->next)
		unsettled = s->nested && s->owner == sd_g.pid && (sd_peek(&s->recent) != NULL || s->lame);
	sd_mutex_unlock(&sd_promote_mutex);
	return unsettled;
}

void sd_nested_relook(void)
{
	sd_mutex_lock(&sd_promote_mutex);
	for (struct sd_set *s = sd_sets; s; s = s->next) {
		if (s->nested && s->owner == sd_g.pid && sd_set_due(s))
			sd_set_ready(s);
	}
	sd_mutex_unlock(&sd_promote_mutex);
}
