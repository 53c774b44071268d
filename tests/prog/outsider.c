// SPDX-License-Identifier: Apache-2.0
// A statically linked program that inherits a connection: nothing can be preloaded into it.
//
//	outsider write FD N SEED POS    writes bytes [POS, POS+N) of a stream
//	outsider read FD N SEED POS     one recv of up to N of them; exits with how many came
#include "prog.h"

int main(int argc, char **argv)
{
	static uint8_t b[1 << 16];
	if (argc != 6)
		die("usage: outsider write|read FD N SEED POS");
	int fd = atoi(argv[2]);
	size_t n = strtoul(argv[3], NULL, 10);
	uint64_t seed = strtoul(argv[4], NULL, 10), pos = strtoul(argv[5], NULL, 10);
	if (n > sizeof b)
		die("more than %zu bytes", sizeof b);
	if (strcmp(argv[1], "write") == 0) {
		stream_fill(seed, pos, b, n);
		write_all(fd, b, n);
		return 0;
	}
	ssize_t r = recv(fd, b, n, MSG_DONTWAIT);
	if (r < 0 && errno != EAGAIN)
		die("recv");
	if (r > 0 && stream_check(seed, pos, b, (size_t)r) != (size_t)r)
		die("these are other bytes");
	return r < 0 ? 0 : (int)r;
}
