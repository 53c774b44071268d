// SPDX-License-Identifier: Apache-2.0
// A read that costs nothing, in libc's place: what is left is the way to it.
#include <sys/types.h>

ssize_t read(int fd, void *b, size_t n)
{
	(void)fd;
	(void)b;
	return (ssize_t)n;
}
