// SPDX-License-Identifier: Apache-2.0
// The calls that wait for readiness, in the order of model.Forms.
#include "agent.h"

enum { SETS = POLLIN | POLLOUT | POLLPRI };

static const sigset_t *mask_user(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGUSR1);
	w->proc[me].masked = 1;
	return set;
}

static struct timespec *limit(int ms, struct timespec *t)
{
	*t = (struct timespec){ms / 1000, ms % 1000 * 1000000};
	return ms < 0 ? NULL : t;
}

// choose asks select for what poll would be asked for; a descriptor is in each set once.
static long choose(struct pollfd p[2], int ms, bool pselects)
{
	fd_set sets[3];
	static const short bit[3] = {POLLIN, POLLOUT, POLLPRI};
	int top = 0;
	for (int s = 0; s < 3; s++)
		FD_ZERO(&sets[s]);
	if (p[0].fd == p[1].fd) {
		p[0].events |= p[1].events;
		p[1].events = 0;
	}
	for (int i = 0; i < 2; i++)
		for (int s = 0; s < 3 && p[i].fd >= 0; s++)
			if (p[i].events & bit[s]) {
				FD_SET(p[i].fd, &sets[s]);
				top = p[i].fd >= top ? p[i].fd + 1 : top;
			}
	struct timespec ts;
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	long r = pselects ? pselect(top, &sets[0], &sets[1], &sets[2], limit(ms, &ts), NULL)
			  : select(top, &sets[0], &sets[1], &sets[2], ms < 0 ? NULL : &tv);
	for (int i = 0; i < 2 && r >= 0; i++)
		for (int s = 0; s < 3 && p[i].fd >= 0; s++)
			if (p[i].events & bit[s] && FD_ISSET(p[i].fd, &sets[s]))
				p[i].revents |= bit[s];
	return r;
}

long poll_form(const int32_t *a, struct outcome *out)
{
	struct pollfd p[2] = {{a[0], (short)a[1], 0}, {a[2], (short)a[3], 0}};
	struct timespec ts;
	sigset_t set;
	long r;
	switch (a[5]) {
	case 1: r = ppoll(p, 2, limit(a[4], &ts), NULL); break;
	case 2: r = ppoll(p, 2, limit(a[4], &ts), mask_user(&set)); break;
	case 3:
	case 4: r = choose(p, a[4], a[5] == 4); break;
	default: r = poll(p, 2, a[4]);
	}
	w->proc[me].masked = 0;
	if (r >= 0) {
		out->n = 2;
		out->vec[0] = p[0].revents;
		out->vec[1] = p[1].revents;
	}
	return r;
}

static int by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;
	if (x->data.fd != y->data.fd)
		return x->data.fd < y->data.fd ? -1 : 1;
	return (int32_t)x->events < (int32_t)y->events ? -1 : x->events != y->events;
}

long epwait_form(const int32_t *a, struct outcome *out)
{
	struct epoll_event ev[MAX_VEC / 2];
	int max = a[1] < MAX_VEC / 2 ? a[1] : MAX_VEC / 2;
	struct timespec ts;
	sigset_t set;
	long r;
	switch (a[3]) {
	case 1: r = epoll_pwait(a[0], ev, max, a[2], NULL); break;
	case 2: r = epoll_pwait(a[0], ev, max, a[2], mask_user(&set)); break;
	case 3: r = epoll_pwait2(a[0], ev, max, limit(a[2], &ts), NULL); break;
	default: r = epoll_wait(a[0], ev, max, a[2]);
	}
	w->proc[me].masked = 0;
	if (r > 0) {
		qsort(ev, (size_t)r, sizeof *ev, by_data);
		for (long i = 0; i < r; i++) {
			out->vec[out->n++] = ev[i].data.fd;
			out->vec[out->n++] = (int32_t)ev[i].events;
		}
	}
	return r;
}
