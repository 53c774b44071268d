/* The calls that wait for readiness. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "epoll.h"
#include "real.h"

static int64_t from_ms(int ms)
{
	return ms < 0 ? INT64_MAX : ms == 0 ? 0 : sd_now_ns() + ms * 1000000ll;
}

static int64_t from_ts(const struct timespec *t)
{
	if (t == NULL)
		return INT64_MAX;
	if (t->tv_sec == 0 && t->tv_nsec == 0)
		return 0;
	return t->tv_sec > INT64_MAX / 2000000000 ? INT64_MAX - 1 : sd_now_ns() + t->tv_sec * 1000000000ll + t->tv_nsec;
}

/* poll(2): EINVAL, and nobody looks at them. */
static int too_many(nfds_t n)
{
	struct rlimit l;
	return n > SD_FD_MAX && sd_sys(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &l) == 0 && n > l.rlim_cur;
}

SD_EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (too_many(n))
		return sd_ret(-EINVAL);
	if (!sd_poll_concerned(fds, n))
		return sd_real()->poll(fds, n, timeout);
	return sd_ret(sd_poll(fds, n, from_ms(timeout), NULL));
}

SD_EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *t, const sigset_t *mask)
{
	if (too_many(n))
		return sd_ret(-EINVAL);
	if (!sd_valid(t) || !sd_poll_concerned(fds, n))
		return sd_real()->ppoll(fds, n, t, mask);
	return sd_ret(sd_poll(fds, n, from_ts(t), mask));
}

void __chk_fail(void) __attribute__((noreturn));

SD_EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
	if (room / sizeof *fds < n)
		__chk_fail();
	return poll(fds, n, timeout);
}

SD_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *t, const sigset_t *mask, size_t room)
{
	if (room / sizeof *fds < n)
		__chk_fail();
	return ppoll(fds, n, t, mask);
}

static int has(const fd_set *s, int fd)
{
	return s && (((const unsigned long *)s)[fd / 64] >> (fd % 64) & 1);
}

static void put(fd_set *s, int fd) { ((unsigned long *)s)[fd / 64] |= 1ul << (fd % 64); }

static int concerned(int n, const fd_set *r, const fd_set *w, const fd_set *x)
{
	for (int fd = 0; fd < n; fd++)
		if ((has(r, fd) || has(w, fd) || has(x, fd)) && (sd_live(fd) || sd_set_of(fd)))
			return 1;
	return 0;
}

/* What a descriptor shows in the sets that it was looked for in: readable is IN, HUP or ERR, writable OUT or ERR,
 * exceptional PRI. */
enum { SHOWS_R = 1, SHOWS_W = 2, SHOWS_X = 4 }; /* bits in the order of the sets */
static int shows(const struct pollfd *p)
{
	short e = p->revents, a = p->events;
	return ((a & POLLIN) && (e & (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)) ? SHOWS_R : 0) |
	       ((a & POLLOUT) && (e & (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)) ? SHOWS_W : 0) |
	       ((a & POLLPRI) && (e & POLLPRI) ? SHOWS_X : 0);
}

/* poll, but for what ends it and shows in no set: HUP, and nobody reads. That says nothing new later. */
static long poll_for_sets(struct pollfd *p, int n, int64_t deadline, const void *mask)
{
	long got;
	int useful;
	do {
		useful = 0;
		got = sd_poll(p, n, deadline, mask);
		for (int i = 0; i < n; i++) {
			if (p[i].fd >= 0 && (p[i].revents & POLLNVAL) && got >= 0)
				got = -EBADF;
			useful |= shows(&p[i]);
			if (got > 0 && p[i].revents && !shows(&p[i]))
				p[i].fd = -1;
		}
	} while (got > 0 && !useful);
	return got;
}

/* select(2) in terms of poll. */
static long select_by_poll(int n, fd_set *r, fd_set *w, fd_set *x, int64_t deadline, const void *mask)
{
	/* On the stack, where a handler that jumps away leaves nothing behind. */
	struct pollfd *p = n <= FD_SETSIZE ? __builtin_alloca((n + 1) * sizeof *p) : malloc(n * sizeof *p);
	int k = 0, count = 0;
	if (p == NULL)
		return -ENOMEM;
	for (int fd = 0; fd < n; fd++) {
		short want = (has(r, fd) ? POLLIN | POLLRDNORM | POLLRDBAND : 0) |
			     (has(w, fd) ? POLLOUT | POLLWRNORM | POLLWRBAND : 0) | (has(x, fd) ? POLLPRI : 0);
		if (want)
			p[k++] = (struct pollfd){fd, want, 0};
	}
	long got = poll_for_sets(p, k, deadline, mask);
	if (got >= 0) {
		size_t bytes = (n + 63) / 64 * 8;
		fd_set *all[3] = {r, w, x};
		for (int j = 0; j < 3; j++)
			if (all[j])
				memset(all[j], 0, bytes);
		for (int i = 0; i < k; i++) {
			int s = shows(&p[i]);
			for (int j = 0; j < 3; j++)
				if (s & 1 << j)
					put(all[j], p[i].fd), count++;
		}
		got = count;
	}
	if (n > FD_SETSIZE)
		free(p);
	return got;
}

SD_EXPORT int select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *t)
{
	if (n < 0 || !concerned(n, r, w, x))
		return sd_real()->select(n, r, w, x, t);
	int64_t deadline = INT64_MAX;
	if (t) {
		struct timespec ts = {t->tv_sec, t->tv_usec * 1000};
		if (t->tv_sec < 0 || t->tv_usec < 0)
			return sd_ret(-EINVAL);
		deadline = from_ts(&ts);
	}
	long got = select_by_poll(n, r, w, x, deadline, NULL);
	if (t && deadline != 0) { /* Linux leaves the time not slept */
		int64_t left = deadline - sd_now_ns();
		t->tv_sec = left > 0 ? left / 1000000000 : 0;
		t->tv_usec = left > 0 ? left % 1000000000 / 1000 : 0;
	}
	return sd_ret(got);
}

SD_EXPORT int pselect(int n, fd_set *r, fd_set *w, fd_set *x, const struct timespec *t, const sigset_t *mask)
{
	if (n < 0 || !sd_valid(t) || !concerned(n, r, w, x))
		return sd_real()->pselect(n, r, w, x, t, mask);
	return sd_ret(select_by_poll(n, r, w, x, from_ts(t), mask));
}

static int created(int fd)
{
	if (fd >= 0 && sd_g.on && !sd_foreign())
		sd_set_created(fd);
	return fd;
}

SD_EXPORT int epoll_create(int size) { return created(sd_real()->epoll_create(size)); }
SD_EXPORT int epoll_create1(int flags) { return created(sd_real()->epoll_create1(flags)); }

SD_EXPORT int epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
	struct sd_set *s = sd_set_of(ep);
	if (s)
		return sd_ret(sd_set_ctl(s, op, fd, ev));
	struct sd_conn *c = sd_live(fd);
	struct stat st;
	if (c && (sd_sys(SYS_fstat, ep, &st) < 0 || (st.st_mode & S_IFMT) != 0))
		c = NULL; /* not a set: an anonymous inode has no type */
	if (c)
		sd_conn_keep(c, fd, SD_STATUS_MEMBERS);
	/* A set that came by exec, SCM_RIGHTS or a raw system call hears only of the anchor, and may hold
	 * members with data of their own: refused, not left to wait in vain. */
	if (c && sd_attached(c) && op == EPOLL_CTL_ADD) {
		sd_count(SD_COUNT_UNHOOKED);
		return sd_ret(-EPERM);
	}
	return sd_real()->epoll_ctl(ep, op, fd, ev);
}

SD_EXPORT int epoll_pwait(int ep, struct epoll_event *ev, int max, int timeout, const sigset_t *mask)
{
	struct sd_set *s = sd_set_of(ep);
	if (!s)
		return sd_real()->epoll_pwait(ep, ev, max, timeout, mask);
	return sd_ret(sd_set_wait(s, ev, max, from_ms(timeout), mask));
}

SD_EXPORT int epoll_wait(int ep, struct epoll_event *ev, int max, int timeout)
{
	return epoll_pwait(ep, ev, max, timeout, NULL);
}

SD_EXPORT int epoll_pwait2(int ep, struct epoll_event *ev, int max, const struct timespec *t, const sigset_t *mask)
{
	struct sd_set *s = sd_set_of(ep);
	if (!s || !sd_valid(t))
		return sd_real()->epoll_pwait2(ep, ev, max, t, mask);
	return sd_ret(sd_set_wait(s, ev, max, from_ts(t), mask));
}

SD_ALIAS(__poll, poll);
SD_ALIAS(__select, select);
