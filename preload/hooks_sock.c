/* Options and half-close. The anchor keeps every option; here only what changes the path. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/epoll.h>

#include "real.h"
#include "ring_fast.h"

static int switches_off(int name, const void *value, socklen_t len)
{
	return value && len >= sizeof(int) && (name == SO_PEEK_OFF ? *(const int *)value < 0 : *(const int *)value == 0);
}

/* The kernel keeps it: a candidate stays there, and a connection that has left is refused, as by a kernel that
 * lacks it. */
static int lacking(struct sd_conn *c, int fd)
{
	sd_conn_keep(c, fd, SD_STATUS_OPTION);
	if (!sd_attached(c))
		return 0;
	sd_count(SD_COUNT_UNHOOKED);
	return 1;
}

static int sizes(int name)
{
	return name == SO_SNDBUF || name == SO_RCVBUF || name == SO_SNDBUFFORCE || name == SO_RCVBUFFORCE ||
	       name == SO_RCVLOWAT;
}

/* Linux looks whether there is room now, and tells of it as if there had been none. */
static int looks_for_room(int level, int name)
{
	return level == SOL_SOCKET ? name == SO_SNDBUF || name == SO_SNDBUFFORCE
				   : level == IPPROTO_TCP && name == TCP_NOTSENT_LOWAT;
}

static int on_ring(struct sd_direction *d)
{
	uint32_t gen = sd_tx_gen(d);
	return gen != 0 && sd_class_of(d, gen) != SD_CLASS_TCP;
}

SD_EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	struct sd_conn *c = sd_live(fd);
	if (c && sd_option_only_tcp(level, name) && !switches_off(name, value, len) && lacking(c, fd))
		return sd_ret(-ENOPROTOOPT);
	int r = sd_real()->setsockopt(fd, level, name, value, len);
	if (!c && r == 0 && sd_option_only_tcp(level, name))
		sd_options_early = 1;
	if (!c || r < 0)
		return r;
	c->known = 0;
	if (level == SOL_SOCKET && sizes(name))
		sd_conn_buffers(c, fd);
	if (looks_for_room(level, name) && sd_attached(c)) {
		if (!on_ring(sd_out(c)))
			sd_members_on_tcp(c); /* the kernel sets may not be asked for it: the peer's end has moved us there */
		else if (sd_conn_writable(c))
			sd_members_edge(c, EPOLLOUT | EPOLLWRNORM);
	}
	if (level == SOL_SOCKET && name == SO_RCVLOWAT && sd_attached(c) && (sd_conn_mask(c, fd) & POLLIN)) {
		/* What is there may be enough now: for who sleeps, too, and with the key of all that arrives. */
		sd_members_edge(c, EPOLLIN | EPOLLRDNORM | EPOLLPRI | EPOLLRDBAND);
		sd_watch_fire(&sd_in(c)->rx_watch, sd_g.bells, 1);
	}
	return r;
}

/* What rings have carried of a direction that left TCP there. */
static uint64_t carried(struct sd_direction *d, uint64_t left)
{
	uint32_t gen = sd_tx_gen(d);
	if (gen == 0)
		return 0;
	return (sd_class_of(d, gen) == SD_CLASS_TCP ? sd_base_of(d, gen) : sd_load(&d->tx.tail)) - left;
}

/* The anchor's segments, and all bytes. Where another process may have read across the place at which a
 * direction left TCP, that is not known any more: then the anchor's bytes. */
static void inform(struct sd_conn *c, struct tcp_info *ti, socklen_t len)
{
	struct sd_direction *in = sd_in(c), *out = sd_out(c);
	if (len < offsetof(struct tcp_info, tcpi_bytes_retrans) || sd_peek(&in->rx_lock.mode))
		return;
	uint64_t left = sd_peek(&in->rx.rgen) == 0 ? sd_base_of(in, 1) : c->left_rx;
	ti->tcpi_bytes_acked += carried(out, c->left_tx);
	ti->tcpi_bytes_sent += carried(out, c->left_tx);
	ti->tcpi_bytes_received += carried(in, left);
}

SD_EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	struct sd_conn *c = sd_live(fd);
	if (c && level == IPPROTO_TCP && name == TCP_ZEROCOPY_RECEIVE && lacking(c, fd))
		return sd_ret(-ENOPROTOOPT);
	int r = sd_real()->getsockopt(fd, level, name, value, len);
	if (c && r == 0 && level == IPPROTO_TCP && name == TCP_INFO && sd_attached(c))
		inform(c, value, *len);
	if (c && r == 0 && level == SOL_SOCKET && name == SO_ERROR && *len >= sizeof(int) && *(int *)value == 0 &&
	    sd_attached(c))
		*(int *)value = -sd_conn_error(c);
	if (c && r == 0 && level == SOL_SOCKET && name == SO_ERROR && *len >= sizeof(int))
		sd_tell(c, -*(int *)value);
	return r;
}

/* SHUT_WR ends the last ring where it stands: the stream continues on the anchor, where the kernel
 * sends FIN and answers EPIPE itself. */
SD_EXPORT int shutdown(int fd, int how)
{
	struct sd_conn *c = sd_live(fd);
	if (c && !sd_attached(c))
		sd_conn_keep(c, fd, SD_STATUS_OK);
	if (c && sd_attached(c)) {
		if (how == SHUT_WR || how == SHUT_RDWR) {
			if (sd_tx_gen(sd_out(c)) != 0)
				sd_conn_demote_tx(c);
			sd_conn_number(c);
		}
		if (how == SHUT_RD || how == SHUT_RDWR) {
			sd_store(&c->slot->hdr.rd_shut[c->end], 1);
			sd_waker_kick_all();
		}
	}
	int r = sd_real()->shutdown(fd, how);
	if (c && sd_attached(c) && (r == 0 || errno == ENOTCONN)) {
		sd_conn_shut(c, fd);
		sd_members_on_tcp(c);
		sd_members_edge(c, ~0u);
		sd_watch_fire(&sd_out(c)->tx_watch, sd_g.bells, 1); /* who waits for room */
	}
	return r;
}
