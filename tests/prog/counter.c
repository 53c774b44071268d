// SPDX-License-Identifier: Apache-2.0
// A sender of many small messages and a receiver that never sleeps, to count the sender's system calls.
//
//	counter recv COUNT
//	counter send COUNT PORT
#include "prog.h"

enum { WARM_UP = 200, SIZE = 8 };

static void receive(uint64_t count)
{
	int l = listen_on(false, 0);
	announce(local_port(l));
	int fd = accept_one(l);
	char m[SIZE];
	for (int i = 0; i < WARM_UP; i++) {
		read_all(fd, m, SIZE);
		write_all(fd, m, SIZE);
	}
	uint8_t *b = malloc(64 << 10);
	uint64_t got = 0, want = count * SIZE;
	while (got < want) {
		ssize_t r = recv(fd, b, 64 << 10, MSG_DONTWAIT);
		if (r < 0 && errno == EAGAIN)
			continue;
		if (must(r) == 0)
			die("EOF after %llu bytes", (unsigned long long)got);
		if (stream_check(1, got, b, (size_t)r) != (size_t)r)
			die("wrong byte after %llu", (unsigned long long)got);
		got += (uint64_t)r;
	}
	write_all(fd, "k", 1);
	printf("OK received %llu bytes, KERNEL %llu\n", (unsigned long long)got, (unsigned long long)kernel_bytes(fd));
}

static void transmit(uint64_t count, int port)
{
	int fd = connect_to(false, port);
	char m[SIZE] = {0};
	for (int i = 0; i < WARM_UP; i++) {
		write_all(fd, m, SIZE);
		read_all(fd, m, SIZE);
	}
	for (uint64_t i = 0; i < count; i++) {
		stream_fill(1, i * SIZE, m, SIZE);
		if (must(send(fd, m, SIZE, 0)) != SIZE)
			die("short send");
	}
	read_all(fd, m, 1);
	printf("OK sent %llu messages\n", (unsigned long long)count);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "recv") == 0)
		receive(strtoull(argv[2], NULL, 0));
	else if (argc == 4 && strcmp(argv[1], "send") == 0)
		transmit(strtoull(argv[2], NULL, 0), atoi(argv[3]));
	else
		die("usage: counter recv COUNT | counter send COUNT PORT");
	return 0;
}
