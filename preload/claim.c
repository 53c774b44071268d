/* Claims: who uses a slot holds a lock on it, which the kernel gives up when the process dies or execs,
 * so that the monitor never hands out a slot that somebody still reads (layout.go, Claims). */
#include <fcntl.h>
#include <stdio.h>

#include "sd.h"

static int heir = -1; /* hidden, during a fork: the child's page_fd, which is nobody else's */
static int in_common; /* a child has our page_fd as well: what we unlock it may still use */

static long lock(int fd, int type, uint64_t at)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
	return sd_sys(SYS_fcntl, fd, F_OFD_SETLK, &l);
}

static uint64_t place(uint32_t arena, uint32_t slot, uint32_t end)
{
	return ((uint64_t)end << 32 | arena) << 8 | slot;
}

int sd_claim(uint32_t arena, uint32_t slot, uint32_t end)
{
	return lock(sd_g.page_fd, F_RDLCK, place(arena, slot, end)) == 0;
}

void sd_unclaim(uint32_t arena, uint32_t slot, uint32_t end)
{
	if (!in_common)
		lock(sd_g.page_fd, F_UNLCK, place(arena, slot, end));
}

/* Claimed all the while: the closing byte first. */
int sd_claim_closing(uint32_t arena, uint32_t slot, uint32_t end)
{
	if (in_common || !sd_claim(arena, slot, end + SD_CLAIM_CLOSING))
		return 0;
	sd_unclaim(arena, slot, end);
	return 1;
}

/* A child claims what it has inherited before it gives SD_CLAIM_ALL up, so that is looked at first. */
int sd_claimed(uint32_t arena, uint32_t slot, uint32_t end)
{
	uint64_t at[] = {SD_CLAIM_ALL, place(arena, slot, end)};
	for (int i = 0; i < 2; i++) {
		struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at[i], .l_len = 1};
		if (sd_sys(SYS_fcntl, sd_g.page_fd, F_OFD_GETLK, &l) < 0 || l.l_type != F_UNLCK)
			return 1;
	}
	return in_common;
}

/* Another open file description of the page, hidden. */
static int reopen(int page_fd)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", page_fd);
	int fd = sd_sys(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? fd : sd_hide(fd);
}

int sd_claim_shown(void) { return reopen(sd_g.page_fd); }

/* What the page was mapped by lives on in the mappings of children. */
void sd_claim_by(int mapped)
{
	int fd = reopen(mapped);
	if (fd < 0)
		fd = sd_hide(mapped);
	else
		sd_sys(SYS_close, mapped);
	sd_g.page_fd = fd;
}

/* Before fork, at once for everything: another thread may close a connection before the child is there. */
void sd_claim_fork(void)
{
	if (sd_g.page_fd < 0)
		return;
	int fd = reopen(sd_g.page_fd);
	if (fd >= 0 && lock(fd, F_RDLCK, SD_CLAIM_ALL) < 0) {
		sd_unhide(fd);
		fd = -1;
	}
	if (fd < 0)
		in_common = 1;
	heir = fd < 0 ? -1 : fd;
}

void sd_claim_fork_parent(void)
{
	if (heir >= 0)
		sd_unhide(heir);
	heir = -1;
}

void sd_claim_fork_child(void)
{
	int all = 1;
	if (heir < 0)
		return;
	sd_unhide(sd_g.page_fd);
	sd_g.page_fd = heir;
	heir = -1;
	in_common = 0;
	for (int fd = 0; fd < sd_fd_top; fd++) {
		struct sd_conn *c = sd_conn_of(fd);
		if (c && c->slot)
			all &= sd_claim(c->peer->arena, c->slotno, c->end);
	}
	if (all)
		lock(sd_g.page_fd, F_UNLCK, SD_CLAIM_ALL);
}

void sd_claim_moved(int from, int to)
{
	if (sd_g.page_fd == from)
		sd_g.page_fd = to;
	if (heir == from)
		heir = to;
}
