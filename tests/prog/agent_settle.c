// SPDX-License-Identifier: Apache-2.0
// Waiting until what was sent has arrived: both ends of each connection of the program are looked up
// in the kernel, by address, whoever holds them.
#include "agent.h"
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/pidfd.h>

enum { ESTABLISHED = 1, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING };
enum { STILL_US = 4000, GIVE_UP_US = 5000000, NAP_US = 20 };

struct end {
	int state; // CLOSE: the kernel knows no such socket
	uint64_t written, unacked, received;
	bool orphan; // FIN_WAIT2 without a file: RST answers whatever comes
	bool open;   // it has a file
};

static struct end look(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} q = {
		.h = {sizeof q, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0},
		.r = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_ext = 1 << (INET_DIAG_INFO - 1), .idiag_states = ~0u},
	};
	q.r.id.idiag_sport = a->sin_port;
	q.r.id.idiag_dport = b->sin_port;
	q.r.id.idiag_src[0] = a->sin_addr.s_addr;
	q.r.id.idiag_dst[0] = b->sin_addr.s_addr;
	q.r.id.idiag_cookie[0] = q.r.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	_Alignas(8) char buf[4096];
	must(send(DIAG_FD, &q, sizeof q, 0));
	long n = must(recv(DIAG_FD, buf, sizeof buf, 0));
	struct nlmsghdr *h = (void *)buf;
	if (h->nlmsg_type == NLMSG_ERROR)
		return (struct end){.state = CLOSE};
	struct inet_diag_msg *m = (void *)(h + 1);
	if (m->idiag_state == LISTEN || m->id.idiag_dport != b->sin_port)
		return (struct end){.state = CLOSE}; // the look-up falls back to a listener
	struct end e = {m->idiag_state, m->idiag_wqueue, m->idiag_wqueue, 0, m->idiag_state == FIN_WAIT2, m->idiag_inode != 0};
	for (char *p = (char *)(m + 1); p + 4 <= buf + n;) {
		struct nlattr *at = (void *)p;
		if (at->nla_len < 4)
			break;
		if (at->nla_type == INET_DIAG_INFO) {
			struct tcp_info ti = {0};
			size_t len = at->nla_len - 4;
			memcpy(&ti, p + 4, len < sizeof ti ? len : sizeof ti);
			e.written += ti.tcpi_bytes_acked;
			e.orphan = false;
			e.received = ti.tcpi_bytes_received;
		}
		p += (at->nla_len + 3) & ~3;
	}
	return e;
}

static bool sent_fin(int s) { return s == FIN_WAIT1 || s == FIN_WAIT2 || s == CLOSING || s == LAST_ACK || s == TIME_WAIT; }
static bool got_fin(int s) { return s == CLOSE_WAIT || s == LAST_ACK || s == CLOSING || s == TIME_WAIT || s == CLOSE; }

// arrived tells whether everything that a has sent is at b. base: bytes_acked counts the SYN.
static bool arrived(struct end a, struct end b, uint64_t base)
{
	if (a.state == CLOSE)
		return b.state == CLOSE || b.state == TIME_WAIT;
	if (a.state == TIME_WAIT)
		return b.state == CLOSE;
	if (sent_fin(a.state)) // the ACK of FIN is an event, too
		return got_fin(b.state) && a.state != FIN_WAIT1 && a.state != LAST_ACK && a.state != CLOSING;
	return b.orphan ? a.unacked == 0 : a.written - base == b.received;
}

static bool quiet(struct conn *c, struct end *a, struct end *b)
{
	*a = look(&c->a, &c->b);
	*b = look(&c->b, &c->a);
	if (a->state == SYN_SENT && b->state == CLOSE)
		return true; // the listener's queue is full
	if (a->state == SYN_SENT || a->state == SYN_RECV || b->state == SYN_RECV)
		return false;
	if (memcmp(&c->a, &c->b, sizeof c->a) == 0) // connected to itself
		return a->state != FIN_WAIT1 && a->state != CLOSING && (a->state != ESTABLISHED || a->written - 1 == a->received);
	c->over = a->state == CLOSE && b->state == CLOSE;
	return arrived(*a, *b, 1) && arrived(*b, *a, 0);
}

static bool same(const struct end *a, const struct end *b)
{
	return a->state == b->state && a->written == b->written && a->unacked == b->unacked && a->received == b->received;
}

void settle(bool strained)
{
	for (uint32_t i = 0; i < w->nconns; i++) {
		struct conn *c = &w->conn[i];
		struct end a, b, a0 = {0}, b0 = {0};
		uint64_t start = now_ns(), since = start;
		while (!c->over && !quiet(c, &a, &b)) {
			uint64_t now = now_ns();
			if (!same(&a, &a0) || !same(&b, &b0))
				since = now;
			a0 = a, b0 = b;
			if (strained && now - since > STILL_US * 1000ull)
				break;
			if (now - start > GIVE_UP_US * 1000ull) {
				dprintf(ERR_FD, "agent: a connection does not settle: ports %d %d, states %d %d, written %lu %lu, received %lu %lu\n",
					ntohs(c->a.sin_port), ntohs(c->b.sin_port),
					a.state, b.state, a.written, b.written, a.received, b.received);
				break;
			}
			nap_us(NAP_US);
		}
	}
}

// ends_of gives the addresses of both ends of a connection; none when its listener's queue is full.
static bool ends_of(int fd, struct conn *c)
{
	struct sockaddr_storage own, peer;
	socklen_t len = sizeof own, len2 = sizeof peer;
	if (getsockname(fd, (void *)&own, &len) < 0 || getpeername(fd, (void *)&peer, &len2) < 0)
		return false;
	plain_address(&own);
	plain_address(&peer);
	*c = (struct conn){*(struct sockaddr_in *)&own, *(struct sockaddr_in *)&peer, false};
	return true;
}

// note_connection remembers the addresses of a socket that has called connect.
void note_connection(int fd)
{
	struct conn c;
	if (w->nconns == MAX_CONNS || !ends_of(fd, &c))
		return;
	for (uint32_t i = 0; i < w->nconns; i++)
		if (memcmp(&w->conn[i].a, &c.a, sizeof c.a) == 0 && memcmp(&w->conn[i].b, &c.b, sizeof c.b) == 0)
			return;
	w->conn[w->nconns++] = c;
}

// until_no_file waits until a connection whose last number is gone is closed: whoever looks that up in /proc, as
// the monitor does, holds the socket for a moment.
static void until_no_file(const struct conn *c)
{
	for (uint64_t start = now_ns(); look(&c->a, &c->b).open && now_ns() - start < GIVE_UP_US * 1000ull;)
		nap_us(NAP_US);
}

long close_last(int fd)
{
	struct conn c;
	bool known = ends_of(fd, &c);
	long r = close(fd);
	if (known)
		until_no_file(&c);
	return r;
}

long dup3_over_last(int fd, int to, int flags)
{
	struct conn c;
	bool known = ends_of(to, &c);
	long r = dup3(fd, to, flags);
	if (known && r >= 0)
		until_no_file(&c);
	return r;
}

void wait_gone(int pid)
{
	int fd = pidfd_open(pid, 0);
	if (fd < 0)
		return;
	struct pollfd p = {fd, POLLIN, 0};
	poll(&p, 1, GIVE_UP_US / 1000);
	close(fd);
}
