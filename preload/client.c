/* The process's side of the registration socket. Everything here is rare; nothing here is needed
 * for bytes to flow. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "sd.h"

#define RETRY_NS 1000000000ll /* between attempts to reach a monitor */

static sd_mutex mutex; /* guards everything below */
static int mon_fd = -1;	 /* hidden */
static int unanswered;	 /* Welcome has not been read yet */
static int64_t retry_at;
static uint32_t mail_seen, quiet;
static struct sd_peer *peers;
static struct sd_conn *waiting; /* offered, by wait_next */
static uint64_t early[64];	/* counts from before there was a page */
static int untold;		/* there are some */

static struct sd_bell_page *page(void) { return (struct sd_bell_page *)sd_g.bells; }

void sd_count(unsigned counter)
{
	if (sd_g.bells) {
		sd_add(&page()->count[counter], 1);
		return;
	}
	sd_add(&early[counter], 1);
	untold = 1;
}

static char given[108], run[64]; /* kept from the start: programs clear their environment */

void sd_client_init(void)
{
	const char *s = getenv("SDIRECT_SOCKET"), *r = getenv("XDG_RUNTIME_DIR");
	snprintf(given, sizeof given, "%s", s && strlen(s) < sizeof given ? s : "");
	snprintf(run, sizeof run, "%s", r && strlen(r) < sizeof run ? r : "");
}

static int default_path(char *path, size_t n)
{
	struct stat st;
	if (*given)
		return snprintf(path, n, "%s", given);
	if (sd_sys(SYS_newfstatat, AT_FDCWD, "/proc/self/ns/net", &st, 0) < 0)
		return -1;
	unsigned uid = sd_sys(SYS_getuid);
	unsigned long ns = st.st_ino;
	unsigned abi = SD_ABI_HASH >> 32;
	if (uid == 0)
		return snprintf(path, n, "/run/sdirect/net-%lu-%08x.sock", ns, abi);
	if (*run)
		return snprintf(path, n, "%s/sdirect/net-%lu-%08x.sock", run, ns, abi);
	return snprintf(path, n, "/tmp/sdirect-%u/net-%lu-%08x.sock", uid, ns, abi);
}

static long send_msg(int fd, const struct sd_msg *m, int pass)
{
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(sizeof(int))];
	} c;
	struct iovec iov = {(void *)m, sizeof *m};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	if (pass >= 0) {
		memset(&c, 0, sizeof c);
		mh.msg_control = &c;
		mh.msg_controllen = sizeof c;
		c.h = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&c.h), &pass, sizeof pass);
	}
	return sd_sys(SYS_sendmsg, fd, &mh, MSG_NOSIGNAL);
}

/* fds: up to two descriptors that came along, else -1. Returns sizeof *m, 0 at end, or -errno. */
static long recv_msg(int fd, struct sd_msg *m, int flags, int fds[2])
{
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(2 * sizeof(int))];
	} c;
	struct iovec iov = {m, sizeof *m};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
	fds[0] = fds[1] = -1;
	long r = sd_sys(SYS_recvmsg, fd, &mh, flags | MSG_CMSG_CLOEXEC);
	if (r < 0)
		return r;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&mh); h; h = CMSG_NXTHDR(&mh, h))
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
			memcpy(fds, CMSG_DATA(h), h->cmsg_len - CMSG_LEN(0) <= 8 ? h->cmsg_len - CMSG_LEN(0) : 8);
	return r == 0 ? 0 : r == sizeof *m ? r : -EPROTO;
}

static void drop_fds(int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			sd_sys(SYS_close, fds[i]);
}

/* Whoever was waiting for the lost monitor offers again after a few more calls. */
static void lose_monitor(void)
{
	if (mon_fd >= 0)
		sd_unhide(mon_fd);
	mon_fd = -1;
	unanswered = 0;
	retry_at = sd_now_ns() + RETRY_NS;
	sd_mutex_lock(&sd_promote_mutex);
	for (struct sd_conn *c = waiting; c; c = c->wait_next)
		if (c->state == SD_ST_OFFERED) {
			c->ops = 0;
			sd_store(&c->state, SD_ST_TCP);
		}
	waiting = NULL;
	sd_mutex_unlock(&sd_promote_mutex);
	for (struct sd_peer *p = peers; p; p = p->next)
		p->lost = 1;
}

static int adopt_page(int fd)
{
	unsigned char *m = mmap(NULL, SD_BELL_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (m == MAP_FAILED)
		return 0;
	if (((struct sd_bell_page *)m)->abi != SD_ABI_HASH) {
		munmap(m, SD_BELL_PAGE_SIZE);
		return 0;
	}
	for (int i = 0; i < 64; i++)
		sd_add(&((struct sd_bell_page *)m)->count[i], early[i]);
	sd_store(&sd_g.bells, m);
	return 1;
}

static int refused(void)
{
	sd_unhide(mon_fd);
	mon_fd = -1;
	sd_count(SD_COUNT_NO_MONITOR);
	return 0;
}

/* Waits for no answer. */
static int hello(void)
{
	int64_t now = sd_now_ns();
	if (now < retry_at)
		return 0;
	retry_at = now + RETRY_NS;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n = default_path(a.sun_path, sizeof a.sun_path);
	if (n < 0 || (size_t)n >= sizeof a.sun_path)
		return 0;
	int fd = sd_sys(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || (fd = sd_hide(fd)) < 0)
		return 0;
	mon_fd = fd;
	struct timeval t = {0, 200000};
	sd_sys(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
	sd_sys(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
	struct sd_msg m = {.type = SD_MSG_HELLO, .abi = SD_ABI_HASH, .key = sd_g.bells ? page()->key : 0};
	int comm = sd_sys(SYS_openat, AT_FDCWD, "/proc/self/comm", O_RDONLY | O_CLOEXEC);
	if (comm >= 0) {
		sd_sys(SYS_read, comm, m.name, sizeof m.name - 1);
		for (unsigned i = 0; i < sizeof m.name; i++)
			if (m.name[i] == '\n')
				m.name[i] = 0;
		sd_sys(SYS_close, comm);
	}
	int page = sd_g.page_fd < 0 ? -1 : sd_claim_shown();
	int said = (page >= 0 || sd_g.page_fd < 0) && sd_sys(SYS_connect, fd, &a, sizeof a) == 0 && send_msg(fd, &m, page) == sizeof m;
	if (page >= 0)
		sd_unhide(page);
	if (!said)
		return refused();
	unanswered = 1;
	return 1;
}

static int welcomed(void)
{
	struct sd_msg m;
	int fds[2];
	unanswered = 0;
	if (recv_msg(mon_fd, &m, 0, fds) != sizeof m)
		return refused();
	if (m.type != SD_MSG_WELCOME || m.status != SD_STATUS_OK) {
		drop_fds(fds);
		return refused();
	}
	if (sd_g.bells == NULL && fds[0] >= 0 && adopt_page(fds[0])) {
		sd_claim_by(fds[0]);
		fds[0] = -1;
	} else if (sd_g.bells == NULL || fds[0] >= 0) {
		/* A page other than ours would leave our peers ringing at an old address. */
		drop_fds(fds);
		return refused();
	}
	mail_seen = sd_load(&page()->mail);
	return 1;
}

static int registered(void)
{
	if (mon_fd < 0 && !hello())
		return 0;
	return !unanswered || welcomed();
}

static void put_address(const struct sockaddr_storage *s, uint8_t addr[16], uint32_t *port)
{
	if (s->ss_family == AF_INET) {
		const struct sockaddr_in *a = (const void *)s;
		memset(addr, 0, 10);
		memset(addr + 10, 0xff, 2);
		memcpy(addr + 12, &a->sin_addr, 4);
		*port = ntohs(a->sin_port);
	} else {
		const struct sockaddr_in6 *a = (const void *)s;
		memcpy(addr, &a->sin6_addr, 16);
		*port = ntohs(a->sin6_port);
	}
}

static int describe(struct sd_conn *c, int fd, struct sd_msg *m)
{
	struct sockaddr_storage me, it;
	socklen_t n = sizeof me, k = sizeof it, l = sizeof m->cookie;
	if (sd_sys(SYS_getsockname, fd, &me, &n) < 0 || sd_sys(SYS_getpeername, fd, &it, &k) < 0 ||
	    sd_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &m->cookie, &l) < 0 || sd_conn_of(fd) != c)
		return 0;
	m->fd = fd;
	m->role = c->end;
	c->cookie = m->cookie;
	put_address(&me, m->laddr, &m->lport);
	put_address(&it, m->raddr, &m->rport);
	return 1;
}

void sd_mon_offer(struct sd_conn *c, int fd)
{
	struct sd_msg m = {.type = SD_MSG_OFFER};
	int keep = 0;
	sd_mutex_lock(&mutex);
	if (registered() && !(keep = sd_options_only_tcp(fd)) && describe(c, fd, &m)) {
		sd_conn_buffers(c, fd);
		sd_mutex_lock(&sd_promote_mutex);
		int go = c->state == SD_ST_TCP;
		if (go) {
			c->wait_next = waiting;
			waiting = c;
			sd_store(&c->state, SD_ST_OFFERED);
		}
		sd_mutex_unlock(&sd_promote_mutex);
		if (go && send_msg(mon_fd, &m, -1) != sizeof m)
			lose_monitor();
	}
	sd_mutex_unlock(&mutex);
	if (keep)
		sd_conn_keep(c, fd, SD_STATUS_OPTION);
}

/* A process whose connections all stay on the kernel, such as a server that forks for each, has nothing
 * to offer, but the counts that say so. */
void sd_mon_tell(void)
{
	if (!untold || sd_g.bells)
		return;
	sd_mutex_lock(&mutex);
	registered();
	sd_mutex_unlock(&mutex);
}

void sd_mon_note(struct sd_conn *c, int fd, unsigned why)
{
	struct sd_msg m = {.type = SD_MSG_NOTE, .status = why};
	sd_mutex_lock(&mutex);
	if (mon_fd >= 0 && describe(c, fd, &m) && send_msg(mon_fd, &m, -1) != sizeof m)
		lose_monitor();
	sd_mutex_unlock(&mutex);
}

void sd_mon_gone(struct sd_conn *c)
{
	struct sd_msg m = {.type = SD_MSG_GONE, .cookie = c->cookie};
	if (c->slot) /* else the introduction may be on its way to a process that does not look again */
		sd_unclaim(c->peer->arena, c->slotno, c->end + (c->closing ? SD_CLAIM_CLOSING : 0));
	if (c->slot && !c->peer->lost) {
		m.arena = c->peer->arena;
		m.slot = c->slotno;
	}
	sd_mutex_lock(&mutex);
	if (mon_fd >= 0 && send_msg(mon_fd, &m, -1) != sizeof m)
		lose_monitor();
	sd_mutex_unlock(&mutex);
}

static struct sd_peer *meet(const struct sd_msg *m, int fds[2])
{
	for (struct sd_peer *p = peers; p; p = p->next)
		if (p->arena == m->arena && !p->lost)
			return p;
	if (fds[0] < 0 || fds[1] < 0)
		return NULL;
	struct sd_peer *p = calloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	p->mem = mmap(NULL, SD_ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fds[0], 0);
	p->bells = mmap(NULL, SD_BELL_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fds[1], 0);
	if (p->mem == MAP_FAILED || p->bells == MAP_FAILED ||
	    ((struct sd_arena_header *)p->mem)->abi != SD_ABI_HASH ||
	    ((struct sd_bell_page *)p->bells)->abi != SD_ABI_HASH) {
		if (p->mem != MAP_FAILED)
			munmap(p->mem, SD_ARENA_SIZE);
		if (p->bells != MAP_FAILED)
			munmap(p->bells, SD_BELL_PAGE_SIZE);
		free(p);
		return NULL;
	}
	madvise(p->mem, SD_ARENA_SIZE, MADV_DONTDUMP);
	p->arena = m->arena;
	p->proc = m->peer;
	p->next = peers;
	peers = p;
	return p;
}

/* Takes the connection with this cookie off the waiting list. */
static struct sd_conn *take_waiting(uint64_t cookie)
{
	for (struct sd_conn **p = &waiting; *p; p = &(*p)->wait_next)
		if ((*p)->cookie == cookie) {
			struct sd_conn *c = *p;
			*p = c->wait_next;
			return c;
		}
	return NULL;
}

void sd_mon_withdraw(struct sd_conn *c)
{
	sd_mutex_lock(&mutex);
	sd_mutex_lock(&sd_promote_mutex);
	for (struct sd_conn **p = &waiting; *p; p = &(*p)->wait_next)
		if (*p == c) {
			*p = c->wait_next;
			break;
		}
	sd_store(&c->state, SD_ST_KERNEL);
	sd_mutex_unlock(&sd_promote_mutex);
	sd_mutex_unlock(&mutex);
}

static void handle(const struct sd_msg *m, int fds[2])
{
	struct sd_peer *p = m->type == SD_MSG_INTRO && m->slot < SD_ARENA_SLOTS && m->end < 2 ? meet(m, fds) : NULL;
	sd_mutex_lock(&sd_promote_mutex);
	struct sd_conn *c = take_waiting(m->cookie);
	int unused = p != NULL;
	if (c && p && sd_claim(m->arena, m->slot, m->end)) {
		sd_conn_attach(c, p, m->slot, m->end);
		unused = !sd_attached(c);
		if (unused)
			sd_unclaim(m->arena, m->slot, m->end);
	} else if (c && c->state == SD_ST_OFFERED) {
		sd_store(&c->state, SD_ST_KERNEL);
		c->cookie = 0; /* the monitor has forgotten it */
	}
	sd_mutex_unlock(&sd_promote_mutex);
	if (unused) {
		struct sd_msg gone = {.type = SD_MSG_GONE, .cookie = m->cookie, .arena = m->arena, .slot = m->slot};
		send_msg(mon_fd, &gone, -1);
	}
}

void sd_mon_mail(void)
{
	if (sd_g.bells == NULL)
		return;
	uint32_t mail = sd_load(&page()->mail);
	/* Mail from a monitor that died does not come: look at the socket now and then. */
	if (mail == sd_peek(&mail_seen) && ++quiet % 256 != 0)
		return;
	sd_mutex_lock(&mutex);
	mail_seen = mail;
	while (mon_fd >= 0 && !unanswered) {
		struct sd_msg m;
		int fds[2];
		long r = recv_msg(mon_fd, &m, MSG_DONTWAIT, fds);
		if (r == -EAGAIN || r == -EINTR)
			break;
		if (r != sizeof m) {
			lose_monitor();
			break;
		}
		handle(&m, fds);
		drop_fds(fds);
	}
	sd_mutex_unlock(&mutex);
}

/* The registration is the parent's; the child makes its own when it first needs one, or inherits. */
void sd_mon_fork_child(void)
{
	mutex = 0;
	waiting = NULL;
	if (mon_fd >= 0)
		sd_unhide(mon_fd);
	mon_fd = -1;
	unanswered = 0;
	retry_at = 0;
	untold = 0;
	memset(early, 0, sizeof early); /* the parent tells them */
}

/* Whoever is killed between a mark on a bell and its ring leaves a sleeper whom nobody rings for again (mark):
 * the monitor wakes those who may wait for the dead, if it knows these. */
void sd_mon_inherit(void)
{
	sd_mutex_lock(&mutex);
	hello();
	sd_mutex_unlock(&mutex);
}

void sd_client_moved(int from, int to)
{
	if (mon_fd == from)
		mon_fd = to;
}
