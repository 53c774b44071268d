/* In which order an epoll set tells of its members: as Linux, first what became ready first. */
#include "epoll.h"

static int later(uint32_t a, uint32_t b) { return (int32_t)(a - b) > 0; }

/* The newer of its two marks is the one that is harvested. What came by TCP unnumbered, when its sender was not
 * attached yet, has an old one: it is taken for the first. */
void sd_member_place(struct sd_member *m)
{
	int bell = m->set->waker.bell;
	if (bell < 0)
		return;
	uint32_t bytes = sd_watch_order(&sd_in(m->conn)->rx_watch, bell, m->bit);
	uint32_t space = m->tx_armed ? sd_watch_order(&sd_out(m->conn)->tx_watch, bell, m->bit) : bytes;
	m->order = space && later(space, bytes) ? space : bytes;
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

void sd_set_order(struct sd_set *s, struct sd_member *before)
{
	struct sd_member **first = before ? &before->hot_next : &s->hot_head, *prev = before;
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

struct sd_member *sd_set_until(struct sd_set *s, struct sd_member *before, uint32_t order)
{
	struct sd_member *m = before ? before->hot_next : s->hot_head, *last = before;
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
	if (!m->hot)
		sd_member_place(m);
	sd_member_marked(m);
}

void sd_set_harvest(struct sd_set *s)
{
	if (s->bell == NULL || !sd_bell_pending(s->bell))
		return;
	sd_bell_harvest(s->bell, s->waker.bell, marked, s);
}
