/* A set whose own descriptor is waited on: by another set, by poll or by select. Its readiness must
 * show in the kernel, so its bell counts as parked for good and every mark rings the waker, which is
 * a member of the kernel set: that is the edge. What the kernel then reports is checked against the rings; while they
 * are ready an eventfd in the kernel set can be read: that is the level, which becomes an edge by itself only
 * when it begins. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

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
	struct pollfd p = {s->fd, POLLIN, 0};
	struct timespec zero = {0, 0};
	/* No anchor shows in it, nor a set that is not ready, nor another process's waker: nothing is taken. */
	if (s->ours == 0 && s->inner == 0 && !s->shown && !s->shared) {
		ready = sd_sys(SYS_ppoll, &p, 1, &zero, NULL, 8) == 1;
		s->edges += ready;
		return ready;
	}
	for (long r = MANY; r == MANY && !ready;) {
		r = sd_set_look(s, ev, MANY);
		for (long i = 0; i < r; i++) {
			struct sd_member *m;
			uint32_t had = 0;
			if (sd_set_tagged(s, ev[i].data.u64, &m) && m)
				had = m->inner_edges;
			if (ev[i].data.u64 == sd_show_tag(s) || !sd_set_told(s, &ev[i], &m))
				continue;
			ready = 1;
			if (m == NULL || m->inner == NULL || m->inner_edges != had)
				s->edges++; /* or of what was there already: on TCP one too many is better than one too few */
			if (m)
				sd_member_put_back(m, ev[i].events);
		}
	}
	return ready;
}

void sd_set_show(struct sd_set *s, int ready)
{
	uint64_t n = 1;
	if (s->shared && ready)
		sd_set_wake(s); /* a level by edges: that of an eventfd would be the other's, too */
	if (s->shared || ready == s->shown)
		return;
	if (s->show_fd < 0) {
		int fd = sd_sys(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
		fd = fd < 0 ? fd : sd_hide(fd);
		if (fd < 0 || sd_set_kernel(s, EPOLL_CTL_ADD, fd, EPOLLIN, sd_show_tag(s)) < 0) {
			if (fd >= 0)
				sd_unhide(fd);
			sd_set_wake(s); /* a level by edges */
			return;
		}
		s->show_fd = fd;
	}
	sd_sys(ready ? SYS_write : SYS_read, s->show_fd, &n, sizeof n);
	s->shown = ready;
}

/* 1 if epoll_wait on the set would report something now. *edges: what it has had by then. */
static int ready_since(struct sd_set *s, uint32_t *edges)
{
	int ready = 0;
	sd_mutex_lock(&s->mutex);
	if (s->over) {
		sd_mutex_unlock(&s->mutex);
		return 1;
	}
	if (s->waking)
		sd_waker_drain(&s->waker);
	int others = others_ready(s); /* takes what the waker has: marks are harvested after it */
	sd_set_harvest(s);
	if (sd_set_relook(s) && s->shown)
		sd_set_wake(s); /* nobody has made it an edge */
	sd_set_order(s); /* who was ready first and is not any more loses its place */
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
	sd_set_show(s, ready);
	*edges = s->edges;
	sd_mutex_unlock(&s->mutex);
	return ready || others;
}

int sd_set_ready(struct sd_set *s)
{
	uint32_t edges;
	return ready_since(s, &edges);
}

/* Its own number alone shows what it has of the kernel's. Of the edges one may be our own, by which it showed. */
int sd_inner_told(struct sd_member *m)
{
	struct sd_set *s = m->inner;
	uint32_t edges = m->inner_edges - 1;
	if (s == NULL || s->secret != m->inner_secret || !(s->waking || s->inner))
		return 1;
	int ready = ready_since(s, &edges), news = edges != m->inner_edges;
	m->inner_edges = edges;
	if (!ready && (m->events & EPOLLONESHOT))
		sd_member_put_back(m, 0); /* for the kernel it has fired */
	news |= s->show_fd < 0; /* a level by edges: each look makes one, which must not wake the sleeper for nothing */
	return ready && (news || !(m->events & EPOLLET) || (m->events & EPOLLONESHOT));
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
