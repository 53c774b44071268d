/* libc's stdio reads and writes inside libc, where we do not see it. A candidate that gets a stream
 * stays on the kernel; a promoted connection gets one whose bytes pass through our read and write. */
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "real.h"

struct stream {
	FILE *file;
	int fd;
	struct stream *next;
};

static struct stream *streams; /* guarded by mutex */
static sd_mutex mutex;

static ssize_t take(void *s, char *b, size_t n) { return read(((struct stream *)s)->fd, b, n); }

/* fopencookie(3): less than n is an error for the stream, whereas a socket may take a part. */
static ssize_t give(void *s, const char *b, size_t n)
{
	size_t done = 0;
	while (done < n) {
		ssize_t r = write(((struct stream *)s)->fd, b + done, n - done);
		if (r < 0)
			break;
		done += r;
	}
	return done;
}

static int seek(void *s, off64_t *to, int whence)
{
	(void)s, (void)to, (void)whence;
	return (int)sd_ret(-ESPIPE);
}

static int shut(void *cookie)
{
	struct stream *s = cookie;
	int fd = s->fd;
	sd_mutex_lock(&mutex);
	for (struct stream **p = &streams; *p; p = &(*p)->next)
		if (*p == s) {
			*p = s->next;
			break;
		}
	sd_mutex_unlock(&mutex);
	free(s);
	return close(fd);
}

static FILE *stream_over(int fd, const char *mode)
{
	static const cookie_io_functions_t functions = {take, give, seek, shut};
	struct stream *s = malloc(sizeof *s);
	FILE *f = s ? fopencookie(s, mode, functions) : NULL;
	if (f == NULL) {
		free(s);
		return NULL;
	}
	f->_fileno = fd; /* for fileno(3): a stream of fopencookie has none */
	sd_mutex_lock(&mutex);
	*s = (struct stream){f, fd, streams};
	streams = s;
	sd_mutex_unlock(&mutex);
	return f;
}

static int ours(FILE *f)
{
	sd_mutex_lock(&mutex);
	struct stream *s = streams;
	while (s && s->file != f)
		s = s->next;
	sd_mutex_unlock(&mutex);
	return s != NULL;
}

void sd_stdio_fork_child(void) { mutex = 0; }

SD_EXPORT FILE *fdopen(int fd, const char *mode)
{
	struct sd_conn *c = sd_live(fd);
	if (c)
		sd_conn_keep(c, fd, SD_STATUS_STDIO);
	else
		sd_share_unconnected(fd);
	return c && sd_attached(c) ? stream_over(fd, mode) : sd_real()->fdopen(fd, mode);
}

/* Before libc closes the number of a stream of its own: as close(2). The connection, if it was its last. */
static struct sd_conn *leave(FILE *f)
{
	struct sd_conn *c = f ? sd_conn_of(fileno(f)) : NULL;
	if (c == NULL || ours(f) || sd_foreign())
		return NULL;
	fflush(f);
	sd_conn_closing(c, fileno(f));
	return sd_detach(fileno(f));
}

SD_EXPORT int fclose(FILE *f)
{
	struct sd_conn *c = leave(f);
	int r = sd_real()->fclose(f), e = errno;
	if (c)
		sd_release(c);
	errno = e;
	return r;
}

/* glibc cannot reopen a stream of fopencookie (it faults). */
static FILE *reopen(const char *path, const char *mode, FILE *f, FILE *(*real)(const char *, const char *, FILE *))
{
	if (f && sd_conn_of(fileno(f)) && ours(f)) {
		sd_count(SD_COUNT_UNHOOKED);
		fclose(f);
		errno = EOPNOTSUPP;
		return NULL;
	}
	struct sd_conn *c = leave(f);
	f = real(path, mode, f);
	int e = errno;
	if (c)
		sd_release(c);
	errno = e;
	return f;
}

SD_EXPORT FILE *freopen(const char *p, const char *m, FILE *f) { return reopen(p, m, f, sd_real()->freopen); }
SD_EXPORT FILE *freopen64(const char *p, const char *m, FILE *f) { return reopen(p, m, f, sd_real()->freopen64); }

int __vasprintf_chk(char **text, int flag, const char *format, va_list ap);

SD_EXPORT int __vdprintf_chk(int fd, int flag, const char *format, va_list ap)
{
	char *text;
	if (!sd_live(fd))
		return sd_real()->__vdprintf_chk(fd, flag, format, ap);
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
