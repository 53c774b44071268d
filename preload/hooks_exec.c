/* A program that is started with a promoted connection knows nothing of the rings: our sending direction
 * goes back to TCP before, so that what it writes comes after what was written here. What the peer has
 * put, or puts, into its ring the new program does not see. */
#include <fcntl.h>
#include <stdarg.h>

#include "real.h"

/* In a child of vfork the table is the parent's, but the numbers are its own. */
static struct sd_conn *named(int fd, int foreign)
{
	uint64_t cookie;
	socklen_t n = sizeof cookie;
	if (!foreign)
		return sd_live(fd);
	if (sd_sys(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) < 0)
		return NULL;
	for (int i = 0; i < sd_peek(&sd_fd_top); i++) {
		struct sd_conn *c = sd_live(i);
		if (c && c->cookie == cookie)
			return c;
	}
	return NULL;
}

/* In a copy of our memory that no handler of fork has seen our state is not the parent's. */
static int shares_memory(void)
{
	return sd_sys(SYS_kcmp, sd_sys(SYS_getpid), sd_g.pid, 1 /* KCMP_VM */, 0, 0) == 0;
}

static void inherit(void)
{
	int e = errno, top = sd_peek(&sd_fd_top), any = 0;
	for (int fd = 0; fd < top && !any; fd++)
		any = sd_live(fd) != NULL;
	int foreign = any && sd_foreign();
	for (int fd = 0; any && fd < top; fd++) {
		long flags = sd_sys(SYS_fcntl, fd, F_GETFD);
		struct sd_conn *c = flags < 0 || (flags & FD_CLOEXEC) ? NULL : named(fd, foreign);
		if (c && (!foreign || shares_memory()))
			sd_conn_inherited(c, fd);
		else if (c && sd_attached(c))
			sd_count(SD_COUNT_EXEC_INHERITED);
	}
	errno = e;
}

SD_EXPORT int execve(const char *path, char *const argv[], char *const env[])
{
	inherit();
	return sd_real()->execve(path, argv, env);
}

SD_EXPORT int execv(const char *path, char *const argv[])
{
	inherit();
	return sd_real()->execv(path, argv);
}

SD_EXPORT int execvp(const char *file, char *const argv[])
{
	inherit();
	return sd_real()->execvp(file, argv);
}

SD_EXPORT int execvpe(const char *file, char *const argv[], char *const env[])
{
	inherit();
	return sd_real()->execvpe(file, argv, env);
}

SD_EXPORT int fexecve(int fd, char *const argv[], char *const env[])
{
	inherit();
	return sd_real()->fexecve(fd, argv, env);
}

SD_EXPORT int execveat(int dir, const char *path, char *const argv[], char *const env[], int flags)
{
	inherit();
	return sd_real()->execveat(dir, path, argv, env, flags);
}

/* The words of a list up to its NULL, as an array in the caller's frame. */
#define WORDS(argv, first, last)                               \
	int words = 1;                                         \
	va_list last;                                          \
	va_start(last, first);                                 \
	while (va_arg(last, char *) != NULL)                   \
		words++;                                       \
	va_end(last);                                          \
	char *argv[words + 1];                                 \
	va_start(last, first);                                 \
	argv[0] = (char *)first;                               \
	for (int i = 1; i <= words; i++)                       \
		argv[i] = va_arg(last, char *)

SD_EXPORT int execl(const char *path, const char *first, ...)
{
	WORDS(argv, first, last);
	va_end(last);
	return execv(path, argv);
}

SD_EXPORT int execlp(const char *file, const char *first, ...)
{
	WORDS(argv, first, last);
	va_end(last);
	return execvp(file, argv);
}

SD_EXPORT int execle(const char *path, const char *first, ...)
{
	WORDS(argv, first, last);
	char **env = va_arg(last, char **);
	va_end(last);
	return execve(path, argv, env);
}

SD_EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *a, const posix_spawnattr_t *attr,
			  char *const argv[], char *const env[])
{
	inherit();
	return sd_real()->posix_spawn(pid, path, a, attr, argv, env);
}

SD_EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *a, const posix_spawnattr_t *attr,
			   char *const argv[], char *const env[])
{
	inherit();
	return sd_real()->posix_spawnp(pid, file, a, attr, argv, env);
}

SD_EXPORT int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *a, int fd, int to)
{
	struct sd_conn *c = sd_live(fd);
	if (c && !sd_foreign())
		sd_conn_inherited(c, fd);
	return sd_real()->posix_spawn_file_actions_adddup2(a, fd, to);
}

/* libc starts these programs by itself. */
SD_EXPORT int system(const char *command)
{
	if (command)
		inherit();
	return sd_real()->system(command);
}

SD_EXPORT FILE *popen(const char *command, const char *mode)
{
	inherit();
	return sd_real()->popen(command, mode);
}

SD_EXPORT int wordexp(const char *words, wordexp_t *to, int flags)
{
	if (!(flags & WRDE_NOCMD))
		inherit();
	return sd_real()->wordexp(words, to, flags);
}

SD_ALIAS(_IO_popen, popen);
