// SPDX-License-Identifier: Apache-2.0
// A module that the contract program loads: calls that bind as its own way of loading has it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <sys/socket.h>

ssize_t module_send(int fd, const void *b, size_t n) { return send(fd, b, n, MSG_NOSIGNAL); }
ssize_t module_recv(int fd, void *b, size_t n, int flags) { return recv(fd, b, n, flags); }
int module_poll(struct pollfd *p, nfds_t n, int ms) { return poll(p, n, ms); }

// The RUNPATH is where this module itself lies.
void *module_open(const char *name, int mode)
{
	void *volatile m = dlopen(name, mode);
	return m;
}
