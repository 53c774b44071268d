// SPDX-License-Identifier: Apache-2.0
// Two ends stream seeded bytes at each other for ever; the harness kills one. The survivor checks
// every byte and reports how its stream ended: EOF, or ECONNRESET as Linux says it.
//
//	killer server SEED MARK
//	killer client SEED MARK PORT
//
// "MARK" is printed when MARK bytes have arrived: then the harness kills. The end that is not
// killed closes its connection, prints "END rx=BYTES how=eof|reset send=epipe|reset|none", and lives on
// until its standard input ends.
#include "prog.h"

enum { CHUNK = 256 << 10 };

struct job {
	int fd;
	uint64_t seed;
	const char *end;
};

// send_for_ever ends with an error, EPIPE or ECONNRESET, or when the receiver shut the socket down.
static void *send_for_ever(void *arg)
{
	struct job *j = arg;
	struct rng r = {j->seed + 99};
	uint8_t *b = malloc(CHUNK);
	uint64_t pos = 0;
	for (;;) {
		size_t n = rng_size(&r, CHUNK);
		stream_fill(j->seed, pos, b, n);
		ssize_t w = send(j->fd, b, n, MSG_NOSIGNAL);
		if (w < 0) {
			if (errno != EPIPE && errno != ECONNRESET)
				die("send");
			j->end = errno == EPIPE ? "epipe" : "reset";
			return NULL;
		}
		pos += (uint64_t)w;
	}
}

int main(int argc, char **argv)
{
	if (argc < 4)
		die("usage: killer server|client SEED MARK [PORT]");
	bool client = strcmp(argv[1], "client") == 0;
	uint64_t seed = strtoull(argv[2], NULL, 0), mark = strtoull(argv[3], NULL, 0), rx = 0;
	int fd;
	if (client) {
		if (argc < 5)
			die("client: no port");
		fd = connect_to(false, atoi(argv[4]));
	} else {
		int l = listen_on(false, 0);
		announce(local_port(l));
		fd = accept_one(l);
		close(l);
	}
	struct job j = {fd, mix(seed + client), "none"};
	uint64_t peer = mix(seed + !client);
	struct rng sizes = {seed};
	pthread_t t;
	if (pthread_create(&t, NULL, send_for_ever, &j))
		die("pthread_create");
	uint8_t *b = malloc(CHUNK);
	const char *how = NULL;
	while (!how) {
		size_t n = rng_size(&sizes, CHUNK);
		ssize_t r = recv(fd, b, n, 0);
		if (r < 0 && errno == ECONNRESET)
			how = "reset";
		else if (must(r) == 0)
			how = "eof";
		else if (stream_check(peer, rx, b, (size_t)r) != (size_t)r)
			die("wrong byte after %llu", (unsigned long long)rx);
		else {
			if (rx < mark && rx + (uint64_t)r >= mark) {
				printf("MARK\n");
				fflush(stdout);
			}
			rx += (uint64_t)r;
		}
	}
	pthread_join(t, NULL);
	uint64_t kernel = kernel_bytes(fd);
	must(close(fd));
	printf("END rx=%llu how=%s send=%s KERNEL %llu\n", (unsigned long long)rx, how, j.end,
	       (unsigned long long)kernel);
	fflush(stdout);
	getchar(); // the harness looks at what is left
	return 0;
}
