// SPDX-License-Identifier: Apache-2.0
// The contract program: many small checks of what Linux does with a TCP connection. A check has one
// end of a connection; the other belongs to a peer that obeys commands, in another process or in
// another thread of this one.
#ifndef CONTRACT_H
#define CONTRACT_H

#include "prog.h"
#include <sys/eventfd.h>

// A wait of LONG ms ends with what it waits for: a wake-up that never comes does not end it, but the check.
enum { TIME_LIMIT_MS = 20000, LONG = 3 * TIME_LIMIT_MS };

struct link {
	int s;         // our end
	int ctl;       // commands to the peer
	int peer_fd;   // the peer's end, when the peer is a thread, else -1
	bool v6;
	bool client;   // our end connected
	uint64_t tx, rx;
};

struct check {
	const char *name;
	void (*run)(struct link *);
	bool cold; // no warm-up: the check looks at a young connection
};

extern const struct check io_checks[], buffer_checks[], room_checks[], refuse_checks[], mark_checks[], wake_checks[], urgent_checks[], splice_checks[], unhooked_checks[], close_checks[], ready_checks[], epoll_checks[],
	epoll_more_checks[], order_checks[], switch_checks[], fd_checks[], setup_checks[], option_checks[], life_checks[], anchor_checks[], stdio_checks[], proc_checks[],
	exec_checks[], signal_checks[], handler_checks[], jump_checks[], thread_checks[], beside_checks[], taken_checks[], death_checks[], heir_checks[], flag_checks[], other_checks[], kind_checks[], uring_checks[], module_checks[];

// Operations of the peer.
enum op {
	OP_ECHO = 'e',      // receive n bytes and send them back
	OP_SEND = 's',      // send n bytes
	OP_URGENT = 'o',    // send one byte with MSG_OOB
	OP_RECV = 'r',      // receive and check n bytes; replies how many came before EOF
	OP_DRAIN = 'R',     // receive and check until EOF; replies how many
	OP_TRY = 't',       // one recv of up to n bytes with MSG_DONTWAIT
	OP_SHUT_WR = 'w',
	OP_SHUT_RD = 'd',
	OP_CLOSE = 'c',
	OP_RESET = 'l',     // close with SO_LINGER 0
	OP_ARRIVED = 'u',   // wait until n bytes can be read
	OP_CONNECT = 'C',   // connect to port n and close that connection's end at the next OP_CONNECT
	OP_QUIT = 'q',
};

void link_open(struct link *l, bool thread, bool client, bool v6);
void link_close(struct link *l);
void warm_up(struct link *l);
int peer_main(int ctl, bool client, bool v6);

// ask runs an operation and returns its result, or -errno. post only starts it; answer waits.
// post_asleep starts it when the calling thread sleeps in the kernel.
long ask(struct link *l, enum op op, long n);
void post(struct link *l, enum op op, long n);
void post_asleep(struct link *l, enum op op, long n);
long answer(struct link *l);

// put sends and get receives exactly n bytes of the streams; get checks them.
void put(struct link *l, size_t n);
void get(struct link *l, size_t n);
// fill is what put would send next; verify checks what was received otherwise. Both move on.
void fill(struct link *l, void *buf, size_t n);
void verify(struct link *l, const void *buf, size_t n);
// stuff sends without blocking until the connection takes no more; it returns how many bytes it took.
size_t stuff(struct link *l);

int get_number(int fd, int level, int name); // an option
void until_arrived(int fd, size_t n);  // n bytes can be read
void until_event(int fd, short event); // poll reports the event
void until_fin_acknowledged(int fd);   // ours; the peer's has not come
short ready(int fd, short events);     // what poll(0) reports
int watched(int fd, uint32_t events);  // an epoll set with it
int other_listener(struct link *l, int *port);

// meanwhile has another thread act when this one sleeps; joined waits until it has.
struct deed *meanwhile(struct link *l, void (*act)(struct link *));
void joined(struct deed *d);

// fork_link forks; the child drops the peer's end and the commands.
pid_t fork_link(struct link *l);
void child_ok(pid_t pid);

__attribute__((noreturn)) void fail(const char *file, int line, const char *what, long got, long want);
#define EXPECT(c) do { if (!(c)) fail(__FILE__, __LINE__, #c, 0, 1); } while (0)
#define EQ(got, want) do { long g_ = (long)(got), w_ = (long)(want); \
	if (g_ != w_) fail(__FILE__, __LINE__, #got, g_, w_); } while (0)
// ERR expects a call to fail with an errno.
#define ERR(call, want) do { errno = 0; long r_ = (long)(call); \
	if (r_ != -1 || errno != (want)) fail(__FILE__, __LINE__, #call, r_ == -1 ? -errno : r_, -(want)); } while (0)

#endif
