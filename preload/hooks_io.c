/* The calls that move bytes. */
#include <fcntl.h>
#include <string.h>

#include "real.h"
#include "ring_fast.h"

/* A small send into room that is known, a small receive of bytes that are known to be there: no call,
 * and no look at a line that others write but to see who watches. may_…: it looks as if; then, in a
 * section, what a handler may have changed since is looked at again, and …_now does it. */
static inline int may_send(struct sd_conn *c, size_t n)
{
	return c && n - 1 < SD_SMALL && n <= c->tx.room && c->burst % 8 != 0 && !sd_tx_closed(&c->tx) && !sd_multi();
}

static inline size_t send_now(struct sd_conn *c, const void *b, size_t n)
{
	c->burst++;
	sd_copy_small(c->tx.at, b, n);
	sd_tx_advance(&c->tx, n, 0);
	return sd_watched(&c->tx.d->rx_watch) ? sd_send_fire(c, n) : sd_leave_with(n);
}

static inline int may_recv(struct sd_conn *c, size_t n)
{
	return c && n - 1 < SD_SMALL && n <= c->rx.ready && c->oneway >= SD_ONEWAY && !c->careful_ns &&
	       !sd_watched(&c->rx.d->tx_watch) && !sd_multi();
}

static inline size_t recv_now(struct sd_conn *c, void *b, size_t n)
{
	sd_copy_small(b, c->rx.from, n);
	sd_rx_advance(&c->rx, n);
	return sd_leave_with(n);
}

static __attribute__((noinline)) ssize_t recv_one(struct sd_conn *c, int fd, void *b, size_t n, int flags)
{
	if ((flags & ~MSG_WAITALL) == 0 && sd_recv_fast(c, b, n))
		return n;
	struct iovec v = {b, n};
	return sd_ret(sd_recv(c, fd, &v, 1, flags, NULL));
}

static __attribute__((noinline)) ssize_t send_one(struct sd_conn *c, int fd, const void *b, size_t n, int flags)
{
	if (!(flags & MSG_OOB) && sd_send_fast(c, fd, b, n))
		return n;
	struct iovec v = {(void *)b, n};
	return sd_ret(sd_send(c, fd, &v, 1, flags, NULL));
}

static __attribute__((noinline, cold)) ssize_t read_again(int fd, void *b, size_t n)
{
	sd_leave();
	return read(fd, b, n);
}

SD_EXPORT ssize_t read(int fd, void *b, size_t n)
{
	struct sd_conn *c = sd_conn_of(fd);
	if (may_recv(c, n)) {
		sd_enter_first();
		return n <= c->rx.ready ? recv_now(c, b, n) : read_again(fd, b, n);
	}
	c = sd_live(fd);
	if (c && n == 0) /* unlike recv(2) it does not ask the socket */
		return 0;
	return c ? recv_one(c, fd, b, n, 0) : sd_real()->read(fd, b, n);
}

static __attribute__((noinline, cold)) ssize_t recv_again(int fd, void *b, size_t n, int flags)
{
	sd_leave();
	return recv(fd, b, n, flags);
}

SD_EXPORT ssize_t recv(int fd, void *b, size_t n, int flags)
{
	struct sd_conn *c = sd_conn_of(fd);
	if ((flags & ~MSG_WAITALL) == 0 && may_recv(c, n)) {
		sd_enter_first();
		return n <= c->rx.ready ? recv_now(c, b, n) : recv_again(fd, b, n, flags);
	}
	c = sd_live(fd);
	return c ? recv_one(c, fd, b, n, flags) : sd_real()->recv(fd, b, n, flags);
}

SD_EXPORT ssize_t recvfrom(int fd, void *b, size_t n, int flags, struct sockaddr *a, socklen_t *len)
{
	struct sd_conn *c = sd_live(fd);
	if (!c)
		return sd_real()->recvfrom(fd, b, n, flags, a, len);
	struct iovec v = {b, n};
	ssize_t r = sd_recv(c, fd, &v, 1, flags, NULL);
	if (r >= 0 && a && len)
		*len = 0; /* tcp(7): a stream has no source address to report */
	return sd_ret(r);
}

void __chk_fail(void) __attribute__((noreturn));

SD_EXPORT ssize_t __read_chk(int fd, void *b, size_t n, size_t room)
{
	if (n > room)
		__chk_fail();
	return read(fd, b, n);
}

SD_EXPORT ssize_t __recv_chk(int fd, void *b, size_t n, size_t room, int flags)
{
	if (n > room)
		__chk_fail();
	return recv(fd, b, n, flags);
}

SD_EXPORT ssize_t __recvfrom_chk(int fd, void *b, size_t n, size_t room, int flags, struct sockaddr *a,
				 socklen_t *len)
{
	if (n > room)
		__chk_fail();
	return recvfrom(fd, b, n, flags, a, len);
}

SD_EXPORT ssize_t readv(int fd, const struct iovec *v, int n)
{
	struct sd_conn *c = sd_live(fd);
	if (!c || n < 0 || n > 1024)
		return sd_real()->readv(fd, v, n);
	if (sd_iov_len(v, n) == 0)
		return 0;
	return sd_ret(sd_recv(c, fd, v, n, 0, NULL));
}

SD_EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct sd_conn *c = sd_live(fd);
	if (!c || m->msg_iovlen > 1024)
		return sd_real()->recvmsg(fd, m, flags);
	return sd_ret(sd_recv(c, fd, m->msg_iov, m->msg_iovlen, flags, m));
}

SD_EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
	struct sd_conn *c = sd_live(fd);
	if (!c)
		return sd_real()->recvmmsg(fd, v, n, flags, timeout);
	int error = 0; /* Linux looks for one before it looks for bytes */
	socklen_t len = sizeof error;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error) {
		sd_enter();
		if (sd_attached(c))
			sd_conn_hung_up(c, fd, POLLHUP);
		sd_leave();
		return (int)sd_ret(-error);
	}
	int64_t until = timeout ? sd_now_ns() + timeout->tv_sec * 1000000000ll + timeout->tv_nsec : INT64_MAX;
	unsigned i = 0;
	for (; i < n && i < 1024; i++) {
		struct msghdr *m = &v[i].msg_hdr;
		int f = flags & ~MSG_WAITFORONE;
		if (i > 0 && (flags & MSG_WAITFORONE))
			f |= MSG_DONTWAIT;
		ssize_t r = m->msg_iovlen > 1024 ? -EMSGSIZE : sd_recv(c, fd, m->msg_iov, m->msg_iovlen, f, m);
		if (r < 0)
			return i ? (int)i : (int)sd_ret(r);
		v[i].msg_len = r;
		if (r == 0 || sd_now_ns() >= until)
			return i + 1;
	}
	return i;
}

/* Linux raises SIGPIPE for write as for send; -EPIPE without MSG_NOSIGNAL is handled in sd_send. */
static __attribute__((noinline, cold)) ssize_t write_again(int fd, const void *b, size_t n)
{
	sd_leave();
	return write(fd, b, n);
}

SD_EXPORT ssize_t write(int fd, const void *b, size_t n)
{
	struct sd_conn *c = sd_conn_of(fd);
	if (may_send(c, n)) {
		sd_enter_first();
		return n <= c->tx.room ? send_now(c, b, n) : write_again(fd, b, n);
	}
	c = sd_live(fd);
	return c ? send_one(c, fd, b, n, 0) : sd_real()->write(fd, b, n);
}

static __attribute__((noinline, cold)) ssize_t send_again(int fd, const void *b, size_t n, int flags)
{
	sd_leave();
	return send(fd, b, n, flags);
}

SD_EXPORT ssize_t send(int fd, const void *b, size_t n, int flags)
{
	struct sd_conn *c = sd_conn_of(fd);
	if (!(flags & MSG_OOB) && may_send(c, n)) {
		sd_enter_first();
		return n <= c->tx.room ? send_now(c, b, n) : send_again(fd, b, n, flags);
	}
	c = sd_live(fd);
	return c ? send_one(c, fd, b, n, flags) : sd_real()->send(fd, b, n, flags);
}

SD_EXPORT ssize_t sendto(int fd, const void *b, size_t n, int flags, const struct sockaddr *a, socklen_t len)
{
	struct sd_conn *c = sd_live(fd);
	if (!c)
		return sd_real()->sendto(fd, b, n, flags, a, len);
	struct iovec v = {(void *)b, n};
	struct msghdr m = {.msg_name = (void *)a, .msg_namelen = a ? len : 0};
	return sd_ret(sd_send(c, fd, &v, 1, flags, &m));
}

SD_EXPORT ssize_t writev(int fd, const struct iovec *v, int n)
{
	struct sd_conn *c = sd_live(fd);
	if (!c || n < 0 || n > 1024)
		return sd_real()->writev(fd, v, n);
	if (sd_iov_len(v, n) == 0)
		return 0;
	return sd_ret(sd_send(c, fd, v, n, 0, NULL));
}

/* A descriptor sent to another process is used where we do not see it: it must not move to a ring. */
static void passing(const struct msghdr *m)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR((struct msghdr *)m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (h->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
			struct sd_conn *c = sd_live(fd);
			if (c && sd_attached(c))
				sd_count(SD_COUNT_PASSED);
			else if (c)
				sd_conn_keep(c, fd, SD_STATUS_PASSED);
			else
				sd_share_unconnected(fd);
		}
	}
}

SD_EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct sd_conn *c = sd_live(fd);
	if (m && m->msg_controllen && sd_g.on)
		passing(m);
	if (!c || m->msg_iovlen > 1024)
		return sd_real()->sendmsg(fd, m, flags);
	return sd_ret(sd_send(c, fd, m->msg_iov, m->msg_iovlen, flags, m));
}

SD_EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	struct sd_conn *c = sd_live(fd);
	for (unsigned i = 0; sd_g.on && i < n && i < 1024; i++)
		if (v[i].msg_hdr.msg_controllen)
			passing(&v[i].msg_hdr);
	if (!c)
		return sd_real()->sendmmsg(fd, v, n, flags);
	unsigned i = 0;
	for (; i < n && i < 1024; i++) {
		struct msghdr *m = &v[i].msg_hdr;
		ssize_t r = m->msg_iovlen > 1024 ? -EMSGSIZE : sd_send(c, fd, m->msg_iov, m->msg_iovlen, flags, m);
		if (r < 0)
			return i ? (int)i : (int)sd_ret(r);
		v[i].msg_len = r;
		if ((size_t)r < sd_iov_len(m->msg_iov, m->msg_iovlen))
			return i + 1;
	}
	return i;
}

/* preadv2 and pwritev2 with offset -1 are readv and writev; any other offset is ESPIPE, which the
 * anchor says itself. */
static ssize_t readv2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
	struct sd_conn *c = sd_live(fd);
	if (!c || off != -1 || n < 0 || n > 1024 || (flags & ~RWF_NOWAIT))
		return sd_real()->preadv2(fd, v, n, off, flags);
	if (sd_iov_len(v, n) == 0)
		return 0;
	return sd_ret(sd_recv(c, fd, v, n, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0, NULL));
}

static ssize_t writev2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
	struct sd_conn *c = sd_live(fd);
	if (!c || off != -1 || n < 0 || n > 1024 || (flags & ~RWF_NOWAIT))
		return sd_real()->pwritev2(fd, v, n, off, flags);
	if (sd_iov_len(v, n) == 0)
		return 0;
	return sd_ret(sd_send(c, fd, v, n, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0, NULL));
}

SD_EXPORT ssize_t preadv2(int fd, const struct iovec *v, int n, off_t off, int f) { return readv2(fd, v, n, off, f); }
SD_EXPORT ssize_t preadv64v2(int fd, const struct iovec *v, int n, off_t off, int f) { return readv2(fd, v, n, off, f); }
SD_EXPORT ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t off, int f) { return writev2(fd, v, n, off, f); }
SD_EXPORT ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off_t off, int f) { return writev2(fd, v, n, off, f); }

/* From a file through a buffer into the ring. The file's position moves by what was sent. What cannot be done
 * the kernel knows: it is asked to send nothing to the anchor. */
static ssize_t send_file(struct sd_conn *c, int out, int in, off_t *off, size_t n)
{
	char b[65536]; /* 16 pages, as the kernel: where an error or SIGPIPE comes is between two of these */
	size_t done = 0;
	ssize_t refused = sd_sys(SYS_sendfile, out, in, off, (ssize_t)n < 0 ? n : 0);
	if (refused < 0)
		return refused;
	off_t at = off ? *off : sd_sys(SYS_lseek, in, 0, SEEK_CUR);
	if (at < 0)
		return at;
	while (done < n) {
		size_t k = n - done < sizeof b ? n - done : sizeof b;
		ssize_t r = sd_sys(SYS_pread64, in, b, k, at);
		if (r <= 0) {
			if (r < 0 && done == 0)
				return r;
			break;
		}
		struct iovec v = {b, r};
		ssize_t w = sd_send(c, out, &v, 1, 0, NULL);
		if (w < 0) {
			if (done == 0)
				return w;
			break;
		}
		done += w;
		at += w;
		if (w < r)
			break;
	}
	if (off)
		*off = at;
	else
		sd_sys(SYS_lseek, in, at, SEEK_SET);
	return done;
}

SD_EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t n)
{
	struct sd_conn *c = sd_live(out);
	if (sd_live(in) && off == NULL)
		return splice(in, NULL, out, NULL, n, 0); /* into a pipe; EINVAL for others */
	if (!c)
		return sd_real()->sendfile(out, in, off, n);
	return sd_ret(send_file(c, out, in, off, n));
}

SD_EXPORT ssize_t sendfile64(int out, int in, off_t *off, size_t n) { return sendfile(out, in, off, n); }

SD_ALIAS(__read, read);
SD_ALIAS(__write, write);
SD_ALIAS(__send, send);
