/* The C end of the cross-language test: reads or writes the bytes of one seed through preload/ring.c
 * over a memfd that Go made. Usage: peer read|write FD SEED TOTAL EVERY BASE */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ring.h"

#define RINGS_AT 4096

struct stream {
	uint64_t state;
	unsigned char word[8];
	int left;
};

static uint64_t next(struct stream *s)
{
	uint64_t z = s->state += 0x9e3779b97f4a7c15ULL;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static void fill(struct stream *s, unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s->left == 0) {
			uint64_t w = next(s);
			memcpy(s->word, &w, 8);
			s->left = 8;
		}
		p[i] = s->word[8 - s->left--];
	}
}

static size_t size_of(struct stream *dice)
{
	static const size_t bound[] = {16, 256, 4096, 96 << 10};
	return 1 + next(dice) % bound[next(dice) % 4];
}

static unsigned char buf[96 << 10], want[96 << 10];

static int fail(const char *what, uint64_t at)
{
	fprintf(stderr, "%s after %llu bytes\n", what, (unsigned long long)at);
	return 1;
}

static int writer(struct sd_tx *tx, uint64_t seed, uint64_t total, uint64_t every, uint64_t base)
{
	struct stream data = {.state = seed}, dice = {.state = seed ^ 1};
	unsigned switches = 0;
	sd_tx_open(tx, base);
	for (uint64_t sent = 0; sent < total;) {
		size_t n = size_of(&dice);
		if (n > total - sent)
			n = total - sent;
		fill(&data, buf, n);
		struct iovec iov = {buf, n};
		for (size_t done = 0; done < n;) {
			ssize_t k = sd_tx_put(tx, &iov, 1, done, n - done, next(&dice) & 1);
			if (k < 0)
				return fail("put failed", sent + done);
			done += k;
			if (every && next(&dice) % every == 0)
				switches += sd_tx_switch(tx, next(&dice) % SD_CLASSES);
			else if (k == 0 && (every || !sd_tx_grow(tx, SD_CLASS_SPILL)))
				sched_yield();
			if (!every)
				sd_tx_shrink(tx);
		}
		sent += n;
	}
	/* A descriptor may be reused only while the receiver is close behind. */
	while (sd_tx_gen(tx->d) + 1 - __atomic_load_n(&tx->d->rx.rgen, __ATOMIC_ACQUIRE) >= SD_SEG_DESCS)
		sched_yield();
	sd_tx_to_tcp(tx);
	fprintf(stderr, "%u switches in C\n", switches);
	return 0;
}

static int reader(struct sd_rx *rx, uint64_t seed, uint64_t total)
{
	struct stream data = {.state = seed}, dice = {.state = seed ^ 2};
	uint64_t got = 0;
	while (sd_tx_gen(rx->d) == 0)
		sched_yield();
	__atomic_store_n(&rx->d->rx.rgen, 1, __ATOMIC_RELEASE);
	for (;;) {
		struct iovec iov = {buf, sizeof buf};
		int peek = next(&dice) % 8 == 0;
		sd_rx_look(rx);
		ssize_t n = sd_rx_get(rx, &iov, 1, 0, size_of(&dice), peek);
		if (n == SD_RING_TCP)
			return got == total ? 0 : fail("the end came", got);
		if (n < 0)
			return fail("get failed", got);
		if (n == 0) {
			sched_yield();
			continue;
		}
		struct stream before = data;
		fill(&data, want, n);
		if (memcmp(buf, want, n) != 0)
			return fail("wrong bytes", got);
		if (peek)
			data = before;
		else
			got += n;
	}
}

int main(int argc, char **argv)
{
	if (argc != 7)
		return 2;
	uint64_t seed = strtoull(argv[3], NULL, 0), total = strtoull(argv[4], NULL, 0);
	uint64_t every = strtoull(argv[5], NULL, 0), base = strtoull(argv[6], NULL, 0);
	unsigned char *m = mmap(NULL, RINGS_AT + SD_DIR_STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[2]), 0);
	if (m == MAP_FAILED)
		return 2;
	if (strcmp(argv[1], "write") == 0) {
		struct sd_tx tx = {.d = (struct sd_direction *)m, .mem = m + RINGS_AT};
		return writer(&tx, seed, total, every, base);
	}
	struct sd_rx rx = {.d = (struct sd_direction *)m, .mem = m + RINGS_AT};
	return reader(&rx, seed, total);
}
