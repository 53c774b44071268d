/* How a connection ends: what this end tells of its own, and what it finds out about the peer's. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

#include "sd.h"

/* close(2) shuts the socket both ways, then sends FIN, then lets go of the inode: until that last step
 * the receive shutdown tells it from a half-close, unless the peer called shutdown(SHUT_RD): such a
 * peer is deaf. It can read what it has, and the kernel answers RST to what comes. */
enum { HALF_CLOSED, CLOSED, DEAF };
static int closed(struct inet_diag_msg *m, int rest, const uint32_t *rd_shut)
{
	if (m->idiag_inode == 0)
		return CLOSED;
	for (struct rtattr *a = (void *)(m + 1); RTA_OK(a, rest); a = RTA_NEXT(a, rest))
		if (a->rta_type == INET_DIAG_SHUTDOWN && (*(uint8_t *)RTA_DATA(a) & 1))
			return sd_load(rd_shut) ? DEAF : CLOSED; /* it is set before the kernel is told */
	return HALF_CLOSED;
}

/* Asks sock_diag for the socket at the other end, in this network namespace. Only while our own FIN is
 * unsent: a live peer in TIME_WAIT has no inode either. */
static int peer_gone(int fd, const uint32_t *rd_shut)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} q = {.h = {.nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST}};
	struct sockaddr_in6 me, it;
	socklen_t n = sizeof me, m = sizeof it;
	if (sd_sys(SYS_getsockname, fd, &me, &n) < 0)
		return 0;
	if (sd_sys(SYS_getpeername, fd, &it, &m) < 0)
		return CLOSED;
	q.r.idiag_ext = 1 << (INET_DIAG_SHUTDOWN - 1);
	q.r.sdiag_family = me.sin6_family;
	q.r.sdiag_protocol = IPPROTO_TCP;
	q.r.idiag_states = ~0u;
	q.r.id.idiag_cookie[0] = q.r.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	q.r.id.idiag_sport = it.sin6_port;
	q.r.id.idiag_dport = me.sin6_port;
	if (me.sin6_family == AF_INET) {
		memcpy(q.r.id.idiag_src, &((struct sockaddr_in *)&it)->sin_addr, 4);
		memcpy(q.r.id.idiag_dst, &((struct sockaddr_in *)&me)->sin_addr, 4);
	} else if (IN6_IS_ADDR_V4MAPPED(&me.sin6_addr)) {
		q.r.sdiag_family = AF_INET; /* the peer may be a socket of either family */
		memcpy(q.r.id.idiag_src, &it.sin6_addr.s6_addr[12], 4);
		memcpy(q.r.id.idiag_dst, &me.sin6_addr.s6_addr[12], 4);
	} else {
		memcpy(q.r.id.idiag_src, &it.sin6_addr, 16);
		memcpy(q.r.id.idiag_dst, &me.sin6_addr, 16);
		q.r.id.idiag_if = it.sin6_scope_id;
	}
	int nl = sd_sys(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (nl < 0)
		return 0;
	int gone = HALF_CLOSED;
	union {
		struct nlmsghdr h;
		char b[1024];
	} a;
	if (sd_sys(SYS_sendto, nl, &q, sizeof q, 0, 0, 0) == sizeof q) {
		long k = sd_sys(SYS_recvfrom, nl, &a, sizeof a, 0, 0, 0);
		if (k >= (long)(NLMSG_HDRLEN + sizeof(struct inet_diag_msg)) && a.h.nlmsg_type == SOCK_DIAG_BY_FAMILY)
			gone = closed(NLMSG_DATA(&a.h), (int)(k - NLMSG_LENGTH(sizeof(struct inet_diag_msg))), rd_shut);
		else if (k >= (long)NLMSG_HDRLEN && a.h.nlmsg_type == NLMSG_ERROR)
			gone = ((struct nlmsgerr *)NLMSG_DATA(&a.h))->error == -ENOENT ? CLOSED : HALF_CLOSED;
	}
	sd_sys(SYS_close, nl);
	return gone;
}

/* After a FIN only the peer's socket tells a half-close from a full one: ask once, then at most once
 * in a tick of the coarse clock, or at any time when the peer says that it closes. A death with bytes of ours unread
 * is RST on Linux. What came after FIN is answered with RST, too: its error is EPIPE. */
void sd_conn_hung_up(struct sd_conn *c, int fd, short events)
{
	struct sd_direction *out = sd_out(c);
	uint32_t og = sd_tx_gen(out);
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	int64_t now = t.tv_sec * 1000000000ll + t.tv_nsec;
	int first = (events & ~c->kev) != 0, fin = c->kev & POLLRDHUP;
	c->kev |= events & (POLLRDHUP | POLLHUP);
	sd_conn_think(c);
	if (og == 0 || sd_class_of(out, og) == SD_CLASS_TCP || (!first && now == c->asked_ns && !sd_tx_closed(&c->tx)))
		return;
	c->asked_ns = now;
	if (events & POLLHUP) { /* RST, or both ways closed: the kernel answers from here on */
		sd_conn_demote_tx(c);
		return;
	}
	int gone = peer_gone(fd, &c->slot->hdr.rd_shut[!c->end]);
	if (gone != HALF_CLOSED) {
		uint32_t closed = sd_tx_closed(&c->tx);
		int unread = gone == CLOSED && sd_tx_unread(&c->tx) != 0 && closed != SD_CLOSED_BY_RST;
		/* Another thread may have called shutdown since: then it was our FIN that the peer's socket showed. */
		if (sd_conn_demote_tx(c) && unread) {
			sd_count(SD_COUNT_RESET);
			c->reset = 1;
			if (sd_peek(&c->slot->hdr.rd_shut[c->end]))
				fin = 0; /* it was our own SHUT_RD that the anchor showed */
			sd_store(&c->slot->hdr.err[c->end], fin || closed == SD_CLOSING ? EPIPE : ECONNRESET);
		}
	}
}

/* Two that close at once have both said so before either asks: then both are the last, else nobody. */
static int last_holder(struct sd_conn *c)
{
	if (!sd_peek(&sd_in(c)->rx_lock.mode))
		return 1;
	c->closing = sd_claim_closing(c->peer->arena, c->slotno, c->end);
	return c->closing && !sd_claimed(c->peer->arena, c->slotno, c->end);
}

void sd_conn_closing(struct sd_conn *c, int fd)
{
	if (!sd_attached(c) || sd_load(&c->refs) != 1)
		return;
	struct sd_direction *in = sd_in(c), *out = sd_out(c);
	if (sd_multi()) { /* let an operation of another thread finish before the slot can be reused */
		sd_lock(&in->rx_lock);
		sd_unlock(&in->rx_lock);
		sd_lock(&out->tx_lock);
		sd_unlock(&out->tx_lock);
	}
	if (!last_holder(c))
		return;
	sd_conn_number(c);
	sd_xchg(&in->rx_watch.closed, SD_CLOSING);
	if (sd_tx_gen(in) != 0 && sd_rx_unread(&c->rx) != 0) {
		struct linger l = {1, 0}; /* close with unread bytes is RST on Linux */
		sd_xchg(&in->rx_watch.closed, SD_CLOSED_BY_RST);
		sd_sys(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	}
}
