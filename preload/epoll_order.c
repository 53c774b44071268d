/* The members that may be ready, and in which order a set tells of them: as Linux, first what became ready first. */
#include "epoll.h"

void sd_member_heat(struct sd_member *m)
{
	m->set->edges++;
	sd_member_keep(m);
}

void sd_member_keep(struct sd_member *m)
{
	struct sd_set *s = m->set;
	if (m->hot || m->disabled)
		return;
	m->hot = 1;
	m->hot_next = NULL;
	m->hot_prev = s->hot_tail;
	*(s->hot_tail ? &s->hot_tail->hot_next : &s->hot_head) = m;
	s->hot_tail = m;
}

void sd_member_cool(struct sd_member *m)
{
	struct sd_set *s = m->set;
	if (!m->hot)
		return;
	m->hot = 0;
	*(m->hot_prev ? &m->hot_prev->hot_next : &s->hot_head) = m->hot_next;
	*(m->hot_next ? &m->hot_next->hot_prev : &s->hot_tail) = m->hot_prev;
	if (s->settled == m)
		s->settled = m->hot_prev;
}

static int later(uint32_t a, uint32_t b) { return (int32_t)(a - b) > 0; }

/* The newer of its two marks is the one that is harvested. What came by TCP unnumbered, when its sender was not
 * attached yet, has an old one: it is taken for the first. 0: the mark is of bytes that nobody asked for. */
int sd_member_place(struct sd_member *m)
{
	int bell = m->set->waker.bell;
	if (bell < 0)
		return 0;
	uint32_t bytes = sd_watch_order(&sd_in(m->conn)->rx_watch, bell, m->bit);
	uint32_t space = m->tx_armed ? sd_watch_order(&sd_out(m->conn)->tx_watch, bell, m->bit) : bytes;
	int room = space && later(space, bytes);
	m->order = room ? space : bytes;
	return room || sd_member_asks_input(m) || sd_load(&sd_in(m->conn)->tx.tail) == m->seen_tail;
}

void sd_member_unmarked(struct sd_member *m)
{
	m->conn->unparked = 0;
	if (m->tx_armed || !sd_settled(m->conn)) /* only senders are asked to be careful */
		sd_member_recent(m);
}

/* Behind all that is marked, unless it has its place by a mark that is not harvested, or by bytes on TCP that are not
 * told: that it keeps, ready or not, until the next look. A mark of what nobody had asked for is none: the next is to
 * have a place of its own. */
void sd_member_now(struct sd_member *m)
{
	struct sd_set *s = m->set;
	if (m->hot || s->bell == NULL)
		return;
	int asked = sd_member_place(m) && !m->disabled, marked = sd_bell_marked(s->waker.bell, m->bit);
	if (asked && (marked || (sd_rx_on_tcp(sd_in(m->conn)) && m->order))) {
		sd_member_keep(m);
		return;
	}
	if (marked) {
		sd_bell_forget(s->waker.bell, m->bit);
		sd_member_unmarked(m);
	}
	m->order = sd_bell_number(s->bell);
}

/* The first n of a list, sorted by merging. */
static struct sd_member *sorted(struct sd_member *list, uint32_t n)
{
	if (n == 1) {
		list->hot_next = NULL;
		return list;
	}
	struct sd_member *b = list, *head, **at = &head;
	for (uint32_t i = 0; i < n / 2; i++)
		b = b->hot_next;
	b = sorted(b, n - n / 2);
	struct sd_member *a = sorted(list, n / 2);
	while (a && b) {
		struct sd_member **first = later(a->order, b->order) ? &b : &a;
		*at = *first;
		at = &(*first)->hot_next;
		*first = *at;
	}
	*at = a ? a : b;
	return head;
}

void sd_set_order(struct sd_set *s)
{
	struct sd_member *prev = s->settled, **first = prev ? &prev->hot_next : &s->hot_head;
	uint32_t n = 0;
	for (struct sd_member *m = *first; m; m = m->hot_next)
		n++;
	if (n < 2)
		return;
	*first = sorted(*first, n);
	for (struct sd_member *m = *first; m; m = m->hot_next) {
		m->hot_prev = prev;
		prev = m;
	}
	s->hot_tail = prev;
}

struct sd_member *sd_set_until(struct sd_set *s, uint32_t order)
{
	struct sd_member *last = s->settled, *m = last ? last->hot_next : s->hot_head;
	for (; m && !later(m->order, order); m = m->hot_next)
		last = m;
	return last;
}

static void marked(void *arg, unsigned bit)
{
	struct sd_set *s = arg;
	struct sd_member *m = bit < s->bits ? s->by_bit[bit] : NULL;
	if (m == NULL)
		return;
	if (!m->hot && !sd_member_place(m))
		m->order = sd_bell_number(s->bell);
	sd_member_marked(m);
}

void sd_set_harvest(struct sd_set *s)
{
	if (s->bell == NULL || !sd_bell_pending(s->bell))
		return;
	sd_bell_harvest(s->bell, s->waker.bell, marked, s);
}
