//go:build sim && cgo

#define _GNU_SOURCE
#include "core/engine.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define STACK (256 << 10)
#define HEAP (256 << 10)
#define TLS 1024

unsigned char *sim_shared, *sim_shared_end;
static struct sim_thread *running;
static void *resumer;

/* sim_switch saves the callee-saved registers and the stack pointer at *from, and continues at to. */
void sim_switch(void **from, void *to);
__asm__(".text\n"
	".globl sim_switch\n"
	".hidden sim_switch\n"
	".type sim_switch,@function\n"
	"sim_switch:\n"
	"	push %rbp\n	push %rbx\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	mov %rsp,(%rdi)\n"
	"	mov %rsi,%rsp\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbx\n	pop %rbp\n"
	"	ret\n");

/* ---- threads ---- */

static void body(void)
{
	for (;;) {
		struct sim_thread *t = running;
		t->ret = t->fn(t->arg[0], t->arg[1], t->arg[2], t->arg[3]);
		t->op = SIM_IDLE;
		sim_switch(&t->sp, resumer);
	}
}

struct sim_thread *sim_thread_new(void)
{
	struct sim_thread *t = calloc(1, sizeof *t);
	t->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	t->tls = calloc(1, TLS);
	return t;
}

void sim_thread_start(struct sim_thread *t, struct sim_image *i, uint32_t cpu)
{
	t->image = i;
	t->cpu = cpu;
	t->started = 0;
	memcpy(t->tls, i->tls_pristine, i->tls_size);
	i->threads++;
}

void sim_call(struct sim_thread *t, void *fn, long a, long b, long c, long d)
{
	t->fn = (long (*)(long, long, long, long))fn;
	t->arg[0] = a, t->arg[1] = b, t->arg[2] = c, t->arg[3] = d;
	if (t->started)
		return;
	void **sp = (void **)(t->stack + STACK);
	*--sp = NULL;	      /* where body would return to: rsp is 8 mod 16 there, as after a call */
	*--sp = (void *)body; /* where sim_switch returns to */
	t->sp = memset(sp - 6, 0, 6 * sizeof *sp);
	t->started = 1;
}

void sim_resume(struct sim_thread *t)
{
	struct sim_image *i = t->image;
	if (i->tls_owner != t) {
		if (i->tls_owner)
			memcpy(i->tls_owner->tls, i->tls, i->tls_size);
		memcpy(i->tls, t->tls, i->tls_size);
		i->tls_owner = t;
	}
	running = t;
	sim_switch(&resumer, t->sp);
}

/* ---- what the core calls ---- */

static int shared(const void *p)
{
	return (const unsigned char *)p >= sim_shared && (const unsigned char *)p < sim_shared_end;
}

/* Memory that this thread alone sees: its thread-local variables, or all of a process's that has no
 * other thread. */
static int alone(const void *p)
{
	struct sim_image *i = running->image;
	return (i->threads < 2 && !shared(p)) ||
	       ((const unsigned char *)p >= i->tls && (const unsigned char *)p < i->tls + i->tls_size);
}

static int64_t ask(int op, const void *p, size_t size, uint64_t a, uint64_t b)
{
	struct sim_thread *t = running;
	t->op = op;
	t->p = (void *)p;
	t->size = size;
	t->a = a;
	t->b = b;
	sim_switch(&t->sp, resumer);
	return t->ret;
}

static uint64_t read_memory(const void *p, unsigned size)
{
	uint64_t v = 0;
	memcpy(&v, p, size);
	return v;
}

static uint64_t do_load(const void *p, unsigned size)
{
	return alone(p) ? read_memory(p, size) : (uint64_t)ask(SIM_LOAD, p, size, 0, 0);
}

static void do_store(void *p, unsigned size, uint64_t v)
{
	if (alone(p))
		memcpy(p, &v, size);
	else
		ask(SIM_STORE, p, size, v, 0);
}

static uint64_t do_locked(int op, void *p, unsigned size, uint64_t a, uint64_t b)
{
	uint64_t mask = size == 8 ? ~0ull : (1ull << 8 * size) - 1;
	a &= mask, b &= mask;
	if (!alone(p))
		return ask(op, p, size, a, b);
	uint64_t old = read_memory(p, size);
	uint64_t v = op == SIM_ADD ? old + a : op == SIM_OR ? old | a : op == SIM_XCHG ? a : old == a ? b : old;
	memcpy(p, &v, size);
	return old;
}

static void do_copy(void *to, const void *from, size_t n)
{
	if (shared(to))
		ask(SIM_COPY_IN, to, n, (uint64_t)from, 0);
	else if (shared(from))
		ask(SIM_COPY_OUT, from, n, (uint64_t)to, 0);
	else
		memcpy(to, from, n);
}

static long do_sys(long n, long a, long b, long c, long d, long e, long f)
{
	struct sim_thread *t = running;
	t->arg[0] = a, t->arg[1] = b, t->arg[2] = c, t->arg[3] = d, t->arg[4] = e, t->arg[5] = f;
	return ask(SIM_SYS, NULL, n, 0, 0);
}

static void do_pause(void) { ask(SIM_PAUSE, NULL, 0, 0, 0); }
static int64_t do_now(void) { return ask(SIM_CLOCK, NULL, 0, 0, 0); }
static int do_cpu(void) { return running->cpu; }
static int do_pid(void) { return running->image->pid; }

/* Never freed within a run, and zero: sim_image_reset. */
static void *do_alloc(size_t n)
{
	struct sim_image *i = running->image;
	n = (n + 63) & ~(size_t)63;
	if (i->heap_used + n > i->heap_size)
		return NULL;
	void *p = i->heap + i->heap_used;
	i->heap_used += n;
	return p;
}

static const struct sim_api api = {do_load, do_store, do_locked, do_copy, do_pause,
				   do_sys,  do_now,   do_alloc,	 do_cpu,  do_pid};

/* ---- processes ---- */

/* Addresses are the same in every run, so that the values which hold them are. */
static void *map(uint64_t at, size_t n)
{
	void *p = mmap((void *)at, n, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (p != (void *)at)
		abort();
	return p;
}

void sim_shared_map(uint64_t at, size_t n)
{
	sim_shared = map(at, n);
	sim_shared_end = sim_shared + n;
}

static int find(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct sim_image *i = arg;
	struct link_map *m;
	(void)size;
	if (dlinfo(i->lib, RTLD_DI_LINKMAP, &m) != 0 || info->dlpi_addr != m->l_addr)
		return 0;
	unsigned char *at = (unsigned char *)info->dlpi_addr, *relro = at;
	i->base = at;
	for (int k = 0; k < info->dlpi_phnum; k++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[k];
		unsigned char *from = at + p->p_vaddr, *to = from + p->p_memsz;
		if (p->p_type == PT_GNU_RELRO)
			relro = to;
		if (p->p_type == PT_LOAD && to > i->end)
			i->end = to;
		if (p->p_type == PT_LOAD && (p->p_flags & PF_W)) {
			i->data = from;
			i->size = p->p_memsz;
		}
	}
	if (relro > i->data) { /* what the loader has made read-only */
		i->size -= relro - i->data;
		i->data = relro;
	}
	return 1;
}

struct sim_image *sim_image_load(const char *path, uint64_t heap, const char **error)
{
	struct sim_image *i = calloc(1, sizeof *i);
	i->lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (i->lib == NULL) {
		*error = dlerror();
		free(i);
		return NULL;
	}
	dl_iterate_phdr(find, i);
	((void (*)(const struct sim_api *))dlsym(i->lib, "sim_bind"))(&api);
	i->tls = ((unsigned char *(*)(size_t *))dlsym(i->lib, "sim_tls"))(&i->tls_size);
	if (i->tls_size > TLS)
		abort();
	i->pristine = malloc(i->size);
	memcpy(i->pristine, i->data, i->size);
	i->tls_pristine = i->pristine + (i->tls - i->data);
	i->heap_size = HEAP;
	i->heap = map(heap, HEAP);
	return i;
}

void sim_image_unload(struct sim_image *i)
{
	munmap(i->heap, HEAP);
	dlclose(i->lib);
	free(i->pristine);
	free(i);
}

void sim_image_reset(struct sim_image *i)
{
	memcpy(i->data, i->pristine, i->size);
	memset(i->heap, 0, i->heap_used);
	i->heap_used = 0;
	i->tls_owner = NULL;
	i->threads = 0;
}

/* Every word that looks like an address in from becomes one in to. */
static void relocate(unsigned char *mem, size_t n, struct sim_image *from, struct sim_image *to)
{
	for (uint64_t *w = (uint64_t *)mem; (unsigned char *)(w + 1) <= mem + n; w++)
		if (*w >= (uint64_t)from->base && *w < (uint64_t)from->end)
			*w += to->base - from->base;
		else if (*w >= (uint64_t)from->heap && *w < (uint64_t)from->heap + from->heap_size)
			*w += to->heap - from->heap;
}

/* fork copies a process into another copy of the core, at other addresses. */
void sim_image_fork(struct sim_image *from, struct sim_image *to)
{
	memcpy(to->data, from->data, from->size);
	memcpy(to->heap, from->heap, from->heap_used);
	to->heap_used = from->heap_used;
	relocate(to->data, to->size, from, to);
	relocate(to->heap, to->heap_used, from, to);
	to->tls_owner = NULL;
}

/* The child's only thread has the thread-local variables of the one that forked. */
void sim_thread_fork(struct sim_thread *from, struct sim_thread *to)
{
	struct sim_image *i = from->image;
	memcpy(to->tls, i->tls_owner == from ? i->tls : from->tls, i->tls_size);
	relocate(to->tls, i->tls_size, i, to->image);
}

void *sim_symbol(struct sim_image *i, const char *name) { return dlsym(i->lib, name); }
