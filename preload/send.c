/* Sending: on TCP until the peer is attached, then into the rings. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "ring_fast.h"
#include "sd.h"

static int64_t coarse_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* sendmsg on the anchor, from byte skip of the iovec on. Marks the thread as inside, so that no other
 * thread leaves TCP meanwhile; -ESTALE: the direction had left TCP already. -EINTR: a handler ran,
 * whether or not there is room. */
static ssize_t kernel_send(struct sd_conn *c, int fd, const struct iovec *iov, int n, size_t skip, int flags,
			   const struct msghdr *mh)
{
	struct iovec v[n ? n : 1];
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n};
	if (skip) {
		m.msg_iov = v;
		m.msg_iovlen = sd_iov_slice(v, n, iov, n, skip, SIZE_MAX);
	}
	if (mh) {
		m.msg_name = mh->msg_name;
		m.msg_namelen = mh->msg_namelen;
		m.msg_control = mh->msg_control;
		m.msg_controllen = mh->msg_controllen;
	}
	struct sd_wait wait = {.count = &c->ksend};
	ssize_t r;
	int waits = !(flags & MSG_DONTWAIT);
	sd_enter();
	sd_add(&c->ksend, 1);
	if (waits) {
		sd_wait_begin(&wait);
		sd_leave();
	}
	if (sd_load(&c->switching) ||
	    (sd_attached(c) && sd_tx_gen(sd_out(c)) != 0 &&
	     sd_class_of(sd_out(c), sd_tx_gen(sd_out(c))) != SD_CLASS_TCP))
		r = -ESTALE;
	else {
		if (sd_attached(c))
			sd_conn_number(c);
		r = waits ? sd_wait_sleep(SYS_sendmsg, fd, (long)&m, flags, 0, 0, 0) : sd_sys(SYS_sendmsg, fd, &m, flags);
	}
	if (waits) {
		sd_wait_end();
	} else {
		sd_add(&c->ksend, -1);
		sd_leave();
	}
	return r;
}

/* A sender whose bytes stay unread must not go on filling a dead ring. Every eighth send of a burst
 * costs a look at a coarse clock; the rest comes at most once in its tick, and only while the reader
 * stands still. */
static void look_at_anchor(struct sd_conn *c, int fd, int now_anyway)
{
	int64_t now = coarse_now();
	if (now == c->looked_ns && !now_anyway)
		return;
	struct sd_direction *d = sd_out(c);
	uint64_t head = sd_load(&d->rx.head), last = c->looked_head;
	c->looked_ns = now;
	c->looked_head = head;
	if (!now_anyway && (head != last || head == sd_peek(&d->tx.tail)))
		return;
	struct pollfd p = {fd, POLLRDHUP, 0};
	struct timespec zero = {0, 0};
	/* Bytes that nobody will read may keep FIN back: then only the peer's socket tells that it is closed. */
	if ((sd_sys(SYS_ppoll, &p, 1, &zero, 0, 8) == 1 || sd_tx_closed(&c->tx)) && sd_conn_of(fd) == c)
		sd_conn_hung_up(c, fd, p.revents);
}

/* With the send side held: as much as fits, growing where that is allowed.
 * > 0 bytes; -EAGAIN; SD_RING_TCP as -ESTALE; -errno. */
static ssize_t ring_try(struct sd_conn *c, const struct iovec *iov, int n, size_t skip, size_t want, int spill)
{
	struct sd_direction *d = sd_out(c);
	ssize_t r;
	if ((r = skip ? -(ssize_t)sd_peek(&c->slot->hdr.err[c->end]) : sd_conn_error(c)) < 0)
		return r; /* of a call that has sent some the next one tells */
	if (want == 0)
		return c->tx.class == SD_CLASS_TCP ? -ESTALE : 0;
	sd_tx_shrink(&c->tx);
	if (c->burst == 0)
		sd_poke(&d->tx.cpu, sched_getcpu() + 1);
	size_t done = 0;
	while (done < want) {
		r = sd_tx_put(&c->tx, iov, n, skip + done, want - done, c->burst == 0);
		if (r == SD_RING_TCP)
			return done ? (ssize_t)done : -ESTALE;
		if (r == SD_RING_BAD) {
			sd_count(SD_COUNT_BAD_PEER);
			return -ECONNRESET;
		}
		done += r;
		if (done == want || sd_tx_bounded(&c->tx))
			break;
		if (!spill && c->tx.class != SD_CLASS_HOT)
			break;
		if (!sd_tx_grow(&c->tx, spill ? SD_CLASS_SPILL : SD_CLASS_BULK))
			break;
		sd_count(SD_COUNT_SWITCH);
	}
	return done ? (ssize_t)done : -EAGAIN;
}

/* Off the critical path: the bytes are on their way. */
static void published(struct sd_conn *c, int fd)
{
	struct sd_direction *d = sd_out(c);
	c->oneway = 0;
	if (sd_watched(&d->rx_watch))
		sd_watch_fire(&d->rx_watch, c->peer->bells, sd_peek(&d->tx_lock.mode));
	if (c->burst++ % 8 == 0)
		look_at_anchor(c, fd, 0);
}

static ssize_t ring_send(struct sd_conn *c, int fd, const struct iovec *iov, int n, size_t skip, size_t want, int spill)
{
	struct sd_direction *d = sd_out(c);
	int locked = sd_multi() || sd_peek(&d->tx_lock.mode);
	sd_enter();
	if ((c->kev & POLLRDHUP) || sd_tx_closed(&c->tx))
		look_at_anchor(c, fd, 1);
	if (locked) {
		sd_lock(&d->tx_lock);
		sd_tx_load(&c->tx);
	}
	ssize_t r = ring_try(c, iov, n, skip, want, spill);
	if (locked)
		sd_unlock(&d->tx_lock);
	if (r > 0)
		published(c, fd);
	sd_leave();
	return r;
}

/* 1 if our direction is, or has just been moved, on the ring. */
static int on_ring(struct sd_conn *c, int fd)
{
	struct sd_direction *d = sd_out(c);
	if (c->tx.gen != 0 && !sd_multi() && !sd_peek(&d->tx_lock.mode))
		return c->tx.class != SD_CLASS_TCP;
	uint32_t gen = sd_tx_gen(d);
	if (gen == 0) {
		sd_lock(&d->tx_lock);
		int ok = sd_conn_promote(c, fd);
		sd_unlock(&d->tx_lock);
		if (!ok)
			return 0;
		gen = sd_tx_gen(d);
	}
	return sd_class_of(d, gen) != SD_CLASS_TCP;
}

/* sd_send_now where it has to think: the first send after a receive, each eighth one, no room known. */
static int send_fast(struct sd_conn *c, int fd, const void *b, size_t n)
{
	if (!sd_attached(c) || n == 0 || (c->kev & POLLRDHUP) || c->reset || sd_multi())
		return 0;
	struct sd_direction *d = sd_out(c);
	if (sd_peek(&d->tx_lock.mode) || sd_peek(&c->slot->hdr.err[c->end]) || sd_tx_closed(&c->tx))
		return 0;
	if (n > c->tx.room) {
		sd_tx_aim(&c->tx);
		if (n > c->tx.room)
			return 0;
	}
	if (c->burst == 0)
		sd_poke(&d->tx.cpu, sched_getcpu() + 1);
	sd_tx_append(&c->tx, b, n, c->burst == 0);
	published(c, fd);
	return 1;
}

int sd_send_fast(struct sd_conn *c, int fd, const void *b, size_t n)
{
	sd_enter();
	int done = send_fast(c, fd, b, n);
	sd_leave();
	return done;
}

/* Somebody watches what sd_send_now published. */
size_t sd_send_fire(struct sd_conn *c, size_t n)
{
	sd_watch_fire(&sd_out(c)->rx_watch, c->peer->bells, sd_peek(&sd_out(c)->tx_lock.mode));
	return sd_leave_with(n);
}

ssize_t sd_send(struct sd_conn *c, int fd, const struct iovec *iov, int n, int flags, const struct msghdr *mh)
{
	ssize_t r = sd_iov_len(iov, n);
	size_t done = 0, want = r;
	int64_t deadline = 0;
	uint64_t serial = c->serial;
	int blocking = -1, spill = 0, once = 0, refused = 0, number;
	if (r < 0)
		return r;
	sd_cancellation_point();
	sd_handled = SD_NOTHING;
	if (flags & MSG_OOB)
		sd_conn_to_tcp(c, fd, SD_STATUS_OPTION);
	for (;;) {
		if (c->reset && sd_peek(&c->slot->hdr.err[c->end]) == 0) {
			r = -EPIPE;
			break;
		}
		if (!sd_attached(c) || !on_ring(c, fd)) {
			if (sd_attached(c) && done == 0 && (r = sd_conn_error(c)) < 0)
				break;
			if (blocking < 0)
				blocking = !sd_nonblock(c, fd, flags);
			r = kernel_send(c, fd, iov, n, done, flags | once, mh);
			if (r == -ESTALE) {
				sd_pause();
				continue;
			}
			if (r != -EAGAIN && sd_moved(c, serial, &fd, r)) /* EAGAIN may be SO_SNDTIMEO's */
				continue;
			/* Only a call that must wait is interrupted. */
			if (r == -EINTR && !once && (number = sd_still(c, serial, fd)) >= 0) {
				once = MSG_DONTWAIT;
				fd = number;
				continue;
			}
			if (r == -EAGAIN && once && blocking) {
				once = 0;
				r = -EINTR;
				if (!sd_interrupted(done == 0 && sd_deadline(c, fd, SO_SNDTIMEO) == INT64_MAX)) {
					blocking = -1;
					continue;
				}
			}
			if (!sd_attached(c))
				sd_conn_tick(c, fd);
			if (r < 0) {
				refused = 1;
				break;
			}
			done += r;
			if (done == want || !once) /* it has waited for as long as the program's call would */
				return done;
			if (!blocking || sd_peek(&sd_handled))
				return done;
			continue;
		}
		/* A blocking sender first gives a live reader a moment; then it spills, as Linux buffers. */
		r = ring_send(c, fd, iov, n, done, want - done, spill);
		if (r == -ESTALE)
			continue;
		if (r > 0) {
			done += r;
			if (done == want)
				break;
		} else if (r != -EAGAIN) {
			break;
		}
		if (blocking < 0)
			blocking = !sd_nonblock(c, fd, flags);
		if (blocking && sd_tx_widen(&c->tx))
			continue;
		if (!spill) {
			spill = 1;
			if (blocking)
				sd_spin(c, fd, SD_WAIT_ROOM);
			continue;
		}
		if (r > 0) {
			spill = !blocking;
			continue;
		}
		if (!blocking) {
			if (sd_tx_refused(&c->tx, sd_now_ns()))
				continue;
			sd_members_want_out(c);
			break;
		}
		if (deadline == 0)
			deadline = sd_deadline(c, fd, SO_SNDTIMEO);
		if ((r = sd_park(c, fd, SD_WAIT_TX, deadline, done, 0)) < 0)
			break;
		if ((fd = sd_still(c, serial, fd)) < 0) {
			r = fd;
			break;
		}
		if (r == SD_RESTARTED) {
			deadline = 0;
			blocking = -1;
		}
		sd_enter();
		look_at_anchor(c, fd, !sd_tx_writable(&c->tx));
		sd_leave();
	}
	if (done) {
		if (refused && r != -EPIPE)
			sd_conn_keep_error(c, r);
		return done;
	}
	sd_tell(c, r);
	/* The kernel has raised SIGPIPE itself for what it refused; not for an error of its own that was kept. */
	if (r == -EPIPE && !refused && !(flags & MSG_NOSIGNAL))
		sd_sys(SYS_tgkill, sd_g.pid, sd_sys(SYS_gettid), SIGPIPE);
	return r;
}
