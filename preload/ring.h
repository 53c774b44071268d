/* One direction of a connection: a byte stream in segments (docs/architecture.md, Segments).
 * Pure functions over shared memory; no system call, no lock, no wait. The caller holds the
 * direction's side (PRIVATE or LOCKED). Nothing that a peer writes makes them touch memory outside
 * the direction's region or loop without end. */
#ifndef SD_RING_H
#define SD_RING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "abi.h"
#include "sys.h"

/* The send side as one process sees it. */
struct sd_tx {
	struct sd_direction *d;
	unsigned char *mem; /* SD_DIR_STRIDE bytes of ring space */
	uint64_t head;	    /* last Head seen; may be old, never ahead */
	uint32_t rcvbuf;    /* the receiver's Buf, seen with head: it is in the same line */
	uint32_t wide;	    /* all of both buffers may be filled: TCP would have had its acknowledgement by now */
	int64_t refused_ns; /* when room was missed first since the receiver had read all; 0: it was not */
	uint64_t piece;	    /* bytes of the largest send since then */
	/* Copies of what this side itself wrote last, so that a burst never loads the line that the
	 * receiver keeps taking away; sd_tx_load refreshes them where others may have written. */
	uint64_t tail, base;
	uint32_t gen, class;
	/* What the next sends may do without any look: copy up to room bytes to at. 0 wherever a send must
	 * think first: on TCP, shared, spilled, after a hang-up, with an error to report. */
	uint32_t room;
	unsigned char *at;
};

/* The receive side as one process sees it. */
struct sd_rx {
	struct sd_direction *d;
	unsigned char *mem;
	uint64_t tail; /* last Tail seen; may be old */
	uint32_t gen;  /* the sender's Gen, seen after that Tail: all bytes below tail lie in segments <= gen */
	/* The same for the next receives: up to ready bytes are at from. */
	uint32_t ready;
	const unsigned char *from;
};

enum {
	SD_RING_BAD = -1,  /* the peer wrote an impossible value */
	SD_RING_TCP = -2,  /* the stream continues on the anchor */
};

static const uint32_t sd_class_cap[SD_CLASSES] = {SD_CAP_HOT, SD_CAP_BULK, SD_CAP_SPILL};
static const uint32_t sd_class_off[SD_CLASSES] = {0, SD_CAP_HOT, SD_CAP_HOT + SD_CAP_BULK};

/* sd_tx_load: under the lock of a shared side, before anything else. */
void sd_tx_load(struct sd_tx *tx);
/* sd_tx_open leaves TCP at byte n: segment 1 in the hot ring. */
void sd_tx_open(struct sd_tx *tx, uint64_t n);
/* sd_tx_put copies up to n bytes of the iovec, from byte skip on, into the current segment and
 * publishes them; exchange asks for a publication that no parking receiver can miss, and a careful
 * receiver gets no other.
 * Returns bytes taken (0: full), SD_RING_BAD or SD_RING_TCP. */
ssize_t sd_tx_put(struct sd_tx *tx, const struct iovec *iov, int iovcnt, size_t skip, size_t n, int exchange);
/* sd_tx_grow continues in the largest free region, or in max_class at most; 1 done, 0 none free. */
int sd_tx_grow(struct sd_tx *tx, uint32_t max_class);
/* sd_tx_shrink leaves a drained spill ring for the bulk ring. */
void sd_tx_shrink(struct sd_tx *tx);
/* sd_tx_to_tcp ends the last ring: bytes from here on are on the anchor. */
void sd_tx_to_tcp(struct sd_tx *tx);
/* sd_tx_switch continues in the given class; 1 done, 0 its region is still being read. */
int sd_tx_switch(struct sd_tx *tx, uint32_t class);
/* sd_tx_bounded: 1 if it is not the ring that is full, but what SO_SNDBUF and SO_RCVBUF allow. */
int sd_tx_bounded(struct sd_tx *tx);
/* sd_tx_room: 1 if a third of the current segment and of the send buffer is free, as Linux wants for POLLOUT. */
int sd_tx_room(struct sd_tx *tx);
/* sd_tx_widen: both buffers may be filled, until the receiver has read all; 1 if that is new. */
int sd_tx_widen(struct sd_tx *tx);
/* sd_tx_at_last: 1 if a ring is writable for who would sleep otherwise. Nobody sleeps for room before both buffers may
 * be filled, so that only the receiver has to tell him. */
int sd_tx_at_last(struct sd_tx *tx);
/* sd_tx_refused: who does not sleep misses room; 1 if it was missed so long ago that there is more now. */
int sd_tx_refused(struct sd_tx *tx, int64_t now_ns);
/* sd_tx_writable: 1 if there is room or another region is free. */
int sd_tx_writable(struct sd_tx *tx);
/* sd_tx_unread: bytes published and not consumed. */
uint64_t sd_tx_unread(struct sd_tx *tx);

/* sd_rx_look takes a fresh snapshot of Tail and Gen: one look at the sender's line. */
void sd_rx_look(struct sd_rx *rx);
/* sd_rx_avail: bytes below the snapshot that are not consumed, or SD_RING_BAD. */
ssize_t sd_rx_avail(struct sd_rx *rx);
/* sd_rx_get copies out, or with iov NULL drops, up to n of them, over any number of segments; consumes them unless peek.
 * 0: none; SD_RING_TCP: the stream continues on the anchor here; SD_RING_BAD. */
ssize_t sd_rx_get(struct sd_rx *rx, const struct iovec *iov, int iovcnt, size_t skip, size_t n, int peek);
/* sd_rx_unread: all bytes published beyond Head, over all segments. */
uint64_t sd_rx_unread(struct sd_rx *rx);
/* sd_rx_sender_wants: 1 if enough was freed for a waiting sender. */
int sd_rx_sender_wants(struct sd_rx *rx);

static inline uint32_t sd_tx_gen(struct sd_direction *d)
{
	return sd_load(&d->tx.gen);
}
/* sd_class_of: class of segment gen, checked: below SD_CLASSES, or SD_CLASS_TCP. */
static inline uint32_t sd_class_of(struct sd_direction *d, uint32_t gen)
{
	uint32_t c = sd_peek(&d->seg.class[gen % SD_SEG_DESCS]);
	return c < SD_CLASSES ? c : SD_CLASS_TCP;
}

/* sd_tx_closed: the receiver has closed, is about to, or died (WatchLine.Closed); the anchor tells. */
static inline uint32_t sd_tx_closed(struct sd_tx *tx) { return sd_peek(&tx->d->rx_watch.closed); }
/* sd_rx_new: 1 if there are bytes to read or the stream has left the rings; one look at the sender's line.
 * A further ring is no news: its sender may be stopped, or dead, before it puts anything there. */
static inline int sd_rx_new(struct sd_direction *d)
{
	if (sd_load(&d->tx.tail) != sd_peek(&d->rx.head))
		return 1;
	uint32_t gen = sd_peek(&d->tx.gen);
	return gen != sd_peek(&d->rx.rgen) && sd_class_of(d, gen) == SD_CLASS_TCP;
}

#endif
