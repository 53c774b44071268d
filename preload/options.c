/* Options whose effect a ring does not have: who has set one stays on the kernel. */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include "sd.h"

#ifndef TCP_REPAIR
#define TCP_REPAIR 19
#endif

static const struct option {
	int level, name;
} only_tcp[] = {
	{SOL_SOCKET, SO_ATTACH_FILTER},	   {SOL_SOCKET, SO_TIMESTAMP_OLD},   {SOL_SOCKET, SO_TIMESTAMP_NEW},
	{SOL_SOCKET, SO_TIMESTAMPNS_OLD},  {SOL_SOCKET, SO_TIMESTAMPNS_NEW}, {SOL_SOCKET, SO_TIMESTAMPING_OLD},
	{SOL_SOCKET, SO_TIMESTAMPING_NEW}, {SOL_SOCKET, SO_ZEROCOPY},	     {SOL_SOCKET, SO_PEEK_OFF},
	{IPPROTO_TCP, TCP_ULP},		   {IPPROTO_TCP, TCP_REPAIR},	     {IPPROTO_TCP, TCP_INQ},
};
enum { OPTIONS = sizeof only_tcp / sizeof *only_tcp };

int sd_options_early;

int sd_option_only_tcp(int level, int name)
{
	if (level == SOL_SOCKET && name == SO_ATTACH_BPF) /* the same filter, as far as getsockopt tells */
		return 1;
	for (int i = 0; i < OPTIONS; i++)
		if (only_tcp[i].level == level && only_tcp[i].name == name)
			return 1;
	return 0;
}

static int is_set(int fd, const struct option *o)
{
	int v = 0, filter = o->level == SOL_SOCKET && o->name == SO_ATTACH_FILTER;
	socklen_t n = filter ? 0 : sizeof v; /* of a filter only the length is asked; one of eBPF cannot be shown */
	long r = sd_sys(SYS_getsockopt, fd, o->level, o->name, &v, &n);
	if (r < 0)
		return filter && r == -EACCES;
	return filter ? n > 0 : o->name == SO_PEEK_OFF && o->level == SOL_SOCKET ? v >= 0 : v != 0;
}

int sd_options_only_tcp(int fd)
{
	for (int i = 0; i < OPTIONS; i++)
		if (is_set(fd, &only_tcp[i]))
			return 1;
	return 0;
}
