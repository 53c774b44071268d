#include "ring.h"

#include "ring_fast.h"

#define ACKNOWLEDGED_NS 1000000 /* a receiver that does not read acknowledges late, Linux's within 40 ms */

static void open_segment(struct sd_tx *tx, uint32_t class)
{
	struct sd_direction *d = tx->d;
	uint32_t gen = tx->gen + 1;
	sd_poke(&d->seg.base[gen % SD_SEG_DESCS], tx->tail);
	sd_poke(&d->seg.class[gen % SD_SEG_DESCS], class);
	sd_store(&d->tx.gen, gen);
	tx->gen = gen;
	tx->base = tx->tail;
	tx->class = class;
	tx->room = 0;
}

void sd_tx_load(struct sd_tx *tx)
{
	struct sd_direction *d = tx->d;
	tx->tail = sd_peek(&d->tx.tail);
	tx->gen = sd_peek(&d->tx.gen);
	tx->base = sd_base_of(d, tx->gen);
	tx->class = sd_class_of(d, tx->gen);
	tx->room = 0;
}

void sd_tx_open(struct sd_tx *tx, uint64_t n)
{
	tx->head = tx->tail = n;
	tx->rcvbuf = sd_peek(&tx->d->rx.buf);
	tx->gen = 0;
	sd_store(&tx->d->rx.head, n);
	sd_store(&tx->d->tx.tail, n);
	open_segment(tx, SD_CLASS_HOT);
}

/* Copies between a ring region and an iovec, n bytes from byte skip of the iovec on. */
static void copy_iov(unsigned char *ring, uint32_t cap, uint64_t off, const struct iovec *iov, size_t skip,
		     size_t n, int into_ring)
{
	for (; n > 0; iov++) {
		if (skip >= iov->iov_len) {
			skip -= iov->iov_len;
			continue;
		}
		unsigned char *b = (unsigned char *)iov->iov_base + skip;
		size_t left = iov->iov_len - skip;
		if (left > n)
			left = n;
		skip = 0;
		n -= left;
		while (left > 0) {
			size_t at = off & (cap - 1), k = cap - at < left ? cap - at : left;
			if (into_ring)
				sd_copy_bulk(ring + at, b, k);
			else
				sd_copy_bulk(b, ring + at, k);
			off += k;
			b += k;
			left -= k;
		}
	}
}

/* A larger piece lowers the bound, but not below what was said to be room. */
static void count_piece(struct sd_tx *tx, uint64_t piece)
{
	uint32_t sndbuf = sd_peek(&tx->d->tx.buf);
	if (piece > tx->piece && tx->tail - tx->head + sndbuf / 3 < sd_bound(tx, sndbuf, tx->rcvbuf, piece))
		sd_poke(&tx->piece, piece);
}

ssize_t sd_tx_put(struct sd_tx *tx, const struct iovec *iov, int iovcnt, size_t skip, size_t n, int exchange)
{
	struct sd_direction *d = tx->d;
	size_t done = 0;
	(void)iovcnt;
	tx->room = 0;
	if (tx->class == SD_CLASS_TCP)
		return SD_RING_TCP;
	uint32_t cap = sd_class_cap[tx->class];
	count_piece(tx, skip + n);
	while (done < n) {
		uint64_t used = sd_tx_occupied(tx), allowed = sd_tx_allowed(tx);
		if (used > cap || cap - used < n - done || allowed < n - done) {
			tx->head = sd_load(&d->rx.head);
			tx->rcvbuf = sd_peek(&d->rx.buf);
			if (tx->head == tx->tail && !sd_watched(&d->tx_watch)) {
				sd_poke(&tx->wide, 0);
				sd_poke(&tx->refused_ns, 0);
				sd_poke(&tx->piece, skip + n);
			}
			used = sd_tx_occupied(tx);
			allowed = sd_tx_allowed(tx);
			if (used > cap)
				return SD_RING_BAD;
		}
		/* The receiver starts on the first quarter while we copy the second. */
		size_t k = n - done;
		if (k > cap - used)
			k = cap - used;
		if (k > allowed)
			k = allowed;
		if (k > cap / 4)
			k = cap / 4;
		if (k == 0)
			break;
		copy_iov(tx->mem + sd_class_off[tx->class], cap, tx->tail - tx->base, iov, skip + done, k, 1);
		tx->tail += k;
		done += k;
		sd_tx_publish(tx, exchange && done == n);
	}
	return done;
}

/* A bit for each class whose region an unread segment still uses; all bits where no segment can be
 * opened. A segment that is consumed to its end is free before the receiver says so by RGen. */
static uint32_t regions_in_use(struct sd_direction *d, uint32_t gen)
{
	uint32_t rgen = sd_load(&d->rx.rgen), used = 0;
	uint64_t head = sd_load(&d->rx.head);
	if (gen - rgen >= SD_SEG_DESCS - 1)
		return ~0u;
	for (uint32_t g = rgen; g != gen + 1; g++) {
		uint32_t c = sd_class_of(d, g);
		int consumed = g != gen && (int64_t)(head - sd_base_of(d, g + 1)) >= 0;
		if (g != 0 && c < SD_CLASSES && !consumed)
			used |= 1u << c;
	}
	return used;
}

int sd_tx_switch(struct sd_tx *tx, uint32_t class)
{
	uint32_t used = regions_in_use(tx->d, tx->gen);
	if (used == ~0u || (used >> class & 1))
		return 0;
	open_segment(tx, class);
	return 1;
}

int sd_tx_grow(struct sd_tx *tx, uint32_t max_class)
{
	uint32_t used = regions_in_use(tx->d, tx->gen);
	if (used == ~0u)
		return 0;
	for (int c = max_class; c >= 0; c--)
		if (!(used >> c & 1))
			return sd_tx_switch(tx, c);
	return 0;
}

void sd_tx_shrink(struct sd_tx *tx)
{
	struct sd_direction *d = tx->d;
	if (tx->class == SD_CLASS_SPILL && sd_load(&d->rx.rgen) == tx->gen && sd_load(&d->rx.head) == tx->tail)
		sd_tx_switch(tx, SD_CLASS_BULK);
}

void sd_tx_to_tcp(struct sd_tx *tx)
{
	if (tx->class != SD_CLASS_TCP)
		open_segment(tx, SD_CLASS_TCP);
}

int sd_tx_bounded(struct sd_tx *tx) { return sd_tx_allowed(tx) == 0; }

int sd_tx_widen(struct sd_tx *tx)
{
	if (sd_peek(&tx->wide))
		return 0;
	sd_poke(&tx->wide, 1);
	return 1;
}

int sd_tx_at_last(struct sd_tx *tx)
{
	uint32_t gen = sd_tx_gen(tx->d);
	if (gen == 0 || sd_class_of(tx->d, gen) == SD_CLASS_TCP)
		return 0;
	return sd_tx_writable(tx) || (sd_tx_widen(tx), sd_tx_writable(tx));
}

int sd_tx_refused(struct sd_tx *tx, int64_t now_ns)
{
	int64_t first = sd_peek(&tx->refused_ns);
	if (first == 0)
		sd_poke(&tx->refused_ns, now_ns);
	return first != 0 && now_ns - first >= ACKNOWLEDGED_NS && sd_tx_widen(tx);
}

/* A third of the send buffer is free. */
static int allowed(struct sd_tx *tx)
{
	struct sd_direction *d = tx->d;
	uint64_t unread = sd_load(&d->tx.tail) - sd_load(&d->rx.head);
	uint32_t sndbuf = sd_peek(&d->tx.buf);
	return unread <= sd_bound(tx, sndbuf, sd_peek(&d->rx.buf), sd_peek(&tx->piece)) - sndbuf / 3;
}

int sd_tx_room(struct sd_tx *tx)
{
	struct sd_direction *d = tx->d;
	uint32_t gen = sd_load(&d->tx.gen), class = sd_class_of(d, gen);
	if (class == SD_CLASS_TCP)
		return 1;
	if (!allowed(tx))
		return 0;
	uint64_t base = sd_base_of(d, gen), tail = sd_load(&d->tx.tail), head = sd_load(&d->rx.head);
	int64_t ahead = (int64_t)(head - base);
	uint64_t used = ahead > 0 ? tail - head : tail - base;
	uint32_t cap = sd_class_cap[class];
	return used <= cap - cap / 3;
}

int sd_tx_writable(struct sd_tx *tx)
{
	if (sd_tx_room(tx))
		return 1;
	uint32_t busy = regions_in_use(tx->d, sd_tx_gen(tx->d));
	return allowed(tx) && busy != ~0u && busy != (1u << SD_CLASSES) - 1;
}

uint64_t sd_tx_unread(struct sd_tx *tx)
{
	return sd_load(&tx->d->tx.tail) - sd_load(&tx->d->rx.head);
}

void sd_rx_look(struct sd_rx *rx)
{
	rx->tail = sd_load(&rx->d->tx.tail);
	rx->gen = sd_load(&rx->d->tx.gen);
}

ssize_t sd_rx_avail(struct sd_rx *rx)
{
	int64_t a = (int64_t)(rx->tail - sd_peek(&rx->d->rx.head));
	if (a < 0) /* another process that shares this side has read on */
		return 0;
	return a > SD_DIR_STRIDE ? SD_RING_BAD : a;
}

ssize_t sd_rx_get(struct sd_rx *rx, const struct iovec *iov, int iovcnt, size_t skip, size_t n, int peek)
{
	struct sd_direction *d = rx->d;
	uint64_t head = sd_peek(&d->rx.head);
	uint32_t rgen = sd_peek(&d->rx.rgen);
	ssize_t avail = sd_rx_avail(rx);
	size_t done = 0;
	(void)iovcnt;
	rx->ready = 0;
	if (avail < 0 || rx->gen - rgen > SD_SEG_DESCS)
		return SD_RING_BAD;
	if ((size_t)avail < n)
		n = avail;
	for (;;) {
		uint32_t class = sd_class_of(d, rgen);
		if (class == SD_CLASS_TCP)
			return done ? (ssize_t)done : SD_RING_TCP;
		uint32_t cap = sd_class_cap[class];
		size_t k = n - done;
		/* A segment ends where the next begins; then its region is the sender's again. */
		if (rgen != rx->gen) {
			uint64_t left = sd_base_of(d, rgen + 1) - head;
			if (left == 0) {
				rgen++;
				if (!peek || (done == 0 && sd_peek(&d->rx.rgen) != 0)) /* nothing before it is left, on TCP neither */
					sd_store(&d->rx.rgen, rgen);
				continue;
			}
			if (left < k)
				k = left;
		}
		if (k == 0)
			return done;
		/* Give space back while copying, so that a large sender does not wait for all of it. */
		if (k > cap / 4)
			k = cap / 4;
		if (iov)
			copy_iov(rx->mem + sd_class_off[class], cap, head - sd_base_of(d, rgen), iov, skip + done, k, 0);
		done += k;
		head += k;
		if (!peek)
			sd_store(&d->rx.head, head);
	}
}

uint64_t sd_rx_unread(struct sd_rx *rx)
{
	return sd_load(&rx->d->tx.tail) - sd_load(&rx->d->rx.head);
}

int sd_rx_sender_wants(struct sd_rx *rx)
{
	struct sd_tx tx = {.d = rx->d, .wide = 1}; /* or it may be: then less has to be free */
	return sd_tx_writable(&tx);
}
