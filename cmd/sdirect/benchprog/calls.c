// SPDX-License-Identifier: Apache-2.0
// What a call costs that has nothing to do with TCP: by its name, as programs call it, and straight at
// the library that would have got it if nothing were preloaded. Both in turns, in one process.
//
//	calls look-up MS LIBRARY   read that does nothing (null.c), in 4 threads, on descriptors that are no sockets
//	calls null MS LIBRARY      the same in one thread
//	calls file|pipe MS LIBRARY 8 bytes
//
// LIBRARY is the name of the one that the read belongs to. Prints one line of JSON: ns for each call.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

enum { BATCH = 250, THREADS = 4, FILES = 64, BATCHES_MAX = 1 << 16 };

typedef ssize_t (*read_fn)(int, void *, size_t);

static read_fn named, direct;
static int files[FILES];
static int fill = -1; // write end of a pipe that is to be full before each batch
static pthread_barrier_t together;
static const char zeros[BATCH * 8];

static void find(const char *library)
{
	void *l = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
	named = (read_fn)dlsym(RTLD_DEFAULT, "read");
	direct = l ? (read_fn)dlsym(l, "read") : NULL;
	if (!named || !direct) {
		fprintf(stderr, "no read in %s: %s\n", library, dlerror());
		exit(1);
	}
}

static void batch(read_fn fn, int mask)
{
	char b[8];
	for (int i = 0; i < BATCH; i++)
		fn(files[i & mask], b, sizeof b);
}

static void prepare(int fd)
{
	if (fill >= 0)
		must(write(fill, zeros, sizeof zeros), "write");
	else
		lseek(fd, 0, SEEK_SET);
}

// in_turns prints the medians over batches.
static void in_turns(uint64_t ns, int mask)
{
	static uint32_t t[2][BATCHES_MAX];
	size_t n = 0;
	for (uint64_t first = now(); n < BATCHES_MAX && now() - first < ns; n++)
		for (int i = 0; i < 2; i++) {
			prepare(files[0]);
			uint64_t start = now();
			batch(i ? named : direct, mask);
			t[i][n] = (uint32_t)(now() - start);
		}
	printf("{\"direct_ns\":%.3f,\"named_ns\":%.3f}\n", percentile(t[0], n, 50) / (double)BATCH, percentile(t[1], n, 50) / (double)BATCH);
}

struct thread {
	pthread_t id;
	uint64_t ns, calls[2]; // direct, named
};

static void *call_for(void *arg)
{
	struct thread *t = arg;
	for (int i = 0; i < 2; i++) {
		pthread_barrier_wait(&together);
		for (uint64_t first = now(); now() - first < t->ns; t->calls[i] += BATCH)
			batch(i ? named : direct, FILES - 1);
	}
	return NULL;
}

static void in_threads(uint64_t ns)
{
	struct thread t[THREADS] = {0};
	double calls[2] = {0};
	pthread_barrier_init(&together, NULL, THREADS);
	for (int i = 0; i < THREADS; i++) {
		t[i].ns = ns / 2;
		must(-pthread_create(&t[i].id, NULL, call_for, &t[i]), "pthread_create");
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i].id, NULL);
		calls[0] += (double)t[i].calls[0];
		calls[1] += (double)t[i].calls[1];
	}
	printf("{\"direct_ns\":%.4f,\"named_ns\":%.4f}\n", (double)(ns / 2) / calls[0], (double)(ns / 2) / calls[1]);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: calls look-up|null|file|pipe MS LIBRARY\n");
		return 2;
	}
	uint64_t ns = strtoull(argv[2], NULL, 0) * 1000000u;
	find(argv[3]);
	if (strcmp(argv[1], "file") == 0) {
		files[0] = (int)must(open("/tmp", O_TMPFILE | O_RDWR, 0600), "open");
		must(write(files[0], zeros, sizeof zeros), "write");
	} else if (strcmp(argv[1], "pipe") == 0) {
		int p[2];
		must(pipe(p), "pipe");
		files[0] = p[0];
		fill = p[1];
	} else {
		for (int i = 0; i < FILES; i++)
			files[i] = (int)must(open("/dev/null", O_RDONLY), "open");
	}
	if (strcmp(argv[1], "look-up") == 0)
		in_threads(ns);
	else
		in_turns(ns, strcmp(argv[1], "null") == 0 ? FILES - 1 : 0);
	return 0;
}
