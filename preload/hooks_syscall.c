/* syscall(2) of libc: what it asks of a descriptor is done as by the call of that name. */
#include <fcntl.h>
#include <linux/sched.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include "real.h"

enum { MASK_BYTES = 8 }; /* of a signal mask in the kernel */

static long moved(long n, const long *a, int *known)
{
	int fd = a[0];
	void *b = (void *)a[1];
	switch (n) {
	case SYS_read:
		return read(fd, b, a[2]);
	case SYS_readv:
		return readv(fd, b, a[2]);
	case SYS_preadv2: /* the offset is one word on this machine, and the next is not looked at */
		return preadv2(fd, b, a[2], a[3], a[5]);
	case SYS_recvfrom:
		return recvfrom(fd, b, a[2], a[3], (void *)a[4], (void *)a[5]);
	case SYS_recvmsg:
		return recvmsg(fd, b, a[2]);
	case SYS_recvmmsg:
		return recvmmsg(fd, b, a[2], a[3], (void *)a[4]);
	case SYS_write:
		return write(fd, b, a[2]);
	case SYS_writev:
		return writev(fd, b, a[2]);
	case SYS_pwritev2:
		return pwritev2(fd, b, a[2], a[3], a[5]);
	case SYS_sendto:
		return sendto(fd, b, a[2], a[3], (void *)a[4], a[5]);
	case SYS_sendmsg:
		return sendmsg(fd, b, a[2]);
	case SYS_sendmmsg:
		return sendmmsg(fd, b, a[2], a[3]);
	case SYS_sendfile:
		return sendfile(fd, a[1], (void *)a[2], a[3]);
	case SYS_splice:
		return splice(fd, b, a[2], (void *)a[3], a[4], a[5]);
	}
	*known = 0;
	return 0;
}

static long named(long n, const long *a, int *known)
{
	int fd = a[0];
	switch (n) {
	case SYS_socket:
		return socket(fd, a[1], a[2]);
	case SYS_connect:
		return connect(fd, (void *)a[1], a[2]);
	case SYS_accept:
		return accept(fd, (void *)a[1], (void *)a[2]);
	case SYS_accept4:
		return accept4(fd, (void *)a[1], (void *)a[2], a[3]);
	case SYS_shutdown:
		return shutdown(fd, a[1]);
	case SYS_setsockopt:
		return setsockopt(fd, a[1], a[2], (void *)a[3], a[4]);
	case SYS_getsockopt:
		return getsockopt(fd, a[1], a[2], (void *)a[3], (void *)a[4]);
	case SYS_ioctl:
		return ioctl(fd, a[1], (void *)a[2]);
	case SYS_fcntl:
		return fcntl(fd, a[1], (void *)a[2]);
	case SYS_close:
		return close(fd);
	case SYS_close_range:
		return close_range(fd, a[1], a[2]);
	case SYS_dup:
		return dup(fd);
	case SYS_dup2:
		return dup2(fd, a[1]);
	case SYS_dup3:
		return dup3(fd, a[1], a[2]);
	case SYS_execve:
		return execve((void *)a[0], (void *)a[1], (void *)a[2]);
	case SYS_execveat:
		return execveat(fd, (void *)a[1], (void *)a[2], (void *)a[3], a[4]);
	case SYS_pidfd_getfd:
		return pidfd_getfd(fd, a[1], a[2]);
	}
	*known = 0;
	return 0;
}

static long waited(long n, const long *a, int *known)
{
	void *set = (void *)a[0];
	struct { const sigset_t *mask; size_t bytes; } *sixth = (void *)a[5];
	switch (n) {
	case SYS_poll:
		return poll(set, a[1], a[2]);
	case SYS_ppoll:
		if (a[3] == 0 || a[4] == MASK_BYTES)
			return ppoll(set, a[1], (void *)a[2], (void *)a[3]);
		break;
	case SYS_select:
		return select(a[0], (void *)a[1], (void *)a[2], (void *)a[3], (void *)a[4]);
	case SYS_pselect6:
		if (sixth == NULL || sixth->mask == NULL || sixth->bytes == MASK_BYTES)
			return pselect(a[0], (void *)a[1], (void *)a[2], (void *)a[3], (void *)a[4], sixth ? sixth->mask : NULL);
		break;
	case SYS_epoll_create:
		return epoll_create(a[0]);
	case SYS_epoll_create1:
		return epoll_create1(a[0]);
	case SYS_epoll_ctl:
		return epoll_ctl(a[0], a[1], a[2], (void *)a[3]);
	case SYS_epoll_wait:
		return epoll_wait(a[0], (void *)a[1], a[2], a[3]);
	case SYS_epoll_pwait:
		if (a[4] == 0 || a[5] == MASK_BYTES)
			return epoll_pwait(a[0], (void *)a[1], a[2], a[3], (void *)a[4]);
		break;
	case SYS_epoll_pwait2:
		if (a[4] == 0 || a[5] == MASK_BYTES)
			return epoll_pwait2(a[0], (void *)a[1], a[2], (void *)a[3], (void *)a[4]);
		break;
	}
	*known = 0;
	return 0;
}

static long by_number(const long *a) { return sd_real()->syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]); }

/* A process with memory and descriptors of its own, that goes on here. */
static long forks(long n, const long *a, int *known)
{
	const struct clone_args *c = n == SYS_clone3 ? (const void *)a[0] : NULL;
	uint64_t flags = n == SYS_clone ? (uint64_t)a[0] : c ? c->flags : 0;
	int moves = n == SYS_clone ? a[1] != 0 : c && c->stack;
	*known = (n == SYS_fork || n == SYS_clone || c) && !moves && !(flags & (CLONE_VM | CLONE_FILES | CLONE_THREAD));
	const long all[] = {n, a[0], a[1], a[2], a[3], a[4], a[5]};
	return *known ? sd_forking(by_number, all) : 0;
}

SD_EXPORT long syscall(long n, ...)
{
	static long (*const kinds[])(long, const long *, int *) = {moved, named, waited, forks};
	long a[6];
	va_list ap;
	va_start(ap, n);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	for (int i = 0; sd_g.on && i < 4; i++) {
		int known = 1;
		long r = kinds[i](n, a, &known);
		if (known)
			return r;
	}
	return sd_real()->syscall(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}
