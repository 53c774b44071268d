/* The common cases of ring.h, inline: no look at the other side, no wrap, no switch. */
#ifndef SD_RING_FAST_H
#define SD_RING_FAST_H

#include "ring.h"
#include "sys.h"

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

static inline void sd_tx_publish(struct sd_tx *tx, int exchange)
{
	if (exchange || sd_peek(&tx->d->rx_watch.careful))
		sd_xchg(&tx->d->tx.tail, tx->tail);
	else
		sd_store(&tx->d->tx.tail, tx->tail);
}

/* 1 if the n bytes are in the ring and published. */
static inline int sd_tx_put_fast(struct sd_tx *tx, const void *b, size_t n, int exchange)
{
	if (tx->class >= SD_CLASSES || tx->gen == 0)
		return 0;
	uint32_t cap = sd_class_cap[tx->class];
	uint64_t used = sd_tx_occupied(tx), at = (tx->tail - tx->base) & (cap - 1);
	if (n > cap / 4 || used > cap || cap - used < n || cap - at < n)
		return 0;
	sd_copy(tx->mem + sd_class_off[tx->class] + at, b, n);
	tx->tail += n;
	sd_tx_publish(tx, exchange);
	return 1;
}

/* 1 if n bytes that were known to be there, in one segment, are copied out and consumed. */
static inline int sd_rx_get_fast(struct sd_rx *rx, void *b, size_t n)
{
	struct sd_direction *d = rx->d;
	uint64_t head = sd_peek(&d->rx.head);
	uint32_t rgen = sd_peek(&d->rx.rgen), class = sd_class_of(d, rgen);
	int64_t avail = (int64_t)(rx->tail - head);
	if (rgen != rx->gen || class >= SD_CLASSES || avail > SD_DIR_STRIDE || avail < (int64_t)n)
		return 0;
	uint64_t at = (head - sd_base_of(d, rgen)) & (sd_class_cap[class] - 1);
	if (n > sd_class_cap[class] / 4 || sd_class_cap[class] - at < n)
		return 0;
	sd_copy(b, rx->mem + sd_class_off[class] + at, n);
	sd_store(&d->rx.head, head + n);
	return 1;
}

#endif
