/* The calls that move bytes. Where one call of libsd.so is made of another exported one, we call the
 * other, so that each thing the program does is recorded once. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "next.h"

/* The first n bytes of the iovec. */
static uint32_t sum_iov(const struct iovec *v, int count, size_t n)
{
	uint32_t s = 0;
	for (int i = 0; i < count && n > 0; i++) {
		size_t k = v[i].iov_len < n ? v[i].iov_len : n;
		s = sd_trace_sum(s, v[i].iov_base, k);
		n -= k;
	}
	return s;
}

static size_t length(const struct iovec *v, int count)
{
	size_t n = 0;
	for (int i = 0; i < count; i++)
		n += v[i].iov_len;
	return n;
}

/* After the call: r is what it returned, and errno. MSG_TRUNC throws bytes away, unseen. */
static ssize_t moved(int op, uint64_t id, int fd, int64_t start, ssize_t r, const struct iovec *v, int count, int flags)
{
	struct sd_trace_record t = {
		.start = start, .id = id, .result = sd_trace_result(r), .flags = flags, .fd = fd, .op = op};
	if (r >= 0 || errno == EAGAIN) /* else the iovec may be what was wrong */
		t.arg = length(v, count);
	if (r > 0 && !(op == SD_TRACE_recv && (flags & MSG_TRUNC))) {
		t.sum = sum_iov(v, count, r);
		t.bits = SD_TRACE_SUM;
	}
	sd_trace_put(&t);
	return r;
}

static ssize_t moved1(int op, uint64_t id, int fd, int64_t start, ssize_t r, const void *b, size_t n, int flags)
{
	struct sd_trace_record t = {
		.start = start, .id = id, .result = sd_trace_result(r), .arg = n, .flags = flags, .fd = fd, .op = op};
	if (r > 0 && !(op == SD_TRACE_recv && (flags & MSG_TRUNC))) {
		t.sum = sd_trace_sum(0, b, r);
		t.bits = SD_TRACE_SUM;
	}
	sd_trace_put(&t);
	return r;
}

#define PASS_BY(fd, call)               \
	uint64_t id = sd_trace_id(fd);  \
	if (id == 0)                    \
		return sd_next()->call; \
	int64_t start = sd_trace_before()

SD_EXPORT ssize_t read(int fd, void *b, size_t n)
{
	PASS_BY(fd, read(fd, b, n));
	return moved1(SD_TRACE_recv, id, fd, start, sd_next()->read(fd, b, n), b, n, 0);
}

SD_EXPORT ssize_t recv(int fd, void *b, size_t n, int flags)
{
	PASS_BY(fd, recv(fd, b, n, flags));
	return moved1(SD_TRACE_recv, id, fd, start, sd_next()->recv(fd, b, n, flags), b, n, flags);
}

SD_EXPORT ssize_t recvfrom(int fd, void *b, size_t n, int flags, struct sockaddr *a, socklen_t *len)
{
	PASS_BY(fd, recvfrom(fd, b, n, flags, a, len));
	return moved1(SD_TRACE_recv, id, fd, start, sd_next()->recvfrom(fd, b, n, flags, a, len), b, n, flags);
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
	PASS_BY(fd, readv(fd, v, n));
	return moved(SD_TRACE_recv, id, fd, start, sd_next()->readv(fd, v, n), v, n, 0);
}

static ssize_t readv2(int fd, const struct iovec *v, int n, off_t off, int f)
{
	PASS_BY(fd, preadv2(fd, v, n, off, f));
	return moved(SD_TRACE_recv, id, fd, start, sd_next()->preadv2(fd, v, n, off, f), v, n,
		     f & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

SD_EXPORT ssize_t preadv2(int fd, const struct iovec *v, int n, off_t off, int f) { return readv2(fd, v, n, off, f); }
SD_EXPORT ssize_t preadv64v2(int fd, const struct iovec *v, int n, off_t off, int f) { return readv2(fd, v, n, off, f); }

/* Descriptors that came or went with a message: from now on others hold them too. */
static void passed(const struct msghdr *m, int came)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR((struct msghdr *)m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (h->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			struct sd_trace_record r = {.start = sd_trace_before(), .op = SD_TRACE_passed, .flags = came};
			memcpy(&r.fd, CMSG_DATA(h) + i * sizeof r.fd, sizeof r.fd);
			if (came)
				sd_trace_forget(r.fd);
			if ((r.id = sd_trace_id(r.fd)) != 0)
				sd_trace_put(&r);
		}
	}
}

SD_EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = id ? sd_trace_before() : 0;
	ssize_t r = sd_next()->recvmsg(fd, m, flags);
	if (id)
		return moved(SD_TRACE_recv, id, fd, start, r, m->msg_iov, m->msg_iovlen, flags);
	if (r >= 0 && m->msg_controllen && sd_trace_on)
		passed(m, 1);
	return r;
}

SD_EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
	PASS_BY(fd, recvmmsg(fd, v, n, flags, timeout));
	int r = sd_next()->recvmmsg(fd, v, n, flags, timeout);
	for (int i = 0; i < r; i++)
		moved(SD_TRACE_recv, id, fd, start, v[i].msg_len, v[i].msg_hdr.msg_iov, v[i].msg_hdr.msg_iovlen, flags);
	if (r < 0)
		moved(SD_TRACE_recv, id, fd, start, r, NULL, 0, flags);
	return r;
}

SD_EXPORT ssize_t write(int fd, const void *b, size_t n)
{
	PASS_BY(fd, write(fd, b, n));
	return moved1(SD_TRACE_send, id, fd, start, sd_next()->write(fd, b, n), b, n, 0);
}

SD_EXPORT ssize_t send(int fd, const void *b, size_t n, int flags)
{
	PASS_BY(fd, send(fd, b, n, flags));
	return moved1(SD_TRACE_send, id, fd, start, sd_next()->send(fd, b, n, flags), b, n, flags);
}

SD_EXPORT ssize_t sendto(int fd, const void *b, size_t n, int flags, const struct sockaddr *a, socklen_t len)
{
	PASS_BY(fd, sendto(fd, b, n, flags, a, len));
	return moved1(SD_TRACE_send, id, fd, start, sd_next()->sendto(fd, b, n, flags, a, len), b, n, flags);
}

SD_EXPORT ssize_t writev(int fd, const struct iovec *v, int n)
{
	PASS_BY(fd, writev(fd, v, n));
	return moved(SD_TRACE_send, id, fd, start, sd_next()->writev(fd, v, n), v, n, 0);
}

static ssize_t writev2(int fd, const struct iovec *v, int n, off_t off, int f)
{
	PASS_BY(fd, pwritev2(fd, v, n, off, f));
	return moved(SD_TRACE_send, id, fd, start, sd_next()->pwritev2(fd, v, n, off, f), v, n,
		     f & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

SD_EXPORT ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t off, int f) { return writev2(fd, v, n, off, f); }
SD_EXPORT ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off_t off, int f) { return writev2(fd, v, n, off, f); }

SD_EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = id ? sd_trace_before() : 0;
	if (m && m->msg_controllen && sd_trace_on)
		passed(m, 0);
	ssize_t r = sd_next()->sendmsg(fd, m, flags);
	return id ? moved(SD_TRACE_send, id, fd, start, r, m->msg_iov, m->msg_iovlen, flags) : r;
}

SD_EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	PASS_BY(fd, sendmmsg(fd, v, n, flags));
	int r = sd_next()->sendmmsg(fd, v, n, flags);
	for (int i = 0; i < r; i++)
		moved(SD_TRACE_send, id, fd, start, v[i].msg_len, v[i].msg_hdr.msg_iov, v[i].msg_hdr.msg_iovlen, flags);
	if (r < 0)
		moved(SD_TRACE_send, id, fd, start, r, NULL, 0, flags);
	return r;
}

int __vasprintf_chk(char **text, int flag, const char *format, va_list ap);

SD_EXPORT int __vdprintf_chk(int fd, int flag, const char *format, va_list ap)
{
	char *text;
	int n = __vasprintf_chk(&text, flag, format, ap);
	for (int done = 0; n > 0 && done < n;) {
		ssize_t r = write(fd, text + done, n - done);
		if (r < 0) {
			free(text);
			return -1;
		}
		done += r;
	}
	if (n >= 0)
		free(text);
	return n;
}

SD_EXPORT int vdprintf(int fd, const char *format, va_list ap) { return __vdprintf_chk(fd, 0, format, ap); }

SD_EXPORT int __dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	int n = __vdprintf_chk(fd, flag, format, ap);
	va_end(ap);
	return n;
}

SD_EXPORT int dprintf(int fd, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	int n = __vdprintf_chk(fd, 0, format, ap);
	va_end(ap);
	return n;
}

/* What libsd.so has read from a file and sent, as it tells us in the middle of the call. */
static __thread struct told {
	size_t n;
	uint32_t sum;
} told;

SD_EXPORT void sd_trace_file(const void *b, size_t n)
{
	told.sum = sd_trace_sum(told.sum, b, n);
	told.n += n;
}

/* What the kernel has sent is read once more, right after the call. */
static void sum_file(struct sd_trace_record *t, int in, off_t from)
{
	char b[16384];
	int64_t n = t->result;
	while (n > 0) {
		long r = sd_sys(SYS_pread64, in, b, n < (int64_t)sizeof b ? n : (int64_t)sizeof b, from);
		if (r <= 0)
			return;
		t->sum = sd_trace_sum(t->sum, b, r);
		from += r;
		n -= r;
	}
	t->bits = SD_TRACE_SUM;
}

SD_EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t n)
{
	PASS_BY(out, sendfile(out, in, off, n));
	off_t from = off ? *off : sd_sys(SYS_lseek, in, 0, SEEK_CUR);
	struct told outer = told; /* of a call that a signal handler is in the middle of */
	told = (struct told){0};
	ssize_t r = sd_next()->sendfile(out, in, off, n);
	struct sd_trace_record t = {.start = start, .id = id, .result = sd_trace_result(r), .arg = n, .fd = out,
				    .aux = in, .op = SD_TRACE_sendfile};
	if (r > 0 && told.n == (size_t)r)
		t.sum = told.sum, t.bits = SD_TRACE_SUM;
	else if (r > 0 && from >= 0)
		sum_file(&t, in, from);
	told = outer;
	sd_trace_put(&t);
	return r;
}

SD_EXPORT ssize_t sendfile64(int out, int in, off_t *off, size_t n) { return sendfile(out, in, off, n); }

SD_EXPORT ssize_t splice(int in, off64_t *oi, int out, off64_t *oo, size_t n, unsigned flags)
{
	uint64_t from = sd_trace_id(in), to = sd_trace_id(out);
	int64_t start = from || to ? sd_trace_before() : 0;
	ssize_t r = sd_next()->splice(in, oi, out, oo, n, flags);
	struct sd_trace_record t = {.start = start, .result = sd_trace_result(r), .arg = n, .op = SD_TRACE_splice};
	if (from) {
		t.id = from, t.fd = in, t.flags = 0;
		sd_trace_put(&t);
	}
	if (to) {
		t.id = to, t.fd = out, t.flags = 1;
		sd_trace_put(&t);
	}
	return r;
}
