/* Receiving: the rest of TCP up to N, then the rings, then what the anchor says. */
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>

#include "ring_fast.h"
#include "sd.h"

ssize_t sd_iov_len(const struct iovec *iov, int n)
{
	size_t sum = 0;
	for (int i = 0; i < n; i++) {
		if ((ssize_t)iov[i].iov_len < 0)
			return -EINVAL;
		sum += iov[i].iov_len < SD_MOST - sum ? iov[i].iov_len : SD_MOST - sum;
	}
	return sum;
}

int sd_iov_slice(struct iovec *to, int max, const struct iovec *iov, int iovcnt, size_t skip, size_t n)
{
	int k = 0;
	for (int i = 0; i < iovcnt && k < max && n > 0; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		to[k].iov_base = (char *)iov[i].iov_base + skip;
		to[k].iov_len = iov[i].iov_len - skip < n ? iov[i].iov_len - skip : n;
		skip = 0;
		n -= to[k++].iov_len;
	}
	return k;
}

/* There are bytes on the anchor. */
static int waits(int fd)
{
	int q = 0;
	return sd_sys(SYS_ioctl, fd, SIOCINQ, &q) == 0 && q > 0;
}

/* recvmsg on the anchor, never blocking, of up to n bytes from byte skip of the iovec on. Where that is not the
 * first a receive ends before an urgent byte, which recvmsg would step over: -EAGAIN, as for nothing yet. */
static ssize_t kernel_recv(int fd, const struct iovec *iov, int iovcnt, size_t skip, size_t n, int flags)
{
	struct iovec v[iovcnt ? iovcnt : 1];
	if (skip) {
		char b;
		int q = 0;
		ssize_t r = sd_sys(SYS_recvfrom, fd, &b, 1, MSG_PEEK | MSG_DONTWAIT, 0, 0);
		if (r <= 0)
			return r;
		sd_sys(SYS_ioctl, fd, SIOCINQ, &q);
		if (q <= 0 || sd_at_mark(fd))
			return -EAGAIN;
		n = (size_t)q < n ? (size_t)q : n;
	}
	int k = sd_iov_slice(v, iovcnt, iov, iovcnt, skip, n);
	struct msghdr m = {.msg_iov = v, .msg_iovlen = k};
	return sd_sys(SYS_recvmsg, fd, &m, flags | MSG_DONTWAIT);
}

static ssize_t bad_peer(struct sd_conn *c, int fd, unsigned counter)
{
	struct linger l = {1, 0};
	sd_count(counter);
	sd_sys(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	sd_store(&c->slot->hdr.err[c->end], ECONNRESET);
	sd_conn_think(c);
	return -ECONNRESET;
}

/* EPIPE is RST after FIN: Linux tells of it who sends, and who receives of the end. */
static int told_error(struct sd_conn *c)
{
	return sd_peek(&c->slot->hdr.err[c->end]) == EPIPE ? 0 : sd_conn_error(c);
}

/* The anchor has nothing more: 0, or an error if its FIN left bytes of ours unread. After RST, whose
 * error somebody has taken, POLLHUP says that it was no FIN. */
static int ended(struct sd_conn *c, int fd)
{
	struct pollfd p = {fd, POLLRDHUP, 0};
	struct timespec zero = {0, 0};
	sd_sys(SYS_ppoll, &p, 1, &zero, 0, 8);
	if (sd_conn_of(fd) == c)
		sd_conn_hung_up(c, fd, p.revents);
	return told_error(c);
}

/* The ring is empty: what does the anchor say? -EAGAIN: nothing; 0: end of stream; 1: look again. */
static ssize_t anchor_says(struct sd_conn *c, int fd)
{
	char b;
	ssize_t r = sd_sys(SYS_recvfrom, fd, &b, 1, MSG_PEEK | MSG_DONTWAIT, 0, 0);
	if (r == -EAGAIN)
		return sd_peek(&c->slot->hdr.rd_shut[c->end]) ? 0 : -EAGAIN;
	if (sd_conn_of(fd) != c) /* another thread has taken the number: it was not the anchor that said so */
		return -EBADF;
	if (r > 0) /* a sender that goes back to TCP says so first */
		return sd_rx_on_tcp(sd_in(c)) ? 1 : bad_peer(c, fd, SD_COUNT_FOREIGN_WRITE);
	if (sd_rx_unread(&c->rx) != 0) { /* published before FIN or RST, seen after it */
		sd_conn_keep_error(c, r);
		return 1;
	}
	if (r == 0)
		return ended(c, fd);
	sd_conn_hung_up(c, fd, POLLHUP);
	return r;
}

/* A fresh look is due when what is known does not satisfy the call. Each look takes the line from the
 * sender, so a receiver that only receives, a little each time, looks less often: it waits (48 pauses,
 * about 1 us) for more to come, and stops doing so for a while when nothing did. */
static void look(struct sd_conn *c, size_t want)
{
	struct sd_rx *rx = &c->rx;
	ssize_t had = sd_rx_avail(rx);
	if (had < 0 || (want > 0 && (size_t)had >= want))
		return;
	sd_rx_look(rx);
	ssize_t now = sd_rx_avail(rx);
	if (now <= had || now >= 1024 || c->oneway < SD_ONEWAY || c->patience-- > 0)
		return;
	for (int i = 0; i < 48; i++)
		sd_pause();
	sd_rx_look(rx);
	c->patience = sd_rx_avail(rx) == now ? 256 : 0;
}

/* A peek has seen done bytes, the first of them before the ring, where they come first again: what follows the ring. */
static ssize_t peek_behind(int fd, const struct iovec *iov, int iovcnt, size_t before, size_t done, size_t n, int flags)
{
	struct iovec v[2 * iovcnt];
	int k = sd_iov_slice(v, iovcnt, iov, iovcnt, 0, before);
	k += sd_iov_slice(v + k, iovcnt, iov, iovcnt, done, n);
	struct msghdr m = {.msg_iov = v, .msg_iovlen = k};
	ssize_t r = sd_sys(SYS_recvmsg, fd, &m, flags | MSG_DONTWAIT);
	return r > (ssize_t)before ? r - (ssize_t)before : 0;
}

/* Of done bytes the ring gave the last it has: what follows it on TCP, up to an urgent mark, belongs to
 * the same receive. before: of a peek, those that are on TCP before the ring. */
static ssize_t and_after(struct sd_conn *c, int fd, const struct iovec *iov, int n, size_t skip, size_t done,
			 size_t want, int flags, size_t before)
{
	struct sd_direction *d = sd_in(c);
	if (done == want || sd_class_of(d, c->rx.gen) != SD_CLASS_TCP || sd_base_of(d, c->rx.gen) != c->rx.tail)
		return done;
	flags &= ~MSG_WAITALL;
	ssize_t r = before ? peek_behind(fd, iov, n, before, done, want - done, flags)
			   : kernel_recv(fd, iov, n, skip + done, want - done, flags);
	sd_conn_keep_error(c, r);
	return r > 0 ? (ssize_t)done + r : (ssize_t)done;
}

/* recvmsg on the anchor of a stream that has not left TCP. -ESTALE: it has. What there is is counted, or seen, before
 * that is asked: what comes later may have the ring before it. An urgent byte's sender stays on TCP. */
static ssize_t young_recv(struct sd_conn *c, int fd, const struct iovec *iov, int n, size_t skip, size_t want, int flags)
{
	for (int seen = 0;; seen = 1) {
		char b;
		int q = 0;
		sd_sys(SYS_ioctl, fd, SIOCINQ, &q);
		if (sd_tx_gen(sd_in(c)) != 0)
			return -ESTALE;
		q = q > seen ? q : seen;
		if (q > 0 || want == 0)
			return kernel_recv(fd, iov, n, skip, (size_t)q < want ? (size_t)q : want, flags);
		if (sd_at_mark(fd))
			return kernel_recv(fd, iov, n, skip, want, flags);
		ssize_t r = sd_sys(SYS_recvfrom, fd, &b, 1, MSG_PEEK | MSG_DONTWAIT, 0, 0);
		if (r <= 0)
			return r;
	}
}

/* With the receive side held. > 0 bytes; 0 end; -EAGAIN; -errno. Without ask_anchor an empty ring is
 * -EAGAIN, whatever else is the case. It returns less than there is nowhere: programs that wait for edges
 * take that for the end of what has come (epoll(7)), so it must not stop where the stream moves. */
static ssize_t ring_try(struct sd_conn *c, int fd, const struct iovec *iov, int n, size_t skip, size_t want, int flags,
			int ask_anchor)
{
	struct sd_direction *d = sd_in(c);
	int peek = flags & MSG_PEEK;
	size_t done = 0;
	if (sd_peek(&d->rx.rgen) == 0) {
		if (sd_tx_gen(d) == 0) {
			ssize_t r = young_recv(c, fd, iov, n, skip, want, flags & ~MSG_WAITALL);
			/* The sender may have left TCP after we looked; then EAGAIN or FIN means nothing. */
			if (r == 0 && want == 0 && waits(fd))
				return 0;
			if (r == 0 && sd_tx_gen(d) == 0)
				return ended(c, fd);
			if (r > 0 || sd_tx_gen(d) == 0)
				return r;
		}
		uint64_t left = sd_kernel_left(c, fd);
		if (left != 0) {
			ssize_t r = kernel_recv(fd, iov, n, skip, left < want ? left : want, flags & ~MSG_WAITALL);
			if (r != (ssize_t)left || left == want)
				return r;
			done = left;
		}
		c->left_rx = sd_peek(&d->seg.base[1]);
		if (!(done && peek))
			sd_store(&d->rx.rgen, 1);
	}
	for (int again = 0; again < 4; again++) {
		look(c, want - done);
		ssize_t r = sd_rx_get(&c->rx, flags & MSG_TRUNC ? NULL : iov, n, skip + done, want - done, peek);
		if (done && r <= 0)
			return and_after(c, fd, iov, n, skip, done, want, flags, peek ? done : 0);
		if (want == 0 && sd_rx_unread(&c->rx) != 0)
			return 0;
		if (r > 0) {
			if (c->burst)
				sd_poke(&d->rx.cpu, sched_getcpu() + 1);
			return and_after(c, fd, iov, n, skip, done + r, want, flags, peek ? done : 0);
		}
		if (r == SD_RING_TCP) { /* an error that was kept comes after what has come */
			r = kernel_recv(fd, iov, n, skip, want, flags & ~MSG_WAITALL);
			ssize_t kept = r > 0 || (want == 0 && waits(fd)) ? 0 : told_error(c);
			return kept < 0 ? kept : r;
		}
		if (r == SD_RING_BAD)
			return bad_peer(c, fd, SD_COUNT_BAD_PEER);
		if ((r = told_error(c)) < 0)
			return r;
		if (!ask_anchor && !sd_peek(&c->slot->hdr.err[c->end]))
			return -EAGAIN;
		if ((r = anchor_says(c, fd)) <= 0)
			return r;
	}
	return -EAGAIN;
}

static void received(struct sd_conn *c)
{
	struct sd_direction *d = sd_in(c);
	if (c->oneway < SD_ONEWAY)
		c->oneway++;
	c->burst = 0;
	if (c->careful_ns && ++c->unparked >= SD_UNPARKED)
		sd_careless(c);
	if (sd_watched(&d->tx_watch) && sd_rx_sender_wants(&c->rx))
		sd_watch_fire(&d->tx_watch, c->peer->bells, sd_peek(&d->rx_lock.mode));
}

/* over: the anchor has come to one of these, or an error waits, which a call that has bytes to return
 * leaves to the next one. */
static int over(struct sd_conn *c, int fd, short events)
{
	struct pollfd p = {fd, events, 0};
	struct timespec zero = {0, 0};
	if (sd_attached(c) && sd_peek(&c->slot->hdr.err[c->end]))
		return 1;
	return sd_sys(SYS_ppoll, &p, 1, &zero, 0, 8) == 1 && (p.revents & (events | POLLERR)) && sd_conn_of(fd) == c;
}

/* How much a call that may wait waits for. */
static size_t enough(struct sd_conn *c, int fd, int flags, size_t want)
{
	size_t low = flags & MSG_WAITALL ? want : sd_low_water(c, fd);
	return low < want ? low : want;
}

/* came: something that a receive would tell of. */
static int came(struct sd_conn *c, int fd)
{
	struct pollfd p = {fd, POLLIN | POLLRDHUP | POLLPRI, 0};
	struct timespec zero = {0, 0};
	return sd_sys(SYS_ppoll, &p, 1, &zero, 0, 8) == 1 ||
	       (sd_attached(c) && (sd_conn_mask(c, fd) & (POLLIN | POLLERR)));
}

/* sd_recv_now where it has to think. */
static int recv_fast(struct sd_conn *c, void *b, size_t n)
{
	if (!sd_attached(c) || n == 0 || sd_multi() || sd_peek(&sd_in(c)->rx_lock.mode))
		return 0;
	if (n > c->rx.ready) {
		sd_rx_aim(&c->rx);
		if (n > c->rx.ready)
			return 0;
	}
	sd_rx_take(&c->rx, b, n);
	received(c);
	return 1;
}

int sd_recv_fast(struct sd_conn *c, void *b, size_t n)
{
	sd_enter();
	int done = recv_fast(c, b, n);
	sd_leave();
	return done;
}

/* to_mark: it never passes an urgent mark, even where that is the first there is. */
static ssize_t receive(struct sd_conn *c, int fd, const struct iovec *iov, int n, int flags, struct msghdr *mh,
		       int to_mark)
{
	ssize_t r = sd_iov_len(iov, n);
	size_t done = 0, want = r;
	int64_t deadline = 0;
	int peek = flags & MSG_PEEK, last = 0, gave_up = 0, nonblock = -1;
	uint64_t serial = c->serial;
	size_t least = 0; /* it waits for: as things stand when it begins to */
	int waited = 0; /* who asks for no bytes waits once for something to come, and is not told what */
	if (r < 0)
		return r;
	if (flags & (MSG_OOB | MSG_ERRQUEUE)) {
		struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n};
		return sd_sys(SYS_recvmsg, fd, mh ? mh : &m, flags);
	}
	/* An empty ring means: spin, sleep, then ask the anchor, which the sleep watches; who may not block asks at once. */
	int ask = (flags & MSG_DONTWAIT) || want == 0;
	sd_cancellation_point();
	sd_handled = SD_NOTHING;
	for (;;) {
		int ends = (done || to_mark) && sd_stopped(c, fd, peek), asked = fd;
		if ((fd = sd_still(c, serial, fd)) < 0) {
			r = fd;
			break;
		}
		if (fd != asked)
			continue;
		if (ends) {
			if (!done)
				r = sd_nonblock(c, fd, flags) ? -EAGAIN : 0;
			break;
		}
		if (waited && want == 0 && came(c, fd)) {
			r = 0;
			break;
		}
		size_t skip = peek ? 0 : done;
		if (!sd_attached(c)) {
			r = kernel_recv(fd, iov, n, skip, want - skip, flags & ~MSG_WAITALL);
			sd_conn_tick(c, fd);
			if ((r == 0 || r == -EAGAIN) && sd_attached(c)) /* an error is the kernel's, and told only once */
				continue;
		} else {
			struct sd_direction *d = sd_in(c);
			int locked = sd_multi() || sd_peek(&d->rx_lock.mode);
			sd_enter();
			if (locked)
				sd_lock(&d->rx_lock);
			r = ring_try(c, fd, iov, n, skip, want - skip, flags, ask);
			if (locked)
				sd_unlock(&d->rx_lock);
			if (r > 0 && sd_peek(&d->rx.rgen) != 0 && !peek)
				received(c);
			sd_leave();
		}
		if (sd_moved(c, serial, &fd, r))
			continue;
		if (r > 0) {
			done = skip + r;
			ask = 0;
			if (done == want || last || done >= (least ? least : enough(c, fd, flags, want)))
				break;
			last = over(c, fd, peek ? POLLRDHUP : 0); /* what came before the end is looked at once more */
			if (last && !peek)
				break;
			if (last || !peek)
				continue;
			r = -EAGAIN; /* what was seen stays: wait for more */
		}
		if (r != -EAGAIN)
			break;
		if (gave_up < 0 || (gave_up && done)) {
			r = gave_up;
			break;
		}
		gave_up = 0;
		if (nonblock < 0)
			nonblock = sd_nonblock(c, fd, flags);
		if (nonblock) {
			if (ask || !sd_attached(c) || (peek && done))
				break;
			ask = 1;
			continue;
		}
		int more = peek && done;
		waited = 1;
		if (least == 0)
			least = enough(c, fd, flags, want);
		if (!more && sd_attached(c) && sd_spin(c, fd, SD_WAIT_RX)) {
			sd_enter();
			if (!sd_multi() && !sd_peek(&sd_in(c)->rx_lock.mode))
				sd_rx_look(&c->rx);
			sd_leave();
			if (n == 1 && done == 0 && (flags & ~MSG_WAITALL) == 0 && sd_recv_fast(c, iov->iov_base, want)) {
				r = want;
				goto out;
			}
			continue;
		}
		if (deadline == 0)
			deadline = sd_deadline(c, fd, SO_RCVTIMEO);
		do /* nothing below SO_RCVLOWAT wakes it, whatever it wants */
			r = sd_park(c, fd, more ? SD_WAIT_MORE : SD_WAIT_RX, deadline, done, want == 0 || to_mark);
		while (r == 0 && !more && sd_low_water(c, fd) > 1 && !came(c, fd) && !sd_ready(c, fd, SD_WAIT_RX) &&
		       sd_conn_of(fd) == c);
		ask = 1;
		if (r == 0)
			continue;
		if (want == 0)
			r = 0;
		else if (sd_low_water(c, fd) > 1)
			gave_up = r; /* less than that may have come */
		if (r <= 0 && !gave_up)
			break;
		if (r == SD_RESTARTED) {
			deadline = least = 0;
			nonblock = -1;
		}
	}
	if (done) {
		sd_conn_keep_error(c, r);
		r = done;
	}
	sd_tell(c, r);
out:
	if (mh && r >= 0) {
		mh->msg_namelen = 0;
		mh->msg_controllen = 0;
		mh->msg_flags = flags & MSG_CMSG_CLOEXEC;
	}
	return r;
}

ssize_t sd_recv(struct sd_conn *c, int fd, const struct iovec *iov, int n, int flags, struct msghdr *mh)
{
	return receive(c, fd, iov, n, flags, mh, 0);
}

ssize_t sd_recv_to_mark(struct sd_conn *c, int fd, void *b, size_t n, int flags)
{
	struct iovec v = {b, n};
	return receive(c, fd, &v, 1, flags, NULL, 1);
}
