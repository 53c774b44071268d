/* libc's stdio reads and writes inside libc, where we do not see it. A candidate that gets a stream
 * stays on the kernel; a promoted connection gets one whose bytes pass through our read and write. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
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

/* ESPIPE, but after freopen. */
static int seek(void *s, off64_t *to, int whence)
{
	off64_t at = lseek64(((struct stream *)s)->fd, *to, whence);
	if (at >= 0)
		*to = at;
	return at < 0 ? -1 : 0;
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

/* libc's own stream over 0 would find the anchor. What it has read already comes first: then it stays, and is
 * counted. */
void sd_stdio_input(void)
{
	FILE *f = stdin && stdin->_IO_read_ptr == stdin->_IO_read_end && !ours(stdin) ? stream_over(0, "r") : NULL;
	if (f)
		stdin = f;
	else if (stdin && !ours(stdin))
		sd_count(SD_COUNT_UNHOOKED);
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

static int open_flags(const char *mode)
{
	int access = strchr(mode, '+') ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;
	int make = *mode == 'w' ? O_CREAT | O_TRUNC : *mode == 'a' ? O_CREAT | O_APPEND : 0;
	return access | make | (strchr(mode, 'e') ? O_CLOEXEC : 0) | (strchr(mode, 'x') ? O_EXCL : 0);
}

/* glibc cannot reopen a stream of fopencookie (it faults): the file takes the connection's number, through
 * which our functions read, write and seek. */
static FILE *reopen_ours(const char *path, const char *mode, FILE *f)
{
	enum { NO_READS = 4, NO_WRITES = 8 }; /* bits of glibc's FILE, as in its fdopen */
	int flags = open_flags(mode), to = fileno(f);
	fflush(f);
	int fd = path ? open(path, flags, 0666) : (int)sd_ret(-ENXIO); /* as /proc says of a socket */
	if (fd < 0) {
		int e = errno;
		fclose(f);
		errno = e;
		return NULL;
	}
	dup3(fd, to, flags & O_CLOEXEC);
	close(fd);
	__fpurge(f);
	clearerr(f);
	f->_flags &= ~(NO_READS | NO_WRITES);
	f->_flags |= (flags & O_ACCMODE) == O_RDONLY ? NO_WRITES : (flags & O_ACCMODE) == O_WRONLY ? NO_READS : 0;
	return f;
}

static FILE *reopen(const char *path, const char *mode, FILE *f, FILE *(*real)(const char *, const char *, FILE *))
{
	if (f && ours(f))
		return reopen_ours(path, mode, f);
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
