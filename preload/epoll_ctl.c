/* Membership: who is in an epoll set, and what changes when a member's connection is attached. */
#include <stdlib.h>
#include <string.h>

#include "epoll.h"

/* Of an anchor the kernel set reports the end of stream, what comes on TCP, and an urgent byte; space there only
 * while our direction is on TCP. */
uint32_t sd_anchor_events(struct sd_conn *c, uint32_t events)
{
	struct sd_direction *out = sd_out(c);
	uint32_t og = sd_tx_gen(out), e = EPOLLIN | EPOLLRDHUP | EPOLLET | (events & EPOLLPRI);
	if (og == 0 || sd_class_of(out, og) == SD_CLASS_TCP)
		e |= events & SD_ROOM;
	return e;
}

long sd_set_kernel(struct sd_set *s, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events, .data.u64 = data};
	return sd_sys(SYS_epoll_ctl, s->fd, op, fd, &e);
}

long sd_set_look(struct sd_set *s, struct epoll_event *ev, int max)
{
	return sd_sys(SYS_epoll_pwait, s->fd, ev, max, 0, NULL, 8);
}

/* A registration with EPOLLEXCLUSIVE cannot be modified. Without it all sets that hold the anchor are woken:
 * Linux promises one at least. */
static long tell_kernel(struct sd_member *m, uint32_t events)
{
	int op = EPOLL_CTL_MOD;
	if (m->events & EPOLLEXCLUSIVE) {
		sd_set_kernel(m->set, EPOLL_CTL_DEL, m->fd, 0, 0);
		op = EPOLL_CTL_ADD;
	}
	return sd_set_kernel(m->set, op, m->fd, events, m->tag);
}

void sd_member_recent(struct sd_member *m)
{
	m->recent_ns = sd_now_ns();
	if (m->recent)
		return;
	if (m->set->recent == NULL)
		m->set->look_ns = m->recent_ns;
	m->recent = 1;
	m->recent_next = m->set->recent;
	m->set->recent = m;
}

static int grow(void *array, uint32_t *have, uint32_t want)
{
	struct sd_member ***a = array;
	uint32_t n = *have ? *have : 64;
	if (want < *have)
		return 1;
	while (n <= want)
		n *= 2;
	struct sd_member **p = realloc(*a, n * sizeof *p);
	if (p == NULL)
		return 0;
	memset(p + *have, 0, (n - *have) * sizeof *p);
	*a = p;
	*have = n;
	return 1;
}

/* The number is closed, or something else's. */
void sd_set_leave(struct sd_set *s, int fd)
{
	struct sd_member *m = s->by_fd[fd];
	if (m == NULL)
		return;
	s->by_fd[fd] = NULL;
	m->left_next = s->left;
	s->left = m;
}

static struct sd_member *member_of(struct sd_set *s, int fd)
{
	struct sd_conn *c = sd_conn_of(fd);
	for (struct sd_member **p = &s->left, *m; c && (m = *p) != NULL; p = &m->left_next)
		if (m->fd == fd && m->conn == c) { /* the number names it again */
			*p = m->left_next;
			sd_set_leave(s, fd);
			return s->by_fd[fd] = m;
		}
	return (uint32_t)fd < s->fds ? s->by_fd[fd] : NULL;
}

int sd_set_tagged(struct sd_set *s, uint64_t data, struct sd_member **m)
{
	uint64_t t = data ^ s->secret;
	uint32_t fd = t & (SD_TAG_FDS - 1);
	if (t / SD_TAG_FDS > s->gen)
		return 0;
	*m = fd < s->fds ? s->by_fd[fd] : NULL;
	if (*m == NULL || (*m)->tag != data)
		for (*m = s->left; *m && (*m)->tag != data; *m = (*m)->left_next)
			;
	return 1;
}

/* It is reported once only, is on rings, may come there, or may be ready without being so (sd_set_ready). */
static int needs_record(int fd, uint32_t events)
{
	struct sd_ent *e = sd_ent_of(fd);
	if (events & (EPOLLET | EPOLLONESHOT))
		return (unsigned)fd < SD_FD_MAX;
	return e && (e->kind != SD_CONN || sd_peek(&((struct sd_conn *)e)->state) != SD_ST_KERNEL);
}

void sd_set_wake(struct sd_set *s)
{
	if (s->waking && sd_load(&s->waker.waiting))
		sd_waker_kick(&s->waker);
}

/* The rings of its connection are watched, by a bit of the set's bell. */
static void watch(struct sd_member *m)
{
	struct sd_set *s = m->set;
	if (s->bell == NULL && (s->bell = sd_waker_bell(&s->waker)) != NULL && s->nested)
		sd_add(&s->bell->parked, 1);
	for (m->bit = 0; m->bit < s->bits && s->by_bit[m->bit]; m->bit++)
		;
	if (s->bell && m->bit < SD_MEMBERS_PER_BELL && grow(&s->by_bit, &s->bits, m->bit)) {
		s->by_bit[m->bit] = m;
		sd_bell_forget(s->waker.bell, m->bit);
		if (!sd_watch_arm(&sd_in(m->conn)->rx_watch, s->waker.bell, m->bit))
			s->lame = 1;
	} else {
		m->bit = SD_MEMBERS_PER_BELL;
		s->lame = 1;
	}
	if (s->lame)
		sd_count(SD_COUNT_WATCH_FULL);
	sd_careful(m->conn);
	sd_member_recent(m);
	sd_member_queue(m);
}

/* The member's connection is attached now. told: the kernel set is asked for sd_anchor_events. */
void sd_member_take_over(struct sd_member *m, int told)
{
	struct sd_set *s = m->set;
	if (m->ours)
		return;
	m->ours = m->on_tcp = 1;
	s->ours++;
	s->on_tcp++;
	if (!told)
		tell_kernel(m, sd_anchor_events(m->conn, m->events));
	watch(m);
	sd_set_wake(s);
}

/* Its connection is not watched for it any more. */
static void leave_connection(struct sd_member *m)
{
	struct sd_set *s = m->set;
	for (struct sd_member **p = &m->conn->members; *p; p = &(*p)->conn_next)
		if (*p == m) {
			*p = m->conn_next;
			break;
		}
	if (m->ours && m->bit < SD_MEMBERS_PER_BELL) {
		s->by_bit[m->bit] = NULL;
		if (s->owner == sd_g.pid) {
			sd_watch_disarm(&sd_in(m->conn)->rx_watch, s->waker.bell, m->bit);
			sd_watch_disarm(&sd_out(m->conn)->tx_watch, s->waker.bell, m->bit);
		}
	}
	s->ours -= m->ours;
	s->on_tcp -= m->on_tcp;
	sd_member_cool(m);
	for (struct sd_member **p = &s->recent; m->recent && *p; p = &(*p)->recent_next)
		if (*p == m) {
			*p = m->recent_next;
			break;
		}
	m->conn = NULL;
	m->ours = m->on_tcp = m->recent = m->tx_armed = 0;
}

/* What becomes of it the kernel knows, but for one that is closed, or has fired and is not to be told of again. */
void sd_member_give_back(struct sd_member *m)
{
	if (m->ours && tell_kernel(m, m->disabled ? EPOLLONESHOT | EPOLLET : m->events) == 0)
		leave_connection(m);
}

void sd_member_unlink(struct sd_member *m)
{
	struct sd_set *s = m->set;
	if (m->conn)
		leave_connection(m);
	s->members--;
	s->inner -= m->inner != NULL;
	sd_member_cool(m);
	if (s->by_fd[m->fd] == m)
		s->by_fd[m->fd] = NULL;
	for (struct sd_member **p = &s->left; *p; p = &(*p)->left_next)
		if (*p == m) {
			*p = m->left_next;
			break;
		}
	free(m);
}

/* The set's waker joins the kernel set with the first member that may move to rings. */
static int make_waking(struct sd_set *s)
{
	if (s->waking)
		return 1;
	if (s->waker.fd < 0 && sd_waker_init(&s->waker) < 0)
		return 0;
	if (sd_set_kernel(s, EPOLL_CTL_ADD, s->waker.fd, EPOLLIN | EPOLLET, sd_waker_tag(s)) < 0)
		return 0;
	s->waking = 1;
	return 1;
}

/* By the parent's bell. */
static void inherit_place(struct sd_member *m)
{
	if (!m->hot)
		sd_member_place(m);
}

static void watch_anew(struct sd_member *m)
{
	m->tx_armed = 0;
	watch(m);
}

static void for_members(struct sd_set *s, void (*fn)(struct sd_member *))
{
	for (uint32_t i = 0; i < s->fds; i++)
		if (s->by_fd[i] && s->by_fd[i]->ours)
			fn(s->by_fd[i]);
	for (struct sd_member *m = s->left; m; m = m->left_next)
		if (m->ours)
			fn(m);
}

/* The bell and the waker of a set that a child has inherited are its parent's, who may close them, or end. */
void sd_set_adopt(struct sd_set *s)
{
	if (sd_peek(&s->owner) == sd_g.pid)
		return;
	sd_mutex_lock(&sd_promote_mutex);
	sd_mutex_lock(&s->mutex);
	if (s->owner != sd_g.pid && !s->over) {
		for_members(s, inherit_place);
		sd_set_orphan(s);
		sd_store(&s->owner, sd_g.pid);
		if (s->ours && make_waking(s))
			for_members(s, watch_anew);
		sd_set_order(s);
		s->settled = s->hot_tail;
		s->lame |= s->ours && !s->waking;
	}
	int inner = s->inner != 0;
	sd_mutex_unlock(&s->mutex);
	sd_mutex_unlock(&sd_promote_mutex);
	for (int fd = 0; inner && fd < sd_peek(&sd_fd_top); fd++) {
		struct sd_set *other = sd_set_of(fd);
		if (other && other->nested)
			sd_set_adopt(other);
	}
}

/* The kernel was asked and told of events: it shall tell them again. It does, if they still hold, unless the
 * number is closed while a duplicate lives. */
void sd_member_put_back(struct sd_member *m, uint32_t told)
{
	m->inner_edges--;
	if (!(m->events & (EPOLLET | EPOLLONESHOT)) || tell_kernel(m, m->events) == 0)
		return;
	make_waking(m->set); /* by which the set's own descriptor shows it */
	m->owed |= told;
	sd_member_keep(m);
}

/* The member's connection may move to rings, or is there already. Without a waker it could not follow. */
static void follow(struct sd_member *m, struct sd_conn *c, int attached, int told)
{
	if (!attached && sd_peek(&c->state) == SD_ST_KERNEL)
		return;
	if (!make_waking(m->set)) {
		sd_count(SD_COUNT_WATCH_FULL);
		if (!attached) {
			sd_store(&c->state, SD_ST_KERNEL);
			return;
		}
	}
	m->conn = c;
	m->conn_next = c->members;
	c->members = m;
	if (attached) {
		sd_member_take_over(m, told);
		m->order = m->hot && m->set->bell ? sd_bell_number(m->set->bell) : 0;
	}
}

/* Event loops register a socket and then connect it. A member that the kernel set does not hold under
 * this number (any more) stands for an older description: that costs an ADD to find out, and a DEL. */
void sd_members_connected(struct sd_conn *c, int fd)
{
	sd_mutex_lock(&sd_promote_mutex);
	for (struct sd_set *s = sd_sets; s; s = s->next) {
		sd_mutex_lock(&s->mutex);
		struct sd_member *m = member_of(s, fd);
		if (m && m->conn == NULL) {
			if (sd_set_kernel(s, EPOLL_CTL_ADD, fd, 0, 0) == -EEXIST)
				follow(m, c, 0, 0);
			else
				sd_set_kernel(s, EPOLL_CTL_DEL, fd, 0, 0);
		}
		sd_mutex_unlock(&s->mutex);
	}
	sd_mutex_unlock(&sd_promote_mutex);
}

/* What the number stood for was closed without our seeing it, or is a set that lives by another number. */
static void forget(struct sd_set *s, int fd)
{
	struct sd_member *m = (uint32_t)fd < s->fds ? s->by_fd[fd] : NULL;
	if (m && m->inner && m->inner->secret == m->inner_secret && m->inner->refs)
		sd_set_leave(s, fd);
	else if (m)
		sd_member_unlink(m);
}

/* A record for what op, EPOLL_CTL_ADD or EPOLL_CTL_MOD, is about to register. */
static int with_record(struct sd_set *s, int op, int fd, struct epoll_event *ev)
{
	struct sd_conn *c = sd_conn_of(fd);
	struct sd_member *m = calloc(1, sizeof *m);
	if (m == NULL)
		return -ENOMEM;
	m->fd = fd;
	m->tag = s->secret ^ (++s->gen * SD_TAG_FDS | fd);
	m->events = ev->events;
	m->data = ev->data.u64;
	m->set = s;
	m->inner = sd_set_of(fd);
	m->inner_secret = m->inner ? m->inner->secret : 0;
	int attached = c && sd_attached(c), told = attached && !(ev->events & EPOLLEXCLUSIVE);
	long r = sd_set_kernel(s, op, fd, told ? sd_anchor_events(c, ev->events) : ev->events, m->tag);
	if (r == 0 && !grow(&s->by_fd, &s->fds, fd)) {
		sd_set_kernel(s, EPOLL_CTL_DEL, fd, 0, 0);
		r = -ENOMEM;
	}
	if (r < 0) {
		free(m);
		return r;
	}
	forget(s, fd);
	s->by_fd[fd] = m;
	s->members++;
	s->inner += m->inner != NULL;
	if (c)
		follow(m, c, attached, told);
	return 0;
}

static int add(struct sd_set *s, int fd, struct epoll_event *ev)
{
	if (sd_is_hidden(fd))
		return -EBADF;
	if (needs_record(fd, ev->events))
		return with_record(s, EPOLL_CTL_ADD, fd, ev);
	int was = s->plain;
	s->plain = 1;
	long r = sd_set_kernel(s, EPOLL_CTL_ADD, fd, ev->events, ev->data.u64);
	if (r == 0)
		forget(s, fd);
	else
		s->plain = was;
	return r;
}

int sd_set_ctl(struct sd_set *s, int op, int fd, struct epoll_event *ev)
{
	int r;
	struct sd_set *inner = op == EPOLL_CTL_ADD && ev ? sd_set_of(fd) : NULL;
	sd_set_adopt(s);
	if (inner && inner != s)
		sd_set_nest(inner);
	sd_mutex_lock(&sd_promote_mutex);
	sd_mutex_lock(&s->mutex);
	struct sd_member *m = member_of(s, fd);
	if (sd_load(&s->users) & SD_CLOSED) {
		r = -EBADF;
	} else if (op == EPOLL_CTL_ADD && ev) {
		r = add(s, fd, ev);
	} else if (m == NULL && op == EPOLL_CTL_MOD && ev && needs_record(fd, ev->events)) {
		r = with_record(s, op, fd, ev);
	} else if (m == NULL) {
		r = sd_sys(SYS_epoll_ctl, s->fd, op, fd, ev);
	} else if (op == EPOLL_CTL_DEL) {
		r = sd_set_kernel(s, op, fd, 0, 0);
		if (r == 0) /* one whose number is closed while a duplicate lives stays */
			sd_member_unlink(m);
	} else if (op == EPOLL_CTL_MOD && ev && m->ours && ((ev->events | m->events) & EPOLLEXCLUSIVE)) {
		r = -EINVAL; /* as Linux; the kernel set holds other events than the program asked for */
	} else if (op == EPOLL_CTL_MOD && ev) {
		r = sd_set_kernel(s, op, fd, m->ours ? sd_anchor_events(m->conn, ev->events) : ev->events, m->tag);
		if (r == 0 && m->ours)
			sd_member_now(m); /* by what was asked for until now */
		if (r == 0) {
			m->events = ev->events;
			m->data = ev->data.u64;
			m->disabled = 0;
			m->ends = m->edge_ends = m->owed = 0;
			m->inner_edges--;
			if (m->ours) {
				sd_member_queue(m);
				sd_set_wake(s);
			}
		}
	} else {
		r = sd_sys(SYS_epoll_ctl, s->fd, op, fd, ev);
	}
	sd_mutex_unlock(&s->mutex);
	sd_mutex_unlock(&sd_promote_mutex);
	return r;
}
