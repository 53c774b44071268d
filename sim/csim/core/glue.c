/* What the C core finds in a simulated process in place of libc and of its start. Defined hidden in the
 * same library, they are what its own calls bind to. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "epoll.h"
#include "real.h"

#define ENTRY __attribute__((visibility("default")))
#define STAND_IN SD_HIDDEN

struct sim_api sim;
ENTRY void sim_bind(const struct sim_api *api) { sim = *api; }
struct sd_global sd_g = {.out_fd = -1, .page_fd = -1};
struct sd_real sd_real_;

extern SD_HIDDEN unsigned char __start_sdtls[], __stop_sdtls[];
ENTRY unsigned char *sim_tls(size_t *n)
{
	*n = __stop_sdtls - __start_sdtls;
	return __start_sdtls;
}

/* ---- libc ---- */
char STAND_IN __libc_single_threaded = 1;
STAND_IN void *calloc(size_t n, size_t size) { return sim.alloc(n * size); }
STAND_IN void *malloc(size_t n) { return sim.alloc(n); }
STAND_IN void free(void *p) { (void)p; }
STAND_IN void *realloc(void *p, size_t n)
{
	void *q = sim.alloc(n);
	if (p && q) /* within one heap: what follows the old block is only read */
		memcpy(q, p, n);
	return q;
}
STAND_IN void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	if (fd >= 0) {
		long r = sd_sys(SYS_mmap, at, n, prot, flags, fd, off);
		return r < 0 ? MAP_FAILED : (void *)r;
	}
	void *p = sim.alloc(n);
	return p ? p : MAP_FAILED;
}
STAND_IN int madvise(void *p, size_t n, int advice) { return (void)p, (void)n, (void)advice, 0; }
STAND_IN char *getenv(const char *name) { return strcmp(name, "SDIRECT_SOCKET") == 0 ? "monitor" : NULL; }
STAND_IN int munmap(void *p, size_t n) { return (void)p, (void)n, 0; }
STAND_IN int sched_getcpu(void) { return sim.cpu(); }
STAND_IN int clock_gettime(clockid_t id, struct timespec *t)
{
	int64_t now = sim.now();
	if (id == CLOCK_MONOTONIC_COARSE)
		now -= now % 4000000;
	t->tv_sec = now / 1000000000;
	t->tv_nsec = now % 1000000000;
	return 0;
}

static __thread void *specific = NULL;
static void (*destructor)(void *);
static void (*prepare_fork)(void), (*parent_forked)(void), (*child_forked)(void);
STAND_IN int pthread_key_create(pthread_key_t *k, void (*fn)(void *))
{
	*k = 0;
	destructor = fn;
	return 0;
}
STAND_IN int pthread_setspecific(pthread_key_t k, const void *v)
{
	(void)k;
	specific = (void *)v;
	return 0;
}
STAND_IN int pthread_once(pthread_once_t *o, void (*fn)(void))
{
	if (*o == 0)
		fn();
	*o = 1;
	return 0;
}
STAND_IN int pthread_atfork(void (*a)(void), void (*b)(void), void (*c)(void))
{
	prepare_fork = a, parent_forked = b, child_forked = c;
	return 0;
}

static ssize_t k_read(int fd, void *b, size_t n)
{
	struct iovec v = {b, n};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	return sd_ret(sd_sys(SYS_recvmsg, fd, &m, 0));
}
static ssize_t k_write(int fd, const void *b, size_t n)
{
	struct iovec v = {(void *)b, n};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	return sd_ret(sd_sys(SYS_sendmsg, fd, &m, 0));
}
static ssize_t k_recv(int fd, void *b, size_t n, int flags)
{
	struct iovec v = {b, n};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	return sd_ret(sd_sys(SYS_recvmsg, fd, &m, flags));
}
static ssize_t k_send(int fd, const void *b, size_t n, int flags)
{
	struct iovec v = {(void *)b, n};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	return sd_ret(sd_sys(SYS_sendmsg, fd, &m, flags));
}
static int k_close(int fd) { return sd_ret(sd_sys(SYS_close, fd)); }
static int k_shutdown(int fd, int how) { return sd_ret(sd_sys(SYS_shutdown, fd, how)); }
static int k_dup(int fd) { return sd_ret(sd_sys(SYS_dup, fd)); }
static int k_poll(struct pollfd *p, nfds_t n, int ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	return sd_ret(sd_sys(SYS_ppoll, p, n, ms < 0 ? NULL : &t, 0, 8));
}
static int k_epoll_create1(int flags) { return sd_ret(sd_sys(SYS_epoll_create1, flags)); }
static int k_epoll_ctl(int ep, int op, int fd, struct epoll_event *e)
{
	return sd_ret(sd_sys(SYS_epoll_ctl, ep, op, fd, e));
}
static int k_setsockopt(int fd, int level, int name, const void *v, socklen_t n)
{
	return sd_ret(sd_sys(SYS_setsockopt, fd, level, name, v, n));
}
static int k_getsockopt(int fd, int level, int name, void *v, socklen_t *n)
{
	return sd_ret(sd_sys(SYS_getsockopt, fd, level, name, v, n));
}
static int k_fcntl(int fd, int cmd, void *arg) { return sd_ret(sd_sys(SYS_fcntl, fd, cmd, arg)); }

void sd_init(void)
{
	sd_real_ = (struct sd_real){.read = k_read,
				    .write = k_write,
				    .recv = k_recv,
				    .send = k_send,
				    .close = k_close,
				    .shutdown = k_shutdown,
				    .dup = k_dup,
				    .poll = k_poll,
				    .epoll_create1 = k_epoll_create1,
				    .epoll_ctl = k_epoll_ctl,
				    .setsockopt = k_setsockopt,
				    .getsockopt = k_getsockopt,
				    .fcntl = k_fcntl};
}

/* ---- signals: handlers are empty, with SA_RESTART; the kernel says -EINTR where one ran ---- */
__thread uint32_t sd_handled = 0;
long sd_sleep(long n, long a, long b, long c, long d, long e, long f)
{
	if (sd_handled)
		return -EINTR;
	long r = sd_sys6(n, a, b, c, d, e, f);
	if (r == -EINTR)
		sd_handled = SD_RESTARTED;
	return r;
}
static __thread struct sd_wait *armed = NULL;
void sd_wait_begin(struct sd_wait *w) { armed = w; }
void sd_wait_end(void)
{
	struct sd_wait *w = armed;
	armed = NULL;
	if (w->waker)
		sd_add(&w->waker->waiting, -1);
	if (w->bell)
		sd_add(&w->bell->parked, -1);
	if (w->count)
		sd_add(w->count, -1);
	if (w->disarm)
		w->disarm(w->arg);
}
long sd_wait_sleep(long n, long a, long b, long c, long d, long e, long f) { return sd_sleep(n, a, b, c, d, e, f); }
void sd_cancellation_point(void) {}
int sd_interrupted(int restarts)
{
	sd_handled = SD_NOTHING;
	return !restarts;
}

/* ---- what simulated programs call; a failure is -errno ---- */
static long result(long r) { return r < 0 ? -errno : r; }

ENTRY long sim_start(unsigned char *bells, long cores)
{
	sd_init();
	sd_client_init();
	sd_g.pid = sim.pid();
	sd_g.cores = cores;
	sd_g.bells = bells;
	sd_g.on = 1;
	sd_fork_init();
	return 0;
}
ENTRY long sim_threads(long n) { return __libc_single_threaded = n < 2, 0; }
ENTRY long sim_thread_exit(void)
{
	if (specific && destructor)
		destructor(specific);
	return 0;
}
ENTRY long sim_track(long fd, long end)
{
	if (end == 0)
		sd_made(fd, 1);
	sd_track(fd, end);
	return 0;
}
/* sim_introduce: a connection that is known is introduced, as end place % 2 of slot place / 2 of the arena at
 * mem, to a process whose bell page is bells. */
ENTRY long sim_introduce(long fd, long place, unsigned char *mem, unsigned char *bells)
{
	long slot = place / 2, end = place % 2;
	struct sd_peer *p = calloc(1, sizeof *p);
	*p = (struct sd_peer){.mem = mem, .bells = bells};
	sd_mutex_lock(&sd_promote_mutex);
	struct sd_conn *c = sd_conn_of(fd);
	if (c && c->state == SD_ST_TCP) {
		c->cookie = ((struct sd_slot *)(mem + SD_CTL_OFF) + slot)->hdr.cookie[end];
		c->state = SD_ST_OFFERED;
		sd_conn_attach(c, p, slot, end);
	}
	sd_mutex_unlock(&sd_promote_mutex);
	return 0;
}
ENTRY long sim_attach(long fd, long end, unsigned char *mem, unsigned char *bells)
{
	sim_track(fd, end);
	return sim_introduce(fd, end, mem, bells);
}
ENTRY long sim_send(long fd, void *b, size_t n, long flags) { return result(send(fd, b, n, flags)); }
ENTRY long sim_recv(long fd, void *b, size_t n, long flags) { return result(recv(fd, b, n, flags)); }
ENTRY long sim_close(long fd) { return result((int)close(fd)); }
ENTRY long sim_shutdown(long fd, long how) { return result((int)shutdown(fd, how)); }
ENTRY long sim_poll(struct pollfd *p, long n, long ms) { return result((int)poll(p, n, ms)); }
ENTRY long sim_nap(long ns) { return sd_sys(SIM_SYS_NAP, ns); }
ENTRY long sim_fork_prepare(void) { return prepare_fork(), 0; }
ENTRY long sim_fork_parent(void) { return parent_forked(), 0; }
ENTRY long sim_fork_child(void) { return child_forked(), 0; }
ENTRY long sim_epoll_create(void) { return result((int)epoll_create1(0)); }
ENTRY long sim_epoll_ctl(long ep, long op, long fd, struct epoll_event *e) { return result((int)epoll_ctl(ep, op, fd, e)); }
ENTRY long sim_epoll_wait(long ep, struct epoll_event *e, long n, long ms) { return result((int)epoll_wait(ep, e, n, ms)); }

/* ---- rings alone, without a connection: one direction, its lock, its watch lines ---- */
ENTRY long sim_lock(struct sd_lock_line *l) { return sd_lock(l), 0; }
ENTRY long sim_unlock(struct sd_lock_line *l) { return sd_unlock(l), 0; }
