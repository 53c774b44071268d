/* The calls that move messages: vectors with an address and control messages. */
#include <string.h>

#include "real.h"

/* What the kernel cannot read it refuses, EFAULT: it is asked to copy both ends of it for a mask of signals, and
 * then knows no such change of one. A caller's own frame needs no question. */
static int readable(const void *at, size_t n)
{
	enum { NO_SUCH_CHANGE = -1, MASK_BYTES = 8, FRAMES = 1 << 16 };
	if ((uintptr_t)at - (uintptr_t)__builtin_frame_address(0) < FRAMES)
		return 1;
	return sd_sys(SYS_rt_sigprocmask, NO_SUCH_CHANGE, at, 0, MASK_BYTES) != -EFAULT &&
	       sd_sys(SYS_rt_sigprocmask, NO_SUCH_CHANGE, (const char *)at + n - MASK_BYTES, 0, MASK_BYTES) != -EFAULT;
}

/* A connection on rings is not asked: what it cannot read is a fault in any case. */
static int usable(struct sd_conn *c, const void *headers, size_t n)
{
	return headers && ((c && sd_attached(c)) || readable(headers, n));
}

SD_EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct sd_conn *c = sd_live(fd);
	if (!c || !usable(c, m, sizeof *m) || m->msg_iovlen > 1024)
		return sd_real()->recvmsg(fd, m, flags);
	return sd_ret(sd_recv(c, fd, m->msg_iov, m->msg_iovlen, flags, m));
}

/* For the call after one that has returned messages: whatever it is, as Linux does. */
static void tell_later(struct sd_conn *c, ssize_t error)
{
	if (error == -EAGAIN || error == -EINTR || error == -EBADF || !sd_attached(c))
		return;
	sd_store(&c->slot->hdr.err[c->end], -error);
	sd_conn_think(c);
}

SD_EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
	struct sd_conn *c = sd_live(fd);
	if (!c || n == 0 || !usable(c, v, (n < 1024 ? n : 1024) * sizeof *v) || !sd_valid(timeout))
		return sd_real()->recvmmsg(fd, v, n, flags, timeout);
	int error = 0; /* Linux looks for one before it looks for bytes */
	socklen_t len = sizeof error;
	if (!(flags & MSG_ERRQUEUE) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error) {
		sd_enter();
		if (sd_attached(c))
			sd_conn_hung_up(c, fd, POLLHUP);
		sd_leave();
		return (int)sd_ret(-error);
	}
	int64_t until = timeout ? sd_now_ns() + timeout->tv_sec * 1000000000ll + timeout->tv_nsec : INT64_MAX;
	unsigned i = 0;
	uint64_t serial = c->serial;
	for (; i < n && i < 1024; i++) {
		struct msghdr *m = &v[i].msg_hdr;
		if ((fd = sd_still(c, serial, fd)) < 0)
			return i ? (int)i : (int)sd_ret(fd);
		int f = flags & ~MSG_WAITFORONE;
		if (i > 0 && (flags & MSG_WAITFORONE))
			f |= MSG_DONTWAIT;
		ssize_t r = m->msg_iovlen > 1024 ? -EMSGSIZE : sd_recv(c, fd, m->msg_iov, m->msg_iovlen, f, m);
		if (r < 0 && i)
			tell_later(c, r);
		if (r < 0)
			return i ? (int)i : (int)sd_ret(r);
		v[i].msg_len = r;
		if (sd_now_ns() >= until)
			return i + 1;
	}
	return i;
}

/* A descriptor sent to another process is used where we do not see it: it must not move to a ring. */
static void passing(const struct msghdr *m)
{
	if (m->msg_controllen < sizeof(struct cmsghdr) || !readable(m->msg_control, m->msg_controllen))
		return;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR((struct msghdr *)m, h)) {
		size_t left = (char *)m->msg_control + m->msg_controllen - (char *)h;
		if (h->cmsg_len < CMSG_LEN(0) || h->cmsg_len > left)
			return;
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

/* What TCP refuses of an address, a control message or a flag: it is asked to send nothing. EPIPE the send finds. */
static ssize_t refused(int fd, const struct msghdr *m, int flags)
{
	struct msghdr nothing = *m;
	if (m->msg_name == NULL && m->msg_controllen == 0 && !(flags & MSG_FASTOPEN))
		return 0;
	nothing.msg_iov = NULL;
	nothing.msg_iovlen = 0;
	ssize_t r = sd_sys(SYS_sendmsg, fd, &nothing, flags | SD_ASKING);
	return r == -EPIPE ? 0 : r;
}

SD_EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct sd_conn *c = sd_live(fd);
	ssize_t r;
	if (!sd_g.on || !usable(c, m, sizeof *m))
		return sd_real()->sendmsg(fd, m, flags);
	if (c && (r = refused(fd, m, flags)) < 0)
		return sd_ret(r);
	if (m->msg_controllen)
		passing(m);
	if (!c || m->msg_iovlen > 1024)
		return sd_real()->sendmsg(fd, m, flags);
	return sd_ret(sd_send(c, fd, m->msg_iov, m->msg_iovlen, flags, m));
}

SD_EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	struct sd_conn *c = sd_live(fd);
	unsigned most = n < 1024 ? n : 1024, i = 0;
	if (!sd_g.on || n == 0 || !usable(c, v, most * sizeof *v))
		return sd_real()->sendmmsg(fd, v, n, flags);
	for (; i < most; i++)
		if (v[i].msg_hdr.msg_controllen)
			passing(&v[i].msg_hdr);
	if (!c)
		return sd_real()->sendmmsg(fd, v, n, flags);
	uint64_t serial = c->serial;
	for (i = 0; i < most; i++) {
		struct msghdr *m = &v[i].msg_hdr;
		if ((fd = sd_still(c, serial, fd)) < 0)
			return i ? (int)i : (int)sd_ret(fd);
		ssize_t r = m->msg_iovlen > 1024 ? -EMSGSIZE : refused(fd, m, flags);
		if (r >= 0)
			r = sd_send(c, fd, m->msg_iov, m->msg_iovlen, flags, m);
		if (r < 0)
			return i ? (int)i : (int)sd_ret(r);
		v[i].msg_len = r;
		if (r < sd_iov_len(m->msg_iov, m->msg_iovlen))
			return i + 1;
	}
	return i;
}
