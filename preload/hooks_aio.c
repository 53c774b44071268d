/* glibc's asynchronous calls read and write inside libc: a candidate stays on the kernel, on a promoted
 * connection they are refused. */
#include <aio.h>

#include "real.h"

static int refused(int fd)
{
	struct sd_conn *c = sd_live(fd);
	if (c)
		sd_conn_keep(c, fd, SD_STATUS_OPTION);
	if (c == NULL || !sd_attached(c))
		return 0;
	sd_count(SD_COUNT_UNHOOKED);
	return 1;
}

#define ONE(name, type)                                                            \
	SD_EXPORT int name(struct type *b)                                         \
	{                                                                          \
		return refused(b->aio_fildes) ? (int)sd_ret(-EOPNOTSUPP) : sd_real()->name(b); \
	}
ONE(aio_read, aiocb)
ONE(aio_read64, aiocb64)
ONE(aio_write, aiocb)
ONE(aio_write64, aiocb64)

#define LIST(name, type)                                                           \
	SD_EXPORT int name(int mode, struct type *const *b, int n, struct sigevent *e) \
	{                                                                          \
		for (int i = 0; i < n; i++)                                        \
			if (b[i] && refused(b[i]->aio_fildes))                     \
				return (int)sd_ret(-EOPNOTSUPP);                   \
		return sd_real()->name(mode, b, n, e);                             \
	}
LIST(lio_listio, aiocb)
LIST(lio_listio64, aiocb64)
