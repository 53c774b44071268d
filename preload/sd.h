/* What the parts of libsd.so know of each other. Results are >= 0, or -errno; only the exported
 * wrappers (hooks_*.c) speak errno. */
#ifndef SD_SD_H
#define SD_SD_H

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/single_threaded.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "abi.h"
#include "ring.h"
#include "sys.h"

#define SD_HIDDEN __attribute__((visibility("hidden")))
#pragma GCC visibility push(hidden)

/* ---- locks among threads of this process (lock.c) ---- */
typedef uint32_t sd_mutex; /* 0 free, 1 held, 2 held and slept on */
void sd_mutex_lock(sd_mutex *m);
int sd_mutex_try(sd_mutex *m); /* 1: it is held now */
void sd_mutex_unlock(sd_mutex *m);
/* The LOCKED mode: between processes, naming the owner (LockLine). */
void sd_lock(struct sd_lock_line *l);
void sd_unlock(struct sd_lock_line *l);

/* ---- bells (bell.c) ---- */
/* A waker is one sleeper of this process: a thread or an epoll set. */
struct sd_waker {
	int fd;		    /* hidden datagram socket, bound to sdbell-<nonce> */
	int bell;	    /* index in our bell page, -1 before it is needed or when all are taken */
	uint64_t nonce;
	uint32_t waiting;   /* threads that may be asleep on fd, also before a bell exists */
	struct sd_waker *next;
};
struct sd_waker *sd_waker_of_thread(void); /* NULL: no descriptor to be had */
int sd_waker_init(struct sd_waker *w);
void sd_waker_fini(struct sd_waker *w);
struct sd_bell *sd_waker_bell(struct sd_waker *w); /* NULL: none free; sleep in bounded pieces */
void sd_waker_drain(struct sd_waker *w);
void sd_waker_take(struct sd_waker *w); /* one datagram: for level-triggered waiting */
void sd_waker_kick(struct sd_waker *w);
void sd_waker_kick_all(void); /* everybody in this process looks again */
void sd_waker_fork_child(void);
void sd_waker_moved(int from, int to); /* the hidden descriptor has another number now */
/* Calls fn for each set bit of the bell and clears it. */
void sd_bell_harvest(struct sd_bell *b, int index, void (*fn)(void *, unsigned), void *arg);
int sd_bell_pending(struct sd_bell *b);
int sd_bell_marked(int index, unsigned member);
void sd_bell_forget(int index, unsigned member); /* a mark that is not this member's, or of what it did not ask for */
uint32_t sd_bell_number(struct sd_bell *b);	 /* the next place among its marks; 0 is none */
/* sd_watch_arm returns 1 if the bell watches the line now, 0 if all entries are taken. */
int sd_watch_arm(struct sd_watch_line *l, int bell, unsigned member);
void sd_watch_disarm(struct sd_watch_line *l, int bell, unsigned member);
uint32_t sd_watch_order(const struct sd_watch_line *l, int bell, unsigned member);
/* Marks and, where the watcher is parked, rings all bells of the line; page is the watchers'. shared: other
 * processes may do so for the same line. */
void sd_watch_fire(struct sd_watch_line *l, unsigned char *page, int shared);
/* The same for what goes by TCP, before it goes, of which the kernel tells. keep: numbers that have not been told stay.
 * 1: all entries have one, by this or an earlier call. */
int sd_watch_number(struct sd_watch_line *l, unsigned char *page, int keep);
void sd_watch_told(struct sd_watch_line *l, int bell, unsigned member); /* by the watcher */
void sd_bell_fork(void);

/* ---- descriptor table and connections (table.c, conn.c, end.c) ---- */
enum sd_kind { SD_CONN = 1, SD_SET = 2, SD_HIDDEN_FD = 3, SD_UNCONNECTED = 4 };
struct sd_ent {
	uint8_t kind;
};

/* Where a connection stands, in this process. */
enum sd_state {
	SD_ST_KERNEL = 0,   /* for good: not tracked any further */
	SD_ST_TCP = 1,	    /* a candidate: counts its calls */
	SD_ST_OFFERED = 2,  /* waits for the monitor's introduction; never required to come */
	SD_ST_ATTACHED = 3, /* slot mapped; each direction is on TCP until its sender switches it */
};

struct sd_peer { /* the other process of a pair: an arena and its bell page */
	uint32_t arena;
	uint32_t proc;
	int lost; /* its monitor is gone: another may use the number again */
	unsigned char *mem;
	unsigned char *bells;
	struct sd_peer *next;
};

#define SD_ONEWAY 8
#define SD_UNPARKED 1024
enum { SD_KNOWN_BLOCKS = 1, SD_KNOWN_NO_RCVTIMEO = 2, SD_KNOWN_NO_SNDTIMEO = 4 };

struct sd_conn {
	struct sd_ent ent;
	uint8_t end;	     /* 0: we connected, 1: we accepted */
	uint8_t burst;	     /* sends since the last receive: exchange at the first (bell.c) */
	uint32_t state;	     /* enum sd_state */
	uint32_t refs;	     /* descriptors of this process that name it */
	int fd;		     /* one of them: that by which a set knows it may be closed */
	uint32_t ops;	     /* I/O calls while a candidate */
	uint32_t ksend;	     /* threads inside a kernel send on the TCP phase */
	uint32_t switching;  /* 1 while a thread switches our sending direction */
	uint8_t blocks;	     /* no O_NONBLOCK, if that is known */
	uint8_t known;	     /* SD_KNOWN_…: what need not be asked of the kernel again */
	uint8_t closing;     /* our claim on the slot is that of who closes */
	uint8_t numbered;    /* on TCP, what we sent there has a place in the order of the peer's sets (bell.c) */
	uint8_t reset;	     /* the peer died with bytes of ours unread: for the program a RST came */
	uint8_t told;	     /* a call has told of the anchor's RST, whose error is no longer to be had (left.c) */
	uint32_t kev;	     /* POLLRDHUP, POLLHUP once the anchor showed them */
	uint8_t oneway;	     /* receives since the last send, up to SD_ONEWAY: then it only receives */
	uint16_t unparked;   /* receives since the last sleep; after SD_UNPARKED sleeping is rare again */
	uint8_t settled;     /* careful for so long that every publication is an exchange */
	int64_t careful_ns;  /* since when the sender is asked to publish by exchange; 0: it is not */
	int32_t patience;    /* looks that must pass before it waits for more to come */
	uint32_t spin_miss;  /* successive spins in vain */
	int64_t looked_ns;   /* coarse time when a sender last looked at the anchor */
	int64_t asked_ns;    /* and when sock_diag was last asked for the peer */
	uint64_t looked_head;
	uint64_t cookie;
	uint64_t serial;	   /* which connection of this process the record is; it may be used again */
	uint32_t asleep;	   /* calls asleep before promotion: who takes a number from them kicks them */
	uint64_t left_tx, left_rx; /* where the directions left TCP, once this process has sent or read beyond */
	uint32_t sndbuf, rcvbuf, low; /* Buf and Low of our sides, asked of the kernel when offered */
	uint32_t slotno;
	struct sd_peer *peer;
	struct sd_slot *slot;
	struct sd_tx tx;
	struct sd_rx rx;
	struct sd_member *members; /* registrations in epoll sets of this process */
	struct sd_conn *next;	   /* free list */
	struct sd_conn *wait_next; /* offered connections */
};

#ifndef SD_FD_MAX
#define SD_FD_MAX (1 << 20)
#endif
extern struct sd_ent *sd_table[SD_FD_MAX];
static inline struct sd_ent *sd_ent_of(int fd)
{
	return (unsigned)fd < SD_FD_MAX ? sd_peek(&sd_table[fd]) : NULL;
}
static inline struct sd_conn *sd_conn_of(int fd)
{
	struct sd_ent *e = sd_ent_of(fd);
	return e && e->kind == SD_CONN ? (struct sd_conn *)e : NULL;
}
static inline struct sd_set *sd_set_of(int fd)
{
	struct sd_ent *e = sd_ent_of(fd);
	return e && e->kind == SD_SET ? (struct sd_set *)e : NULL;
}
int sd_is_hidden(int fd);
int sd_hide(int fd);		/* moves fd out of the program's way; returns its new number */
void sd_unhide(int fd);		/* closes a hidden descriptor */
int sd_move_hidden(int fd);	/* the program wants this number */
void sd_evict(int fd);		/* fd was closed or is fresh from the kernel: forget what it named */
/* sd_still: the number by which a call goes on that has waited: fd, or another one of the same connection when that was
 * closed; -EBADF: it was the last, and what it names now is not the call's. */
int sd_still(struct sd_conn *c, uint64_t serial, int fd);
/* sd_moved: r came of a number that another thread took meanwhile; *fd is the one to ask instead. Not of an error that
 * is the connection's, which is told once. */
int sd_moved(struct sd_conn *c, uint64_t serial, int *fd, ssize_t r);
struct sd_conn *sd_detach(int fd); /* the number names nothing any more; the connection, if it was its last */
void sd_release(struct sd_conn *c); /* after the kernel has closed it: tells the monitor, frees the record */
void sd_table_fork(void);
void sd_table_fork_parent(void);
void sd_table_fork_child(void);
void sd_put_set(int fd, struct sd_ent *set);
extern int sd_fd_top; /* numbers from here on were never in the table */
int sd_same(int a, int b); /* both numbers name one connection, or one set */
void sd_alias(int from, int to);	/* to is a duplicate of from */
void sd_made(int fd, int tcp);	/* socket(2) gave this number; tcp: connect may track it */
void sd_share_unconnected(int fd); /* or not any more: others can name the socket, too */
void sd_track(int fd, int end);	/* a TCP connection was made or accepted */

void sd_conn_keep(struct sd_conn *c, int fd, unsigned why); /* SD_STATUS_…: to the kernel for good */
int sd_option_only_tcp(int level, int name); /* a ring does not have its effect */
int sd_options_only_tcp(int fd);	     /* one of those is set, before there was a record or on the listener, too */
extern int sd_options_early;		     /* this process has set one on a socket without a record */
void sd_conn_disconnected(struct sd_conn *c, int fd);
int sd_conn_writable(struct sd_conn *c); /* as sd_tx_writable, and time makes room */
void sd_conn_keep_error(struct sd_conn *c, ssize_t r); /* of a call that has something to return: for the next one */
int sd_conn_error(struct sd_conn *c); /* an error that waits to be told, as -errno, once; 0 */
void sd_conn_shut(struct sd_conn *c, int fd); /* after shutdown(2) */
void sd_conn_number(struct sd_conn *c);	      /* before something goes by TCP, if it is attached */
void sd_conn_inherited(struct sd_conn *c, int fd); /* by a program that is about to be started */
void sd_conn_stdio(struct sd_conn *c, int fd, int to); /* it gets the number 0, 1 or 2, too */
void sd_conn_closing(struct sd_conn *c, int fd); /* before its last close in this process */
void sd_conn_tick(struct sd_conn *c, int fd);	 /* an I/O call on the TCP phase */
void sd_conn_attach(struct sd_conn *c, struct sd_peer *p, uint32_t slot, uint32_t end);
void sd_conn_buffers(struct sd_conn *c, int fd); /* their sizes and low-water mark: when offered, and when they change */
void sd_conn_tell_buffers(struct sd_conn *c); /* in the slot, when attached */
uint32_t sd_low_water(struct sd_conn *c, int fd); /* SO_RCVLOWAT */
int sd_conn_promote(struct sd_conn *c, int fd);	 /* 1: our sending direction is on the ring now */
void sd_conn_share_tx(struct sd_conn *c); /* others send, too: under the lock, and promoted no more */
int sd_conn_to_tcp(struct sd_conn *c, int fd, unsigned why); /* the same, for good; of a candidate, too */
int sd_conn_demote_tx(struct sd_conn *c);	 /* our sending direction goes to TCP; 1: it was on a ring */
void sd_conn_hung_up(struct sd_conn *c, int fd, short events); /* the anchor showed POLLRDHUP or POLLHUP */
struct tcp_info;
int sd_tcp_info(int fd, struct tcp_info *ti);
int sd_kernel_ended(int fd); /* FIN or RST has come */
uint64_t sd_kernel_received(int fd);
uint64_t sd_kernel_left(struct sd_conn *c, int fd); /* bytes before the ring not yet read from the anchor */
extern sd_mutex sd_inq_mutex; /* who asks for that; nothing else is taken under it */
int sd_conn_readable(struct sd_conn *c, int fd); /* as much as SO_RCVLOWAT asks for is in the ring or before it */
short sd_conn_mask(struct sd_conn *c, int fd);	 /* POLL… bits that hold now */
int sd_nonblock(struct sd_conn *c, int fd, int flags);
int64_t sd_deadline(struct sd_conn *c, int fd, int optname); /* from SO_RCVTIMEO or SO_SNDTIMEO */
extern sd_mutex sd_promote_mutex; /* attach, fork and state changes exclude each other */

static inline struct sd_direction *sd_out(struct sd_conn *c) { return &c->slot->dir[c->end]; }
static inline struct sd_direction *sd_in(struct sd_conn *c) { return &c->slot->dir[!c->end]; }
/* What comes next may come by TCP: before the ring, or after it. */
static inline int sd_rx_on_tcp(struct sd_direction *in)
{
	return sd_peek(&in->rx.rgen) == 0 || sd_class_of(in, sd_tx_gen(in)) == SD_CLASS_TCP;
}
static inline int sd_attached(struct sd_conn *c) { return sd_load(&c->state) == SD_ST_ATTACHED; }

/* ---- monitor client (client.c) ---- */
void sd_client_init(void);
void sd_mon_offer(struct sd_conn *c, int fd);
void sd_mon_tell(void);
void sd_mon_withdraw(struct sd_conn *c); /* the record is about to be freed */
void sd_mon_note(struct sd_conn *c, int fd, unsigned why);
void sd_mon_gone(struct sd_conn *c); /* it is closed, here */
void sd_mon_mail(void); /* handles introductions; no system call when there are none */
void sd_mon_fork_child(void);
void sd_mon_inherit(void); /* the child's death is of interest to who is connected */
void sd_client_moved(int from, int to);

/* ---- claims on slots (claim.c) ---- */
void sd_claim_by(int mapped); /* the page's descriptor, which it was mapped by and which is taken */
int sd_claim_shown(void);	/* the page for the monitor, hidden: what is on its way to it outlives us, and must claim nothing; or < 0 */
int sd_claim(uint32_t arena, uint32_t slot, uint32_t end); /* 0: no memory for a lock */
void sd_unclaim(uint32_t arena, uint32_t slot, uint32_t end);
int sd_claim_closing(uint32_t arena, uint32_t slot, uint32_t end); /* 0: it was not to be had */
int sd_claimed(uint32_t arena, uint32_t slot, uint32_t end); /* by another process; 1 if that is not known */
void sd_claim_fork(void);
void sd_claim_fork_parent(void);
void sd_claim_fork_child(void);
void sd_claim_moved(int from, int to);
void sd_count(unsigned counter);

/* ---- waiting (wait.c) ---- */
/* SD_WAIT_MORE: for bytes beyond those that are there, which only another look tells. */
enum { SD_WAIT_RX = 1, SD_WAIT_TX = 2, SD_WAIT_ROOM = 3, SD_WAIT_MORE = 4 };
int sd_ready(struct sd_conn *c, int fd, int what); /* by the rings */
/* sd_spin gives a peer that is running a moment: 1 if the direction became ready. Never sleeps. */
int sd_spin(struct sd_conn *c, int fd, int what);
/* sd_park sleeps until the direction may have changed. deadline_ns: CLOCK_MONOTONIC, or INT64_MAX.
 * 0: look again; SD_RESTARTED: the call starts again, its time-out read anew; -EAGAIN: deadline; -EINTR: a
 * handler ran, one without SA_RESTART if the call, which has moved done bytes, can be restarted at all. mark_ends: an
 * urgent byte that is next ends the wait of who has moved none, too. */
int sd_park(struct sd_conn *c, int fd, int what, int64_t deadline_ns, size_t done, int mark_ends);
/* sd_careful asks the sender for exact publications, since this side sleeps; sd_settled: it has done
 * so for long enough that a sleep needs no time limit. */
void sd_careful(struct sd_conn *c);
int sd_settled(struct sd_conn *c);
void sd_careless(struct sd_conn *c);
int sd_yield(void); /* 1: it was quick, another may pay; 0: do not yield now */

/* ---- signals (signal.c) ---- */
/* What handlers have run in this thread since a call that waits cleared it, at its start. Writers: the
 * thread and the handlers that interrupt it. */
enum { SD_NOTHING = 0, SD_RESTARTED = 1 /* with SA_RESTART only */, SD_INTERRUPTED = 2 /* one without */ };
extern __thread uint32_t sd_handled;
/* What a thread that is about to sleep has armed and counted, for a handler to take back before it
 * runs: it may wait itself, or jump away. After a handler nothing is armed: start over. */
struct sd_wait {
	struct sd_waker *waker; /* its waiting was counted; or NULL */
	struct sd_bell *bell;	/* its parked was counted; or NULL */
	uint32_t *count;	/* one more that was; or NULL */
	void (*disarm)(void *); /* or NULL */
	void *arg;
};
/* sd_wait_begin: at the end of the section which armed; w is the caller's until sd_wait_end. */
void sd_wait_begin(struct sd_wait *w);
void sd_wait_end(void);
/* sd_wait_sleep is sd_sleep between the two, and a cancellation point. */
long sd_wait_sleep(long n, long a, long b, long c, long d, long e, long f);
void sd_cancellation_point(void);
/* A call with a signal mask: what the mask blocks stays blocked from sd_mask_begin to sd_mask_end, also between
 * its sleeps. 0, or -EFAULT. */
static inline int sd_mask_begin(const void *mask, uint64_t *before)
{
	return mask ? sd_sys(SYS_rt_sigprocmask, SIG_BLOCK, mask, before, 8) : 0;
}
static inline void sd_mask_end(const void *mask, const uint64_t *before)
{
	if (mask)
		sd_sys(SYS_rt_sigprocmask, SIG_SETMASK, before, NULL, 8);
}
/* sd_interrupted, after -EINTR: 1 if the call must report it (signal(7)); 0: go on waiting. restarts:
 * it is of those that SA_RESTART restarts. */
int sd_interrupted(int restarts);

/* ---- data (recv.c, send.c) ---- */
/* sd_tell: r is told to the program. It writes once: threads that tell of other things do not undo it. */
static inline void sd_tell(struct sd_conn *c, ssize_t r)
{
	if (r == -ECONNRESET && !c->reset)
		c->told = 1;
}
int sd_at_mark(int fd); /* the next byte of TCP is urgent: a receive that has something ends here */
int sd_stopped(struct sd_conn *c, int fd, int peek); /* a receive, or one that has seen all there is, has come to it */
/* sd_low_split: SO_RCVLOWAT may be reached by what the ring and TCP have together, of which neither wakes. */
int sd_low_split(struct sd_conn *c);
/* The common cases, tried first: 1 if all n bytes were taken, or given, at once. */
int sd_send_fast(struct sd_conn *c, int fd, const void *b, size_t n); /* 1: all n bytes are sent */
int sd_recv_fast(struct sd_conn *c, void *b, size_t n);
size_t sd_send_fire(struct sd_conn *c, size_t n); /* rings whoever waits for the n bytes just published; n; ends the section */
/* sd_conn_think: something happened that the next send and receive must not overlook. */
static inline void sd_conn_think(struct sd_conn *c) { c->tx.room = c->rx.ready = 0; }
ssize_t sd_recv(struct sd_conn *c, int fd, const struct iovec *iov, int n, int flags, struct msghdr *mh);
ssize_t sd_recv_to_mark(struct sd_conn *c, int fd, void *b, size_t n, int flags); /* as splice: never past one */
ssize_t sd_send(struct sd_conn *c, int fd, const struct iovec *iov, int n, int flags, const struct msghdr *mh);
/* As much as Linux moves in one call; -EINVAL: a piece that is no ssize_t. */
enum { SD_MOST = 0x7ffff000 };
ssize_t sd_iov_len(const struct iovec *iov, int n);
/* sd_iov_slice: bytes [skip, skip + n) of the iovec as at most max pieces; returns how many. */
int sd_iov_slice(struct iovec *to, int max, const struct iovec *iov, int iovcnt, size_t skip, size_t n);

/* ---- readiness (poll.c, epoll.c) ---- */
int sd_poll(struct pollfd *fds, nfds_t n, int64_t deadline_ns, const void *sigmask);
int sd_poll_concerned(const struct pollfd *fds, nfds_t n);
void sd_set_created(int fd);
void sd_set_nest(struct sd_set *s); /* the set's descriptor is waited on itself */
int sd_set_ready(struct sd_set *s);
/* Who waits on a set from outside sleeps no longer than a millisecond while one of those sets is unsettled: a member of
 * it may have been marked unseen. Then it looks again. */
int sd_nested_unsettled(void);
void sd_nested_relook(void);
void sd_set_closed(struct sd_set *s, int fd);
void sd_sets_fork(void); /* the sets stand still, so that the child's are whole; under sd_promote_mutex */
void sd_sets_fork_parent(void);
void sd_sets_fork_child(void);
void sd_set_moved(int fd, int to); /* a hidden number */
void sd_set_alias(struct sd_set *s, int to); /* to is another number of it */
void sd_members_attach(struct sd_conn *c);
void sd_members_connected(struct sd_conn *c, int fd); /* fd was registered before it was connected */
void sd_members_on_tcp(struct sd_conn *c);
void sd_members_given_back(struct sd_conn *c);
void sd_members_edge(struct sd_conn *c, uint32_t events);
void sd_members_closed(struct sd_conn *c);
void sd_members_renamed(struct sd_conn *c, int fd); /* fd is about to name it no more, others do */
void sd_members_want_out(struct sd_conn *c); /* a send found the ring full */

/* ---- the process ---- */
struct sd_global {
	int on;		/* 0: every call goes straight to libc */
	int pid;	/* of the process that owns this memory; a vfork child differs */
	int out_fd;	/* hidden: rings bells; -1 before first use */
	int page_fd;	/* hidden: our bell page, to lock claims on and to show to a monitor again; or -1 */
	int cores;
	unsigned char *bells; /* our bell page, NULL before registration */
};
extern struct sd_global sd_g;
static inline int sd_multi(void) { return !__libc_single_threaded; } /* this process has threads */
void sd_init(void);
void sd_fork_init(void);
long sd_forking(long (*fork)(const long *), const long *how);
void sd_forked(void);
void sd_stdio_fork_child(void);
void sd_stdio_input(void); /* number 0 is a promoted connection */
/* A child of vfork or of a raw clone shares or copied our memory without our knowing. */
static inline int sd_foreign(void) { return sd_sys(SYS_getpid) != sd_g.pid; }

#pragma GCC visibility pop
#endif
