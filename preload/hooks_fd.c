/* The calls that make, name and close descriptors. */
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "real.h"

SD_EXPORT int socket(int domain, int type, int protocol)
{
	int fd = sd_real()->socket(domain, type, protocol), e = errno;
	int tcp = (domain == AF_INET || domain == AF_INET6) && (type & 0xf) == SOCK_STREAM;
	if (fd >= 0 && (tcp || sd_ent_of(fd)) && !sd_foreign())
		sd_made(fd, tcp);
	errno = e;
	return fd;
}

/* connect tells how a connection ended that was made without waiting, and makes its socket new. */
static int told_its_end(struct sd_conn *c, int fd, int error)
{
	if (c == NULL || sd_foreign() || (error != ECONNRESET && error != ECONNABORTED && error != EPIPE && error != ETIMEDOUT))
		return error;
	int kept = sd_attached(c) ? -sd_conn_error(c) : 0; /* taken from the kernel earlier */
	sd_conn_disconnected(c, fd);
	return kept ? kept : error;
}

SD_EXPORT int connect(int fd, const struct sockaddr *a, socklen_t len)
{
	int r = sd_real()->connect(fd, a, len), e = errno;
	struct sd_conn *c = sd_conn_of(fd);
	if (r < 0 && e != EINPROGRESS) {
		errno = told_its_end(c, fd, e);
		return r; /* and what the kernel could not read we do not look at */
	}
	int family = a->sa_family;
	if ((family == AF_INET || family == AF_INET6) && c == NULL && !sd_foreign())
		sd_track(fd, 0);
	else if (family == AF_UNSPEC && r == 0 && c && !sd_foreign())
		sd_conn_disconnected(c, fd);
	errno = e;
	return r;
}

static int accepted(int fd, const struct sockaddr *a)
{
	if (fd >= 0 && !(a && a->sa_family == AF_UNIX)) {
		int e = errno;
		if (!sd_foreign())
			sd_track(fd, 1);
		errno = e;
	}
	return fd;
}

SD_EXPORT int accept(int fd, struct sockaddr *a, socklen_t *len)
{
	return accepted(sd_real()->accept(fd, a, len), a);
}

SD_EXPORT int accept4(int fd, struct sockaddr *a, socklen_t *len, int flags)
{
	return accepted(sd_real()->accept4(fd, a, len, flags), a);
}

SD_EXPORT int close(int fd)
{
	struct sd_ent *e = sd_ent_of(fd);
	struct sd_real *real = sd_real();
	if (e == NULL || sd_foreign())
		return real->close(fd);
	if (e->kind == SD_HIDDEN_FD)
		return sd_ret(-EBADF);
	if (e->kind == SD_CONN)
		sd_conn_closing((struct sd_conn *)e, fd);
	/* Table first, then kernel; the monitor hears of it after the kernel has. */
	struct sd_conn *c = sd_detach(fd);
	int r = real->close(fd), err = errno;
	if (c)
		sd_release(c);
	errno = err;
	return r;
}

/* Closes what the table knows in [first, last], one by one; hidden descriptors stay. The rest goes
 * in ranges between the hidden ones. */
static int close_span(unsigned first, unsigned last, int flags)
{
	unsigned from = first, top = sd_peek(&sd_fd_top);
	int r = 0;
	for (unsigned fd = first; fd < top && fd <= last; fd++) {
		struct sd_ent *e = sd_ent_of(fd);
		if (e == NULL)
			continue;
		if (e->kind != SD_HIDDEN_FD) {
			if (!(flags & CLOSE_RANGE_CLOEXEC))
				close(fd);
			continue;
		}
		if (from < fd)
			r |= sd_real()->close_range(from, fd - 1, flags);
		from = fd + 1;
	}
	if (from <= last)
		r |= sd_real()->close_range(from, last, flags);
	return r;
}

SD_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	if (sd_real()->close_range == NULL)
		return sd_ret(-ENOSYS);
	if (first > last || (flags & ~CLOSE_RANGE_CLOEXEC) || sd_foreign())
		return sd_real()->close_range(first, last, flags);
	return close_span(first, last, flags);
}

SD_EXPORT void closefrom(int low)
{
	if (sd_foreign())
		sd_real()->closefrom(low);
	else
		close_span(low < 0 ? 0 : low, ~0u, 0);
}

static int duplicated(int from, int to)
{
	if (to >= 0 && !sd_foreign()) {
		int e = errno;
		sd_alias(from, to);
		errno = e;
	}
	return to;
}

SD_EXPORT int dup(int fd)
{
	if (sd_is_hidden(fd))
		return sd_ret(-EBADF);
	return duplicated(fd, sd_real()->dup(fd));
}

/* The program asks for a number: whatever we keep there gives way, and what it named is closed. */
static int free_number(int from, int to)
{
	if (sd_is_hidden(from))
		return -EBADF;
	if (from == to || sd_ent_of(to) == NULL || sd_same(from, to) || sd_foreign() || sd_sys(SYS_fcntl, from, F_GETFD) < 0)
		return 0;
	if (sd_is_hidden(to))
		return sd_move_hidden(to);
	struct sd_conn *c = sd_conn_of(to);
	if (c)
		sd_conn_closing(c, to);
	sd_evict(to);
	return 0;
}

SD_EXPORT int dup2(int from, int to)
{
	int r = free_number(from, to);
	return r < 0 ? (int)sd_ret(r) : duplicated(from, sd_real()->dup2(from, to));
}

SD_EXPORT int dup3(int from, int to, int flags)
{
	int r = free_number(from, to);
	return r < 0 ? (int)sd_ret(r) : duplicated(from, sd_real()->dup3(from, to, flags));
}

/* Bytes in a ring raise no SIGIO: the connection stays on the kernel, or the program is told. */
static int signals(struct sd_conn *c, int fd)
{
	sd_conn_keep(c, fd, SD_STATUS_OPTION);
	if (!sd_attached(c))
		return 1;
	sd_count(SD_COUNT_UNHOOKED);
	return 0;
}

/* Of this process, or of one that shares the connection by fork: a further number of it. */
SD_EXPORT int pidfd_getfd(int pidfd, int target, unsigned flags)
{
	int to = sd_ret(sd_sys(SYS_pidfd_getfd, pidfd, target, flags)), e = errno;
	uint64_t cookie = 0, other;
	socklen_t n = sizeof cookie, k = sizeof other;
	if (to < 0 || sd_foreign() || sd_sys(SYS_getsockopt, to, SOL_SOCKET, SO_COOKIE, &cookie, &n) < 0)
		return to;
	for (int fd = 0; fd < sd_peek(&sd_fd_top); fd++)
		if (fd != to && sd_conn_of(fd) && sd_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &other, &k) == 0 &&
		    other == cookie) {
			sd_alias(fd, to);
			break;
		}
	errno = e;
	return to;
}

static int fcntl_common(int fd, int cmd, void *arg, int (*real)(int, int, void *))
{
	if (sd_is_hidden(fd))
		return sd_ret(-EBADF);
	struct sd_conn *c = sd_live(fd);
	if (c && cmd == F_SETFL && ((long)arg & O_ASYNC) && !signals(c, fd))
		return sd_ret(-EOPNOTSUPP);
	int r = real(fd, cmd, arg);
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		return duplicated(fd, r);
	if (c && cmd == F_SETFL)
		c->known = 0;
	return r;
}

SD_EXPORT int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return fcntl_common(fd, cmd, arg, sd_real()->fcntl);
}

SD_EXPORT int fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return fcntl_common(fd, cmd, arg, sd_real()->fcntl64 ? sd_real()->fcntl64 : sd_real()->fcntl);
}

/* An urgent byte has been sent by TCP, after what is left in the ring. */
static int ring_comes_first(struct sd_conn *c, int fd)
{
	struct sd_direction *in = sd_in(c);
	return sd_tx_gen(in) != 0 && sd_rx_unread(&c->rx) != 0 &&
	       (sd_peek(&in->rx.rgen) != 0 || sd_kernel_left(c, fd) == 0);
}

SD_EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	va_start(ap, request);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	struct sd_conn *c = sd_live(fd);
	if (c && request == FIOASYNC && arg && *(int *)arg && !signals(c, fd))
		return sd_ret(-EOPNOTSUPP);
	int r = sd_real()->ioctl(fd, request, arg);
	if (!c || r < 0)
		return r;
	if (request == FIONBIO)
		c->known = 0;
	struct sd_direction *in = sd_attached(c) ? sd_in(c) : NULL;
	/* What TCP still has on its way, or lost to RST, comes before the ring. */
	if (request == FIONREAD && in && sd_tx_gen(in) != 0 &&
	    (sd_peek(&in->rx.rgen) != 0 || sd_kernel_left(c, fd) <= (uint64_t)*(int *)arg)) {
		uint64_t more = sd_rx_unread(&c->rx);
		*(int *)arg += more < 1 << 30 ? (int)more : 1 << 30;
	}
	if (request == SIOCATMARK && in && *(int *)arg && ring_comes_first(c, fd))
		*(int *)arg = 0;
	return r;
}

SD_EXPORT int sockatmark(int fd)
{
	int at;
	return ioctl(fd, SIOCATMARK, &at) < 0 ? -1 : at;
}

SD_ALIAS(__connect, connect);
SD_ALIAS(__close, close);
SD_ALIAS(__fcntl, fcntl);
SD_ALIAS(__dup2, dup2);
