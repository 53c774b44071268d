/* The calls that make, name, set and close descriptors. */
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "next.h"

/* For calls whose result tells all; the socket is id. */
static int done(int op, uint64_t id, int fd, int64_t start, int r, uint64_t arg, uint32_t flags)
{
	if (id) {
		struct sd_trace_record t = {.start = start, .id = id, .result = sd_trace_result(r), .arg = arg,
					    .flags = flags, .fd = fd, .op = op};
		sd_trace_put(&t);
	}
	return r;
}

/* The same for calls without a time of their own. */
static int aside(int op, uint64_t id, int fd, int r, uint64_t arg, uint32_t flags)
{
	if (id) {
		struct sd_trace_record t = {.id = id, .result = sd_trace_result(r), .arg = arg, .flags = flags,
					    .fd = fd, .op = op};
		sd_trace_aside(&t);
	}
	return r;
}

static int64_t now_if(uint64_t id) { return id ? sd_trace_before() : 0; }

SD_EXPORT int socket(int family, int type, int protocol)
{
	int fd = sd_next()->socket(family, type, protocol);
	if (fd < 0 || !sd_trace_on || (family != AF_INET && family != AF_INET6))
		return fd;
	int64_t start = sd_trace_before();
	sd_trace_forget(fd);
	return done(SD_TRACE_socket, sd_trace_names(fd, SD_TRACE_UNCONNECTED), -1, start, fd, type, family);
}

SD_EXPORT int bind(int fd, const struct sockaddr *a, socklen_t len)
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = now_if(id);
	return done(SD_TRACE_bind, id, fd, start, sd_next()->bind(fd, a, len), 0, 0);
}

SD_EXPORT int listen(int fd, int backlog)
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = now_if(id);
	return done(SD_TRACE_listen, id, fd, start, sd_next()->listen(fd, backlog), backlog, 0);
}

SD_EXPORT int connect(int fd, const struct sockaddr *a, socklen_t len)
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = now_if(id);
	int r = sd_next()->connect(fd, a, len), e = errno;
	if (id && (r == 0 || e == EINPROGRESS))
		sd_trace_names(fd, SD_TRACE_CONNECTED);
	errno = e;
	return done(SD_TRACE_connect, id, fd, start, r, 0, 0);
}

static int accepted(int listener, uint64_t id, int64_t start, int fd, int flags)
{
	uint64_t conn = 0;
	if (id && fd >= 0)
		conn = sd_trace_names(fd, SD_TRACE_ACCEPTED);
	else if (fd >= 0)
		sd_trace_forget(fd);
	return done(SD_TRACE_accept, id, listener, start, fd, conn, flags);
}

SD_EXPORT int accept(int fd, struct sockaddr *a, socklen_t *len)
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = now_if(id);
	return accepted(fd, id, start, sd_next()->accept(fd, a, len), 0);
}

SD_EXPORT int accept4(int fd, struct sockaddr *a, socklen_t *len, int flags)
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = now_if(id);
	return accepted(fd, id, start, sd_next()->accept4(fd, a, len, flags), flags);
}

SD_EXPORT int shutdown(int fd, int how)
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = now_if(id);
	return done(SD_TRACE_shutdown, id, fd, start, sd_next()->shutdown(fd, how), how, 0);
}

static uint32_t word(const void *value, socklen_t len)
{
	uint32_t v = 0;
	if (value)
		memcpy(&v, value, len < sizeof v ? len : sizeof v);
	return v;
}

SD_EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	uint64_t id = sd_trace_id(fd);
	int r = sd_next()->setsockopt(fd, level, name, value, len);
	return aside(SD_TRACE_setsockopt, id, fd, r, (uint64_t)level << 32 | (uint32_t)name, r == 0 ? word(value, len) : 0);
}

SD_EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = now_if(id);
	int r = sd_next()->getsockopt(fd, level, name, value, len);
	return done(SD_TRACE_getsockopt, id, fd, start, r, (uint64_t)level << 32 | (uint32_t)name,
		    r == 0 ? word(value, *len) : 0);
}

SD_EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	va_start(ap, request);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	uint64_t id = sd_trace_id(fd);
	int r = sd_next()->ioctl(fd, request, arg);
	int known = r == 0 && (request == FIONREAD || request == FIONBIO);
	return aside(SD_TRACE_ioctl, id, fd, r, known ? word(arg, 4) : 0, request);
}

/* Every number that a call has made is something new; the socket behind it is the old one's. */
static int duplicated(uint64_t id, int64_t start, int fd, int to, long wanted)
{
	if (to >= 0 && !sd_trace_foreign())
		sd_trace_forget(to);
	else if (to >= 0)
		return to;
	done(SD_TRACE_dup, id, fd, start, to, wanted, 0);
	return to;
}

/* The number that dup2 takes away: its socket may be closed by that. */
static void replaced(int fd, int to)
{
	uint64_t old = fd != to ? sd_trace_id(to) : 0;
	if (old && !sd_trace_foreign())
		done(SD_TRACE_close, old, to, sd_trace_before(), 0, 0, 0);
}

SD_EXPORT int dup(int fd)
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = now_if(id);
	return duplicated(id, start, fd, sd_next()->dup(fd), -1);
}

SD_EXPORT int dup2(int fd, int to)
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = now_if(id);
	replaced(fd, to);
	return duplicated(id, start, fd, sd_next()->dup2(fd, to), to);
}

SD_EXPORT int dup3(int fd, int to, int flags)
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = now_if(id);
	replaced(fd, to);
	return duplicated(id, start, fd, sd_next()->dup3(fd, to, flags), to);
}

static int fcntl_common(int fd, int cmd, void *arg, int (*next)(int, int, void *))
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = now_if(id);
	int r = next(fd, cmd, arg);
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		return duplicated(id, start, fd, r, -1);
	return done(SD_TRACE_fcntl, id, fd, start, r, (uint64_t)arg, cmd);
}

SD_EXPORT int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return fcntl_common(fd, cmd, arg, sd_next()->fcntl);
}

SD_EXPORT int fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return fcntl_common(fd, cmd, arg, sd_next()->fcntl64 ? sd_next()->fcntl64 : sd_next()->fcntl);
}

/* What it was is forgotten first: the number may be something else's before close has returned. */
static uint64_t leaving(int fd, int64_t *start)
{
	uint64_t id = sd_trace_id(fd);
	if (id && sd_trace_foreign())
		return 0;
	*start = now_if(id);
	sd_trace_forget(fd);
	return id;
}

SD_EXPORT int close(int fd)
{
	int64_t start = 0;
	uint64_t id = leaving(fd, &start);
	return done(SD_TRACE_close, id, fd, start, sd_next()->close(fd), 0, 0);
}

SD_EXPORT int fclose(FILE *f)
{
	int64_t start = 0;
	int fd = f ? fileno_unlocked(f) : -1;
	uint64_t id = leaving(fd, &start);
	return done(SD_TRACE_close, id, fd, start, sd_next()->fclose(f), 0, 0);
}

static void closes(unsigned first, unsigned last, int64_t start)
{
	struct sd_trace_record t = {.start = start, .arg = first | (uint64_t)last << 32, .fd = -1,
				    .op = SD_TRACE_close_range};
	sd_trace_forget_span(first, last);
	sd_trace_put(&t);
}

SD_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	int64_t start = sd_trace_before();
	int r = sd_next()->close_range(first, last, flags);
	if (r == 0 && flags == 0 && sd_trace_on && !sd_trace_foreign())
		closes(first, last, start);
	return r;
}

SD_EXPORT void closefrom(int low)
{
	int64_t start = sd_trace_before();
	sd_next()->closefrom(low);
	if (sd_trace_on && !sd_trace_foreign())
		closes(low < 0 ? 0 : low, ~0u, start);
}

SD_EXPORT FILE *fdopen(int fd, const char *mode)
{
	uint64_t id = sd_trace_id(fd);
	int64_t start = now_if(id);
	FILE *f = sd_next()->fdopen(fd, mode);
	done(SD_TRACE_fdopen, id, fd, start, f ? fd : -1, 0, 0);
	return f;
}
