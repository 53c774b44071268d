/* Forks that run no handlers of pthread_atfork. */
#include <sched.h>
#include <stdarg.h>

#include "real.h"

static long plainly(const long *how)
{
	(void)how;
	return sd_real()->_Fork();
}

SD_EXPORT pid_t _Fork(void)
{
	if (!sd_g.on || sd_real()->_Fork == NULL)
		return sd_real()->_Fork ? sd_real()->_Fork() : (pid_t)sd_ret(-ENOSYS);
	return (pid_t)sd_forking(plainly, NULL);
}

struct start { /* on the parent's stack; the child reads its copy */
	int (*run)(void *);
	void *arg;
};

static int begin(void *p)
{
	struct start s = *(struct start *)p;
	sd_forked();
	return s.run(s.arg);
}

static long cloned(const long *how)
{
	struct start s = {(int (*)(void *))how[0], (void *)how[3]};
	return sd_real()->clone(begin, (void *)how[1], (int)how[2], &s, how[4], how[5], how[6]);
}

/* What shares our memory or our descriptors is no fork: a thread, or a child of vfork's kind. */
SD_EXPORT int clone(int (*run)(void *), void *stack, int flags, void *arg, ...)
{
	va_list ap;
	va_start(ap, arg);
	long *parent = va_arg(ap, long *), *tls = va_arg(ap, long *), *child = va_arg(ap, long *);
	va_end(ap);
	if (!sd_g.on || !run || !stack || (flags & (CLONE_VM | CLONE_FILES)))
		return sd_real()->clone(run, stack, flags, arg, parent, tls, child);
	const long how[] = {(long)run, (long)stack, flags, (long)arg, (long)parent, (long)tls, (long)child};
	return (int)sd_forking(cloned, how);
}

SD_ALIAS(__clone, clone);
