/* The interposed functions of libc: one line each. libsd.map exports exactly these. */
#ifndef SD_REAL_H
#define SD_REAL_H

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <wordexp.h>

#include "sd.h"

struct aiocb;
struct aiocb64;

#define SD_REAL_FUNCTIONS(X)                                                                           \
	X(ssize_t, read, (int, void *, size_t))                                                        \
	X(ssize_t, __read_chk, (int, void *, size_t, size_t))                                          \
	X(ssize_t, readv, (int, const struct iovec *, int))                                            \
	X(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int))                              \
	X(ssize_t, preadv64v2, (int, const struct iovec *, int, off_t, int))                           \
	X(ssize_t, recv, (int, void *, size_t, int))                                                   \
	X(ssize_t, __recv_chk, (int, void *, size_t, size_t, int))                                     \
	X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))               \
	X(ssize_t, __recvfrom_chk, (int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *)) \
	X(ssize_t, recvmsg, (int, struct msghdr *, int))                                               \
	X(int, recvmmsg, (int, struct mmsghdr *, unsigned, int, struct timespec *))                    \
	X(ssize_t, write, (int, const void *, size_t))                                                 \
	X(ssize_t, writev, (int, const struct iovec *, int))                                           \
	X(ssize_t, pwritev2, (int, const struct iovec *, int, off_t, int))                             \
	X(ssize_t, pwritev64v2, (int, const struct iovec *, int, off_t, int))                          \
	X(ssize_t, send, (int, const void *, size_t, int))                                             \
	X(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t))       \
	X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                         \
	X(int, sendmmsg, (int, struct mmsghdr *, unsigned, int))                                       \
	X(ssize_t, sendfile, (int, int, off_t *, size_t))                                              \
	X(ssize_t, sendfile64, (int, int, off_t *, size_t))                                            \
	X(ssize_t, splice, (int, off64_t *, int, off64_t *, size_t, unsigned))                         \
	X(int, socket, (int, int, int))                                                                \
	X(int, connect, (int, const struct sockaddr *, socklen_t))                                     \
	X(int, accept, (int, struct sockaddr *, socklen_t *))                                          \
	X(int, accept4, (int, struct sockaddr *, socklen_t *, int))                                    \
	X(int, shutdown, (int, int))                                                                   \
	X(int, setsockopt, (int, int, int, const void *, socklen_t))                                   \
	X(int, getsockopt, (int, int, int, void *, socklen_t *))                                       \
	X(int, ioctl, (int, unsigned long, void *))                                                    \
	X(int, sockatmark, (int))                                                                      \
	X(int, fcntl, (int, int, void *))                                                              \
	X(int, fcntl64, (int, int, void *))                                                            \
	X(int, close, (int))                                                                           \
	X(int, close_range, (unsigned, unsigned, int))                                                 \
	X(void, closefrom, (int))                                                                      \
	X(int, dup, (int))                                                                             \
	X(int, dup2, (int, int))                                                                       \
	X(int, dup3, (int, int, int))                                                                  \
	X(int, execve, (const char *, char *const *, char *const *))                                   \
	X(int, execv, (const char *, char *const *))                                                   \
	X(int, execvp, (const char *, char *const *))                                                  \
	X(int, execvpe, (const char *, char *const *, char *const *))                                  \
	X(int, execl, (const char *, const char *, ...))                                               \
	X(int, execlp, (const char *, const char *, ...))                                              \
	X(int, execle, (const char *, const char *, ...))                                              \
	X(int, fexecve, (int, char *const *, char *const *))                                           \
	X(int, execveat, (int, const char *, char *const *, char *const *, int))                       \
	X(int, posix_spawn, (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *, char *const *)) \
	X(int, posix_spawnp, (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *, char *const *)) \
	X(int, posix_spawn_file_actions_adddup2, (posix_spawn_file_actions_t *, int, int))             \
	X(int, system, (const char *))                                                                 \
	X(FILE *, popen, (const char *, const char *))                                                 \
	X(FILE *, _IO_popen, (const char *, const char *))                                             \
	X(int, wordexp, (const char *, wordexp_t *, int))                                              \
	X(int, clone, (int (*)(void *), void *, int, void *, ...))                                     \
	X(int, __clone, (int (*)(void *), void *, int, void *, ...))                                   \
	X(pid_t, _Fork, (void))                                                                        \
	X(FILE *, fdopen, (int, const char *))                                                         \
	X(FILE *, freopen, (const char *, const char *, FILE *))                                       \
	X(FILE *, freopen64, (const char *, const char *, FILE *))                                     \
	X(int, fclose, (FILE *))                                                                       \
	X(int, dprintf, (int, const char *, ...))                                                      \
	X(int, vdprintf, (int, const char *, va_list))                                                 \
	X(int, __dprintf_chk, (int, int, const char *, ...))                                           \
	X(int, __vdprintf_chk, (int, int, const char *, va_list))                                      \
	X(int, poll, (struct pollfd *, nfds_t, int))                                                   \
	X(int, __poll_chk, (struct pollfd *, nfds_t, int, size_t))                                     \
	X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))            \
	X(int, __ppoll_chk, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t)) \
	X(int, select, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                          \
	X(int, pselect, (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *)) \
	X(int, epoll_create, (int))                                                                    \
	X(int, epoll_create1, (int))                                                                   \
	X(int, epoll_ctl, (int, int, int, struct epoll_event *))                                       \
	X(int, epoll_wait, (int, struct epoll_event *, int, int))                                      \
	X(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))                   \
	X(int, epoll_pwait2, (int, struct epoll_event *, int, const struct timespec *, const sigset_t *)) \
	X(ssize_t, __read, (int, void *, size_t))                                                      \
	X(ssize_t, __write, (int, const void *, size_t))                                               \
	X(ssize_t, __send, (int, const void *, size_t, int))                                           \
	X(int, __connect, (int, const struct sockaddr *, socklen_t))                                   \
	X(int, __close, (int))                                                                         \
	X(int, __fcntl, (int, int, void *))                                                            \
	X(int, __dup2, (int, int))                                                                     \
	X(int, __poll, (struct pollfd *, nfds_t, int))                                                 \
	X(int, __select, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                        \
	X(int, pidfd_getfd, (int, int, unsigned))                                                      \
	X(void *, dlopen, (const char *, int))                                                         \
	X(long, syscall, (long, long, long, long, long, long, long))                                   \
	X(int, aio_read, (struct aiocb *))                                                             \
	X(int, aio_read64, (struct aiocb64 *))                                                         \
	X(int, aio_write, (struct aiocb *))                                                            \
	X(int, aio_write64, (struct aiocb64 *))                                                        \
	X(int, lio_listio, (int, struct aiocb *const *, int, struct sigevent *))                       \
	X(int, lio_listio64, (int, struct aiocb64 *const *, int, struct sigevent *))                   \
	X(int, sigaction, (int, const struct sigaction *, struct sigaction *))                         \
	X(int, __sigaction, (int, const struct sigaction *, struct sigaction *))                       \
	X(sighandler_t, signal, (int, sighandler_t))                                                   \
	X(sighandler_t, bsd_signal, (int, sighandler_t))                                               \
	X(sighandler_t, ssignal, (int, sighandler_t))                                                  \
	X(sighandler_t, sysv_signal, (int, sighandler_t))                                              \
	X(sighandler_t, __sysv_signal, (int, sighandler_t))                                            \
	X(sighandler_t, sigset, (int, sighandler_t))                                                   \
	X(int, siginterrupt, (int, int))

struct sd_real {
#define SD_REAL_MEMBER(ret, name, args) ret(*name) args;
	SD_REAL_FUNCTIONS(SD_REAL_MEMBER)
#undef SD_REAL_MEMBER
};

extern SD_HIDDEN struct sd_real sd_real_;
SD_HIDDEN void sd_init(void);

/* Other libraries' constructors may call us before our own has run. */
static inline struct sd_real *sd_real(void)
{
	if (__builtin_expect(sd_real_.read == NULL, 0))
		sd_init();
	return &sd_real_;
}

/* A time that Linux takes. */
static inline int sd_valid(const struct timespec *t)
{
	return t == NULL || (t->tv_sec >= 0 && t->tv_nsec >= 0 && t->tv_nsec < 1000000000);
}

/* Flags of a send of nothing, which asks what the anchor refuses. */
#define SD_ASKING (MSG_DONTWAIT | MSG_NOSIGNAL)

#define SD_EXPORT __attribute__((visibility("default")))
/* Another name of a function of the same file. */
#define SD_ALIAS(name, of) extern SD_EXPORT __typeof(of) name __attribute__((alias(#of), copy(of)))

/* The connection, if its bytes are our business. */
static inline struct sd_conn *sd_unless_kernel(struct sd_conn *c)
{
	return c && sd_peek(&c->state) != SD_ST_KERNEL ? c : NULL;
}

static inline struct sd_conn *sd_live(int fd) { return sd_unless_kernel(sd_conn_of(fd)); }

static inline long sd_ret(long r)
{
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

#endif
