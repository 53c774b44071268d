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

/* As many bytes as Linux moves in one call. */
static size_t most(size_t n) { return n < SD_MOST ? n : SD_MOST; }

static __attribute__((noinline)) ssize_t recv_one(struct sd_conn *c, int fd, void *b, size_t n, int flags)
{
	if ((flags & ~MSG_WAITALL) == 0 && sd_recv_fast(c, b, n))
		return n;
	struct iovec v = {b, n};
	return sd_ret(sd_recv(c, fd, &v, 1, flags, NULL));
}

static __attribute__((noinline)) ssize_t send_one(struct sd_conn *c, int fd, const void *b, size_t n, int flags)
{
	if (!(flags & (MSG_OOB | MSG_FASTOPEN)) && sd_send_fast(c, fd, b, n))
		return n;
	ssize_t refused = flags & MSG_FASTOPEN ? sd_sys(SYS_sendto, fd, NULL, 0, flags | SD_ASKING, NULL, 0) : 0;
	if (refused < 0 && refused != -EPIPE)
		return sd_ret(refused);
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
	c = sd_unless_kernel(c);
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
	c = sd_unless_kernel(c);
	return c ? recv_one(c, fd, b, most(n), flags) : sd_real()->recv(fd, b, n, flags);
}

SD_EXPORT ssize_t recvfrom(int fd, void *b, size_t n, int flags, struct sockaddr *a, socklen_t *len)
{
	struct sd_conn *c = sd_live(fd);
	if (!c)
		return sd_real()->recvfrom(fd, b, n, flags, a, len);
	struct iovec v = {b, most(n)};
	ssize_t r = sd_recv(c, fd, &v, 1, flags, NULL);
	if (r >= 0 && a && len) {
		if ((int)*len < 0) /* Linux looks at it last */
			return sd_ret(-EINVAL);
		*len = 0; /* tcp(7): a stream has no source address to report */
	}
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
	c = sd_unless_kernel(c);
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
	if (!(flags & (MSG_OOB | MSG_FASTOPEN)) && may_send(c, n)) {
		sd_enter_first();
		return n <= c->tx.room ? send_now(c, b, n) : send_again(fd, b, n, flags);
	}
	c = sd_unless_kernel(c);
	return c ? send_one(c, fd, b, most(n), flags) : sd_real()->send(fd, b, n, flags);
}

SD_EXPORT ssize_t sendto(int fd, const void *b, size_t n, int flags, const struct sockaddr *a, socklen_t len)
{
	struct sd_conn *c = sd_live(fd);
	if (!c)
		return sd_real()->sendto(fd, b, n, flags, a, len);
	struct msghdr m = {.msg_name = (void *)a, .msg_namelen = a ? len : 0};
	ssize_t refused = a || (flags & MSG_FASTOPEN) ? sd_sys(SYS_sendto, fd, NULL, 0, flags | SD_ASKING, a, len) : 0;
	if (refused < 0 && refused != -EPIPE)
		return sd_ret(refused);
	struct iovec v = {(void *)b, most(n)};
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

/* preadv2 and pwritev2 with offset -1 are readv and writev; any other offset is ESPIPE, which the
 * anchor says itself, as it refuses other flags. */
enum { WITHOUT_EFFECT = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND };

static ssize_t readv2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
	struct sd_conn *c = sd_live(fd);
	if (!c || off != -1 || n < 0 || n > 1024 || (flags & ~(RWF_NOWAIT | WITHOUT_EFFECT)))
		return sd_real()->preadv2(fd, v, n, off, flags);
	if (sd_iov_len(v, n) == 0)
		return 0;
	return sd_ret(sd_recv(c, fd, v, n, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0, NULL));
}

static ssize_t writev2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
	struct sd_conn *c = sd_live(fd);
	if (!c || off != -1 || n < 0 || n > 1024 || (flags & ~(RWF_NOWAIT | WITHOUT_EFFECT)))
		return sd_real()->pwritev2(fd, v, n, off, flags);
	if (sd_iov_len(v, n) == 0)
		return 0;
	return sd_ret(sd_send(c, fd, v, n, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0, NULL));
}

SD_EXPORT ssize_t preadv2(int fd, const struct iovec *v, int n, off_t off, int f) { return readv2(fd, v, n, off, f); }
SD_EXPORT ssize_t preadv64v2(int fd, const struct iovec *v, int n, off_t off, int f) { return readv2(fd, v, n, off, f); }
SD_EXPORT ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t off, int f) { return writev2(fd, v, n, off, f); }
SD_EXPORT ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off_t off, int f) { return writev2(fd, v, n, off, f); }

/* Of libsdtrace.so, where a program is traced: bytes of a file were sent. */
void sd_trace_file(const void *b, size_t n) __attribute__((weak));

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
	uint64_t serial = c->serial;
	if (at < 0)
		return at;
	while (done < n) {
		if ((out = sd_still(c, serial, out)) < 0) {
			if (done == 0)
				return out;
			break;
		}
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
		if (sd_trace_file)
			sd_trace_file(b, w);
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
	if (sd_live(in) && off == NULL && n != 0)
		return splice(in, NULL, out, NULL, n, 0); /* into a pipe; EINVAL for others */
	if (!c || (off == NULL && sd_live(in)))
		return sd_real()->sendfile(out, in, off, n);
	return sd_ret(send_file(c, out, in, off, n));
}

SD_EXPORT ssize_t sendfile64(int out, int in, off_t *off, size_t n) { return sendfile(out, in, off, n); }

SD_ALIAS(__read, read);
SD_ALIAS(__write, write);
SD_ALIAS(__send, send);
