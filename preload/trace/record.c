/* The file of this process image, mapped for all its life: a record is a few stores. Each thread
 * fills a segment of its own and takes the next with one locked add. */
#include <fcntl.h>
#include <nmmintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <sys/mman.h>

#include "next.h"
#include "trace.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int sd_trace_on;
static struct sd_trace_header *file;
static char *base; /* of segment 0, which is the header's */
static uint64_t *next_segment; /* shared with forked children */
static uint32_t pid;

static __thread uint64_t at; /* where this thread's next record goes; at a segment's start: nowhere */
static __thread uint32_t turn;
static __thread uint64_t last_end; /* of the record before at */

#define SSE42 __attribute__((target("sse4.2")))

SSE42 static inline uint32_t crc(uint32_t s, const void *p, size_t n)
{
	const char *b = p;
	uint64_t c = s;
	for (; n >= 8; n -= 8, b += 8) {
		uint64_t w;
		__builtin_memcpy(&w, b, 8);
		c = _mm_crc32_u64(c, w);
	}
	if (n >= 4) {
		uint32_t w;
		__builtin_memcpy(&w, b, 4);
		c = _mm_crc32_u32((uint32_t)c, w);
		n -= 4, b += 4;
	}
	for (; n > 0; n--, b++)
		c = _mm_crc32_u8((uint32_t)c, (unsigned char)*b);
	return (uint32_t)c;
}

static uint64_t clock_ns(clockid_t c)
{
	struct timespec t;
	clock_gettime(c, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void complain(const char *what, const char *path, int e)
{
	char text[512];
	int n = snprintf(text, sizeof text, "sdirect: no trace of process %u: %s %s: errno %d\n", pid, what, path, e);
	sd_sys(SYS_write, 2, text, n);
}

static void command_line(struct sd_trace_header *h)
{
	int fd = sd_sys(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	long n = sd_sys(SYS_read, fd, h->command, sizeof h->command);
	h->length = n > 0 ? n : 0;
	sd_sys(SYS_close, fd);
}

static void event(unsigned op, int64_t result)
{
	struct sd_trace_record r = {.start = sd_trace_before(), .op = op, .result = result, .fd = -1};
	sd_trace_put(&r);
}

static void in_child(void)
{
	pid = sd_sys(SYS_getpid);
	at = 0;
	turn = 0;
	event(SD_TRACE_forked, sd_sys(SYS_getppid));
}

/* $SDIRECT_TRACE is a directory, $SDIRECT_TRACE_LIMIT the size of a file. */
void sd_trace_open(void)
{
	const char *dir = getenv("SDIRECT_TRACE"), *limit = getenv("SDIRECT_TRACE_LIMIT");
	char path[4096];
	if (dir == NULL || *dir == 0)
		return;
	pid = sd_sys(SYS_getpid);
	snprintf(path, sizeof path, "%s/%u-%llx.sdt", dir, pid, (unsigned long long)clock_ns(CLOCK_MONOTONIC));
	__builtin_cpu_init(); /* we may be called before any constructor was */
	if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("pclmul")) {
		complain("no SSE 4.2 or PCLMUL for", path, 0);
		return;
	}
	uint64_t size = limit ? strtoull(limit, NULL, 10) : 1ull << 30;
	if (size < 4 * SD_TRACE_SEGMENT)
		size = 4 * SD_TRACE_SEGMENT;
	size -= size % SD_TRACE_SEGMENT;
	int fd = sd_sys(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	long r = fd < 0 ? fd : sd_sys(SYS_ftruncate, fd, size);
	if (r < 0) {
		complain("create", path, -r);
		sd_sys(SYS_close, fd);
		return;
	}
	/* Aligned to a segment, so that an address tells when a segment is full. */
	char *m = mmap(NULL, size + SD_TRACE_SEGMENT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m != MAP_FAILED) {
		base = m + (-(uintptr_t)m & (SD_TRACE_SEGMENT - 1));
		m = mmap(base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	}
	sd_sys(SYS_close, fd);
	/* No readahead: it would fill the hole with large folios, all of which ext4 walks at the first store
	 * to each of their pages, and a record on a disk would cost three times one on tmpfs. */
	sd_sys(SYS_madvise, base, size, MADV_RANDOM);
	next_segment = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	r = m == MAP_FAILED || next_segment == MAP_FAILED ? -ENOMEM : sd_sys(SYS_madvise, base, 4096, MADV_POPULATE_WRITE);
	if (r < 0) {
		complain("map", path, -r);
		return;
	}
	struct sd_trace_header *h = (void *)base;
	h->magic = SD_TRACE_MAGIC;
	h->version = SD_TRACE_VERSION;
	h->segment = SD_TRACE_SEGMENT;
	h->limit = size / SD_TRACE_SEGMENT;
	h->began = clock_ns(CLOCK_MONOTONIC);
	h->date = clock_ns(CLOCK_REALTIME);
	h->pid = pid;
	h->parent = sd_sys(SYS_getppid);
	command_line(h);
	h->check = crc(0, h, offsetof(struct sd_trace_header, check));
	*next_segment = 1;
	file = h;
	sd_trace_clock_open(dir);
	pthread_atfork(NULL, NULL, in_child);
	sd_trace_on = 1;
	event(SD_TRACE_start, h->parent);
}

int sd_trace_foreign(void) { return (uint32_t)sd_sys(SYS_getpid) != pid; }

__attribute__((constructor)) static void begin(void) { sd_next(); }

__attribute__((destructor)) static void finish(void)
{
	if (sd_trace_on && !sd_trace_foreign())
		event(SD_TRACE_end, 0);
}

SD_EXPORT void _exit(int status)
{
	if (sd_trace_on && !sd_trace_foreign())
		event(SD_TRACE_end, status);
	sd_next()->_exit(status);
	__builtin_unreachable();
}

SD_EXPORT void _Exit(int status) { _exit(status); }

/* 0: there is no room left. The pages are had beforehand, because a full disk would otherwise be a
 * SIGBUS for the program. */
static __attribute__((noinline)) uint64_t new_segment(void)
{
	if (sd_load(next_segment) >= file->limit)
		return 0;
	uint64_t i = sd_add(next_segment, 1) - 1;
	struct sd_trace_segment *s = (void *)(base + i * SD_TRACE_SEGMENT);
	if (i >= file->limit)
		return 0;
	if (sd_sys(SYS_madvise, s, SD_TRACE_SEGMENT, MADV_POPULATE_WRITE) < 0)
		return 0;
	struct sd_trace_segment v = {SD_TRACE_MAGIC, i, pid, sd_sys(SYS_gettid), turn++, sd_trace_before(), {0}, 0xffff, 0, 0};
	v.check = crc(0, &v, offsetof(struct sd_trace_segment, check));
	*s = v;
	return (uint64_t)s + SD_TRACE_RECORD;
}

/* Compare-and-swap that is atomic against signal handlers of this thread, and against nobody else. */
static int advance(uint64_t from, uint64_t to)
{
	uint8_t ok;
	__asm__ volatile("cmpxchgq %3, %1; sete %0" : "=q"(ok), "+m"(at), "+a"(from) : "r"(to) : "memory", "cc");
	return ok;
}

/* Where the thread's next record of so many bytes goes; 0: there is no room left. A segment's last place
 * stays empty if the record takes two. */
static inline uint64_t room(size_t size)
{
	for (;;) {
		uint64_t here = *(volatile uint64_t *)&at, in = here % SD_TRACE_SEGMENT;
		if (in != 0 && in + size <= SD_TRACE_SEGMENT)
			return here;
		uint64_t next = in ? here + SD_TRACE_PLACE : new_segment();
		if (next == 0) {
			if (sd_add(&file->lost, 1) == 1)
				sd_store(&file->lost_ns, sd_trace_after());
			return 0;
		}
		advance(here, next);
	}
}

/* A place as words, the last without its check: they never go through memory on their way, where narrow
 * stores that are read back wide would have to drain first. */
struct words {
	uint64_t w[3];
	uint32_t last;
};

/* Stored in order: what was not finished begins with its first word. */
SSE42 static inline void put_place(uint64_t here, struct words v, uint32_t check, const uint64_t *rest)
{
	uint64_t *to = (uint64_t *)here;
	for (int i = 0; i < 3; i++)
		sd_store(&to[i], v.w[i]);
	for (int i = 0; rest && i < 4; i++)
		sd_store(&to[4 + i], rest[i]);
	sd_store(&to[3], v.last | (uint64_t)check << 32); /* says that all of it is there */
}

SSE42 static inline uint32_t crc_place(struct words v)
{
	return _mm_crc32_u32(_mm_crc32_u64(_mm_crc32_u64(_mm_crc32_u64(0, v.w[0]), v.w[1]), v.w[2]), v.last);
}

static inline uint64_t pair(uint32_t low, uint32_t high) { return low | (uint64_t)high << 32; }

/* 1: v is r as a struct sd_trace_short, but for the times. */
static inline int shorten(struct words *v, const struct sd_trace_record *r)
{
	unsigned set = r->aux & 0xfffffff, op = r->aux >> 28, bits = r->bits;
	int fits = r->id <= UINT32_MAX && r->fd >= 0 && r->fd <= UINT16_MAX;
	switch (r->op) {
	case SD_TRACE_send:
	case SD_TRACE_recv:
		v->w[1] = pair(r->id, r->result), v->w[2] = pair(r->sum, r->arg);
		fits = fits && r->flags == 0 && (int32_t)r->result == r->result && r->arg <= UINT32_MAX;
		break;
	case SD_TRACE_epoll_wait: /* int and unsigned in the call */
		v->w[1] = pair(0, r->result), v->w[2] = pair(r->flags, r->arg);
		break;
	case SD_TRACE_epoll_ctl:
		v->w[1] = pair(r->id, r->flags), v->w[2] = r->arg, bits = op | set << 2;
		fits = fits && r->result == 0 && op < 4 && set < 64;
		break;
	default:
		return 0;
	}
	v->last = (r->op | SD_TRACE_SHORT) | bits << 8 | (uint32_t)r->fd << 16;
	return fits;
}

/* The times of v, as far as they fit. */
static inline int timed(struct words *v, const struct sd_trace_record *r, uint64_t here)
{
	int64_t since = r->start - ((struct sd_trace_segment *)(here - here % SD_TRACE_SEGMENT))->made;
	uint64_t took = r->end - r->start;
	v->w[0] = pair(since, took);
	return (int32_t)since == since && took <= UINT32_MAX;
}

SSE42 static void put_long(uint64_t here, const struct sd_trace_record *r)
{
	struct words v;
	uint64_t rest[4];
	__builtin_memcpy(v.w, r, sizeof v.w);
	v.last = r->op | (uint32_t)r->bits << 16;
	__builtin_memcpy(rest, (const char *)r + SD_TRACE_PLACE, sizeof rest);
	put_place(here, v, crc(crc_place(v), rest, sizeof rest), rest);
}

/* A place is taken and the time read so that no handler's record comes between: records of a thread
 * are in the order of their ends. */
SSE42 static void put(struct sd_trace_record *r, int more)
{
	struct words v;
	int fits = shorten(&v, r);
	uint64_t here, size;
	for (;;) {
		size = fits ? SD_TRACE_PLACE : SD_TRACE_RECORD;
		if ((here = room(size)) == 0)
			return;
		if (!more)
			last_end = r->end = sd_trace_after();
		else if (r->op != SD_TRACE_names)
			r->end = last_end;
		if (fits && !(fits = timed(&v, r, here)))
			continue;
		if (advance(here, here + size))
			break;
	}
	if (fits)
		put_place(here, v, crc_place(v), NULL);
	else
		put_long(here, r);
}

void sd_trace_aside(struct sd_trace_record *r)
{
	int follows = last_end != 0;
	r->start = follows ? last_end : sd_trace_before();
	put(r, follows);
}

void sd_trace_put(struct sd_trace_record *r) { put(r, 0); }
void sd_trace_add(struct sd_trace_record *r) { put(r, 1); }

SSE42 void sd_trace_put_events(int set, unsigned n, uint32_t flags, uint64_t arg, uint32_t flags2, uint64_t arg2)
{
	struct words v = {{pair(flags, flags2), arg, arg2}, SD_TRACE_epoll_event | SD_TRACE_SHORT | n << 8 | (uint32_t)set << 16};
	uint64_t here;
	do
		if ((here = room(SD_TRACE_PLACE)) == 0)
			return;
	while (!advance(here, here + SD_TRACE_PLACE));
	put_place(here, v, crc_place(v), NULL);
}
