/* What a member of an epoll set shows, and what of it is news. */
#include "epoll.h"

static uint64_t received_on_tcp(struct sd_member *m)
{
	return sd_rx_on_tcp(sd_in(m->conn)) ? sd_kernel_received(m->conn->fd) : 0;
}

/* An edge needs a later Tail than the last evaluation saw: its mark may come after that. */
static void remember(struct sd_member *m)
{
	m->seen_tail = sd_load(&sd_in(m->conn)->tx.tail);
	m->in_edges = sd_load(&m->conn->slot->hdr.in_edges[m->conn->end]);
	m->out_edges = sd_load(&m->conn->slot->hdr.out_edges[m->conn->end]);
	if (m->events & EPOLLET)
		m->seen_tcp = received_on_tcp(m);
}

/* What arrives is an edge for one that asks for input, by any of its names. */
int sd_member_asks_input(struct sd_member *m)
{
	return (m->events & (EPOLLIN | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND)) != 0;
}

static int arrived(struct sd_member *m)
{
	if (!sd_member_asks_input(m))
		return 0;
	struct sd_direction *in = sd_in(m->conn);
	if (sd_load(&in->tx.tail) == m->seen_tail && received_on_tcp(m) == m->seen_tcp)
		return 0;
	return sd_peek(&in->rx.low) <= 1 || sd_conn_readable(m->conn, m->conn->fd); /* below SO_RCVLOWAT it is none */
}

/* Of hang-ups those that the peer made: the anchor of a direction that we have shut shows the same before. */
static uint32_t by_peer(struct sd_conn *c, uint32_t events)
{
	uint32_t ends = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	if ((ends & (EPOLLRDHUP | EPOLLHUP)) && sd_peek(&c->slot->hdr.rd_shut[c->end]) && !sd_kernel_ended(c->fd))
		ends &= EPOLLERR;
	return ends;
}

/* Of ends of the peer's those that are an edge: not told yet, or, of a level, which stays, not to an outer set. */
static uint32_t fresh(struct sd_member *m, uint32_t ends) { return ends & ~(m->events & EPOLLET ? m->ends : m->edge_ends); }

/* Whether a mark is worth an evaluation. A reader tells of room that may not be enough, which is no edge; an end of
 * the stream is one, for whatever the program asked. */
static int news(struct sd_member *m)
{
	if (!(m->events & EPOLLET) && (sd_member_asks_input(m) || m->tx_armed))
		return 1;
	if (arrived(m) || sd_member_edged(m))
		return 1;
	uint32_t now = sd_conn_mask(m->conn, m->conn->fd);
	return fresh(m, by_peer(m->conn, now)) || (m->tx_armed && (now & m->events & SD_ROOM));
}

/* What of a connection makes edges and only grows: 1 if it has, since an edge of the set's was counted last. */
static int grown(struct sd_member *m)
{
	struct sd_slot_header *h = &m->conn->slot->hdr;
	uint64_t tail = sd_load(&sd_in(m->conn)->tx.tail);
	uint32_t others = sd_load(&h->in_edges[m->conn->end]) + sd_load(&h->out_edges[m->conn->end]);
	int r = tail != m->edge_tail || others != m->edge_others;
	m->edge_tail = tail;
	m->edge_others = others;
	return r;
}

/* An edge in an outer set, unless of nothing but what has made one there: its mark may come late, and who looks again
 * once store buffers have drained finds it anew. */
static void stir(struct sd_member *m)
{
	int edge = grown(m) || m->tx_armed || sd_rx_on_tcp(sd_in(m->conn));
	uint32_t ends = edge ? 0 : by_peer(m->conn, sd_conn_mask(m->conn, m->conn->fd)) & ~m->edge_ends;
	m->edge_ends |= ends;
	if (edge || ends)
		sd_member_heat(m);
	else
		sd_member_keep(m);
}

/* Whether the kernel has a say in what is ready: its bytes may come by TCP, or its end is about to come. */
static void note_path(struct sd_set *s, struct sd_member *m)
{
	uint8_t tcp = m->ours && (sd_rx_on_tcp(sd_in(m->conn)) ||
				  (sd_tx_closed(&m->conn->tx) && !(m->ends & (EPOLLRDHUP | EPOLLHUP))));
	s->on_tcp += tcp - m->on_tcp;
	m->on_tcp = tcp;
}

void sd_member_marked(struct sd_member *m)
{
	if (news(m))
		stir(m);
	note_path(m->set, m);
	sd_member_unmarked(m);
}

uint32_t sd_member_mask(struct sd_member *m)
{
	if (!m->ours)
		return sd_member_owed(m);
	return (uint16_t)sd_conn_mask(m->conn, m->conn->fd) & (m->events | EPOLLERR | EPOLLHUP);
}

/* What the mask tells of must be what seen_tail remembers, or an arrival makes two edges. */
static uint32_t evaluate(struct sd_set *s, struct sd_member *m)
{
	uint32_t mask;
	int tries = 0;
	if (!m->ours) {
		mask = sd_member_owed(m);
		m->owed = 0;
		return mask;
	}
	do {
		remember(m);
		mask = (uint16_t)sd_conn_mask(m->conn, m->conn->fd);
	} while ((m->events & EPOLLET) && (arrived(m) || sd_member_edged(m)) && ++tries < 4);
	m->ends |= by_peer(m->conn, mask);
	mask &= m->events | EPOLLERR | EPOLLHUP;
	mask |= sd_member_want_out(s, m, mask);
	if (mask)
		s->peer_cpu = sd_peek(&sd_in(m->conn)->tx.cpu);
	return mask;
}

/* RST, whose error a call has taken: it shows in nothing else. */
int sd_member_reset_told(struct sd_member *m) { return m->ours && m->conn->told; }

uint32_t sd_member_answer(struct sd_set *s, struct sd_member *m)
{
	uint32_t mask = m->disabled ? 0 : evaluate(s, m);
	note_path(s, m);
	return mask;
}

/* To an outer set it is an edge in any case: a mark may not be harvested yet, and of a member that is hot Linux may
 * have nothing in its list. The kernel set, which was asked for it too, tells of what its anchor shows. */
void sd_member_queue(struct sd_member *m)
{
	m->set->edges++;
	grown(m);
	m->set->both |= (sd_anchor_events(m->conn, m->events) & (SD_ROOM | EPOLLPRI)) != 0;
	if (!m->hot && sd_member_answer(m->set, m))
		sd_member_keep(m);
	m->edge_ends |= m->ends;
}

/* What the anchor shows matters while a direction is on TCP, and when the stream ends; each end once.
 * Space on TCP is news also when the direction has left it meanwhile: the program waits because TCP was
 * full, and if the ring has room nobody else will tell. */
void sd_member_anchor(struct sd_member *m, uint32_t e)
{
	struct sd_conn *c = m->conn;
	uint32_t ends = e & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	if (ends)
		sd_conn_hung_up(c, c->fd, ends & (EPOLLRDHUP | EPOLLHUP));
	uint32_t theirs = by_peer(c, ends);
	if (ends & EPOLLHUP && sd_member_reset_told(m))
		theirs |= EPOLLERR;
	/* Which bit is new the kernel does not say: on TCP an edge too many is better than one too few. Our own SHUT_RD
	 * shows with all that comes. */
	int bytes = (e & EPOLLIN) && !theirs && sd_rx_on_tcp(sd_in(c)) && (!(m->events & EPOLLET) || arrived(m));
	if (!m->hot)
		sd_member_place(m);
	uint32_t edge = fresh(m, theirs);
	m->edge_ends |= theirs;
	if (edge || bytes || sd_member_edged(m) || (e & m->events & (SD_ROOM | EPOLLPRI)))
		sd_member_heat(m);
}

void sd_member_look_again(struct sd_member *m)
{
	if (m->ours && m->tx_armed)
		sd_tx_at_last(&m->conn->tx);
	if (m->ours && !m->disabled && news(m) && sd_member_mask(m)) {
		sd_member_now(m);
		stir(m);
	}
	if (m->ours && sd_low_split(m->conn))
		sd_member_recent(m);
}
