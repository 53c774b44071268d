// SPDX-License-Identifier: Apache-2.0
// A client that opens connections when it is told to and keeps traffic in all of them: seeded bytes
// that the server sends back and the client checks.
//
//	steady server           echoes on every connection, for ever
//	steady client PORT      obeys lines of standard input, each with a number N:
//	    open N     opens a connection; "DONE N its number"
//	    look N     "DONE N" and for each connection " bytes/kernel bytes", both ways together
//	    stop N     ends all traffic, checks that nothing is missing; "DONE N bytes", and exits
#include "prog.h"

enum { CHUNK = 256 << 10, WINDOW = 1 << 20, MOST = 64 };

static bool stopping;

struct conn {
	int fd;
	uint64_t seed, tx, rx;
	pthread_t sender, reader;
};

static void *echo(void *arg)
{
	int fd = (int)(intptr_t)arg;
	uint8_t *b = malloc(CHUNK);
	struct rng r = {(uint64_t)fd};
	for (;;) {
		ssize_t n = must(recv(fd, b, rng_size(&r, CHUNK), 0));
		if (n == 0)
			break;
		write_all(fd, b, (size_t)n);
	}
	free(b);
	must(close(fd));
	return NULL;
}

static void serve(void)
{
	int l = listen_on(false, 0);
	announce(local_port(l));
	for (;;) {
		pthread_t t;
		int fd = accept_one(l);
		if (pthread_create(&t, NULL, echo, (void *)(intptr_t)fd))
			die("pthread_create");
		pthread_detach(t);
	}
}

// send_steadily keeps at most WINDOW bytes on their way.
static void *send_steadily(void *arg)
{
	struct conn *c = arg;
	uint8_t *b = malloc(CHUNK);
	struct rng r = {c->seed};
	while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
		size_t n = rng_size(&r, CHUNK);
		if (c->tx + n - __atomic_load_n(&c->rx, __ATOMIC_ACQUIRE) > WINDOW) {
			nap_us(100);
			continue;
		}
		stream_fill(c->seed, c->tx, b, n);
		write_all(c->fd, b, n);
		__atomic_store_n(&c->tx, c->tx + n, __ATOMIC_RELEASE);
	}
	free(b);
	must(shutdown(c->fd, SHUT_WR));
	return NULL;
}

static void *check_echo(void *arg)
{
	struct conn *c = arg;
	uint8_t *b = malloc(CHUNK);
	struct rng r = {~c->seed};
	for (;;) {
		ssize_t n = must(recv(c->fd, b, rng_size(&r, CHUNK), 0));
		if (n == 0)
			break;
		size_t good = stream_check(c->seed, c->rx, b, (size_t)n);
		errno = 0;
		if (good != (size_t)n)
			die("wrong byte at %llu", (unsigned long long)(c->rx + good));
		__atomic_store_n(&c->rx, c->rx + (size_t)n, __ATOMIC_RELEASE);
	}
	free(b);
	return NULL;
}

static void open_one(struct conn *c, int port, int number)
{
	*c = (struct conn){.fd = connect_to(false, port), .seed = mix((uint64_t)number + 1)};
	if (pthread_create(&c->sender, NULL, send_steadily, c) || pthread_create(&c->reader, NULL, check_echo, c))
		die("pthread_create");
}

static uint64_t stop(struct conn *c, int n)
{
	uint64_t sum = 0;
	__atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
	for (int i = 0; i < n; i++) {
		pthread_join(c[i].sender, NULL);
		pthread_join(c[i].reader, NULL);
		errno = 0;
		if (c[i].tx != c[i].rx)
			die("connection %d: EOF after %llu bytes of %llu", i, (unsigned long long)c[i].rx, (unsigned long long)c[i].tx);
		sum += c[i].tx;
		must(close(c[i].fd));
	}
	return sum;
}

int main(int argc, char **argv)
{
	static struct conn c[MOST];
	int n = 0, number;
	char word[16];
	if (argc == 2 && strcmp(argv[1], "server") == 0)
		serve();
	if (argc != 3)
		die("usage: steady server | steady client PORT");
	while (scanf("%15s %d", word, &number) == 2) {
		if (strcmp(word, "open") == 0 && n < MOST) {
			open_one(&c[n], atoi(argv[2]), n);
			printf("DONE %d %d\n", number, n++);
		} else if (strcmp(word, "look") == 0) {
			printf("DONE %d", number);
			for (int i = 0; i < n; i++)
				printf(" %llu/%llu", (unsigned long long)(__atomic_load_n(&c[i].tx, __ATOMIC_ACQUIRE) + c[i].rx),
				       (unsigned long long)kernel_bytes(c[i].fd));
			printf("\n");
		} else if (strcmp(word, "stop") == 0) {
			printf("DONE %d %llu\n", number, (unsigned long long)stop(c, n));
			return 0;
		} else {
			die("what is %s?", word);
		}
		fflush(stdout);
	}
	die("standard input ended");
}
