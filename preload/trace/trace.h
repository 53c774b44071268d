/* libsdtrace.so: records what a program does with its TCP sockets. It is loaded before libsd.so (or
 * without it) and calls what comes next, so a program that is not traced pays nothing. */
#ifndef SD_TRACE_TRACE_H
#define SD_TRACE_TRACE_H

#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "format.h"
#include "sys.h"

#pragma GCC visibility push(hidden)

/* ---- the file (record.c) ---- */
extern int sd_trace_on;
void sd_trace_open(void);
/* Appends the record: fills end and check. It never touches errno. */
void sd_trace_put(struct sd_trace_record *r);
void sd_trace_add(struct sd_trace_record *r); /* it belongs to the record before, and ends with it */
/* The same, n events of one set, 1 or 2, which the epoll_wait before reported. */
void sd_trace_put_events(int set, unsigned n, uint32_t flags, uint64_t arg, uint32_t flags2, uint64_t arg2);
/* Of a call that cannot sleep, and whose time no judgement needs: it has that of the thread's record before,
 * because a look at the clock costs more than the rest. */
void sd_trace_aside(struct sd_trace_record *r);
uint32_t sd_trace_sum(uint32_t sum, const void *b, size_t n);
int sd_trace_foreign(void); /* a child of vfork: what it closes and makes is not this process's */
static inline int64_t sd_trace_result(long r) { return r >= 0 ? r : -(int64_t)errno; }

/* ---- time (clock.c) ---- */
extern struct sd_trace_clock {
	uint64_t tsc, ns; /* the same moment */
	uint64_t rate;	  /* ns << 32 for each count; 0: ask clock_gettime */
} sd_trace_clock;
void sd_trace_clock_open(const char *dir);
static inline uint64_t sd_trace_ns(const struct sd_trace_clock *c, uint64_t tsc)
{
	return c->ns + (int64_t)((__int128)(int64_t)(tsc - c->tsc) * (int64_t)c->rate >> 32);
}
/* Before a call: nothing that it does is seen by others before the counter was read. */
static inline uint64_t sd_trace_before(void)
{
	return sd_trace_clock.rate ? sd_trace_ns(&sd_trace_clock, __builtin_ia32_rdtsc()) : (uint64_t)sd_now_ns();
}
/* After a call: rdtscp waits for all loads before it, so nothing that the call saw came later. */
static inline uint64_t sd_trace_after(void)
{
	unsigned cpu;
	return sd_trace_clock.rate ? sd_trace_ns(&sd_trace_clock, __builtin_ia32_rdtscp(&cpu)) : (uint64_t)sd_now_ns();
}

/* ---- descriptors (ends.c) ---- */
/* The socket's id, if fd is a TCP socket; 0 if it is anything else. */
uint64_t sd_trace_id(int fd);
void sd_trace_forget(int fd);		  /* fd was closed, or is something new */
void sd_trace_forget_span(unsigned first, unsigned last);
enum { SD_TRACE_CONNECTED, SD_TRACE_ACCEPTED, SD_TRACE_FOUND, SD_TRACE_UNCONNECTED }; /* how */
uint64_t sd_trace_names(int fd, int how); /* of a new connection: notes its addresses */

#pragma GCC visibility pop

/* ---- what comes next (next.h lists it) ---- */
#define SD_EXPORT __attribute__((visibility("default")))

#endif
