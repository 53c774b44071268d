/* Forks that run no handlers of pthread_atfork. */
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
