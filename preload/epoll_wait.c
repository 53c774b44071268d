/* Waiting on an epoll set. Time for each event is O(ready): what is marked in the set's bell, and
 * what was ready at the last call. */
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "epoll.h"

#define SPIN_NS 20000

/* Evaluates a hot member; 1 if that is an event. */
static int report(struct sd_set *s, struct sd_member *m, struct epoll_event *ev)
{
	sd_member_cool(m);
	if (m->ours && s->waker.bell >= 0 && sd_rx_on_tcp(sd_in(m->conn)))
		sd_watch_told(&sd_in(m->conn)->rx_watch, s->waker.bell, m->bit);
	uint32_t mask = sd_member_answer(s, m);
	if (mask == 0)
		return 0;
	if (sd_member_reset_told(m))
		m->ends |= EPOLLERR;
	m->look = s->looks;
	ev->events = mask;
	ev->data.u64 = m->data;
	if (m->events & EPOLLONESHOT)
		m->disabled = 1;
	else if (!(m->events & EPOLLET))
		sd_member_keep(m);
	return 1;
}

/* Each hot member up to the last once, but for those that this look has reported. */
static int collect(struct sd_set *s, struct sd_member *last, struct epoll_event *ev, int max)
{
	int n = 0;
	for (struct sd_member *m = s->hot_head, *next; m && n < max; m = next) {
		next = m == last ? NULL : m->hot_next;
		if (m->look != s->looks)
			n += report(s, m, ev + n);
	}
	s->settled = s->hot_tail;
	return n;
}

/* An event of the kernel set: 1 if it is the program's, of a member that has a record or of one that has none,
 * NULL; of bells and anchors it only makes a member hot. */
int sd_set_told(struct sd_set *s, const struct epoll_event *e, struct sd_member **m)
{
	*m = NULL;
	if (e->data.u64 == sd_waker_tag(s))
		sd_waker_drain(&s->waker);
	if (e->data.u64 == sd_show_tag(s) && s->hot_head == NULL)
		sd_set_show(s, 0); /* who sleeps here is not to be woken for ever; what is left will show again */
	if (!sd_set_tagged(s, e->data.u64, m))
		return 1;
	if (*m == NULL)
		return 0;
	if ((*m)->ours) {
		sd_member_anchor(*m, e->events);
		return 0;
	}
	(*m)->owed = 0; /* it is in this */
	if ((*m)->disabled)
		return 0;
	return sd_inner_told(*m);
}

/* The kernel's events become the program's, in place, or make members hot. */
static int translate(struct sd_set *s, struct epoll_event *ev, int r)
{
	int n = 0;
	for (int i = 0; i < r; i++) {
		struct sd_member *m;
		struct epoll_event e = ev[i];
		if (sd_set_told(s, &e, &m)) {
			if (m && m->look == s->looks)
				continue;
			if (m) {
				m->look = s->looks;
				if (m->events & EPOLLONESHOT)
					m->disabled = 1;
				e.data.u64 = m->data;
			}
			ev[n++] = e;
		}
	}
	return n;
}

static long kernel_wait(struct sd_set *s, struct epoll_event *ev, int max, int64_t ns, const void *mask)
{
	struct timespec t = {ns / 1000000000, ns % 1000000000};
	long r = sd_wait_sleep(SYS_epoll_pwait2, s->fd, (long)ev, max, ns == INT64_MAX ? 0 : (long)&t, (long)mask, 8);
	if (r != -ENOSYS)
		return r;
	int ms = ns == INT64_MAX ? -1 : ns / 1000000 < 1 << 30 ? (int)((ns + 999999) / 1000000) : 1 << 30;
	return sd_wait_sleep(SYS_epoll_pwait, s->fd, (long)ev, max, ms, (long)mask, 8);
}

/* Bells and anchors take room that the program gave for its events: if nothing else came, what is ready
 * may be behind them; of each the kernel may tell once more, by what the first was answered with. */
static int take_kernel(struct sd_set *s, struct epoll_event *ev, int max)
{
	s->both = 0;
	for (uint32_t looks = 0; looks / 2 <= s->members; looks++) {
		long r = sd_set_look(s, ev, max);
		if (r <= 0)
			break;
		int n = translate(s, ev, r);
		if (n > 0 || r < max)
			return n;
	}
	return 0;
}

static void spin(struct sd_set *s, int64_t deadline)
{
	int yield = sd_g.cores == 1 || s->peer_cpu == (uint32_t)sched_getcpu() + 1;
	int64_t start = sd_now_ns();
	int64_t until = start + (s->spin_miss < 4 || s->spin_miss % 16 == 0 ? SPIN_NS : SPIN_NS / 10);
	if (until > deadline)
		until = deadline;
	int more = 1;
	for (int i = 0; more && (!yield || i < 8); i++) {
		if (sd_bell_pending(s->bell)) {
			s->spin_miss = 0;
			return;
		}
		if (yield)
			more = sd_yield();
		else
			for (int j = 0; j < 8 && !sd_bell_pending(s->bell); j++)
				sd_pause();
		if (sd_now_ns() >= until)
			break;
	}
	s->spin_miss++;
}

int sd_set_due(struct sd_set *s)
{
	return (sd_peek(&s->recent) || s->lame) && sd_now_ns() - sd_peek(&s->look_ns) >= SD_SETTLE_NS;
}

int sd_set_relook(struct sd_set *s)
{
	struct sd_member *last = s->hot_tail;
	if (!sd_set_due(s))
		return 0;
	s->look_ns = sd_now_ns();
	for (struct sd_member **p = &s->recent, *m; (m = *p) != NULL;) {
		if (s->look_ns - m->recent_ns < SD_SETTLE_NS) {
			p = &m->recent_next;
			continue;
		}
		*p = m->recent_next;
		m->recent = 0;
		sd_member_look_again(m);
	}
	for (uint32_t i = 0; s->lame && i < s->fds; i++)
		if (s->by_fd[i])
			sd_member_look_again(s->by_fd[i]);
	for (struct sd_member *m = s->left; s->lame && m; m = m->left_next)
		sd_member_look_again(m);
	return s->hot_tail != last;
}

/* Sleeps in the kernel on everything; returns events, 0, or -errno. */
static int park(struct sd_set *s, struct epoll_event *ev, int max, int64_t deadline, const void *mask)
{
	int64_t ns = 0;
	sd_enter();
	sd_mutex_lock(&s->mutex);
	if (s->over) {
		sd_mutex_unlock(&s->mutex);
		sd_leave();
		return -EBADF;
	}
	struct sd_bell *b = s->bell;
	struct sd_wait wait = {&s->waker, b, &s->users, NULL, NULL};
	sd_add(&s->users, 1);
	sd_add(&s->waker.waiting, 1);
	if (b)
		sd_add(&b->parked, 1);
	int settle = s->recent != NULL || s->lame, inner = s->inner != 0;
	int wake = s->hot_head != NULL || (b == NULL && s->bell != NULL) || (b && sd_bell_pending(b));
	sd_mutex_unlock(&s->mutex);
	sd_wait_begin(&wait);
	sd_leave();
	settle |= inner && sd_nested_unsettled();
	if (!wake) {
		int64_t now = sd_now_ns();
		ns = deadline == INT64_MAX ? INT64_MAX : deadline > now ? deadline - now : 0;
		if (settle && ns > SD_SETTLE_NS)
			ns = SD_SETTLE_NS;
		if (s->ours)
			sd_count(SD_COUNT_PARK);
	}
	long r = wake ? sd_set_look(s, ev, max) : kernel_wait(s, ev, max, ns, mask);
	sd_wait_end();
	sd_mutex_lock(&s->mutex);
	if (r > 0) {
		s->looks++;
		r = translate(s, ev, r);
		if (r < max && !(s->bell && sd_bell_pending(s->bell))) { /* else a look must come first */
			sd_set_order(s);
			r += collect(s, s->hot_tail, ev + r, max - r);
		}
	}
	sd_mutex_unlock(&s->mutex);
	return r;
}

static int by_kernel(struct sd_set *s)
{
	return s->plain || s->members > s->ours || s->on_tcp || s->both || s->looks % SD_UNTOLD == 0;
}

static int any_ready(struct sd_set *s)
{
	for (struct sd_member *m = s->hot_head; m; m = m->hot_next)
		if (!m->disabled && sd_member_mask(m))
			return 1;
	return 0;
}

/* Linux reports what is ready, whoever's it is; when the kernel's events have taken all room, the next turn is the
 * rings'. Who sees the later of two events sees the earlier: the kernel is looked at after the rings. Of a member
 * without rings nobody knows which of the two was the earlier; it is told first, because young connections are on
 * TCP. Of one whose bytes are numbered we know: then rings that became ready meanwhile, and before it, are told. */
static int look(struct sd_set *s, struct epoll_event *ev, int max, int last)
{
	sd_mutex_lock(&s->mutex);
	if (s->over) {
		sd_mutex_unlock(&s->mutex);
		return -EBADF;
	}
	sd_set_harvest(s);
	int kernel = last || by_kernel(s), ready = kernel && any_ready(s), n = 0, k = 0;
	s->looks++;
	if (ready && s->full) {
		sd_set_order(s);
		n = collect(s, s->hot_tail, ev, max);
	}
	struct sd_member *rings = s->hot_tail;
	if ((ready || last) && n < max)
		k = take_kernel(s, ev + n, max - n);
	int anchors = s->hot_tail != rings;
	s->full = k == max;
	n += k;
	sd_set_order(s);
	struct sd_member *until = s->hot_tail;
	if (anchors && s->bell && sd_bell_pending(s->bell)) {
		uint32_t order = until->order;
		sd_set_harvest(s);
		sd_set_order(s);
		until = sd_set_until(s, order);
	}
	if (n < max)
		n += collect(s, until, ev + n, max - n);
	int again = sd_set_relook(s) && n == 0;
	sd_mutex_unlock(&s->mutex);
	return again ? look(s, ev, max, last) : n;
}

static int wait_for_events(struct sd_set *s, struct epoll_event *ev, int max, int64_t deadline, const void *mask)
{
	for (;;) {
		if (s->inner)
			sd_nested_relook();
		int n = look(s, ev, max, deadline == 0);
		if (n != 0 || deadline == 0)
			return n;
		if (s->bell && s->ours)
			spin(s, deadline);
		if (s->bell && sd_bell_pending(s->bell))
			continue;
		int r = park(s, ev, max, deadline, mask);
		if (r != 0)
			return r;
		if (sd_now_ns() >= deadline)
			deadline = 0; /* one last look */
	}
}

/* What stays ready is the next sleeper's too, as on Linux: the anchor has told only one of its end. And this look at
 * the kernel may have taken what was to wake him: for a mark, or to sleep on the bell, which there was not before. */
static int for_the_next(struct sd_set *s, int r)
{
	uint32_t asleep = sd_load(&s->waker.waiting);
	struct sd_bell *b = sd_peek(&s->bell);
	return asleep > s->nested && ((r > 0 && sd_peek(&s->hot_head)) ||
				      (b && (sd_bell_pending(b) || asleep > sd_load(&b->parked))));
}

int sd_set_wait(struct sd_set *s, struct epoll_event *ev, int max, int64_t deadline, const void *mask)
{
	if (max <= 0 || (size_t)max > INT_MAX / sizeof *ev)
		return -EINVAL;
	if (sd_load(&s->users) & SD_CLOSED)
		return -EBADF;
	uint64_t before;
	sd_cancellation_point();
	int r = sd_mask_begin(mask, &before);
	if (r < 0)
		return r;
	sd_handled = SD_NOTHING;
	sd_mon_mail();
	sd_set_adopt(s);
	r = wait_for_events(s, ev, max, deadline, mask);
	if (s->nested)
		sd_set_ready(s); /* what is left must show in the outer set */
	if (for_the_next(s, r))
		sd_waker_kick(&s->waker);
	sd_set_awake(s);
	sd_mask_end(mask, &before);
	return r;
}
