/* Bells: how a publisher wakes a sleeper (docs/architecture.md, Bells). */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>

#include "sd.h"

static sd_mutex wakers_mutex;
static struct sd_waker *wakers;
static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static __thread struct sd_waker *mine;

static struct sd_bell *bell_at(unsigned char *page, unsigned i)
{
	return (struct sd_bell *)(page + SD_BELL_OFF) + i;
}

static uint64_t *bits_at(unsigned char *page, unsigned i)
{
	return (uint64_t *)(page + SD_BITS_OFF + (size_t)i * (SD_MEMBERS_PER_BELL / 8));
}

static socklen_t address_of(uint64_t nonce, struct sockaddr_un *a)
{
	static const char hex[] = "0123456789abcdef";
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path + 1, "sdbell-", 7);
	for (int i = 0; i < 16; i++)
		a->sun_path[8 + i] = hex[nonce >> (60 - 4 * i) & 15];
	return offsetof(struct sockaddr_un, sun_path) + 24;
}

static int datagram_socket(void)
{
	int fd = sd_sys(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return fd < 0 ? fd : sd_hide(fd);
}

/* 1: a datagram is on its way, or the sleeper is gone. */
static int ring(uint64_t nonce)
{
	struct sockaddr_un a;
	socklen_t len = address_of(nonce, &a);
	if (sd_g.out_fd < 0) {
		int fd = datagram_socket();
		if (fd < 0)
			return 0;
		if (!sd_cas(&sd_g.out_fd, -1, fd))
			sd_unhide(fd);
	}
	/* EAGAIN: rings enough are under way. ECONNREFUSED: the sleeper is gone. */
	long r = sd_sys(SYS_sendto, sd_g.out_fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, &a, len);
	return r == 0 || r == -EAGAIN || r == -ECONNREFUSED;
}

int sd_waker_init(struct sd_waker *w)
{
	w->bell = -1; /* waiting is not touched: threads may sleep on an epoll set before it has a waker */
	w->fd = datagram_socket();
	if (w->fd < 0)
		return w->fd;
	for (int tries = 0;; tries++) {
		struct sockaddr_un a;
		if (sd_sys(SYS_getrandom, &w->nonce, sizeof w->nonce, 0) != sizeof w->nonce)
			w->nonce = sd_tsc() * 0x9E3779B97F4A7C15ull ^ (uintptr_t)w;
		socklen_t len = address_of(w->nonce, &a);
		long r = sd_sys(SYS_bind, w->fd, &a, len);
		if (r == 0)
			break;
		if (tries == 8) {
			sd_unhide(w->fd);
			return r;
		}
	}
	sd_mutex_lock(&wakers_mutex);
	w->next = wakers;
	wakers = w;
	sd_mutex_unlock(&wakers_mutex);
	return 0;
}

void sd_waker_fini(struct sd_waker *w)
{
	sd_mutex_lock(&wakers_mutex);
	for (struct sd_waker **p = &wakers; *p; p = &(*p)->next)
		if (*p == w) {
			*p = w->next;
			break;
		}
	sd_mutex_unlock(&wakers_mutex);
	if (w->bell >= 0 && sd_g.bells) {
		struct sd_bell *b = bell_at(sd_g.bells, w->bell);
		sd_store(&b->parked, 0);
		sd_store(&b->owner, 0);
	}
	sd_unhide(w->fd);
}

struct sd_bell *sd_waker_bell(struct sd_waker *w)
{
	static uint32_t hint;
	if (sd_g.bells == NULL || w->fd < 0)
		return NULL;
	if (w->bell >= 0)
		return bell_at(sd_g.bells, w->bell);
	for (unsigned i = 0, at = sd_peek(&hint); i < SD_BELLS; i++, at++) {
		struct sd_bell *b = bell_at(sd_g.bells, at % SD_BELLS);
		if (sd_peek(&b->owner) != 0 || !sd_cas(&b->owner, 0, (uint32_t)sd_g.pid))
			continue;
		sd_store(&hint, at + 1);
		sd_poke(&b->nonce, w->nonce);
		sd_poke(&b->keeps, 0);
		sd_store(&b->parked, 0);
		w->bell = at % SD_BELLS;
		return b;
	}
	return NULL;
}

static void thread_gone(void *arg)
{
	sd_waker_fini(arg);
	munmap(arg, sizeof *mine);
	mine = NULL;
}

static void make_key(void) { pthread_key_create(&thread_key, thread_gone); }

struct sd_waker *sd_waker_of_thread(void)
{
	if (mine)
		return mine;
	/* Not from malloc, which a handler that waits may have interrupted. */
	struct sd_waker *w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w == MAP_FAILED)
		return NULL;
	if (sd_waker_init(w) < 0) {
		munmap(w, sizeof *w);
		return NULL;
	}
	pthread_once(&thread_once, make_key);
	pthread_setspecific(thread_key, w);
	return mine = w;
}

/* A child's sleepers need addresses of their own: the parent's sockets are shared with it. Epoll
 * sets keep theirs, as Linux keeps the set itself shared. */
void sd_waker_fork_child(void)
{
	wakers_mutex = 0;
	if (mine == NULL)
		return;
	struct sd_waker *w = mine;
	for (struct sd_waker **p = &wakers; *p; p = &(*p)->next)
		if (*p == w) {
			*p = w->next;
			break;
		}
	sd_unhide(w->fd);
	w->waiting = 0;
	if (sd_waker_init(w) < 0) {
		pthread_setspecific(thread_key, NULL);
		munmap(w, sizeof *w);
		mine = NULL;
	}
}

void sd_waker_moved(int from, int to)
{
	for (struct sd_waker *w = wakers; w; w = w->next)
		if (w->fd == from)
			w->fd = to;
}

/* In one call, as a rule: a queue of the kernel's default length holds fewer. */
void sd_waker_drain(struct sd_waker *w)
{
	enum { MANY = 16 };
	struct mmsghdr v[MANY] = {0};
	while (sd_sys(SYS_recvmmsg, w->fd, v, MANY, MSG_DONTWAIT, 0) == MANY)
		;
}

void sd_waker_take(struct sd_waker *w)
{
	char b[1];
	sd_sys(SYS_recvfrom, w->fd, b, sizeof b, MSG_DONTWAIT, 0, 0);
}

void sd_waker_kick(struct sd_waker *w) { ring(w->nonce); }

void sd_waker_kick_all(void)
{
	sd_mutex_lock(&wakers_mutex);
	for (struct sd_waker *w = wakers; w; w = w->next)
		if (sd_load(&w->waiting))
			ring(w->nonce);
	sd_mutex_unlock(&wakers_mutex);
}

int sd_bell_pending(struct sd_bell *b)
{
	return (sd_peek(&b->summary[0]) | sd_peek(&b->summary[1]) | sd_peek(&b->summary[2]) |
		sd_peek(&b->summary[3])) != 0;
}

static void harvest(struct sd_bell *b, uint64_t *bits, void (*fn)(void *, unsigned), void *arg)
{
	for (unsigned s = 0; s < 4; s++) {
		if (sd_peek(&b->summary[s]) == 0)
			continue;
		uint64_t words = sd_xchg(&b->summary[s], 0);
		while (words) {
			unsigned w = s * 64 + __builtin_ctzll(words);
			words &= words - 1;
			uint64_t set = sd_xchg(&bits[w], 0);
			while (set) {
				unsigned m = w * 64 + __builtin_ctzll(set);
				set &= set - 1;
				fn(arg, m);
			}
		}
	}
}

/* Twice: who found a bit set that the first pass clears did not ring (mark), and may have marked others
 * where the first pass had been. Whoever relies on a bit that the second clears relies on a ring that
 * comes after the call began. */
void sd_bell_harvest(struct sd_bell *b, int index, void (*fn)(void *, unsigned), void *arg)
{
	uint64_t *bits = bits_at(sd_g.bells, index);
	harvest(b, bits, fn, arg);
	if (sd_bell_pending(b))
		harvest(b, bits, fn, arg);
}

/* The next place among its marks; 0 is none. */
uint32_t sd_bell_number(struct sd_bell *b)
{
	uint32_t n = sd_add(&b->marks, 1);
	return n ? n : 1;
}

int sd_bell_marked(int index, unsigned member)
{
	return member < SD_MEMBERS_PER_BELL && sd_peek(&bits_at(sd_g.bells, index)[member / 64]) >> (member % 64) & 1;
}

void sd_bell_forget(int index, unsigned member)
{
	uint64_t *word = &bits_at(sd_g.bells, index)[member / 64], bit = 1ull << (member % 64), had;
	while ((had = sd_peek(word)) & bit && !sd_cas(word, had, had & ~bit))
		;
}

int sd_watch_arm(struct sd_watch_line *l, int bell, unsigned member)
{
	uint32_t e = (uint32_t)(bell + 1) << 16 | member;
	for (int i = 0; i < SD_WATCH_ENTRIES; i++)
		if (sd_peek(&l->entry[i]) == e)
			return 1;
	for (int i = 0; i < SD_WATCH_ENTRIES; i++)
		if (sd_peek(&l->entry[i]) == 0 && sd_cas(&l->entry[i], 0, e)) {
			sd_poke(&l->order[i], 0); /* that of who had it before */
			return 1;
		}
	return 0;
}

void sd_watch_disarm(struct sd_watch_line *l, int bell, unsigned member)
{
	uint32_t e = (uint32_t)(bell + 1) << 16 | member;
	for (int i = 0; i < SD_WATCH_ENTRIES; i++)
		if (sd_peek(&l->entry[i]) == e)
			sd_cas(&l->entry[i], e, 0);
}

/* When a member of the bell was marked, as counted by the bell. */
uint32_t sd_watch_order(const struct sd_watch_line *l, int bell, unsigned member)
{
	uint32_t e = (uint32_t)(bell + 1) << 16 | member;
	for (int i = 0; i < SD_WATCH_ENTRIES; i++)
		if (sd_peek(&l->entry[i]) == e)
			return sd_peek(&l->order[i]);
	return 0;
}

/* The entry that this thread rang for last. While its member's bit stays set, the sleeper has not harvested
 * since: it is being woken, and looks at all members. Not for a bell whose owner keeps bits set. Not where
 * others set that bit, too: a forked process may die before it rings, and of two threads each might rely on
 * the other's bit, so that neither rings. */
static __thread struct {
	unsigned char *page;
	uint32_t entry, forks;
} rung;
static uint32_t forks;

void sd_bell_fork(void) { sd_add(&forks, 1); }

static int in_force(unsigned char *page, uint32_t e)
{
	return rung.page == page && rung.entry != e && (rung.entry ^ e) < 1 << 16 && rung.forks == sd_peek(&forks) &&
	       sd_peek(&bits_at(page, (e >> 16) - 1)[(rung.entry & 0xffff) / 64]) >> (rung.entry % 64) & 1;
}

/* A place among the marks of the bell; NULL if it is marked and not harvested, and so keeps the place that it has.
 * keep: so does one whose number has not been told. */
static struct sd_bell *numbered(unsigned char *page, uint32_t e, uint32_t *order, int keep)
{
	unsigned bell = (e >> 16) - 1, member = e & 0xffff;
	if (bell >= SD_BELLS || member >= SD_MEMBERS_PER_BELL ||
	    sd_peek(&bits_at(page, bell)[member / 64]) >> (member % 64) & 1)
		return NULL;
	struct sd_bell *b = bell_at(page, bell);
	if (!keep || sd_peek(order) == 0)
		sd_poke(order, sd_bell_number(b));
	return b;
}

static void mark(unsigned char *page, uint32_t e, uint32_t *order, int shared)
{
	unsigned bell = (e >> 16) - 1, member = e & 0xffff;
	struct sd_bell *b = numbered(page, e, order, 0);
	if (b == NULL) /* the sleeper has been, or is being, told */
		return;
	uint64_t *word = &bits_at(page, bell)[member / 64], bit = 1ull << (member % 64);
	if (sd_or(word, bit) & bit)
		return;
	sd_or(&b->summary[member / 4096], 1ull << (member / 64 % 64));
	if (!sd_multi() && !sd_peek(&b->keeps) && in_force(page, e))
		return;
	if (sd_load(&b->parked)) {
		sd_count(SD_COUNT_RING);
		if (ring(sd_peek(&b->nonce)) && !shared)
			rung.page = page, rung.entry = e, rung.forks = sd_peek(&forks);
	}
}

void sd_watch_fire(struct sd_watch_line *l, unsigned char *page, int shared)
{
	for (int i = 0; i < SD_WATCH_ENTRIES; i++) {
		uint32_t e = sd_peek(&l->entry[i]);
		if (e)
			mark(page, e, &l->order[i], shared);
	}
}

int sd_watch_number(struct sd_watch_line *l, unsigned char *page, int keep)
{
	int all = 1;
	for (int i = 0; i < SD_WATCH_ENTRIES; i++) {
		uint32_t e = sd_peek(&l->entry[i]);
		if (e && numbered(page, e, &l->order[i], keep) == NULL)
			all = 0;
	}
	return all;
}

void sd_watch_told(struct sd_watch_line *l, int bell, unsigned member)
{
	uint32_t e = (uint32_t)(bell + 1) << 16 | member;
	for (int i = 0; i < SD_WATCH_ENTRIES; i++)
		if (sd_peek(&l->entry[i]) == e)
			sd_poke(&l->order[i], 0);
}
