// SPDX-License-Identifier: Apache-2.0
// Calls that are not hooked on a connection: the kernel answers for the anchor, or refuses.
#include "contract.h"
#include <dirent.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/xattr.h>
#include <termios.h>

// The stream goes on, with bytes under way both ways.
static void goes_on(struct link *l)
{
	put(l, 100);
	EQ(ask(l, OP_SEND, 100), 100);
	EQ(ask(l, OP_RECV, 100), 100);
	get(l, 100);
}

static void named(struct link *l)
{
	struct addr a = loopback(l->v6, local_port(l->s));
	goes_on(l);
	EQ(peer_port(l->s) != local_port(l->s), 1);
	ERR(bind(l->s, (void *)&a.ss, a.len), EINVAL);
	ERR(listen(l->s, 1), EINVAL);
	ERR(accept(l->s, NULL, NULL), EINVAL);
	goes_on(l);
}

static void positions(struct link *l)
{
	char c = 'x';
	struct iovec v = {&c, 1};
	EQ(ask(l, OP_SEND, 100), 100);
	until_arrived(l->s, 100);
	ERR(lseek(l->s, 0, SEEK_SET), ESPIPE);
	ERR(lseek(l->s, 0, SEEK_END), ESPIPE);
	ERR(pread(l->s, &c, 1, 0), ESPIPE);
	ERR(pwrite(l->s, &c, 1, 0), ESPIPE);
	ERR(preadv(l->s, &v, 1, 0), ESPIPE);
	ERR(pwritev(l->s, &v, 1, 0), ESPIPE);
	get(l, 100);
	goes_on(l);
}

static void as_a_file(struct link *l)
{
	EQ(ask(l, OP_SEND, 100), 100);
	until_arrived(l->s, 100);
	ERR(ftruncate(l->s, 0), EINVAL);
	ERR(fsync(l->s), EINVAL);
	ERR(fdatasync(l->s), EINVAL);
	EQ(syncfs(l->s), 0);
	ERR(fallocate(l->s, 0, 0, 1), ENODEV);
	EQ(posix_fallocate(l->s, 0, 1), ENODEV);
	EQ(posix_fadvise(l->s, 0, 0, POSIX_FADV_DONTNEED), 0);
	ERR(readahead(l->s, 0, 100), EINVAL);
	ERR(sync_file_range(l->s, 0, 1, SYNC_FILE_RANGE_WRITE), ESPIPE);
	get(l, 100);
	goes_on(l);
}

static void status(struct link *l)
{
	struct stat st, same;
	struct statx x;
	struct statfs fs;
	int d = (int)must(dup(l->s));
	must(fstat(l->s, &st));
	must(fstat(d, &same));
	EXPECT(S_ISSOCK(st.st_mode));
	EQ(st.st_ino, same.st_ino);
	EQ(st.st_size, 0);
	must(statx(l->s, "", AT_EMPTY_PATH, STATX_INO, &x));
	EQ(x.stx_ino, st.st_ino);
	must(fstatfs(l->s, &fs));
	EQ(fs.f_type, 0x534f434b); // SOCKFS_MAGIC
	struct statvfs vfs;
	must(fstatvfs(l->s, &vfs));
	EQ(isfdtype(l->s, S_IFSOCK), 1);
	EQ(fpathconf(l->s, _PC_PIPE_BUF), 4096);
	must(close(d));
	goes_on(l);
	must(fstat(l->s, &same));
	EQ(st.st_ino, same.st_ino);
}

static void owners_and_locks(struct link *l)
{
	char b[64];
	struct flock k = {.l_type = F_WRLCK};
	struct timespec now[2] = {{1, 0}, {1, 0}};
	must(flock(l->s, LOCK_EX | LOCK_NB));
	must(flock(l->s, LOCK_UN));
	must(fcntl(l->s, F_SETLK, &k));
	must(fcntl(l->s, F_GETLK, &k));
	EQ(k.l_type, F_UNLCK);
	must(lockf(l->s, F_ULOCK, 0));
	must(fchmod(l->s, 0600));
	must(fchown(l->s, getuid(), getgid()));
	must(futimens(l->s, now));
	must(futimes(l->s, NULL));
	EXPECT(fgetxattr(l->s, "system.sockprotoname", b, sizeof b) >= 4);
	ERR(fsetxattr(l->s, "user.x", "1", 1, 0), EPERM);
	EXPECT(flistxattr(l->s, b, sizeof b) > 0);
	ERR(fremovexattr(l->s, "user.x"), EPERM);
	goes_on(l);
}

static void mapped(struct link *l)
{
	void *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, l->s, 0); // for TCP_ZEROCOPY_RECEIVE: no bytes are in it
	EXPECT(at != MAP_FAILED);
	EXPECT(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, l->s, 0) == MAP_FAILED);
	EQ(errno, EPERM);
	goes_on(l);
	must(munmap(at, 4096));
	goes_on(l);
}

static void no_directory(struct link *l)
{
	struct stat st;
	char b[256];
	ERR(fchdir(l->s), ENOTDIR);
	EXPECT(fdopendir(l->s) == NULL);
	EQ(errno, ENOTDIR);
	ERR(getdents64(l->s, b, sizeof b), ENOTDIR);
	ERR(openat(l->s, "x", O_RDONLY), ENOTDIR);
	ERR(fstatat(l->s, "x", &st, 0), ENOTDIR);
	ERR(unlinkat(l->s, "x", 0), ENOTDIR);
	goes_on(l);
}

static void no_terminal(struct link *l)
{
	struct termios t;
	EQ(isatty(l->s), 0);
	EXPECT(ttyname(l->s) == NULL);
	ERR(tcgetattr(l->s, &t), ENOTTY);
	ERR(tcflush(l->s, TCIFLUSH), ENOTTY);
	ERR(tcsendbreak(l->s, 0), ENOTTY);
	ERR(tcgetpgrp(l->s), ENOTTY);
	goes_on(l);
}

static void no_other_kind(struct link *l)
{
	struct itimerspec t = {0};
	sigset_t none;
	sigemptyset(&none);
	ERR(timerfd_settime(l->s, 0, &t, NULL), EINVAL);
	ERR(timerfd_gettime(l->s, &t), EINVAL);
	ERR(signalfd(l->s, &none, 0), EINVAL);
	ERR(inotify_add_watch(l->s, "/", IN_OPEN), EINVAL);
	ERR(inotify_rm_watch(l->s, 1), EINVAL);
	ERR(fanotify_mark(l->s, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL), EINVAL);
	ERR(pidfd_send_signal(l->s, 0, NULL, 0), EBADF);
	ERR(setns(l->s, 0), EINVAL);
	ERR(process_madvise(l->s, NULL, 0, MADV_COLD, 0), EBADF);
	ERR(fsconfig(l->s, FSCONFIG_CMD_CREATE, NULL, NULL, 0), EINVAL);
	EXPECT(fsmount(l->s, 0, 0) == -1 && (errno == EINVAL || errno == EPERM)); // EPERM: who may not mount anything
	ERR(fcntl(l->s, F_SETPIPE_SZ, 4096), EBADF);
	ERR(fcntl(l->s, F_GET_SEALS), EINVAL);
	ERR(fcntl(l->s, F_SETLEASE, F_RDLCK), EINVAL);
	ERR(fcntl(l->s, 9999), EINVAL);
	goes_on(l);
}

static void status_flags(struct link *l)
{
	int was = (int)must(fcntl(l->s, F_GETFL)), d = (int)must(dup(l->s));
	must(fcntl(l->s, F_SETFL, was | O_APPEND | O_NOATIME));
	EQ(fcntl(d, F_GETFL) & (O_APPEND | O_NOATIME), O_APPEND | O_NOATIME);
	ERR(fcntl(l->s, F_SETFL, was | O_DIRECT), EINVAL);
	goes_on(l);
	must(fcntl(l->s, F_SETFL, was));
	EQ(fcntl(d, F_GETFL), was);
	must(close(d));
	goes_on(l);
}

static void other_requests(struct link *l)
{
	char b[256];
	int n = -1;
	must(ioctl(l->s, FIOCLEX));
	EQ(fcntl(l->s, F_GETFD), FD_CLOEXEC);
	must(ioctl(l->s, FIONCLEX));
	EQ(fcntl(l->s, F_GETFD), 0);
	n = getpid();
	must(ioctl(l->s, SIOCSPGRP, &n));
	n = 0;
	must(ioctl(l->s, SIOCGPGRP, &n));
	EQ(n, getpid());
	n = 0;
	must(ioctl(l->s, SIOCSPGRP, &n));
	ERR(ioctl(l->s, TIOCGWINSZ, b), ENOTTY);
	ERR(ioctl(l->s, SIOCGSTAMP, b), ENOENT);
	struct ifconf { int len; char *buf; } c = {0, NULL};
	must(ioctl(l->s, SIOCGIFCONF, &c)); // of the network, not of this socket
	EXPECT(c.len > 0);
	goes_on(l);
}

const struct check other_checks[] = {
	{"other_named", named, false},
	{"other_named_cold", named, true},
	{"other_positions", positions, false},
	{"other_positions_cold", positions, true},
	{"other_as_a_file", as_a_file, false},
	{"other_as_a_file_cold", as_a_file, true},
	{"other_status", status, false},
	{"other_status_cold", status, true},
	{"other_owners_and_locks", owners_and_locks, false},
	{"other_owners_and_locks_cold", owners_and_locks, true},
	{"other_mapped", mapped, false},
	{"other_no_directory", no_directory, false},
	{"other_no_terminal", no_terminal, false},
	{"other_no_other_kind", no_other_kind, false},
	{"other_status_flags", status_flags, false},
	{"other_status_flags_cold", status_flags, true},
	{"other_requests", other_requests, false},
	{"other_requests_cold", other_requests, true},
	{0},
};
