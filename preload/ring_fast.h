/* The common cases of ring.h, inline: no look at the other side, no wrap, no switch. */
#ifndef SD_RING_FAST_H
#define SD_RING_FAST_H

#include "ring.h"
#include "sys.h"

static inline int sd_watched(struct sd_watch_line *l)
{
	uint64_t *pair = (uint64_t *)l->entry;
	_Static_assert(sizeof l->entry == 2 * sizeof *pair, "all entries");
	return (sd_peek(&pair[0]) | sd_peek(&pair[1])) != 0;
}

static inline uint64_t sd_base_of(struct sd_direction *d, uint32_t gen)
{
	return sd_peek(&d->seg.base[gen % SD_SEG_DESCS]);
}

/* Bytes of the current segment that the receiver still occupies; > its capacity means a bad peer. */
static inline uint64_t sd_tx_occupied(struct sd_tx *tx)
{
	int64_t ahead = (int64_t)(tx->head - tx->base);
	return tx->tail - (ahead > 0 ? tx->head : tx->base);
}

/* What Linux takes before it hears of an acknowledgement that a timer delays. A piece as large as the send buffer
 * fills it with one segment, which is half of the first window at most; of smaller ones the receiver acknowledges
 * at once what its window need not shrink for. Fitted to what the checks room_* print. */
static inline uint64_t sd_first_bound(uint64_t sndbuf, uint64_t rcvbuf, uint64_t piece)
{
	uint64_t segment = rcvbuf / 4 < 64 << 10 ? rcvbuf / 4 : 64 << 10;
	uint64_t window = rcvbuf / 6 > 96 << 10 ? rcvbuf / 6 : 96 << 10;
	if (piece < sndbuf)
		return sndbuf + (window < 3 * rcvbuf / 8 ? window : 3 * rcvbuf / 8);
	if (segment > piece)
		segment = piece;
	return sndbuf > segment ? sndbuf : segment;
}

/* What may lie unread, by both ends' buffers. The overhead of the segments that a tiny window leaves TCP
 * takes half of the send buffer. */
static inline uint64_t sd_bound(struct sd_tx *tx, uint32_t sndbuf, uint32_t rcvbuf, uint64_t piece)
{
	if (sndbuf == 0 || rcvbuf == 0)
		return SD_DIR_STRIDE;
	uint64_t both = (uint64_t)rcvbuf + (rcvbuf < 4096 ? sndbuf / 2 : sndbuf);
	if (sd_peek(&tx->wide))
		return both;
	uint64_t first = sd_first_bound(sndbuf, rcvbuf, piece);
	return first < both - both / 4 ? first : both; /* else it is not worth a second try */
}

/* How much of it is left, by the last Head seen. */
static inline uint64_t sd_tx_allowed(struct sd_tx *tx)
{
	uint64_t unread = tx->tail - tx->head, bound = sd_bound(tx, sd_peek(&tx->d->tx.buf), tx->rcvbuf, tx->piece);
	return unread < bound ? bound - unread : 0;
}

static inline void sd_tx_publish(struct sd_tx *tx, int exchange)
{
	if (exchange || sd_peek(&tx->d->rx_watch.careful))
		sd_xchg(&tx->d->tx.tail, tx->tail);
	else
		sd_store(&tx->d->tx.tail, tx->tail);
}

/* After a send by the only user of this side: what the next ones may do without thinking. A quarter of
 * the ring at most, so that known space is looked at before it runs out. */
static inline void sd_tx_aim(struct sd_tx *tx)
{
	tx->room = 0;
	if (tx->class >= SD_CLASS_SPILL || tx->gen == 0)
		return;
	uint32_t cap = sd_class_cap[tx->class];
	uint64_t used = sd_tx_occupied(tx), at = (tx->tail - tx->base) & (cap - 1);
	if (used > cap)
		return;
	uint64_t room = cap - used < cap - at ? cap - used : cap - at, allowed = sd_tx_allowed(tx);
	uint32_t sndbuf = sd_peek(&tx->d->tx.buf);
	if (room > allowed)
		room = allowed;
	if (sndbuf != 0 && room >= sndbuf) /* what fills the send buffer is thought about */
		room = sndbuf - 1;
	tx->room = room < cap / 4 ? room : cap / 4;
	tx->at = tx->mem + sd_class_off[tx->class] + at;
}

/* The n <= room bytes at tx->at are the stream's next. */
static inline void sd_tx_advance(struct sd_tx *tx, size_t n, int exchange)
{
	tx->at += n;
	tx->room -= n;
	tx->tail += n;
	sd_tx_publish(tx, exchange);
}

/* With 0 < n <= room: into the ring and published. */
static inline void sd_tx_append(struct sd_tx *tx, const void *b, size_t n, int exchange)
{
	sd_copy(tx->at, b, n);
	sd_tx_advance(tx, n, exchange);
}

/* After a receive by the only user of this side: what is known to be there, in one piece. */
static inline void sd_rx_aim(struct sd_rx *rx)
{
	struct sd_direction *d = rx->d;
	uint64_t head = sd_peek(&d->rx.head);
	uint32_t rgen = sd_peek(&d->rx.rgen), class = sd_class_of(d, rgen);
	int64_t avail = (int64_t)(rx->tail - head);
	rx->ready = 0;
	if (rgen == 0 || rgen != rx->gen || class >= SD_CLASSES || avail < 0 || avail > SD_DIR_STRIDE)
		return;
	uint32_t cap = sd_class_cap[class];
	uint64_t at = (head - sd_base_of(d, rgen)) & (cap - 1);
	rx->ready = avail < (int64_t)(cap - at) ? (uint32_t)avail : cap - at;
	rx->from = rx->mem + sd_class_off[class] + at;
}

/* The n <= ready bytes at rx->from are consumed. */
static inline void sd_rx_advance(struct sd_rx *rx, size_t n)
{
	rx->from += n;
	rx->ready -= n;
	sd_store(&rx->d->rx.head, sd_peek(&rx->d->rx.head) + n);
}

/* With 0 < n <= ready: copied out and consumed. */
static inline void sd_rx_take(struct sd_rx *rx, void *b, size_t n)
{
	sd_copy(b, rx->from, n);
	sd_rx_advance(rx, n);
}

#endif
