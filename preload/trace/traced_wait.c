/* The calls that wait: one record for the call, one for each socket or event that it reported. */
#include <limits.h>
#include <stdlib.h>

#include "next.h"

enum { NO_TIMEOUT = -1 };

static int in_ms(const struct timespec *t)
{
	if (t == NULL)
		return NO_TIMEOUT;
	return t->tv_sec > INT_MAX / 2000 ? INT_MAX : t->tv_sec * 1000 + (t->tv_nsec + 999999) / 1000000;
}

static int sockets(const struct pollfd *p, nfds_t n)
{
	int k = 0;
	for (nfds_t i = 0; sd_trace_on && i < n; i++)
		k += p[i].fd >= 0 && sd_trace_id(p[i].fd) != 0;
	return k;
}

static int polled(const struct pollfd *p, nfds_t n, int mine, int64_t start, int r, int timeout)
{
	if (mine == 0)
		return r;
	struct sd_trace_record t = {.start = start, .result = sd_trace_result(r), .arg = mine, .flags = timeout,
				    .fd = -1, .op = SD_TRACE_poll};
	sd_trace_put(&t);
	for (nfds_t i = 0; r > 0 && i < n; i++) {
		struct sd_trace_record e = {.start = start, .fd = p[i].fd, .op = SD_TRACE_ready, .result = 1,
					    .arg = (uint16_t)p[i].events | (uint32_t)(uint16_t)p[i].revents << 16};
		if (p[i].revents && p[i].fd >= 0 && (e.id = sd_trace_id(p[i].fd)) != 0)
			sd_trace_add(&e);
	}
	return r;
}

SD_EXPORT int poll(struct pollfd *p, nfds_t n, int timeout)
{
	int mine = sockets(p, n);
	int64_t start = mine ? sd_trace_before() : 0;
	return polled(p, n, mine, start, sd_next()->poll(p, n, timeout), timeout);
}

SD_EXPORT int ppoll(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *mask)
{
	int mine = sockets(p, n);
	int64_t start = mine ? sd_trace_before() : 0;
	return polled(p, n, mine, start, sd_next()->ppoll(p, n, t, mask), in_ms(t));
}

void __chk_fail(void) __attribute__((noreturn));

SD_EXPORT int __poll_chk(struct pollfd *p, nfds_t n, int timeout, size_t room)
{
	if (room / sizeof *p < n)
		__chk_fail();
	return poll(p, n, timeout);
}

SD_EXPORT int __ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *mask, size_t room)
{
	if (room / sizeof *p < n)
		__chk_fail();
	return ppoll(p, n, t, mask);
}

static int has(const fd_set *s, int fd)
{
	return s && (((const unsigned long *)s)[fd / 64] >> (fd % 64) & 1);
}

static int selectable(int n, const fd_set *r, const fd_set *w, const fd_set *x)
{
	int k = 0;
	for (int fd = 0; sd_trace_on && fd < n; fd++)
		k += (has(r, fd) || has(w, fd) || has(x, fd)) && sd_trace_id(fd) != 0;
	return k;
}

static int selected(int n, const fd_set *r, const fd_set *w, const fd_set *x, int mine, int64_t start, int got, int timeout)
{
	if (mine == 0)
		return got;
	struct sd_trace_record t = {.start = start, .result = sd_trace_result(got), .arg = mine, .flags = timeout,
				    .fd = -1, .op = SD_TRACE_poll};
	sd_trace_put(&t);
	for (int fd = 0; got > 0 && fd < n; fd++) {
		short e = (has(r, fd) ? POLLIN : 0) | (has(w, fd) ? POLLOUT : 0) | (has(x, fd) ? POLLPRI : 0);
		struct sd_trace_record s = {.start = start, .fd = fd, .op = SD_TRACE_ready, .result = 1,
					    .arg = (uint64_t)e << 16};
		if (e && (s.id = sd_trace_id(fd)) != 0)
			sd_trace_add(&s);
	}
	return got;
}

SD_EXPORT int select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *t)
{
	int mine = selectable(n, r, w, x), ms = t ? (int)(t->tv_sec * 1000 + t->tv_usec / 1000) : NO_TIMEOUT;
	int64_t start = mine ? sd_trace_before() : 0;
	return selected(n, r, w, x, mine, start, sd_next()->select(n, r, w, x, t), ms);
}

SD_EXPORT int pselect(int n, fd_set *r, fd_set *w, fd_set *x, const struct timespec *t, const sigset_t *mask)
{
	int mine = selectable(n, r, w, x);
	int64_t start = mine ? sd_trace_before() : 0;
	return selected(n, r, w, x, mine, start, sd_next()->pselect(n, r, w, x, t, mask), in_ms(t));
}

static int created(int fd, int64_t start)
{
	struct sd_trace_record t = {.start = start, .result = sd_trace_result(fd), .fd = -1, .op = SD_TRACE_epoll_create};
	if (!sd_trace_on)
		return fd;
	sd_trace_forget(fd);
	sd_trace_put(&t);
	return fd;
}

SD_EXPORT int epoll_create(int size)
{
	int64_t start = sd_trace_before();
	return created(sd_next()->epoll_create(size), start);
}

SD_EXPORT int epoll_create1(int flags)
{
	int64_t start = sd_trace_before();
	return created(sd_next()->epoll_create1(flags), start);
}

SD_EXPORT int epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
	uint64_t id = sd_trace_id(fd);
	int r = sd_next()->epoll_ctl(ep, op, fd, ev);
	if (id == 0)
		return r;
	struct sd_trace_record t = {.id = id, .result = sd_trace_result(r), .fd = fd, .aux = ep | op << 28,
				    .op = SD_TRACE_epoll_ctl};
	if (r == 0 && op != EPOLL_CTL_DEL)
		t.arg = ev->data.u64, t.flags = ev->events;
	sd_trace_aside(&t);
	return r;
}

static int waited(int ep, const struct epoll_event *ev, int max, int64_t start, int r, int timeout)
{
	if (!sd_trace_on)
		return r;
	struct sd_trace_record t = {.start = start, .result = sd_trace_result(r), .arg = max, .flags = timeout,
				    .fd = ep, .op = SD_TRACE_epoll_wait};
	sd_trace_put(&t);
	for (int i = 0; i < r && ep > UINT16_MAX; i++) {
		struct sd_trace_record e = {.start = start, .result = i, .arg = ev[i].data.u64, .flags = ev[i].events,
					    .fd = ep, .op = SD_TRACE_epoll_event};
		sd_trace_add(&e);
	}
	for (int i = 0; i < r && ep <= UINT16_MAX; i += 2) {
		int two = i + 1 < r;
		sd_trace_put_events(ep, 1 + two, ev[i].events, ev[i].data.u64, two ? ev[i + 1].events : 0,
				    two ? ev[i + 1].data.u64 : 0);
	}
	return r;
}

SD_EXPORT int epoll_pwait(int ep, struct epoll_event *ev, int max, int timeout, const sigset_t *mask)
{
	int64_t start = sd_trace_before();
	return waited(ep, ev, max, start, sd_next()->epoll_pwait(ep, ev, max, timeout, mask), timeout);
}

SD_EXPORT int epoll_wait(int ep, struct epoll_event *ev, int max, int timeout)
{
	return epoll_pwait(ep, ev, max, timeout, NULL);
}

SD_EXPORT int epoll_pwait2(int ep, struct epoll_event *ev, int max, const struct timespec *t, const sigset_t *mask)
{
	int64_t start = sd_trace_before();
	return waited(ep, ev, max, start, sd_next()->epoll_pwait2(ep, ev, max, t, mask), in_ms(t));
}
