/* A connection's way from its anchor to the rings and back. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

#include "sd.h"

sd_mutex sd_promote_mutex;

enum { TCPS_ESTABLISHED = 1, TCPS_CLOSE_WAIT = 8 };
#define GIVE_UP_OPS 256
#define GIVE_UP_NS 2000000000ll /* longer than it takes either end to look for a monitor again */

int sd_tcp_info(int fd, struct tcp_info *ti)
{
	socklen_t len = sizeof *ti;
	memset(ti, 0, sizeof *ti);
	return sd_sys(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, ti, &len);
}

/* Bytes written to the anchor so far, asked of the kernel, so that bytes written by code that we do
 * not see count too. bytes_acked counts the SYN on the connecting end; the peer's FIN changes nothing.
 * -1: not known now, or our own FIN is under way. */
static int64_t kernel_written(int fd, int end)
{
	for (int i = 0; i < 16; i++) {
		struct tcp_info a, b;
		int q;
		if (sd_tcp_info(fd, &a) < 0 || sd_sys(SYS_ioctl, fd, SIOCOUTQ, &q) < 0 || sd_tcp_info(fd, &b) < 0 ||
		    (b.tcpi_state != TCPS_ESTABLISHED && b.tcpi_state != TCPS_CLOSE_WAIT))
			return -1;
		if (a.tcpi_bytes_acked == b.tcpi_bytes_acked)
			return a.tcpi_bytes_acked + q - (end == 0);
	}
	return -1;
}

void sd_conn_keep(struct sd_conn *c, int fd, unsigned why)
{
	static const uint8_t counter[] = {[SD_STATUS_FORKED] = SD_COUNT_FORKED,
					  [SD_STATUS_OPTION] = SD_COUNT_OPTION,
					  [SD_STATUS_STDIO] = SD_COUNT_STDIO,
					  [SD_STATUS_MEMBERS] = SD_COUNT_OPTION,
					  [SD_STATUS_PASSED] = SD_COUNT_PASSED};
	sd_mutex_lock(&sd_promote_mutex);
	uint32_t st = sd_load(&c->state);
	if (st == SD_ST_TCP || st == SD_ST_OFFERED)
		sd_store(&c->state, SD_ST_KERNEL);
	sd_mutex_unlock(&sd_promote_mutex);
	if (why < sizeof counter && counter[why] && (st == SD_ST_TCP || st == SD_ST_OFFERED))
		sd_count(counter[why]);
	if (st == SD_ST_OFFERED)
		sd_mon_note(c, fd, why);
}

int sd_conn_error(struct sd_conn *c)
{
	uint32_t e = sd_peek(&c->slot->hdr.err[c->end]);
	return e && sd_cas(&c->slot->hdr.err[c->end], e, 0) ? -(int)e : 0;
}

/* What only a number says that names something else by now. */
static int of_another(ssize_t r) { return r == -EBADF || r == -ENOTSOCK || r == -ENOTCONN || r == -EINVAL; }

int sd_moved(struct sd_conn *c, uint64_t serial, int *fd, ssize_t r)
{
	int now = sd_still(c, serial, *fd);
	if (now == *fd || now < 0 || (r != 0 && r != -EAGAIN && !of_another(r)))
		return 0;
	*fd = now;
	return 1;
}

void sd_conn_keep_error(struct sd_conn *c, ssize_t r)
{
	if (r >= 0 || r == -EAGAIN || r == -EINTR || r == -EFAULT || of_another(r) || !sd_attached(c))
		return;
	sd_store(&c->slot->hdr.err[c->end], -r);
	sd_conn_think(c);
}

/* connect(2) with AF_UNSPEC: this stream is over, and what the socket does next is the kernel's. */
void sd_conn_disconnected(struct sd_conn *c, int fd)
{
	sd_conn_keep(c, fd, SD_STATUS_OK);
	if (!sd_attached(c))
		return;
	sd_conn_think(c);
	sd_xchg(&sd_in(c)->rx_watch.closed, SD_CLOSED_BY_RST);
	sd_watch_fire(&sd_out(c)->rx_watch, c->peer->bells, 1);
	sd_store(&c->state, SD_ST_KERNEL);
	sd_members_given_back(c);
}

/* Shut both ways: bytes of the peer that come now are answered with RST, so its sender must go by the
 * anchor. */
void sd_conn_shut(struct sd_conn *c, int fd)
{
	struct tcp_info ti;
	if (sd_peek(&c->slot->hdr.rd_shut[c->end]) && sd_tcp_info(fd, &ti) == 0 && ti.tcpi_state != TCPS_ESTABLISHED &&
	    ti.tcpi_state != TCPS_CLOSE_WAIT)
		sd_xchg(&sd_in(c)->rx_watch.closed, SD_CLOSING);
}

void sd_conn_number(struct sd_conn *c)
{
	c->numbered = sd_watch_number(&sd_out(c)->rx_watch, c->peer->bells, c->numbered);
}

/* Our direction is TCP's from here on, for good: somebody writes to it without us, or what is sent has a mark. What
 * the peer has put, or puts, into its ring only our own read sees. 1: it was promoted. */
int sd_conn_to_tcp(struct sd_conn *c, int fd, unsigned why)
{
	sd_conn_keep(c, fd, why);
	if (!sd_attached(c))
		return 0;
	sd_conn_share_tx(c);
	sd_conn_think(c);
	if (sd_conn_demote_tx(c))
		sd_watch_fire(&sd_out(c)->tx_watch, sd_g.bells, 1); /* who waits for room finds it on TCP */
	sd_members_on_tcp(c);
	return 1;
}

/* By libc's stdio, and programs that are started with the connection as their standard output. */
void sd_conn_stdio(struct sd_conn *c, int fd, int to)
{
	if (sd_conn_to_tcp(c, fd, SD_STATUS_STDIO) && to == 0)
		sd_stdio_input();
}

void sd_conn_inherited(struct sd_conn *c, int fd)
{
	if (sd_conn_to_tcp(c, fd, SD_STATUS_FORKED))
		sd_count(SD_COUNT_EXEC_INHERITED);
}

void sd_conn_tick(struct sd_conn *c, int fd)
{
	uint32_t st = sd_peek(&c->state), ops = ++c->ops;
	/* Being ready to move costs a call on TCP two more system calls: not for ever. */
	if (ops % GIVE_UP_OPS == 0 && (st == SD_ST_TCP || st == SD_ST_OFFERED)) {
		int64_t now = sd_now_ns();
		if (c->asked_ns == 0)
			c->asked_ns = now;
		else if (now - c->asked_ns > GIVE_UP_NS)
			sd_conn_keep(c, fd, SD_STATUS_NO_PEER);
	}
	if (st == SD_ST_TCP && ops >= 2)
		sd_mon_offer(c, fd);
	else if (st == SD_ST_OFFERED)
		sd_mon_mail();
}

void sd_conn_attach(struct sd_conn *c, struct sd_peer *p, uint32_t slotno, uint32_t end)
{
	struct sd_slot *s = (struct sd_slot *)(p->mem + SD_CTL_OFF) + slotno;
	unsigned char *rings = p->mem + SD_RING_OFF + (size_t)slotno * 2 * SD_DIR_STRIDE;
	if (sd_load(&c->state) != SD_ST_OFFERED || end != c->end || sd_peek(&s->hdr.cookie[end]) != c->cookie)
		return;
	c->peer = p;
	c->slotno = slotno;
	c->slot = s;
	c->tx = (struct sd_tx){.d = &s->dir[end], .mem = rings + end * (size_t)SD_DIR_STRIDE};
	c->rx = (struct sd_rx){.d = &s->dir[!end], .mem = rings + !end * (size_t)SD_DIR_STRIDE};
	sd_xchg(&c->state, SD_ST_ATTACHED);
	sd_conn_tell_buffers(c);
	/* From here on the peer may leave TCP: everybody who waits here must hear the bell too. */
	sd_members_attach(c);
	sd_xchg(&s->hdr.attached[end], 1);
	sd_waker_kick_all();
}

/* The reader cannot go beyond N before it has all of it, and no later byte will push what Nagle's
 * algorithm, TCP_CORK or MSG_MORE hold back. Setting TCP_NODELAY overrides all three until the next byte
 * is queued, also for what does not fit into the window now: pulling the cork out and in again does not. */
static void push(int fd)
{
	int was = 1, on = 1;
	socklen_t len = sizeof was;
	sd_sys(SYS_getsockopt, fd, IPPROTO_TCP, TCP_NODELAY, &was, &len);
	sd_sys(SYS_setsockopt, fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (!was)
		sd_sys(SYS_setsockopt, fd, IPPROTO_TCP, TCP_NODELAY, &was, sizeof was);
}

int sd_conn_promote(struct sd_conn *c, int fd)
{
	struct sd_direction *d = sd_out(c);
	if (!sd_load(&c->slot->hdr.attached[!c->end]) || sd_peek(&d->tx_lock.mode))
		return 0;
	if (!sd_cas(&c->switching, 0, 1))
		return 0;
	int done = 0;
	if (sd_load(&c->ksend) == 0 && sd_tx_gen(d) == 0) {
		int64_t n = kernel_written(fd, c->end);
		if (n >= 0 && sd_conn_of(fd) == c) {
			push(fd);
			sd_tx_open(&c->tx, n);
			c->left_tx = n;
			sd_count(SD_COUNT_PROMOTED);
			/* The peer may have closed: the first send asks. */
			struct pollfd p = {fd, POLLRDHUP, 0};
			struct timespec zero = {0, 0};
			if (sd_sys(SYS_ppoll, &p, 1, &zero, 0, 8) == 1)
				c->kev |= p.revents & POLLRDHUP;
			done = 1;
		}
	}
	sd_store(&c->switching, 0);
	return done || sd_tx_gen(d) != 0;
}

/* A promotion that another thread has begun holds tx_lock: it counts bytes that only we write. */
void sd_conn_share_tx(struct sd_conn *c)
{
	struct sd_direction *d = sd_out(c);
	if (!sd_peek(&d->tx_lock.mode)) {
		sd_lock(&d->tx_lock);
		sd_store(&d->tx_lock.mode, SD_LOCK_SHARED);
		sd_unlock(&d->tx_lock);
	}
}

int sd_conn_demote_tx(struct sd_conn *c)
{
	struct sd_direction *d = sd_out(c);
	sd_lock(&d->tx_lock);
	sd_tx_load(&c->tx);
	int was_ring = c->tx.gen != 0 && c->tx.class != SD_CLASS_TCP;
	if (was_ring) {
		sd_tx_to_tcp(&c->tx);
		sd_count(SD_COUNT_TO_TCP);
	}
	sd_unlock(&d->tx_lock);
	if (was_ring) {
		c->numbered = 0;
		sd_watch_fire(&d->rx_watch, c->peer->bells, 1);
	}
	return was_ring;
}

/* A forked process shares the description's flags and changes them where this one does not see it;
 * otherwise every change comes through fcntl, ioctl or setsockopt here and clears what is known. */
static int known(struct sd_conn *c, unsigned bit)
{
	return (c->known & bit) && !(sd_attached(c) && sd_peek(&sd_out(c)->tx_lock.mode));
}

int sd_nonblock(struct sd_conn *c, int fd, int flags)
{
	if (flags & MSG_DONTWAIT)
		return 1;
	if (!known(c, SD_KNOWN_BLOCKS)) {
		int is;
		do
			is = sd_sys(SYS_fcntl, fd, F_GETFL);
		while (sd_moved(c, c->serial, &fd, -EBADF));
		if (sd_conn_of(fd) != c)
			return 0; /* it has no number, and goes no further */
		c->blocks = !(is & O_NONBLOCK);
		c->known |= SD_KNOWN_BLOCKS;
	}
	return !c->blocks;
}

int64_t sd_deadline(struct sd_conn *c, int fd, int optname)
{
	unsigned bit = optname == SO_RCVTIMEO ? SD_KNOWN_NO_RCVTIMEO : SD_KNOWN_NO_SNDTIMEO;
	struct timeval t;
	socklen_t n = sizeof t;
	if (known(c, bit))
		return INT64_MAX;
	int r;
	do
		r = sd_sys(SYS_getsockopt, fd, SOL_SOCKET, optname, &t, &n);
	while (sd_moved(c, c->serial, &fd, -EBADF));
	if (r < 0 || (t.tv_sec == 0 && t.tv_usec == 0)) {
		if (sd_conn_of(fd) == c)
			c->known |= bit;
		return INT64_MAX;
	}
	return sd_now_ns() + t.tv_sec * 1000000000ll + t.tv_usec * 1000ll;
}

/* As much as SO_RCVLOWAT asks for, what is left on TCP before the ring included; what of that is on its way comes
 * before the ring, too. */
int sd_conn_readable(struct sd_conn *c, int fd)
{
	struct sd_direction *in = sd_in(c);
	uint64_t unread = sd_rx_unread(&c->rx), low = sd_peek(&in->rx.low);
	int young = sd_peek(&in->rx.rgen) == 0, q = 0;
	if ((young || low > 1) && sd_rx_on_tcp(in) && sd_sys(SYS_ioctl, fd, SIOCINQ, &q) == 0) {
		if (young && sd_tx_gen(in) != 0 && sd_kernel_left(c, fd) > (uint64_t)q)
			unread = 0;
		unread += q;
	}
	return unread != 0 && unread >= low;
}

static short anchor_mask(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | POLLPRI, 0};
	struct timespec zero = {0, 0};
	return sd_sys(SYS_ppoll, &p, 1, &zero, 0, 8) == 1 ? p.revents : 0;
}

int sd_conn_writable(struct sd_conn *c)
{
	return sd_tx_writable(&c->tx) || (sd_tx_refused(&c->tx, sd_now_ns()) && sd_tx_writable(&c->tx));
}

short sd_conn_mask(struct sd_conn *c, int fd)
{
	if (!sd_attached(c)) /* disconnected, and a member of a set under a number that is closed */
		return anchor_mask(fd);
	struct sd_direction *in = sd_in(c), *out = sd_out(c);
	uint32_t ig = sd_tx_gen(in), og = sd_tx_gen(out);
	if (sd_tx_closed(&c->tx) && og != 0 && sd_class_of(out, og) != SD_CLASS_TCP) {
		sd_conn_hung_up(c, fd, anchor_mask(fd)); /* FIN may be behind bytes that nobody reads */
		og = sd_tx_gen(out);
	}
	short m = c->kev & POLLRDHUP, k = 0;
	int rx_tcp = ig == 0 || sd_peek(&in->rx.rgen) == 0 || sd_class_of(in, ig) == SD_CLASS_TCP;
	int tx_tcp = og == 0 || sd_class_of(out, og) == SD_CLASS_TCP;
	if (rx_tcp || tx_tcp || (c->kev & POLLHUP) || sd_tx_closed(&c->tx)) {
		k = anchor_mask(fd);
		if (k & ~c->kev & (POLLRDHUP | POLLHUP)) { /* the next send must know it too */
			sd_conn_hung_up(c, fd, k);
			return sd_conn_mask(c, fd);
		}
		m |= k & (POLLRDHUP | POLLHUP | POLLERR | POLLPRI);
	}
	if (sd_peek(&c->slot->hdr.rd_shut[c->end]))
		m |= POLLRDHUP;
	if (((rx_tcp || (c->kev & POLLHUP)) && (k & POLLIN)) || (m & POLLRDHUP) ||
	    (ig != 0 && sd_conn_readable(c, fd)))
		m |= POLLIN | POLLRDNORM;
	if (tx_tcp ? (k & POLLOUT) != 0 : sd_conn_writable(c))
		m |= POLLOUT | POLLWRNORM;
	if (c->reset)
		m |= POLLHUP | POLLIN | POLLRDNORM | POLLRDHUP | POLLOUT | POLLWRNORM;
	if (sd_peek(&c->slot->hdr.err[c->end]))
		m |= POLLERR | POLLHUP | POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
	return m;
}
