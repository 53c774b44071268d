/* What becomes of a connection's registrations when it moves, is closed, or loses a number. */
#include "epoll.h"

/* Under sd_promote_mutex. */
void sd_members_attach(struct sd_conn *c)
{
	for (struct sd_member *m = c->members; m; m = m->conn_next) {
		sd_mutex_lock(&m->set->mutex);
		sd_member_take_over(m, 0);
		sd_mutex_unlock(&m->set->mutex);
	}
}

/* Our direction went back to TCP: its space is the kernel's to report again. */
void sd_members_on_tcp(struct sd_conn *c)
{
	if (sd_peek(&c->members) == NULL)
		return;
	sd_mutex_lock(&sd_promote_mutex);
	for (struct sd_member *m = c->members; m; m = m->conn_next) {
		sd_mutex_lock(&m->set->mutex);
		if (sd_conn_of(m->fd) != c)
			m->set->lame = 1; /* the kernel changes nothing under a number that is closed */
		else
			sd_set_kernel(m->set, EPOLL_CTL_MOD, m->fd, sd_anchor_events(c, m->events), m->tag);
		m->set->both = 1;
		sd_mutex_unlock(&m->set->mutex);
	}
	sd_mutex_unlock(&sd_promote_mutex);
}

/* The stream is over, and what the socket does next is the kernel's. */
void sd_members_given_back(struct sd_conn *c)
{
	if (sd_peek(&c->members) == NULL)
		return;
	sd_mutex_lock(&sd_promote_mutex);
	for (struct sd_member *m = c->members, *next; m; m = next) {
		struct sd_set *s = m->set;
		next = m->conn_next;
		sd_mutex_lock(&s->mutex);
		sd_member_give_back(m);
		sd_mutex_unlock(&s->mutex);
	}
	sd_mutex_unlock(&sd_promote_mutex);
}

int sd_member_edged(struct sd_member *m)
{
	struct sd_slot_header *h = &m->conn->slot->hdr;
	int in = sd_load(&h->in_edges[m->conn->end]) != m->in_edges;
	int out = sd_load(&h->out_edges[m->conn->end]) != m->out_edges;
	return (in && out) || (in && (m->events & (EPOLLIN | EPOLLRDNORM))) || (out && (m->events & SD_ROOM));
}

/* Other processes that have the connection watch it, too. */
static void tell_sharers(struct sd_conn *c, uint32_t events)
{
	if (!sd_peek(&sd_in(c)->rx_lock.mode))
		return;
	if (events & EPOLLIN)
		sd_add(&c->slot->hdr.in_edges[c->end], 1);
	if (events & EPOLLOUT)
		sd_add(&c->slot->hdr.out_edges[c->end], 1);
	sd_watch_fire(&sd_in(c)->rx_watch, sd_g.bells, 1);
}

/* An edge for whoever watches it for one of these, whatever it shows. */
void sd_members_edge(struct sd_conn *c, uint32_t events)
{
	tell_sharers(c, events);
	if (sd_peek(&c->members) == NULL)
		return;
	sd_mutex_lock(&sd_promote_mutex);
	for (struct sd_member *m = c->members; m; m = m->conn_next) {
		struct sd_set *s = m->set;
		sd_mutex_lock(&s->mutex);
		if (m->ours && (events & (m->events | EPOLLERR | EPOLLHUP))) {
			sd_member_now(m);
			sd_member_heat(m);
			if (s->waking && sd_load(&s->waker.waiting))
				sd_waker_kick(&s->waker);
		}
		sd_mutex_unlock(&s->mutex);
	}
	sd_mutex_unlock(&sd_promote_mutex);
}

/* While a duplicate is open, Linux keeps a registration under the closed number, and lets nobody change
 * it: one whose connection is still on TCP could not follow it to the rings. */
void sd_members_renamed(struct sd_conn *c, int fd)
{
	int here = 0;
	if (sd_peek(&c->members) == NULL)
		return;
	sd_mutex_lock(&sd_promote_mutex);
	for (struct sd_member *m = c->members; m; m = m->conn_next) {
		struct sd_set *s = m->set;
		sd_mutex_lock(&s->mutex);
		if (m->fd == fd && s->by_fd[fd] == m) {
			here = 1;
			sd_set_leave(s, fd);
		}
		sd_mutex_unlock(&s->mutex);
	}
	sd_mutex_unlock(&sd_promote_mutex);
	if (here)
		sd_conn_keep(c, c->fd, SD_STATUS_MEMBERS);
}

void sd_members_closed(struct sd_conn *c)
{
	if (sd_peek(&c->members) == NULL)
		return;
	sd_mutex_lock(&sd_promote_mutex);
	for (struct sd_member *m = c->members, *next; m; m = next) {
		struct sd_set *s = m->set;
		next = m->conn_next;
		sd_mutex_lock(&s->mutex);
		sd_member_unlink(m);
		sd_mutex_unlock(&s->mutex);
	}
	sd_mutex_unlock(&sd_promote_mutex);
}

/* The reader need not tell any more. */
static uint32_t has_room(struct sd_set *s, struct sd_member *m, uint32_t out)
{
	if (m->tx_armed && m->bit < SD_MEMBERS_PER_BELL)
		sd_watch_disarm(&sd_out(m->conn)->tx_watch, s->waker.bell, m->bit);
	m->tx_armed = 0;
	return out;
}

/* Not writable and asked for: have the reader tell us. Returns what was asked for if it became so meanwhile. */
uint32_t sd_member_want_out(struct sd_set *s, struct sd_member *m, uint32_t mask)
{
	struct sd_conn *c = m->conn;
	uint32_t room = m->events & SD_ROOM;
	if ((mask & SD_ROOM) || !room)
		return has_room(s, m, 0);
	if (sd_tx_gen(sd_out(c)) == 0)
		return 0;
	if (m->tx_armed)
		return sd_tx_at_last(&c->tx) ? has_room(s, m, room) : 0;
	m->tx_armed = 1;
	sd_member_recent(m); /* the reader's Head may still be in its store buffer */
	if (m->bit >= SD_MEMBERS_PER_BELL || !sd_watch_arm(&sd_out(c)->tx_watch, s->waker.bell, m->bit))
		s->lame = 1;
	return sd_tx_at_last(&c->tx) || (sd_member_mask(m) & SD_ROOM) ? has_room(s, m, room) : 0;
}

/* A send found the ring full: the program will wait for room. */
void sd_members_want_out(struct sd_conn *c)
{
	struct sd_rx theirs = {.d = sd_out(c)};
	if (sd_peek(&c->members) == NULL)
		return;
	sd_mutex_lock(&sd_promote_mutex);
	for (struct sd_member *m = c->members; m; m = m->conn_next) {
		struct sd_set *s = m->set;
		if (!(m->events & SD_ROOM) || !m->ours)
			continue;
		sd_mutex_lock(&s->mutex);
		m->tx_armed = 1;
		sd_member_recent(m);
		if (m->bit >= SD_MEMBERS_PER_BELL ||
		    !sd_watch_arm(&sd_out(c)->tx_watch, s->waker.bell, m->bit))
			s->lame = 1;
		if (sd_rx_sender_wants(&theirs)) { /* then the evaluation finds room */
			sd_member_now(m);
			sd_member_heat(m);
		}
		sd_set_wake(s); /* who sleeps has nothing to look at again, as far as he knows */
		sd_mutex_unlock(&s->mutex);
	}
	sd_mutex_unlock(&sd_promote_mutex);
}
