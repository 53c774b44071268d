/* The descriptor table: number -> what libsd knows of it. Lock-free for readers; a number without
 * an entry costs one load. Close: table first, then kernel. Open: kernel first, entry last. */
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "sd.h"

struct sd_ent *sd_table[SD_FD_MAX];
int sd_fd_top;

static struct sd_ent hidden = {.kind = SD_HIDDEN_FD};
static sd_mutex pool_mutex;
static struct sd_conn *pool_head, **pool_tail = &pool_head;
static uint64_t serials; /* guarded by pool_mutex */

/* Records are never unmapped and are reused oldest first, so a thread that still looks at a record
 * whose descriptor another thread just closed reads valid memory and finds it not attached. */
static struct sd_conn *conn_alloc(void)
{
	enum { CHUNK = 256 };
	sd_mutex_lock(&pool_mutex);
	if (pool_head == NULL || pool_head->next == NULL) {
		struct sd_conn *m = mmap(NULL, CHUNK * sizeof *m, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (m == MAP_FAILED) {
			sd_mutex_unlock(&pool_mutex);
			return NULL;
		}
		for (int i = 0; i < CHUNK; i++) {
			*pool_tail = &m[i];
			pool_tail = &m[i].next;
		}
	}
	struct sd_conn *c = pool_head;
	pool_head = c->next;
	uint64_t serial = ++serials;
	sd_mutex_unlock(&pool_mutex);
	memset(c, 0, sizeof *c);
	c->serial = serial;
	c->ent.kind = SD_CONN;
	return c;
}

static void conn_free(struct sd_conn *c)
{
	sd_mutex_lock(&pool_mutex);
	c->next = NULL;
	*pool_tail = c;
	pool_tail = &c->next;
	sd_mutex_unlock(&pool_mutex);
}

/* Over a fork the pool stands still, so that the child's is whole. */
void sd_table_fork(void) { sd_mutex_lock(&pool_mutex); }
void sd_table_fork_parent(void) { sd_mutex_unlock(&pool_mutex); }
void sd_table_fork_child(void) { pool_mutex = 0; }

static void put(int fd, struct sd_ent *e)
{
	for (int top = sd_peek(&sd_fd_top); fd >= top && !sd_cas(&sd_fd_top, top, fd + 1); top = sd_peek(&sd_fd_top))
		;
	sd_store(&sd_table[fd], e);
}

void sd_put_set(int fd, struct sd_ent *set) { put(fd, set); }

int sd_is_hidden(int fd)
{
	struct sd_ent *e = sd_ent_of(fd);
	return e && e->kind == SD_HIDDEN_FD;
}

/* Hidden numbers start at 512 where the limit allows, below what select can name. */
int sd_hide(int fd)
{
	int to = sd_sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 512);
	if (to < 0 || to >= SD_FD_MAX) {
		if (to >= 0)
			sd_sys(SYS_close, to);
		to = sd_sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
	}
	sd_sys(SYS_close, fd);
	if (to < 0)
		return to;
	put(to, &hidden);
	return to;
}

int sd_move_hidden(int fd)
{
	int to = sd_sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, fd + 1);
	if (to < 0)
		return -EMFILE;
	put(to, &hidden);
	sd_waker_moved(fd, to);
	sd_client_moved(fd, to);
	sd_claim_moved(fd, to);
	sd_set_moved(fd, to);
	if (sd_g.out_fd == fd)
		sd_store(&sd_g.out_fd, to);
	sd_unhide(fd);
	return 0;
}

void sd_unhide(int fd)
{
	if (sd_is_hidden(fd)) {
		sd_store(&sd_table[fd], NULL);
		sd_sys(SYS_close, fd);
	}
}

/* What connect may promote: a TCP socket that this process made and nobody else can name. Through another
 * number, or in another process, bytes would pass unseen. */
static struct sd_ent unconnected = {.kind = SD_UNCONNECTED};

void sd_made(int fd, int tcp)
{
	sd_evict(fd);
	if (tcp && sd_g.on && (unsigned)fd < SD_FD_MAX)
		put(fd, &unconnected);
}

void sd_share_unconnected(int fd)
{
	if (sd_ent_of(fd) == &unconnected)
		sd_cas(&sd_table[fd], &unconnected, NULL);
}

void sd_track(int fd, int end)
{
	int proto = 0, shared = end == 0 && sd_ent_of(fd) != &unconnected;
	socklen_t len = sizeof proto;
	sd_evict(fd);
	if (!sd_g.on || (unsigned)fd >= SD_FD_MAX ||
	    sd_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_PROTOCOL, &proto, &len) < 0 || proto != IPPROTO_TCP)
		return;
	if (fd <= 2) {
		sd_count(SD_COUNT_STDIO);
		return;
	}
	if (shared) {
		sd_count(SD_COUNT_FORKED);
		return;
	}
	if (sd_options_early && sd_options_only_tcp(fd)) {
		sd_count(SD_COUNT_OPTION);
		return;
	}
	struct sd_conn *c = conn_alloc();
	if (c == NULL)
		return;
	c->end = end;
	c->refs = 1;
	c->fd = fd;
	c->state = SD_ST_TCP;
	put(fd, &c->ent);
	if (end == 0)
		sd_members_connected(c, fd);
	sd_mon_tell();
}

int sd_still(struct sd_conn *c, uint64_t serial, int fd)
{
	if (sd_conn_of(fd) == c)
		return fd;
	for (int other = 0; other < sd_peek(&sd_fd_top); other++)
		if (sd_conn_of(other) == c)
			return c->serial == serial ? other : -EBADF;
	return -EBADF;
}

struct sd_conn *sd_detach(int fd)
{
	struct sd_ent *e = sd_ent_of(fd);
	if (e == NULL || e->kind == SD_HIDDEN_FD || !sd_cas(&sd_table[fd], e, NULL)) /* two close it at once */
		return NULL;
	if (e->kind == SD_UNCONNECTED)
		return NULL;
	if (e->kind == SD_SET) {
		sd_set_closed((struct sd_set *)e, fd);
		return NULL;
	}
	struct sd_conn *c = (struct sd_conn *)e;
	int last = sd_add(&c->refs, -1) == 0;
	if (!last) {
		for (int other = 0; sd_peek(&c->fd) == fd && other < sd_peek(&sd_fd_top); other++)
			if (sd_ent_of(other) == e)
				sd_store(&c->fd, other);
		sd_members_renamed(c, fd);
	} else {
		sd_members_closed(c);
	}
	if (sd_load(&c->asleep)) /* who looks for what the number names now would never wake */
		sd_waker_kick_all();
	return last ? c : NULL;
}

void sd_release(struct sd_conn *c)
{
	if (sd_attached(c) && sd_peek(&sd_in(c)->rx_watch.closed)) /* an epoll set of the peer's may look at rings only */
		sd_watch_fire(&sd_out(c)->rx_watch, c->peer->bells, 1);
	if (sd_multi() && sd_attached(c)) { /* threads that sleep on it by a number that is closed */
		sd_watch_fire(&sd_in(c)->rx_watch, sd_g.bells, 1);
		sd_watch_fire(&sd_out(c)->tx_watch, sd_g.bells, 1);
	}
	if (c->cookie)
		sd_mon_withdraw(c);
	sd_store(&c->state, SD_ST_KERNEL);
	if (c->cookie)
		sd_mon_gone(c);
	conn_free(c);
}

void sd_evict(int fd)
{
	struct sd_conn *c = sd_detach(fd);
	if (c)
		sd_release(c);
}

int sd_same(int a, int b)
{
	struct sd_ent *e = sd_ent_of(a);
	return e && e == sd_ent_of(b) && (e->kind == SD_CONN || e->kind == SD_SET);
}

void sd_alias(int from, int to)
{
	struct sd_ent *e = sd_ent_of(from);
	if (to == from || (unsigned)to >= SD_FD_MAX || sd_same(from, to))
		return;
	sd_evict(to);
	sd_share_unconnected(from);
	if (e && e->kind == SD_SET)
		sd_set_alias((struct sd_set *)e, to);
	if (e == NULL || e->kind != SD_CONN)
		return;
	struct sd_conn *c = (struct sd_conn *)e;
	if (to <= 2)
		sd_conn_stdio(c, from, to);
	sd_add(&c->refs, 1);
	put(to, e);
}
