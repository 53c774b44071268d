/* splice between a pipe and a connection, through a buffer. What was taken from the one is always given to
 * the other, even where that has to wait: another process may have filled it meanwhile. */
#include <fcntl.h>
#include <sys/stat.h>

#include "real.h"

enum { PIECE = 4096, /* what a pipe takes that shows POLLOUT */ NARROW = 1024 /* and a connection, at least */ };

static int is_pipe(int fd)
{
	struct stat st;
	return sd_sys(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) == 0 && S_ISFIFO(st.st_mode);
}

/* What the pipe shows of events, POLLHUP or POLLERR; without wait perhaps 0. */
static long shows(int fd, short events, int wait)
{
	struct pollfd p = {fd, events, 0};
	struct timespec zero = {0, 0};
	for (;;) {
		long r = wait ? sd_wait_sleep(SYS_ppoll, (long)&p, 1, 0, 0, 8, 0) : sd_sys(SYS_ppoll, &p, 1, &zero, 0, 8);
		if (r == -EINTR && !sd_interrupted(1)) {
			sd_handled = SD_NOTHING;
			continue;
		}
		return r < 0 ? r : p.revents;
	}
}

static ssize_t give_pipe(int out, const char *b, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t w = sd_sys(SYS_write, out, b + done, n - done);
		if (w == -EAGAIN)
			shows(out, POLLOUT, 1);
		else if (w < 0 && w != -EINTR)
			return w;
		done += w > 0 ? w : 0;
	}
	return n;
}

static ssize_t to_pipe(struct sd_conn *c, int in, int out, size_t n, int wait)
{
	char b[PIECE];
	size_t done = 0;
	while (done < n) {
		long e = shows(out, POLLOUT, wait && done == 0);
		if (e < 0 || !(e & (POLLOUT | POLLERR)))
			return done ? (ssize_t)done : e < 0 ? e : -EAGAIN;
		if (e & POLLERR) /* nobody reads: EPIPE and SIGPIPE */
			return done ? (ssize_t)done : give_pipe(out, b, 1);
		size_t most = n - done < sizeof b ? n - done : sizeof b;
		ssize_t r = sd_recv_to_mark(c, in, b, most, MSG_DONTWAIT);
		if (r == -EAGAIN && done == 0) /* SO_RCVLOWAT is for who sleeps; SPLICE_F_NONBLOCK is the pipe's */
			r = sd_recv_to_mark(c, in, b, most, 0);
		if (done)
			sd_conn_keep_error(c, r);
		if (r <= 0)
			return done ? (ssize_t)done : r;
		ssize_t w = give_pipe(out, b, r);
		if (w < 0)
			return done ? (ssize_t)done : w;
		done += r;
		if ((size_t)r < most)
			break;
	}
	return done;
}

/* Whether a send would be refused: then nothing is taken from the pipe. */
static ssize_t refused(struct sd_conn *c, int out)
{
	struct iovec none = {NULL, 0};
	ssize_t r = sd_send(c, out, &none, 1, MSG_DONTWAIT, NULL);
	return r == -EAGAIN ? 0 : r;
}

/* What the peer's end refuses after that was on its way a moment earlier: the next call is told. */
static ssize_t give_conn(struct sd_conn *c, int out, char *b, size_t n, int flags)
{
	uint64_t serial = c->serial;
	for (size_t done = 0; done < n;) {
		struct iovec v = {b + done, n - done};
		if ((out = sd_still(c, serial, out)) < 0)
			return out;
		ssize_t w = sd_send(c, out, &v, 1, flags | MSG_NOSIGNAL, NULL);
		if (w == -EAGAIN) {
			struct pollfd p = {out, POLLOUT, 0};
			sd_poll(&p, 1, INT64_MAX, NULL);
		} else if (w == -EBADF) {
			return w;
		} else if (w < 0 && w != -EINTR) {
			if (w != -EPIPE)
				sd_conn_keep_error(c, w);
			break;
		}
		done += w > 0 ? w : 0;
	}
	return n;
}

static ssize_t from_pipe(struct sd_conn *c, int in, int out, size_t n, int wait, int flags)
{
	char b[PIECE];
	size_t done = 0, piece = sd_nonblock(c, out, 0) ? NARROW : PIECE;
	uint64_t serial = c->serial;
	while (done < n) {
		if ((out = sd_still(c, serial, out)) < 0)
			return done ? (ssize_t)done : out;
		long e = shows(in, POLLIN, wait && done == 0);
		if (e < 0 || !(e & POLLIN)) /* POLLHUP: nobody writes */
			return done || (e > 0 && e & POLLHUP) ? (ssize_t)done : e < 0 ? e : -EAGAIN;
		ssize_t w = refused(c, out);
		if (w < 0)
			return done ? (ssize_t)done : w;
		struct pollfd p = {out, POLLOUT, 0};
		if (piece == NARROW && sd_poll(&p, 1, 0, NULL) == 0)
			return done ? (ssize_t)done : -EAGAIN;
		ssize_t r = sd_sys(SYS_read, in, b, n - done < piece ? n - done : piece);
		if (r <= 0)
			return done ? (ssize_t)done : r;
		if ((w = give_conn(c, out, b, r, flags)) < 0)
			return done ? (ssize_t)done : w;
		done += r;
	}
	return done;
}

SD_EXPORT ssize_t splice(int in, off64_t *oi, int out, off64_t *oo, size_t n, unsigned flags)
{
	struct sd_conn *a = sd_live(in), *b = sd_live(out);
	int pipe = a ? out : in;
	/* The rest moves nothing, or fails: the kernel says how. */
	if ((!a && !b) || n == 0 || oi || oo || !is_pipe(pipe) ||
	    (flags & ~(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)))
		return sd_real()->splice(in, oi, out, oo, n, flags);
	int is = sd_sys(SYS_fcntl, pipe, F_GETFL);
	if (is < 0 || (is & O_ACCMODE) == (a ? O_RDONLY : O_WRONLY)) /* the pipe's wrong end */
		return sd_real()->splice(in, oi, out, oo, n, flags);
	sd_cancellation_point();
	sd_handled = SD_NOTHING;
	int wait = !(flags & SPLICE_F_NONBLOCK) && !(is & O_NONBLOCK);
	return sd_ret(a ? to_pipe(a, in, out, n, wait)
			: from_pipe(b, in, out, n, wait, flags & SPLICE_F_MORE ? MSG_MORE : 0));
}
