/* Where a receive stops: at the urgent mark, and below SO_RCVLOWAT. */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "sd.h"

int sd_at_mark(int fd)
{
	int at = 0;
	return sd_sys(SYS_ioctl, fd, SIOCATMARK, &at) < 0 || at;
}

/* Under SO_OOBINLINE only a peek itself stops before the mark: one that copies nothing. */
static int peek_ends(int fd)
{
	int q = 0;
	if (sd_sys(SYS_ioctl, fd, SIOCINQ, &q) < 0 || q == 0)
		return 0;
	ssize_t r = sd_sys(SYS_recvfrom, fd, NULL, q, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT, 0, 0);
	return r > 0 && r < q;
}

int sd_stopped(struct sd_conn *c, int fd, int peek)
{
	char b;
	int in_line = 0;
	socklen_t n = sizeof in_line;
	if (sd_attached(c) && !sd_rx_on_tcp(sd_in(c)))
		return 0;
	int behind = sd_attached(c) && sd_rx_unread(&c->rx) != 0; /* what the ring has comes before the mark */
	if (!peek || sd_at_mark(fd))
		return peek ? behind : !behind && sd_at_mark(fd);
	if (sd_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_OOBINLINE, &in_line, &n) == 0 && in_line)
		return peek_ends(fd);
	return sd_sys(SYS_recvfrom, fd, &b, 1, MSG_OOB | MSG_PEEK, 0, 0) == 1;
}

int sd_low_split(struct sd_conn *c)
{
	struct sd_direction *in = sd_in(c);
	return sd_peek(&in->rx.low) > 1 && sd_tx_gen(in) != 0 && sd_rx_on_tcp(in) && sd_rx_unread(&c->rx) != 0;
}
