/* How much of an anchor's bytes has come and is still to be read. */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>

#include "sd.h"

enum { TCPS_TIME_WAIT = 6, TCPS_CLOSE = 7 }; /* in what comes after it FIN has come; LISTEN is no connection */

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

/* SIOCINQ; far: one that does not end at an urgent byte. -1: it is no socket. */
static int unread(int fd, int far)
{
	int q = 0, was = 0, on = 1;
	socklen_t len = sizeof was;
	if (far) {
		sd_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_OOBINLINE, &was, &len);
		sd_sys(SYS_setsockopt, fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
	}
	long r = sd_sys(SYS_ioctl, fd, SIOCINQ, &q);
	if (far)
		sd_sys(SYS_setsockopt, fd, SOL_SOCKET, SO_OOBINLINE, &was, sizeof was);
	return r < 0 ? -1 : q;
}

static int back_on_tcp(struct sd_direction *in) { return sd_class_of(in, sd_tx_gen(in)) == SD_CLASS_TCP; }

/* FIN, which counts as a byte received, is among those that have come after the first n. What ended a closed socket
 * its error tells, which is kept. A single byte before RST was FIN, unless it is an urgent one in the queue, before
 * which no ring begins, or we cannot have shut our side, after which RST does not tell of FIN. */
static int fin_came(struct sd_conn *c, int fd, const struct tcp_info *ti, uint64_t n, int urgent)
{
	int e = 0;
	socklen_t len = sizeof e;
	if (ti->tcpi_state != TCPS_CLOSE)
		return ti->tcpi_state > TCPS_CLOSE;
	sd_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &e, &len);
	if (e)
		sd_store(&c->slot->hdr.err[c->end], e);
	else if ((e = sd_peek(&c->slot->hdr.err[c->end])) == 0 && c->told)
		e = ECONNRESET;
	if (e == ECONNRESET)
		return !urgent && ti->tcpi_bytes_received == n + 1 && (sd_tx_gen(sd_out(c)) == 0 || back_on_tcp(sd_out(c)));
	return e == 0 || e == EPIPE;
}

/* Bytes of the first n, before the ring, that are still to be read from the anchor. After them nothing comes but
 * FIN, which counts in some states only, unless the direction has gone back to TCP: once n have arrived, SIOCINQ
 * alone tells. All that is asked for must be true at one time. */
uint64_t sd_kernel_left(struct sd_conn *c, int fd)
{
	struct sd_direction *in = sd_in(c);
	uint64_t n = sd_peek(&in->seg.base[1]);
	for (int i = 0; i < 1000; i++) {
		struct tcp_info a, b;
		int back = back_on_tcp(in), q;
		if (sd_tcp_info(fd, &a) < 0 || (q = unread(fd, back)) < 0 || sd_tcp_info(fd, &b) < 0)
			break;
		uint64_t came = a.tcpi_bytes_received;
		if (came != b.tcpi_bytes_received || back != back_on_tcp(in))
			continue;
		if (came < n)
			return n - (came - q);
		if (!back)
			return q;
		if (came > n && came > (uint64_t)q) /* FIN is not in the queue */
			came -= fin_came(c, fd, &a, n, unread(fd, 0) != q);
		return came > n ? n - (came - q < n ? came - q : n) : (uint64_t)q;
	}
	return 1;
}
