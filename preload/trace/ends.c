/* What each descriptor is, asked of the kernel when it is first used. An entry lives until the number
 * is closed or given to something new. */
#include <netinet/in.h>
#include <string.h>

#include "trace.h"

enum { FDS = 1 << 20, OTHER = 1 };
static uint64_t ends[FDS]; /* 0: not known; OTHER; else the id of a TCP socket, shifted by 1 */

void sd_trace_forget(int fd)
{
	if ((unsigned)fd < FDS)
		sd_poke(&ends[fd], 0);
}

void sd_trace_forget_span(unsigned first, unsigned last)
{
	for (unsigned fd = first; fd <= last && fd < FDS; fd++)
		if (ends[fd])
			ends[fd] = 0;
}

/* The entry of fd; 0 if it is closed: the number will be something else. */
static uint64_t ask(int fd)
{
	int proto = 0;
	uint64_t cookie = 0;
	socklen_t n = sizeof proto, m = sizeof cookie;
	long r = sd_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_PROTOCOL, &proto, &n);
	if (r == -EBADF)
		return 0;
	if (r < 0 || proto != IPPROTO_TCP || sd_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &m) < 0)
		return OTHER;
	return cookie << 1;
}

static void address(const struct sockaddr_storage *a, unsigned char to[16], uint16_t *port)
{
	const struct sockaddr_in *four = (const void *)a;
	const struct sockaddr_in6 *six = (const void *)a;
	if (a->ss_family == AF_INET) {
		memset(to + 10, 0xff, 2);
		memcpy(to + 12, &four->sin_addr, 4);
		*port = ntohs(four->sin_port);
	} else if (a->ss_family == AF_INET6) {
		memcpy(to, &six->sin6_addr, 16);
		*port = ntohs(six->sin6_port);
	}
}

static void note_names(int fd, uint64_t id, int how)
{
	struct sd_trace_names r = {.start = sd_trace_before(), .id = id, .how = how, .op = SD_TRACE_names};
	struct sockaddr_storage a = {0};
	socklen_t n = sizeof a;
	if (sd_sys(SYS_getsockname, fd, &a, &n) < 0)
		return;
	address(&a, r.local, &r.lport);
	n = sizeof a;
	if (sd_sys(SYS_getpeername, fd, &a, &n) == 0)
		address(&a, r.remote, &r.rport);
	sd_trace_add((struct sd_trace_record *)&r);
}

uint64_t sd_trace_names(int fd, int how)
{
	if ((unsigned)fd >= FDS)
		return 0;
	uint64_t e = ask(fd);
	sd_poke(&ends[fd], e);
	if (e > OTHER && how != SD_TRACE_UNCONNECTED)
		note_names(fd, e >> 1, how);
	return e >> 1;
}

uint64_t sd_trace_id(int fd)
{
	if (!sd_trace_on || (unsigned)fd >= FDS)
		return 0;
	uint64_t e = sd_peek(&ends[fd]);
	if (e != 0)
		return e >> 1;
	if ((e = ask(fd)) != 0)
		sd_poke(&ends[fd], e);
	if (e > OTHER) {
		struct sd_trace_record r = {.start = sd_trace_before(), .id = e >> 1, .op = SD_TRACE_found, .fd = fd};
		sd_trace_put(&r);
		note_names(fd, e >> 1, SD_TRACE_FOUND);
	}
	return e >> 1;
}
