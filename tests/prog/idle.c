// SPDX-License-Identifier: Apache-2.0
// Opens many connections, exchanges a few messages on each, and then does nothing until its
// standard input ends, so that the harness can measure what doing nothing costs.
//
//	idle server COUNT
//	idle client COUNT PORT
#include "prog.h"

enum { ROUNDS = 20 };

static void raise_limit(void)
{
	struct rlimit r;
	must(getrlimit(RLIMIT_NOFILE, &r));
	r.rlim_cur = r.rlim_max;
	must(setrlimit(RLIMIT_NOFILE, &r));
}

// serve echoes on all connections from one epoll set, until standard input ends.
static void serve(int count)
{
	int l = listen_on(false, 0), ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	struct epoll_event ev[64] = {{.events = EPOLLIN, .data.fd = STDIN_FILENO}};
	must(epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &ev[0]));
	announce(local_port(l));
	for (int i = 0; i < count; i++) {
		ev[0].data.fd = accept_one(l);
		must(epoll_ctl(ep, EPOLL_CTL_ADD, ev[0].data.fd, &ev[0]));
	}
	for (;;) {
		int n = (int)must(epoll_wait(ep, ev, 64, -1));
		for (int i = 0; i < n; i++) {
			char buf[64];
			if (ev[i].data.fd == STDIN_FILENO)
				return;
			ssize_t r = must(read(ev[i].data.fd, buf, sizeof buf));
			if (r == 0)
				must(close(ev[i].data.fd));
			else
				write_all(ev[i].data.fd, buf, (size_t)r);
		}
	}
}

static void drive(int count, int port)
{
	int *fd = calloc((size_t)count, sizeof *fd);
	uint64_t kernel = 0;
	char m[16] = "0123456789abcde", got[16];
	for (int i = 0; i < count; i++)
		fd[i] = connect_to(false, port);
	for (int r = 0; r < ROUNDS; r++)
		for (int i = 0; i < count; i++) {
			uint64_t before = r == ROUNDS - 1 ? kernel_bytes(fd[i]) : 0;
			write_all(fd[i], m, sizeof m);
			read_all(fd[i], got, sizeof got);
			if (memcmp(m, got, sizeof m) != 0)
				die("wrong echo");
			if (r == ROUNDS - 1)
				kernel += kernel_bytes(fd[i]) - before;
		}
	printf("IDLE %d connections, KERNEL %llu of %llu\n", count, (unsigned long long)kernel,
	       (unsigned long long)count * 2 * sizeof m);
	fflush(stdout);
	char c;
	must(read(STDIN_FILENO, &c, 1));
	for (int i = 0; i < count; i++)
		must(close(fd[i]));
}

int main(int argc, char **argv)
{
	if (argc < 3)
		die("usage: idle server COUNT | idle client COUNT PORT");
	raise_limit();
	if (strcmp(argv[1], "server") == 0)
		serve(atoi(argv[2]));
	else if (argc == 4)
		drive(atoi(argv[2]), atoi(argv[3]));
	else
		die("client: no port");
	return 0;
}
