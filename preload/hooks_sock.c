/* Options and half-close. The anchor keeps every option; here only what changes the path. */
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "real.h"

#ifndef TCP_REPAIR
#define TCP_REPAIR 19
#endif

/* Options whose effect a ring does not have. */
static int not_honoured(int level, int name)
{
	if (level == SOL_SOCKET)
		return name == SO_ATTACH_FILTER || name == SO_ATTACH_BPF || name == SO_TIMESTAMP_OLD ||
		       name == SO_TIMESTAMP_NEW || name == SO_TIMESTAMPNS_OLD || name == SO_TIMESTAMPNS_NEW ||
		       name == SO_TIMESTAMPING_OLD || name == SO_TIMESTAMPING_NEW || name == SO_ZEROCOPY;
	return level == IPPROTO_TCP && (name == TCP_ULP || name == TCP_REPAIR || name == TCP_INQ);
}

static int sizes(int name)
{
	return name == SO_SNDBUF || name == SO_RCVBUF || name == SO_SNDBUFFORCE || name == SO_RCVBUFFORCE ||
	       name == SO_RCVLOWAT;
}

/* On a connection that has left TCP already, an option that a ring does not honour is refused, as by a
 * kernel that lacks it. */
SD_EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	struct sd_conn *c = sd_live(fd);
	if (c && not_honoured(level, name) && !(value && len >= sizeof(int) && *(const int *)value == 0)) {
		sd_conn_keep(c, fd, SD_STATUS_OPTION);
		if (sd_attached(c)) {
			sd_count(SD_COUNT_UNHOOKED);
			return sd_ret(-ENOPROTOOPT);
		}
	}
	int r = sd_real()->setsockopt(fd, level, name, value, len);
	if (!c || r < 0)
		return r;
	c->known = 0;
	if (level == SOL_SOCKET && sizes(name))
		sd_conn_buffers(c, fd);
	return r;
}

SD_EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int r = sd_real()->getsockopt(fd, level, name, value, len);
	struct sd_conn *c = sd_live(fd);
	if (c && r == 0 && level == SOL_SOCKET && name == SO_ERROR && *len >= sizeof(int) && *(int *)value == 0 &&
	    sd_attached(c))
		*(int *)value = -sd_conn_error(c);
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
		if ((how == SHUT_WR || how == SHUT_RDWR) && sd_tx_gen(sd_out(c)) != 0)
			sd_conn_demote_tx(c);
		if (how == SHUT_RD || how == SHUT_RDWR) {
			sd_store(&c->slot->hdr.rd_shut[c->end], 1);
			sd_waker_kick_all();
		}
	}
	int r = sd_real()->shutdown(fd, how);
	if (c && sd_attached(c) && (r == 0 || errno == ENOTCONN)) {
		sd_conn_shut(c, fd);
		sd_members_on_tcp(c);
		sd_members_shut(c);
	}
	return r;
}
