// SPDX-License-Identifier: Apache-2.0
// Seeded random bytes both ways at once over some connections; both ends know what must come.
//
//	traffic server MODE CONNS BYTES SEED FAMILY
//	traffic client MODE CONNS BYTES SEED FAMILY PORT
//
// MODE: block, et, lt, poll, select, fork. BYTES: for each connection and direction. FAMILY: 4 or 6.
#include "traffic.h"

int main(int argc, char **argv)
{
	if (argc < 7)
		die("usage: traffic server|client MODE CONNS BYTES SEED FAMILY [PORT]");
	bool client = strcmp(argv[1], "client") == 0, v6 = strcmp(argv[6], "6") == 0;
	const char *mode = argv[2];
	int n = atoi(argv[3]);
	uint64_t total = strtoull(argv[4], NULL, 0), seed = strtoull(argv[5], NULL, 0);
	bool blocking = strcmp(mode, "block") == 0;
	struct conn *c = calloc((size_t)n, sizeof *c);
	int *fd = calloc((size_t)n, sizeof *fd), l = -1;
	if (client && argc < 8)
		die("client: no port");
	if (!client) {
		l = listen_on(v6, 0);
		announce(local_port(l));
	}
	for (int i = 0; i < n; i++)
		fd[i] = client ? connect_to(v6, atoi(argv[7])) : accept_one(l);
	for (int i = 0; i < n; i++)
		conn_init(&c[i], fd[i], client, seed, total, blocking);
	uint64_t t = now_ns();
	if (blocking)
		loop_blocking(c, n);
	else if (strcmp(mode, "et") == 0 || strcmp(mode, "lt") == 0)
		loop_epoll(c, n, mode[0] == 'e');
	else if (strcmp(mode, "poll") == 0)
		loop_poll(c, n);
	else if (strcmp(mode, "select") == 0)
		loop_select(c, n);
	else if (strcmp(mode, "fork") == 0)
		loop_fork(c, n);
	else
		die("unknown mode %s", mode);
	double s = (double)(now_ns() - t) / 1e9;
	uint64_t kernel = 0;
	for (int i = 0; i < n; i++) {
		kernel += kernel_bytes(c[i].fd);
		conn_free(&c[i]);
	}
	printf("OK %s %s: %d x %llu bytes each way, %.2f s, %.0f MB/s, KERNEL %llu of %llu\n", argv[1], mode, n,
	       (unsigned long long)total, s, (double)total * 2 * n / s / 1e6, (unsigned long long)kernel,
	       (unsigned long long)total * 2 * (unsigned long long)n);
	return 0;
}
