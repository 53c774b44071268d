/* The trace file: docs/trace-format.md. One file for each process image, shared by its forked
 * children: a header, then segments, each written by one thread. All numbers are little-endian.
 *
 * A record takes two places of 32 bytes, a short one takes one: the commonest operations, where their
 * values fit. It is complete once the last word of its first place (op, bits, check) is not 0; that word
 * is stored last, so that a process may be killed at any instruction. */
#ifndef SD_TRACE_FORMAT_H
#define SD_TRACE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define SD_TRACE_MAGIC 0x0a65636172744453ull /* "SDtrace\n" */
enum {
	SD_TRACE_VERSION = 2,
	SD_TRACE_SEGMENT = 16384,
	SD_TRACE_RECORD = 64,
	SD_TRACE_PLACE = 32,
	SD_TRACE_SHORT = 0x80, /* in op */
	SD_TRACE_COMMAND = 1024,
};

/* The operations: number and name. Numbers are never given to something else. */
#define SD_TRACE_OPS(X)                                                                             \
	X(1, start) /* a process image begins: result = parent */                                   \
	X(2, forked) /* a child goes on in its parent's image: result = parent */                   \
	X(3, end) /* exit or _exit begins: result = status */                                       \
	X(4, names) /* addresses of a connection: struct sd_trace_names */                          \
	X(5, found) /* a socket that was there before it was seen: fd */                            \
	X(10, socket) /* arg = type, flags = family; result = fd */                                 \
	X(11, bind)                                                                                 \
	X(12, listen) /* arg = backlog */                                                           \
	X(13, connect)                                                                              \
	X(14, accept) /* id = listener's; result = fd, arg = id of the connection */                \
	X(15, shutdown) /* arg = how */                                                             \
	X(16, close)                                                                                \
	X(17, close_range) /* arg = first | last << 32 */                                           \
	X(18, dup) /* result = new fd; arg = the number asked for, or -1 */                         \
	X(19, fcntl) /* flags = command, arg = argument */                                          \
	X(20, ioctl) /* flags = request, arg = *argument after it (FIONREAD, FIONBIO) */            \
	X(21, setsockopt) /* arg = level << 32 | name, flags = first 4 bytes of value */            \
	X(22, getsockopt) /* the same */                                                            \
	X(23, passed) /* SCM_RIGHTS took fd out (flags = 0) or brought it (1) */                    \
	X(24, fdopen) /* from here on stdio moves bytes unseen */                                   \
	X(30, send) /* all that sends: arg = bytes asked for, flags, result, sum */                 \
	X(31, recv) /* all that receives: the same */                                               \
	X(32, sendfile) /* as send; aux = the file */                                               \
	X(33, splice) /* fd sends (flags = 1) or receives (0) result bytes, not seen: no sum */     \
	X(40, poll) /* poll, select and variants: arg = descriptors of sockets, flags = timeout ms */ \
	X(41, ready) /* what poll said of fd: arg = events | revents << 16 */                       \
	X(42, epoll_create) /* result = fd */                                                       \
	X(43, epoll_ctl) /* fd = member, arg = data, flags = events, result; aux = set | op << 28 */ \
	X(44, epoll_wait) /* fd = set, arg = room, flags = timeout ms */                            \
	X(45, epoll_event) /* fd = set, arg = data, flags = events */

enum sd_trace_op {
#define X(number, name) SD_TRACE_##name = number,
	SD_TRACE_OPS(X)
#undef X
};

enum {
	SD_TRACE_SUM = 1, /* sum is CRC-32C (no inversions) of the bytes that moved */
};

struct sd_trace_record {
	uint64_t start; /* ns of CLOCK_MONOTONIC when the call began */
	uint64_t id;    /* SO_COOKIE of the socket; 0: none */
	uint64_t end;   /* and when it returned */
	uint16_t op;
	uint16_t bits;
	uint32_t check; /* CRC-32C of all the rest */
	int64_t result; /* >= 0, or -errno */
	uint64_t arg;
	uint32_t sum;
	uint32_t flags;
	int32_t fd;
	uint32_t aux;
};

struct sd_trace_names { /* op names: what the kernel said of a connection when it was first seen */
	uint64_t start;
	uint64_t id;
	uint16_t lport, rport;
	uint32_t how; /* 0: connected, 1: accepted, 2: not known */
	uint16_t op;
	uint16_t bits;
	uint32_t check;
	unsigned char local[16], remote[16]; /* IPv6, or ::ffff:IPv4 */
};

struct sd_trace_short { /* send, recv, epoll_ctl, epoll_wait: what a record has and this has not is 0 */
	int32_t start; /* ns since the segment was made */
	uint32_t took; /* ns */
	uint32_t id;
	int32_t result; /* epoll_ctl, whose result is 0: flags */
	union {
		uint64_t data; /* epoll_ctl: arg */
		struct {
			uint32_t sum; /* epoll_wait: flags */
			uint32_t arg;
		};
	};
	uint8_t op;   /* | SD_TRACE_SHORT */
	uint8_t bits; /* epoll_ctl: aux, as op | set << 2 */
	uint16_t fd;
	uint32_t check;
};

struct sd_trace_events { /* op epoll_event: one or two of them, which belong to the epoll_wait before */
	uint32_t flags[2];
	uint64_t arg[2];
	uint8_t op; /* | SD_TRACE_SHORT */
	uint8_t count;
	uint16_t fd;
	uint32_t check;
};

struct sd_trace_segment { /* the first two places of each segment */
	uint64_t mark;  /* SD_TRACE_MAGIC */
	uint32_t index; /* of the segment in the file, from 1 */
	uint32_t pid;
	uint32_t tid;
	uint32_t turn; /* of this thread's segments, from 0 */
	uint64_t made; /* ns */
	uint64_t spare[3];
	uint16_t op;	/* 0xffff */
	uint16_t bits;
	uint32_t check;
};

struct sd_trace_header {
	uint64_t magic;
	uint32_t version;
	uint32_t segment; /* bytes */
	uint64_t limit;	  /* segments that fit, the header's included */
	uint64_t began;	  /* ns of CLOCK_MONOTONIC, and then of CLOCK_REALTIME */
	uint64_t date;
	uint32_t pid;
	uint32_t parent;
	uint32_t source; /* 0: recorded; 1: imported from strace */
	uint32_t length; /* of command */
	char command[SD_TRACE_COMMAND]; /* argv, each ended by NUL */
	uint32_t spare;
	uint32_t check; /* CRC-32C of all that is before it */
	/* Written while the program runs. */
	uint64_t lost;	  /* events that found no room */
	uint64_t lost_ns; /* end of the first of them */
};

_Static_assert(sizeof(struct sd_trace_record) == SD_TRACE_RECORD, "size");
_Static_assert(sizeof(struct sd_trace_names) == SD_TRACE_RECORD, "size");
_Static_assert(sizeof(struct sd_trace_segment) == SD_TRACE_RECORD, "size");
_Static_assert(sizeof(struct sd_trace_header) <= 4096, "the header has a page");
_Static_assert(sizeof(struct sd_trace_short) == SD_TRACE_PLACE, "size");
_Static_assert(sizeof(struct sd_trace_events) == SD_TRACE_PLACE, "size");
_Static_assert(offsetof(struct sd_trace_record, op) == 24 && offsetof(struct sd_trace_names, op) == 24 &&
	       offsetof(struct sd_trace_short, op) == 24 && offsetof(struct sd_trace_events, op) == 24, "the last word");

#endif
