// SPDX-License-Identifier: Apache-2.0
// One thread owns both ends of a connection: it writes SIZE bytes to one end and then reads them
// back at the other, ROUNDS times, after some small messages each way.
//
//	selfpair SIZE ROUNDS FAMILY
//
// With SD_WANT_PROMOTED the small messages go on until they no longer pass through the kernel's TCP.
#include "prog.h"

enum { WARM_UP = 200, PATIENCE = 10000 };

int main(int argc, char **argv)
{
	if (argc != 4)
		die("usage: selfpair SIZE ROUNDS FAMILY");
	size_t size = strtoull(argv[1], NULL, 0);
	int rounds = atoi(argv[2]);
	bool v6 = strcmp(argv[3], "6") == 0;
	int l = listen_on(v6, 0);
	int end[2] = {connect_to(v6, local_port(l)), 0};
	end[1] = accept_one(l);
	uint8_t *out = malloc(size), *in = malloc(size);
	uint64_t pos = 0;
	bool wanted = getenv("SD_WANT_PROMOTED"), moved = false;
	for (int i = 0; i < WARM_UP || (wanted && !moved && i < PATIENCE); i++) {
		uint64_t kernel = kernel_bytes(end[0]);
		char m[8] = "message", got[8] = "";
		for (int k = 0; k < 2; k++) {
			write_all(end[k], m, sizeof m);
			read_all(end[!k], got, sizeof got);
			if (memcmp(m, got, sizeof m) != 0)
				die("warm-up message %d is wrong", i);
		}
		moved = kernel_bytes(end[0]) == kernel;
		nap_us(i < 20 || i >= WARM_UP ? 1000 : 0); // the monitor needs a processor now and then
	}
	uint64_t before = kernel_bytes(end[0]);
	for (int i = 0; i < rounds; i++) {
		int k = i & 1;
		stream_fill(1, pos, out, size);
		memset(in, 0, size);
		write_all(end[k], out, size);
		read_all(end[!k], in, size);
		size_t good = stream_check(1, pos, in, size);
		if (good != size)
			die("round %d: wrong byte at %zu", i, good);
		pos += size;
	}
	uint64_t kernel = kernel_bytes(end[0]) - before;
	must(close(end[0]));
	char c;
	if (must(read(end[1], &c, 1)) != 0)
		die("no EOF after close");
	printf("OK selfpair: %d x %zu bytes, KERNEL %llu of %llu\n", rounds, size, (unsigned long long)kernel,
	       (unsigned long long)pos);
	return 0;
}
