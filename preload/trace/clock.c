/* Time stamps from the processor's counter, where the kernel itself trusts it: half the price of
 * clock_gettime. All who record into a directory use one conversion to ns, which the first of them
 * measures and leaves there, so that their times can be compared. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "trace.h"

struct sd_trace_clock sd_trace_clock;

enum { MEASURE_NS = 2000000, DRIFT_MAX = 1000 }; /* the second: of the elapsed time, one part in so many */

static int trusted(void)
{
	char name[8] = {0};
	int fd = sd_sys(SYS_openat, AT_FDCWD, "/sys/devices/system/clocksource/clocksource0/current_clocksource",
			O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	sd_sys(SYS_read, fd, name, sizeof name - 1);
	sd_sys(SYS_close, fd);
	return strcmp(name, "tsc\n") == 0;
}

/* Both clocks at one moment: the best of some tries, because we may lose the processor between them. */
static struct sd_trace_clock moment(void)
{
	struct sd_trace_clock best = {0};
	uint64_t shortest = UINT64_MAX;
	for (int i = 0; i < 16; i++) {
		uint64_t before = __builtin_ia32_rdtsc(), ns = sd_now_ns(), took = __builtin_ia32_rdtsc() - before;
		if (took < shortest) {
			shortest = took;
			best = (struct sd_trace_clock){.tsc = before + took / 2, .ns = ns};
		}
	}
	return best;
}

static struct sd_trace_clock measure(void)
{
	struct sd_trace_clock c = moment(), end;
	do
		end = moment();
	while (end.ns - c.ns < MEASURE_NS);
	c.rate = ((unsigned __int128)(end.ns - c.ns) << 32) / (end.tsc - c.tsc);
	return c;
}

static int load(const char *path, struct sd_trace_clock *c)
{
	int fd = sd_sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	long n = fd < 0 ? -1 : sd_sys(SYS_read, fd, c, sizeof *c);
	if (fd >= 0)
		sd_sys(SYS_close, fd);
	return n == sizeof *c;
}

/* Whole under another name, then linked: who finds it finds all of it. */
static void save(const char *path, const char *dir, const struct sd_trace_clock *c)
{
	char own[4200];
	snprintf(own, sizeof own, "%s/.clock-%ld", dir, sd_sys(SYS_getpid));
	int fd = sd_sys(SYS_openat, AT_FDCWD, own, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	if (sd_sys(SYS_write, fd, c, sizeof *c) == sizeof *c)
		sd_sys(SYS_linkat, AT_FDCWD, own, AT_FDCWD, path, 0);
	sd_sys(SYS_close, fd);
	sd_sys(SYS_unlinkat, AT_FDCWD, own, 0);
}

void sd_trace_clock_open(const char *dir)
{
	char path[4200];
	struct sd_trace_clock c;
	snprintf(path, sizeof path, "%s/clock", dir);
	if (!trusted())
		return;
	if (!load(path, &c)) {
		c = measure();
		save(path, dir, &c);
		if (!load(path, &c))
			return;
	}
	/* A directory from before a reboot, or a counter that was set: then the kernel's time is right. */
	struct sd_trace_clock now = moment();
	int64_t off = sd_trace_ns(&c, now.tsc) - now.ns, most = 1000000 + (int64_t)(now.ns - c.ns) / DRIFT_MAX;
	if (now.ns < c.ns || off > most || off < -most)
		return;
	sd_trace_clock = c;
}
