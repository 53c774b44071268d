/* SO_SNDBUF, SO_RCVBUF and SO_RCVLOWAT: the anchor keeps them, the ends keep to them (layout.go, Buf, Low). */
#include <linux/socket.h>

#include "sd.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

/* What the buffer holds, as set by the program or for a listener; the kernel sizes others as it goes. */
static uint32_t buffer(int fd, int name, uint32_t lock, uint32_t unset)
{
	uint32_t set = lock, size = unset;
	socklen_t n = sizeof set, k = sizeof size;
	if (sd_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_BUF_LOCK, &set, &n) == 0 && !(set & lock))
		return unset;
	sd_sys(SYS_getsockopt, fd, SOL_SOCKET, name, &size, &k);
	return size;
}

static uint32_t asked_low_water(int fd)
{
	uint32_t low = 1;
	socklen_t n = sizeof low;
	sd_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_RCVLOWAT, &low, &n);
	return low;
}

uint32_t sd_low_water(struct sd_conn *c, int fd)
{
	return sd_attached(c) ? sd_peek(&sd_in(c)->rx.low) : asked_low_water(fd);
}

void sd_conn_tell_buffers(struct sd_conn *c)
{
	sd_store(&sd_out(c)->tx.buf, c->sndbuf);
	sd_store(&sd_in(c)->rx.buf, c->rcvbuf);
	sd_store(&sd_in(c)->rx.low, c->low);
}

/* A larger buffer may be what a sender waits for. */
void sd_conn_buffers(struct sd_conn *c, int fd)
{
	sd_store(&c->sndbuf, buffer(fd, SO_SNDBUF, SOCK_SNDBUF_LOCK, SD_SEND_BUF));
	uint32_t low = asked_low_water(fd);
	if (low > SD_CAP_SPILL / 2) /* more than a ring is sure to hold */
		low = SD_CAP_SPILL / 2;
	sd_store(&c->low, low);
	/* TCP, too, makes room for twice as much. */
	sd_store(&c->rcvbuf, buffer(fd, SO_RCVBUF, SOCK_RCVBUF_LOCK, 2 * low > SD_RECV_BUF ? 2 * low : SD_RECV_BUF));
	if (!sd_attached(c))
		return;
	sd_conn_tell_buffers(c);
	sd_conn_think(c);
	struct sd_rx theirs = {.d = sd_out(c)}; /* another process may be allowed more than this one */
	if (sd_rx_sender_wants(&theirs))
		sd_watch_fire(&sd_out(c)->tx_watch, sd_g.bells, 1);
	sd_watch_fire(&sd_in(c)->tx_watch, c->peer->bells, 1);
}
