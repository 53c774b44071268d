/* How much of an anchor's bytes has come and is still to be read. */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include "sd.h"

enum { TCPS_TIME_WAIT = 6 }; /* from it on FIN has come, or RST; LISTEN is no connection */

uint64_t sd_kernel_received(int fd)
{
	struct tcp_info ti;
	return sd_tcp_info(fd, &ti) < 0 ? 0 : ti.tcpi_bytes_received;
}

int sd_kernel_ended(int fd)
{
	struct tcp_info ti;
	return sd_tcp_info(fd, &ti) < 0 || ti.tcpi_state >= TCPS_TIME_WAIT;
}

/* SIOCINQ, which does not count FIN; -1: it is no socket. */
static int unread(int fd)
{
	int q = 0;
	return sd_sys(SYS_ioctl, fd, SIOCINQ, &q) < 0 ? -1 : q;
}

sd_mutex sd_inq_mutex;

/* Unread, where more than the ring's beginning may be in the queue: an urgent byte, at which SIOCINQ would end, and
 * behind bytes FIN, which counts as one as it does in bytes_received. TCP_INQ (Linux 4.18) tells of it in every state
 * and whatever became of the connection since; it is on for a moment, for one thread at a time. Of an empty queue it
 * need not be known, and is not asked, which would take the socket's error; but for one at the mark of an urgent byte that
 * was thrown away: that error is kept for who reads next. -1: ask again. */
static int unread_with_fin(struct sd_conn *c, int fd)
{
	char control[256];
	struct msghdr m = {.msg_control = control, .msg_controllen = sizeof control};
	int was = 0, on = 1, q = unread(fd);
	socklen_t len = sizeof was;
	if (q < 0 || (q == 0 && !sd_at_mark(fd)))
		return q;
	sd_mutex_lock(&sd_inq_mutex);
	sd_sys(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INQ, &was, &len);
	sd_sys(SYS_setsockopt, fd, IPPROTO_TCP, TCP_INQ, &on, sizeof on);
	long r = sd_sys(SYS_recvmsg, fd, &m, MSG_PEEK | MSG_DONTWAIT);
	sd_sys(SYS_setsockopt, fd, IPPROTO_TCP, TCP_INQ, &was, sizeof was);
	sd_mutex_unlock(&sd_inq_mutex);
	if (r < 0 && r != -EAGAIN) {
		sd_conn_keep_error(c, r);
		return 0;
	}
	for (struct cmsghdr *h = r == 0 ? CMSG_FIRSTHDR(&m) : NULL; h; h = CMSG_NXTHDR(&m, h))
		if (h->cmsg_level == IPPROTO_TCP && h->cmsg_type == TCP_CM_INQ) {
			memcpy(&q, CMSG_DATA(h), sizeof q);
			return q;
		}
	return -1;
}

static int back_on_tcp(struct sd_direction *in) { return sd_class_of(in, sd_tx_gen(in)) == SD_CLASS_TCP; }

/* Bytes of the first n, before the ring, that are still to be read from the anchor. Once they have arrived nothing
 * comes after them but FIN, and SIOCINQ alone tells, unless the direction has gone back to TCP. All that is asked
 * for must be true at one time. */
uint64_t sd_kernel_left(struct sd_conn *c, int fd)
{
	struct sd_direction *in = sd_in(c);
	uint64_t n = sd_peek(&in->seg.base[1]);
	for (int i = 0; i < 1000; i++) {
		struct tcp_info a, b;
		int back = back_on_tcp(in), q;
		if (sd_tcp_info(fd, &a) < 0)
			break;
		q = back ? unread_with_fin(c, fd) : unread(fd);
		if (sd_tcp_info(fd, &b) < 0)
			break;
		uint64_t came = a.tcpi_bytes_received, read = came - q;
		if (q < 0 || came != b.tcpi_bytes_received || back != back_on_tcp(in))
			continue;
		if (came >= n && !back)
			return q;
		return read < n ? n - read : 0;
	}
	return 1;
}
