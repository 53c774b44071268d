/* A set whose own descriptor is waited on: by another set, by poll or by select. Its readiness must
 * show in the kernel, so its bell counts as parked for good and every mark rings the waker, which is
 * a member of the kernel set. What the kernel then reports is checked against the rings. */
#include "epoll.h"

void sd_set_nest(struct sd_set *s)
{
	sd_mutex_lock(&s->mutex);
	if (!s->nested) {
		s->nested = 1;
		sd_add(&s->waker.waiting, 1);
		if (s->bell)
			sd_add(&s->bell->parked, 1);
	}
	sd_mutex_unlock(&s->mutex);
	sd_set_ready(s);
}

/* 1 if epoll_wait on the set would report something now. */
int sd_set_ready(struct sd_set *s)
{
	int ready = 0;
	sd_mutex_lock(&s->mutex);
	if (s->waking)
		sd_waker_drain(&s->waker);
	if (s->bell && sd_bell_pending(s->bell))
		sd_bell_harvest(s->bell, s->waker.bell, sd_set_marked, s);
	int all_ours = !s->plain && s->members == s->ours;
	if (all_ours)
		sd_set_take_kernel(s);
	for (struct sd_member *m = s->hot_head, *next; m && !ready; m = next) {
		next = m->hot_next;
		if (!m->disabled && sd_member_mask(m))
			ready = 1;
		else
			sd_member_cool(m);
	}
	if (ready && s->waking)
		sd_waker_kick(&s->waker);
	sd_mutex_unlock(&s->mutex);
	if (!ready && !all_ours) {
		struct pollfd p = {s->fd, POLLIN, 0};
		struct timespec zero = {0, 0};
		ready = sd_sys(SYS_ppoll, &p, 1, &zero, 0, 8) == 1;
	}
	return ready;
}
