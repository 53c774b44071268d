// SPDX-License-Identifier: Apache-2.0
// Modules that are loaded while a connection is there, and use it.
#include "contract.h"
#include <dlfcn.h>

static bool told(void) { return getenv("SD_WANT_PROMOTED") != NULL; }

static const char *path(void)
{
	const char *p = getenv("SD_MODULE");
	EXPECT(p != NULL);
	return p;
}

static void *loaded(void *m)
{
	if (!m)
		die("%s", dlerror());
	return m;
}

static void *function(void *m, const char *name)
{
	return loaded(dlsym(m, name));
}

static void used(struct link *l, void *m)
{
	ssize_t (*send)(int, const void *, size_t) = function(m, "module_send");
	ssize_t (*recv)(int, void *, size_t, int) = function(m, "module_recv");
	int (*poll)(struct pollfd *, nfds_t, int) = function(m, "module_poll");
	struct pollfd p = {l->s, POLLIN, 0};
	uint8_t b[100];
	for (int i = 0; i < 20; i++) {
		EQ(poll(&p, 1, 0), 0);
		fill(l, b, sizeof b);
		EQ(send(l->s, b, sizeof b), sizeof b);
		put(l, 100);
		EQ(ask(l, OP_RECV, 200), 200);
		EQ(ask(l, OP_SEND, 200), 200);
		EQ(poll(&p, 1, LONG), 1);
		until_arrived(l->s, 200);
		EQ(recv(l->s, b, sizeof b, 0), sizeof b);
		verify(l, b, sizeof b);
		get(l, 100);
	}
}

static void plain(struct link *l) { used(l, loaded(dlopen(path(), RTLD_NOW))); }
static void deep(struct link *l) { used(l, loaded(dlopen(path(), RTLD_LAZY | RTLD_DEEPBIND))); }

// A name is looked for where the RUNPATH of the caller says.
static void by_a_module(struct link *l)
{
	if (dlsym(RTLD_DEFAULT, "__asan_init")) // whose dlopen stands before libsd's, and is libc's caller then
		return;
	void *m = loaded(dlopen(path(), RTLD_NOW | RTLD_DEEPBIND));
	void *(*open)(const char *, int) = function(m, "module_open");
	const char *name = strrchr(path(), '/') + 1;
	EXPECT(dlopen(name, RTLD_NOW) == NULL);
	EXPECT(dlopen(NULL, RTLD_NOW) == dlopen(NULL, RTLD_NOW | RTLD_DEEPBIND));
	EXPECT(open(name, RTLD_NOW) == m);
	EXPECT(open(name, RTLD_NOW | RTLD_DEEPBIND | RTLD_NOLOAD) == m);
	used(l, m);
}

// A namespace has a libc of its own: as system calls that nobody sees.
static void in_a_namespace(struct link *l)
{
	void *m = loaded(dlmopen(LM_ID_NEWLM, path(), RTLD_NOW));
	ssize_t (*send)(int, const void *, size_t) = function(m, "module_send");
	ssize_t (*recv)(int, void *, size_t, int) = function(m, "module_recv");
	uint8_t b[100];
	EQ(ask(l, OP_SEND, 100), 100);
	until_arrived(l->s, 100);
	ssize_t r = recv(l->s, b, sizeof b, MSG_DONTWAIT);
	if (r >= 0)
		verify(l, b, (size_t)r);
	else
		EXPECT(told());
	get(l, sizeof b - (size_t)(r < 0 ? 0 : r));
	fill(l, b, 10);
	EQ(send(l->s, b, 10), 10);
	r = ask(l, OP_RECV, 10);
	if (r == -ECONNRESET)
		EXPECT(told());
	else
		EQ(r, 10);
}

const struct check module_checks[] = {
	{"module_loaded", plain, false},
	{"module_loaded_cold", plain, true},
	{"module_bound_deep", deep, false},
	{"module_bound_deep_cold", deep, true},
	{"module_loads_by_its_own_path", by_a_module, false},
	{"module_loads_by_its_own_path_cold", by_a_module, true},
	{"module_in_a_namespace", in_a_namespace, false},
	{"module_in_a_namespace_cold", in_a_namespace, true},
	{0},
};
