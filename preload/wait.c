/* Spin, then yield, then park: each budgeted in time (docs/architecture.md, Bells). */
#include <sched.h>
#include <sys/time.h>

#include "sd.h"

#define SPIN_NS 20000	   /* longer spins in vain cost more than they win */
#define SHORT_SPIN_NS 2000 /* after four spins in vain */
#define STRANGER_NS 20000  /* a yield that took longer let a stranger run */
#define YIELD_BAN_NS 1000000000
#define SETTLE_NS 1000000  /* store buffers have drained by then: a later sleep may be unlimited */

#define TRUST_YIELDS 32	   /* quick ones in a row: no stranger here any more */

static __thread int64_t no_yield_until, no_yield_for;
static __thread int quick_yields;

int sd_ready(struct sd_conn *c, int fd, int what)
{
	if (!sd_attached(c))
		return 0;
	if (sd_peek(&c->slot->hdr.err[c->end]))
		return 1;
	if (what == SD_WAIT_ROOM)
		return sd_tx_room(&c->tx);
	if (what == SD_WAIT_MORE)
		return 0;
	if (what == SD_WAIT_TX)
		return sd_tx_gen(sd_out(c)) != 0 && (sd_tx_writable(&c->tx) || sd_tx_at_last(&c->tx));
	struct sd_direction *d = sd_in(c);
	uint32_t gen = sd_tx_gen(d);
	if (gen == 0)
		return 0;
	if (sd_peek(&d->rx.low) > 1 && (sd_class_of(d, gen) != SD_CLASS_TCP || sd_low_split(c)))
		return sd_conn_readable(c, fd);
	if (sd_peek(&d->rx.rgen) == 0) /* the last bytes on TCP wake us through the anchor */
		return sd_kernel_left(c, fd) == 0;
	return sd_class_of(d, sd_peek(&d->rx.rgen)) != SD_CLASS_TCP && sd_rx_new(d);
}

/* A yield to a peer on this core is the cheapest hand-over there is; a yield to a stranger costs his
 * time slice, whether or not the peer ran as well. So each is timed, and a slow one ends yielding on
 * this thread for a while, twice as long each time. */
int sd_yield(void)
{
	int64_t start = sd_now_ns();
	if (start < no_yield_until)
		return 0;
	sd_sys(SYS_sched_yield);
	int64_t now = sd_now_ns();
	if (now - start <= STRANGER_NS) {
		if (++quick_yields >= TRUST_YIELDS)
			no_yield_for = 0;
		return 1;
	}
	quick_yields = 0;
	no_yield_for = no_yield_for ? no_yield_for * 2 : SETTLE_NS;
	if (no_yield_for > YIELD_BAN_NS)
		no_yield_for = YIELD_BAN_NS;
	no_yield_until = now + no_yield_for;
	return 0;
}

int sd_spin(struct sd_conn *c, int fd, int what)
{
	struct sd_direction *d = what == SD_WAIT_RX ? sd_in(c) : sd_out(c);
	if (sd_tx_gen(d) == 0 || sd_peek(&d->rx.rgen) == 0) /* TCP wakes us by itself */
		return 0;
	uint32_t peer_cpu = what != SD_WAIT_RX ? sd_peek(&d->rx.cpu) : sd_peek(&d->tx.cpu);
	if (sd_g.cores == 1 || peer_cpu == (uint32_t)sched_getcpu() + 1) {
		for (int i = 0, more = 1; i < 8 && more; i++) {
			more = sd_yield();
			if (sd_ready(c, fd, what))
				return 1;
		}
		return 0;
	}
	int64_t start = 0;
	int gap = what == SD_WAIT_RX && c->oneway == SD_ONEWAY ? 16 : 1; /* a look costs the sender */
	int64_t budget = c->spin_miss < 4 || c->spin_miss % 16 == 0 ? SPIN_NS : SHORT_SPIN_NS;
	for (;;) {
		for (int i = 0; i < 32; i++) {
			if (i % gap == 0 && sd_ready(c, fd, what)) {
				c->spin_miss = 0;
				return 1;
			}
			sd_pause();
		}
		int64_t now = sd_now_ns();
		if (start == 0)
			start = now;
		else if (now - start >= budget)
			break;
	}
	c->spin_miss++;
	return 0;
}

void sd_careful(struct sd_conn *c)
{
	c->unparked = 0;
	if (c->careful_ns == 0) {
		sd_xchg(&sd_in(c)->rx_watch.careful, 1);
		c->careful_ns = sd_now_ns();
	}
}

int sd_settled(struct sd_conn *c)
{
	if (!c->settled && c->careful_ns && sd_now_ns() - c->careful_ns >= SETTLE_NS)
		c->settled = 1;
	return c->settled;
}

/* Not where others may be about to sleep on the same promise. */
void sd_careless(struct sd_conn *c)
{
	struct sd_direction *d = sd_in(c);
	if (sd_multi() || sd_peek(&d->rx_lock.mode))
		return;
	c->settled = 0;
	c->careful_ns = 0;
	sd_store(&d->rx_watch.careful, 0);
}

static void ignore(void *arg, unsigned member)
{
	(void)arg;
	(void)member;
}

struct armed {
	struct sd_watch_line *line;
	int bell;
};

static void disarm(void *arg)
{
	struct armed *a = arg;
	sd_watch_disarm(a->line, a->bell, 0);
}

/* One sleep, in the kernel, on the bell and the anchor. */
int sd_park(struct sd_conn *c, int fd, int what, int64_t deadline, size_t done, int mark_ends)
{
	sd_enter();
	struct sd_waker *w = sd_waker_of_thread();
	int attached = sd_attached(c), armed = 0, result = 0;
	struct sd_bell *b = NULL;
	struct armed a = {0};
	struct pollfd p[2] = {{fd, 0, 0}, {w ? w->fd : -1, POLLIN, 0}};

	if (attached && w && (b = sd_waker_bell(w)) != NULL) {
		a.line = what == SD_WAIT_TX ? &sd_out(c)->tx_watch : &sd_in(c)->rx_watch;
		a.bell = w->bell;
		armed = sd_watch_arm(a.line, a.bell, 0);
		sd_add(&b->parked, 1);
		sd_bell_harvest(b, w->bell, ignore, NULL); /* what was marked for an earlier wait */
	}
	int told = w && !armed; /* only an attachment made by another thread is told by kicking */
	if (told) {
		sd_add(&w->waiting, 1);
		sd_add(&c->asleep, 1);
	}
	if (!armed && attached)
		sd_count(SD_COUNT_WATCH_FULL);
	if (what == SD_WAIT_RX)
		p[0].events = POLLIN | POLLRDHUP | POLLPRI; /* an urgent byte wakes who wants more */
	else if (what != SD_WAIT_MORE && (!attached || sd_tx_gen(sd_out(c)) == 0))
		p[0].events = POLLOUT;
	else
		p[0].events = c->kev & POLLRDHUP ? 0 : POLLRDHUP;

	int exact = 0, marked = 0; /* marked: less than SO_RCVLOWAT behind an urgent byte wakes nobody */
	if (armed && what == SD_WAIT_RX) {
		exact = sd_settled(c);
		sd_careful(c);
	}
	struct sd_wait wait = {told ? w : NULL, b, told ? &c->asleep : NULL, armed ? disarm : NULL, &a};
	sd_wait_begin(&wait);
	sd_leave();
	int64_t settled = exact ? 0 : sd_now_ns() + SETTLE_NS;
	for (;;) {
		/* Before the look: only what was looked at after store buffers had drained allows a long sleep. */
		int64_t now = exact && deadline == INT64_MAX ? 0 : sd_now_ns(), until = deadline;
		if (attached != sd_attached(c) || sd_conn_of(fd) != c || sd_ready(c, fd, what))
			break;
		if (now >= deadline) {
			result = -EAGAIN;
			break;
		}
		/* Without a bell we must look again ourselves. After the peer's FIN its death makes no
		 * further sign on the anchor. */
		int gone = what == SD_WAIT_TX && attached && sd_tx_closed(&c->tx); /* told before we armed, maybe */
		int look_again = what == SD_WAIT_MORE || gone || marked || (attached && ((!exact && now < settled) || !armed));
		look_again |= what == SD_WAIT_RX && attached && sd_low_split(c);
		if (look_again && until > now + SETTLE_NS)
			until = now + SETTLE_NS;
		else if ((c->kev & POLLRDHUP) && what == SD_WAIT_TX && until > now + 100 * SETTLE_NS)
			until = now + 100 * SETTLE_NS;
		struct timespec t = {(until - now) / 1000000000, (until - now) % 1000000000};
		sd_count(SD_COUNT_PARK);
		long r = sd_wait_sleep(SYS_ppoll, (long)p, 2, until == INT64_MAX ? 0 : (long)&t, 0, 8, 0);
		if (r == -EINTR) {
			result = sd_interrupted(deadline == INT64_MAX && done == 0) ? -EINTR : SD_RESTARTED;
			break;
		}
		if (r > 0 && p[1].revents) {
			sd_waker_take(w);
			break;
		}
		if (r > 0 && p[0].revents == POLLPRI && done == 0 && !mark_ends && sd_at_mark(fd)) {
			marked = sd_low_water(c, fd) > 1;
			p[0].events &= ~POLLPRI; /* no receive takes this one: it would wake us for ever */
			continue;
		}
		if (r == 0 && marked && !sd_at_mark(fd)) /* there is a later one */
			break;
		if (r > 0 || (r == 0 && (what == SD_WAIT_MORE || gone || ((c->kev & POLLRDHUP) && what == SD_WAIT_TX))))
			break;
	}
	sd_wait_end();
	return result;
}
