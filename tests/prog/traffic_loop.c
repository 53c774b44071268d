// SPDX-License-Identifier: Apache-2.0
// Ways to wait: two threads for each connection, epoll with edges, epoll with levels, poll, select; and a
// mixture of them in two processes.
#include "traffic.h"

enum { WAIT_MS = 60000 };

static void *tx_thread(void *arg)
{
	struct conn *c = arg;
	while (!c->tx_done)
		tx_step(c);
	return NULL;
}

static void *rx_thread(void *arg)
{
	struct conn *c = arg;
	while (!c->rx_done)
		rx_step(c);
	return NULL;
}

void loop_blocking(struct conn *c, int n)
{
	pthread_t *t = calloc((size_t)n * 2, sizeof *t);
	for (int i = 0; i < n; i++)
		if (pthread_create(&t[i * 2], NULL, tx_thread, &c[i]) || pthread_create(&t[i * 2 + 1], NULL, rx_thread, &c[i]))
			die("pthread_create");
	for (int i = 0; i < n * 2; i++)
		pthread_join(t[i], NULL);
	free(t);
}

static void timed_out(const struct conn *c, int n)
{
	for (int i = 0; i < n; i++)
		fprintf(stderr, "connection %d: sent %llu, received %llu of %llu\n", i, (unsigned long long)c[i].tx,
			(unsigned long long)c[i].rx, (unsigned long long)c[i].total);
	errno = ETIMEDOUT;
	die("nothing was ready for %d ms", WAIT_MS);
}

// drain uses an edge up: it makes calls until one would block.
static void drain(struct conn *c, uint32_t ev)
{
	if (ev & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
		while (!c->rx_done && rx_step(c))
			;
	if (ev & (EPOLLOUT | EPOLLHUP))
		while (!c->tx_done && tx_step(c))
			;
}

void loop_epoll(struct conn *c, int n, bool edge)
{
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC)), open = n;
	uint32_t *want = calloc((size_t)n, sizeof *want);
	struct epoll_event ev[16];
	for (int i = 0; i < n; i++) {
		want[i] = EPOLLIN | EPOLLOUT;
		ev[0] = (struct epoll_event){.events = want[i] | (edge ? EPOLLET | EPOLLRDHUP : 0), .data.ptr = &c[i]};
		must(epoll_ctl(ep, EPOLL_CTL_ADD, c[i].fd, &ev[0]));
	}
	while (open > 0) {
		int k = (int)must(epoll_wait(ep, ev, 16, WAIT_MS));
		if (k == 0)
			timed_out(c, n);
		for (int j = 0; j < k; j++) {
			struct conn *p = ev[j].data.ptr;
			size_t i = (size_t)(p - c);
			if (ev[j].events & EPOLLERR)
				die("EPOLLERR on connection %zu", i);
			if (edge) {
				drain(p, ev[j].events);
			} else {
				if (ev[j].events & EPOLLIN && !p->rx_done)
					rx_step(p);
				if (ev[j].events & EPOLLOUT && !p->tx_done)
					tx_step(p);
			}
			uint32_t w = (p->rx_done ? 0u : EPOLLIN) | (p->tx_done ? 0u : EPOLLOUT);
			if (w == 0) {
				must(epoll_ctl(ep, EPOLL_CTL_DEL, p->fd, NULL));
				open--;
			} else if (!edge && w != want[i]) {
				struct epoll_event m = {.events = w, .data.ptr = p};
				must(epoll_ctl(ep, EPOLL_CTL_MOD, p->fd, &m));
			}
			want[i] = w;
		}
	}
	free(want);
	close(ep);
}

void loop_poll(struct conn *c, int n)
{
	struct pollfd *p = calloc((size_t)n, sizeof *p);
	for (int open = n; open > 0;) {
		open = 0;
		for (int i = 0; i < n; i++) {
			p[i].events = (short)((c[i].rx_done ? 0 : POLLIN) | (c[i].tx_done ? 0 : POLLOUT));
			p[i].fd = p[i].events ? c[i].fd : -1;
			open += p[i].events != 0;
		}
		if (open > 0 && must(poll(p, (nfds_t)n, WAIT_MS)) == 0)
			timed_out(c, n);
		for (int i = 0; i < n && open > 0; i++) {
			if (p[i].revents & (POLLERR | POLLNVAL))
				die("poll: %x on connection %d", p[i].revents, i);
			if (p[i].revents & POLLIN)
				rx_step(&c[i]);
			if (p[i].revents & POLLOUT)
				tx_step(&c[i]);
		}
	}
	free(p);
}

void loop_select(struct conn *c, int n)
{
	for (int open = n; open > 0;) {
		fd_set r, w;
		int max = -1;
		struct timeval tv = {WAIT_MS / 1000, 0};
		FD_ZERO(&r);
		FD_ZERO(&w);
		open = 0;
		for (int i = 0; i < n; i++) {
			if (!c[i].rx_done)
				FD_SET(c[i].fd, &r);
			if (!c[i].tx_done)
				FD_SET(c[i].fd, &w);
			if (!c[i].rx_done || !c[i].tx_done) {
				open++;
				max = c[i].fd > max ? c[i].fd : max;
			}
		}
		if (open > 0 && must(select(max + 1, &r, &w, NULL, &tv)) == 0)
			timed_out(c, n);
		for (int i = 0; i < n && open > 0; i++) {
			if (!c[i].rx_done && FD_ISSET(c[i].fd, &r))
				rx_step(&c[i]);
			if (!c[i].tx_done && FD_ISSET(c[i].fd, &w))
				tx_step(&c[i]);
		}
	}
}

// until_half moves every connection to the middle of its stream.
static void until_half(struct conn *c, int n)
{
	struct pollfd *p = calloc((size_t)n, sizeof *p);
	for (int open = n; open > 0;) {
		open = 0;
		for (int i = 0; i < n; i++) {
			uint64_t half = c[i].total / 2;
			p[i].events = (short)((c[i].rx < half ? POLLIN : 0) | (c[i].tx < half ? POLLOUT : 0));
			p[i].fd = p[i].events ? c[i].fd : -1;
			open += p[i].events != 0;
		}
		if (open > 0 && must(poll(p, (nfds_t)n, WAIT_MS)) == 0)
			timed_out(c, n);
		for (int i = 0; i < n && open > 0; i++) {
			if (p[i].revents & POLLIN)
				rx_step(&c[i]);
			if (p[i].revents & POLLOUT)
				tx_step(&c[i]);
		}
	}
	free(p);
}

void loop_fork(struct conn *c, int n)
{
	int st;
	until_half(c, n);
	fflush(stdout);
	pid_t pid = (pid_t)must(fork());
	if (pid == 0) {
		for (int i = n / 2; i < n; i++) {
			set_nonblock(c[i].fd, false); // nobody else uses these
			c[i].blocking = true;
		}
		loop_blocking(c + n / 2, n - n / 2);
		_exit(0);
	}
	loop_epoll(c, n / 2, true);
	must(waitpid(pid, &st, 0));
	errno = 0;
	if (st != 0)
		die("the child ended with status %x", st);
}
