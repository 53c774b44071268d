/* An epoll set as libsd sees it. Members on TCP are the kernel set's; members on rings are ours,
 * with their anchor left in the kernel set, edge-triggered, for FIN, RST and the TCP phase. Of what is or may
 * become ours, and of what is reported once only, there is a record here, which keeps the program's data; the
 * kernel carries a tag in its place. Of all else the kernel carries the program's data, for every process that
 * has the set. */
#ifndef SD_EPOLL_H
#define SD_EPOLL_H

#include "sd.h"

struct sd_member {
	int fd;
	uint64_t tag;	 /* what the kernel set carries for it */
	uint32_t events; /* as the program asked */
	uint64_t data;	 /* the program's */
	uint32_t bit;	 /* in the set's bell, while ours */
	uint8_t ours;	 /* its connection is attached */
	uint8_t disabled; /* EPOLLONESHOT has fired */
	uint8_t hot;	 /* on the list of members to evaluate */
	uint8_t recent;	 /* on the list of those to look at again once store buffers have drained */
	uint8_t tx_armed;
	uint8_t on_tcp; /* the kernel has a say in it, as of the last mark or evaluation */
	uint32_t order; /* when it was marked, as the set's bell counts */
	uint32_t look;	   /* of the set's, that reported it last */
	uint32_t owed;	   /* while not ours: events that the kernel has told, and will not tell again */
	uint32_t ends; /* the peer's, that an evaluation has seen, asked for or not: no edge again */
	int64_t recent_ns; /* when it was marked last, or asked for room */
	uint64_t seen_tcp;  /* bytes received on the anchor at the last evaluation, while on TCP */
	uint64_t seen_tail; /* Tail at the last evaluation: an edge needs a later one */
	uint64_t edge_tail; /* Tail when an edge of the set's was counted last: bytes before it make no other */
	uint32_t edge_others; /* and the slot's in_edges and out_edges then, added */
	uint32_t edge_ends; /* the peer's, for which one was counted */
	uint32_t in_edges, out_edges; /* those that the last evaluation saw */
	struct sd_set *inner; /* what was registered, whatever its number names later; NULL: no set */
	uint64_t inner_secret; /* no record of another has it */
	uint32_t inner_edges;  /* its edges, as of when it was told last; one less: whatever it shows is news */
	struct sd_conn *conn;
	struct sd_set *set;
	struct sd_member *hot_next, *hot_prev, *recent_next, *conn_next, *left_next;
};

struct sd_set {
	struct sd_ent ent;
	sd_mutex mutex; /* guards all below but users */
	uint32_t users; /* threads asleep on it; bit 31: no number of it is left */
	uint8_t over;	/* it is closed and nobody sleeps on it: what follows is void */
	uint8_t waking; /* the waker is a member of the kernel set */
	uint8_t nested; /* a member of another set, or polled: the kernel must show our readiness */
	uint8_t plain;	/* there may be members without a record */
	uint8_t full;	/* the kernel's events took all room of the last look */
	uint8_t both;	/* the kernel was asked anew for a member that sends by TCP: one look at both makes one event of it */
	uint8_t lame;	/* a watch or bell was not to be had: look every millisecond */
	uint8_t shown;	/* show_fd can be read, and so the kernel set is ready */
	uint8_t shared; /* by a fork: the kernel set is another process's, too */
	int show_fd;	/* an eventfd in the kernel set of a nested one whose rings were ready; -1 */
	uint32_t edges; /* of its members: edges of itself in an outer set */
	int fd;	       /* one of its numbers */
	uint32_t refs; /* its numbers in this process; guarded by sd_promote_mutex */
	int owner;	/* pid whose the bell, the waker and the watches are: of who made it, or adopted it after fork */
	uint64_t secret, gen; /* a tag is both and the number: no data of the program looks like one */
	uint32_t members, ours, on_tcp, inner /* members that are sets */, looks, spin_miss, peer_cpu;
	struct sd_waker waker;
	struct sd_bell *bell;
	struct sd_member **by_fd, **by_bit;
	struct sd_member *left; /* of closed numbers: a duplicate keeps the connection open */
	uint32_t fds, bits;
	struct sd_member *hot_head, *hot_tail, *recent;
	struct sd_member *settled; /* the last of the last look: who is behind it became hot since, in any order */
	int64_t look_ns; /* when members were looked at again, or the list of the recent ones began */
	struct sd_set *next;
};

#define SD_UNTOLD 16 /* looks: what the kernel alone knows of, as the end of one that was killed, is told by then */
#define SD_SETTLE_NS 1000000 /* store buffers have drained by then */
#define SD_CLOSED 0x80000000u
#define SD_ROOM (EPOLLOUT | EPOLLWRNORM) /* two names of one thing */
#define SD_TAG_FDS (1ull << 20)
_Static_assert(SD_FD_MAX <= SD_TAG_FDS, "a number fits into a tag");
#pragma GCC visibility push(hidden)
extern struct sd_set *sd_sets; /* all of this process; guarded by sd_promote_mutex */
int sd_set_ctl(struct sd_set *s, int op, int fd, struct epoll_event *ev);
int sd_set_wait(struct sd_set *s, struct epoll_event *ev, int max, int64_t deadline_ns, const void *sigmask);
uint32_t sd_member_mask(struct sd_member *m);
uint32_t sd_member_answer(struct sd_set *s, struct sd_member *m); /* the same, told: what it has seen is no edge again */
void sd_member_anchor(struct sd_member *m, uint32_t e);		   /* the kernel tells of its anchor */
void sd_member_look_again(struct sd_member *m);
int sd_member_reset_told(struct sd_member *m);
/* sd_member_want_out: where mask lacks the room asked for, the reader will tell; what was asked for if it became so meanwhile. */
uint32_t sd_member_want_out(struct sd_set *s, struct sd_member *m, uint32_t mask);
void sd_set_harvest(struct sd_set *s);
/* sd_set_order: what is not settled; sd_set_until: the last of these, in order, that is not later. */
void sd_set_order(struct sd_set *s);
struct sd_member *sd_set_until(struct sd_set *s, uint32_t order);
/* Its place there, before it becomes hot: sd_member_place by its mark, sd_member_now without one. */
int sd_member_place(struct sd_member *m);
void sd_member_now(struct sd_member *m);
int sd_member_asks_input(struct sd_member *m);
void sd_member_marked(struct sd_member *m);
void sd_member_unmarked(struct sd_member *m); /* its mark is taken: it is evaluated next */
void sd_member_queue(struct sd_member *m); /* registered or changed: hot now if it is ready, else when something comes */
/* sd_set_tagged: 1 if the data is a tag of the set's; *m: the member, NULL for the waker or one that is gone. */
int sd_set_tagged(struct sd_set *s, uint64_t data, struct sd_member **m);
static inline uint64_t sd_waker_tag(struct sd_set *s) { return s->secret; }
static inline uint64_t sd_show_tag(struct sd_set *s) { return s->secret ^ 1; }
long sd_set_kernel(struct sd_set *s, int op, int fd, uint32_t events, uint64_t data);
void sd_set_wake(struct sd_set *s);
void sd_set_awake(struct sd_set *s); /* a thread leaves, that may have slept: the last one ends a set that is closed */
void sd_set_leave(struct sd_set *s, int fd); /* its member keeps living without the number */
/* sd_set_adopt: before a process uses a set that its parent made; sd_set_orphan: what is the parent's is let go of. */
void sd_set_adopt(struct sd_set *s);
void sd_set_orphan(struct sd_set *s);
uint32_t sd_anchor_events(struct sd_conn *c, uint32_t events);
void sd_member_take_over(struct sd_member *m, int told);
void sd_member_give_back(struct sd_member *m); /* the connection is over: to the kernel */
void sd_member_unlink(struct sd_member *m);
long sd_set_look(struct sd_set *s, struct epoll_event *ev, int max); /* the kernel set, without waiting */
int sd_set_told(struct sd_set *s, const struct epoll_event *e, struct sd_member **m);
void sd_member_put_back(struct sd_member *m, uint32_t told);
uint32_t sd_member_owed(struct sd_member *m);
void sd_member_recent(struct sd_member *m);
/* sd_set_relook: at members that may have been marked unseen, a millisecond later, when store buffers have drained;
 * under the mutex. 1 if any is ready: it is hot, behind all others. */
int sd_set_relook(struct sd_set *s);
int sd_set_due(struct sd_set *s); /* that time has come */
void sd_member_heat(struct sd_member *m);
void sd_member_keep(struct sd_member *m); /* hot, which is no edge */
void sd_set_show(struct sd_set *s, int ready); /* in the kernel set */
int sd_inner_told(struct sd_member *m);	       /* the kernel tells of it: 1 if that is an event */
void sd_member_cool(struct sd_member *m);
int sd_member_edged(struct sd_member *m); /* since its last evaluation, by a call that changes nothing, perhaps */
#pragma GCC visibility pop
#endif
