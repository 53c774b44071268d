/* poll over connections on rings and everything else, in one sleep. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "sd.h"

#define SPIN_NS 20000
#define SETTLE_NS 1000000
#define FEW 2048

static __thread unsigned misses;

int sd_poll_concerned(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++) {
		struct sd_conn *c = sd_conn_of(fds[i].fd);
		if ((c && sd_peek(&c->state) != SD_ST_KERNEL) || sd_set_of(fds[i].fd))
			return 1;
	}
	return 0;
}

static struct sd_conn *attached(int fd)
{
	struct sd_conn *c = sd_conn_of(fd);
	return c && sd_attached(c) ? c : NULL;
}

static int both_on_rings(struct sd_conn *c)
{
	struct sd_direction *in = sd_in(c), *out = sd_out(c);
	uint32_t ig = sd_tx_gen(in), og = sd_tx_gen(out);
	return ig && og && sd_peek(&in->rx.rgen) && sd_class_of(in, ig) != SD_CLASS_TCP &&
	       sd_class_of(out, og) != SD_CLASS_TCP;
}

/* Fills revents of what is on rings; returns how many are ready. *kernel: others need the kernel. */
static int look(struct pollfd *fds, nfds_t n, int *kernel)
{
	int ready = 0;
	*kernel = 0;
	for (nfds_t i = 0; i < n; i++) {
		struct sd_conn *c = attached(fds[i].fd);
		fds[i].revents = 0;
		if (c)
			fds[i].revents = sd_conn_mask(c, fds[i].fd) & (fds[i].events | POLLERR | POLLHUP);
		if (fds[i].fd >= 0 && (c == NULL || !both_on_rings(c)))
			*kernel = 1;
		ready += fds[i].revents != 0;
	}
	return ready;
}

/* What to ask the kernel: of a ring connection's anchor only what it alone knows, once. */
static void ask(struct pollfd *k, const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++) {
		struct sd_conn *c = attached(fds[i].fd);
		k[i] = fds[i];
		k[i].revents = 0;
		if (c == NULL)
			continue;
		uint32_t og = sd_tx_gen(sd_out(c));
		int tx_tcp = og == 0 || sd_class_of(sd_out(c), og) == SD_CLASS_TCP;
		k[i].events = fds[i].events & (tx_tcp ? POLLOUT | POLLWRNORM | POLLPRI : POLLPRI);
		if (!(c->kev & POLLRDHUP))
			k[i].events |= fds[i].events & (POLLIN | POLLRDNORM) ? POLLIN | POLLRDHUP : fds[i].events & POLLRDHUP;
		if (c->kev & POLLHUP)
			k[i].fd = -1; /* it would wake us for ever */
	}
}

/* Adds the kernel's answers; returns how many descriptors are ready. */
static int merge(struct pollfd *fds, const struct pollfd *k, nfds_t n)
{
	int ready = 0;
	for (nfds_t i = 0; i < n; i++) {
		struct sd_conn *c = attached(fds[i].fd);
		if (c == NULL) {
			struct sd_set *s = k[i].revents ? sd_set_of(fds[i].fd) : NULL;
			fds[i].revents = s && !sd_set_ready(s) ? 0 : k[i].revents;
		} else {
			if (k[i].revents & (POLLRDHUP | POLLHUP | POLLERR))
				sd_conn_hung_up(c, fds[i].fd, k[i].revents);
			fds[i].revents = sd_conn_mask(c, fds[i].fd) & (fds[i].events | POLLERR | POLLHUP);
			if (k[i].revents & POLLIN && !(c->kev & POLLRDHUP) && !sd_rx_on_tcp(sd_in(c)))
				fds[i].revents |= fds[i].events & (POLLIN | POLLRDNORM); /* a foreign write: a receive resets */
		}
		ready += fds[i].revents != 0;
	}
	return ready;
}

static long kernel_look(struct pollfd *k, nfds_t n)
{
	struct timespec zero = {0, 0};
	return sd_sys(SYS_ppoll, k, n, &zero, NULL, 8);
}

static long kernel_poll(struct pollfd *k, nfds_t n, int64_t ns, const void *mask)
{
	struct timespec t = {ns / 1000000000, ns % 1000000000};
	return sd_wait_sleep(SYS_ppoll, (long)k, n, ns == INT64_MAX ? 0 : (long)&t, (long)mask, 8, 0);
}

static int spin(struct pollfd *fds, nfds_t n)
{
	int kernel, yield = sd_g.cores == 1, worth = 0;
	for (nfds_t i = 0; i < n && i < 16; i++) {
		struct sd_conn *c = attached(fds[i].fd);
		if (c && both_on_rings(c)) {
			worth = 1;
			if (sd_peek(&sd_in(c)->tx.cpu) == (uint32_t)sched_getcpu() + 1)
				yield = 1;
		}
	}
	if (!worth || n > 16)
		return 0;
	int64_t start = sd_now_ns(), budget = misses < 4 || misses % 16 == 0 ? SPIN_NS : SPIN_NS / 10;
	int more = 1;
	for (int i = 0; more && sd_now_ns() - start < budget && (!yield || i < 8); i++) {
		if (yield)
			more = sd_yield();
		else
			sd_pause();
		int ready = look(fds, n, &kernel);
		if (ready) {
			misses = 0;
			return ready;
		}
	}
	misses++;
	return 0;
}

struct armed {
	struct pollfd *fds;
	nfds_t n;
	int bell;
};

static int arm(struct pollfd *fds, nfds_t n, int bell, int on)
{
	int all = 1;
	for (nfds_t i = 0; i < n; i++) {
		struct sd_conn *c = attached(fds[i].fd);
		if (c == NULL)
			continue;
		unsigned member = i % SD_MEMBERS_PER_BELL;
		struct sd_watch_line *rx = &sd_in(c)->rx_watch, *tx = &sd_out(c)->tx_watch;
		if (!on) {
			sd_watch_disarm(rx, bell, member);
			sd_watch_disarm(tx, bell, member);
			continue;
		}
		if (fds[i].events & (POLLIN | POLLRDNORM))
			all &= sd_watch_arm(rx, bell, member);
		if (fds[i].events & (POLLOUT | POLLWRNORM))
			all &= sd_watch_arm(tx, bell, member);
	}
	return all;
}

static void disarm(void *arg)
{
	struct armed *a = arg;
	arm(a->fds, a->n, a->bell, 0);
}

static void ignore(void *arg, unsigned member)
{
	(void)arg;
	(void)member;
}

static int park(struct pollfd *fds, struct pollfd *k, nfds_t n, int64_t deadline, const void *mask)
{
	sd_enter();
	struct sd_waker *w = sd_waker_of_thread();
	struct sd_bell *b = w ? sd_waker_bell(w) : NULL;
	struct armed a = {fds, n, b ? w->bell : -1};
	int armed = 0, kernel, result = 0;
	if (w) /* before arming: what another thread attaches afterwards kicks us */
		sd_add(&w->waiting, 1);
	if (b) {
		armed = arm(fds, n, w->bell, 1);
		sd_add(&b->parked, 1);
		sd_bell_harvest(b, w->bell, ignore, NULL);
	}
	struct sd_wait wait = {w, b, NULL, b ? disarm : NULL, &a};
	sd_wait_begin(&wait);
	sd_leave();
	int64_t settled = sd_now_ns() + SETTLE_NS;
	for (;;) {
		int64_t now = sd_now_ns(), until = deadline; /* before the look: as in sd_park */
		int any = 0, sets = 0, room = 0, split = 0;
		if ((result = look(fds, n, &kernel)) != 0)
			break;
		for (nfds_t i = 0; i < n; i++) {
			struct sd_conn *c = attached(fds[i].fd);
			any |= c != NULL;
			split |= c && sd_low_split(c);
			room |= c && fds[i].events & (POLLOUT | POLLWRNORM) && sd_tx_at_last(&c->tx);
			sets |= sd_set_of(fds[i].fd) != NULL;
		}
		if (room)
			continue;
		sets = sets && sd_nested_unsettled();
		if (((any && (now < settled || !armed)) || sets || split) && until > now + SETTLE_NS)
			until = now + SETTLE_NS;
		ask(k, fds, n);
		k[n] = (struct pollfd){w ? w->fd : -1, POLLIN, 0};
		sd_count(SD_COUNT_PARK);
		long r = kernel_poll(k, n + 1, until == INT64_MAX ? INT64_MAX : until > now ? until - now : 0, mask);
		if (r < 0) { /* EINTR too, whatever SA_RESTART says */
			result = r;
			break;
		}
		if (r == 0 && sets)
			sd_nested_relook();
		int kicked = r > 0 && k[n].revents;
		if (kicked)
			sd_waker_drain(w);
		if ((result = merge(fds, k, n)) != 0 || sd_now_ns() >= deadline)
			break;
		if (kicked)
			break; /* a connection may have been attached: arm it too */
	}
	sd_wait_end();
	return result;
}

int sd_poll(struct pollfd *fds, nfds_t n, int64_t deadline, const void *mask)
{
	/* On the stack, where a handler that jumps away leaves nothing behind. */
	struct pollfd *k = n < FEW ? __builtin_alloca((n + 1) * sizeof *k) : malloc((n + 1) * sizeof *k);
	int kernel, r;
	uint64_t before;
	if (k == NULL)
		return -ENOMEM;
	sd_cancellation_point();
	if ((r = sd_mask_begin(mask, &before)) < 0)
		goto out;
	sd_handled = SD_NOTHING;
	sd_mon_mail();
	for (nfds_t i = 0; i < n; i++) {
		struct sd_set *s = sd_set_of(fds[i].fd);
		if (s)
			sd_set_nest(s);
	}
	for (;;) {
		r = look(fds, n, &kernel);
		if (r > 0 && !kernel)
			break;
		ask(k, fds, n);
		long z = kernel_look(k, n);
		r = z < 0 && z != -EINTR ? z : merge(fds, k, n);
		if (r != 0)
			break;
		if (sd_now_ns() >= deadline) {
			if (mask && kernel_poll(k, n, 0, mask) == -EINTR) /* it lets a pending signal through */
				r = -EINTR;
			break;
		}
		if ((r = spin(fds, n)) != 0 && !kernel)
			break;
		r = park(fds, k, n, deadline, mask);
		if (r != 0 || sd_now_ns() >= deadline)
			break;
	}
	sd_mask_end(mask, &before);
out:
	if (n >= FEW)
		free(k);
	return r;
}
