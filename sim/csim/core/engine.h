/* Between the C core of libsd.so, built with -DSD_SIM, and the Go scheduler. A simulated thread runs
 * C on a stack of its own up to its next operation on memory that others see, or its next system call;
 * then sim_resume returns to Go, which lets others run, does the operation and resumes. C never calls
 * Go. */
#ifndef SIM_ENGINE_H
#define SIM_ENGINE_H

#include <stddef.h>
#include <stdint.h>

/* What a thread wants when sim_resume returns. */
enum sim_op {
	SIM_IDLE, /* the call has returned: ret */
	SIM_LOAD,
	SIM_STORE,
	SIM_XCHG,
	SIM_ADD,
	SIM_OR,
	SIM_CAS,
	SIM_COPY_IN,  /* size bytes at a into shared memory at p */
	SIM_COPY_OUT, /* size bytes of shared memory at p to a */
	SIM_PAUSE,
	SIM_CLOCK,
	SIM_SYS, /* number size, arguments arg */
};

/* A system call that only the simulation has. */
enum { SIM_SYS_NAP = 10000 };

struct sim_api {
	uint64_t (*load)(const void *p, unsigned size);
	void (*store)(void *p, unsigned size, uint64_t v);
	uint64_t (*locked)(int op, void *p, unsigned size, uint64_t a, uint64_t b); /* the old value */
	void (*copy)(void *to, const void *from, size_t n);
	void (*pause)(void);
	long (*sys)(long n, long a, long b, long c, long d, long e, long f);
	int64_t (*now)(void); /* ns */
	void *(*alloc)(size_t n);
	int (*cpu)(void);
	int (*pid)(void);
};

/* A process: one loaded copy of the core and a heap. */
struct sim_image {
	void *lib;			/* of dlopen */
	unsigned char *base, *end;	/* all of the copy */
	unsigned char *data, *pristine; /* its writable part, now and as loaded */
	size_t size;
	unsigned char *tls, *tls_pristine; /* section sdtls in data: thread-local variables of tls_owner */
	size_t tls_size;
	struct sim_thread *tls_owner;
	unsigned char *heap;
	size_t heap_size, heap_used;
	uint32_t threads; /* alive: memory that one thread alone sees needs no scheduling */
	int32_t pid;
};

struct sim_thread {
	void *sp; /* while suspended */
	unsigned char *stack, *tls;
	struct sim_image *image;
	uint32_t op, size, cpu, started;
	void *p;
	uint64_t a, b;
	int64_t ret; /* written by Go before it resumes */
	long arg[6];
	long (*fn)(long, long, long, long);
};

/* Memory that processes share. */
extern unsigned char *sim_shared, *sim_shared_end;

void sim_shared_map(uint64_t at, size_t n);
struct sim_image *sim_image_load(const char *path, uint64_t heap, const char **error);
void sim_image_unload(struct sim_image *i);
void sim_image_reset(struct sim_image *i);
void sim_image_fork(struct sim_image *from, struct sim_image *to);
struct sim_thread *sim_thread_new(void);
void sim_thread_start(struct sim_thread *t, struct sim_image *i, uint32_t cpu);
void sim_thread_fork(struct sim_thread *from, struct sim_thread *to);
void *sim_symbol(struct sim_image *i, const char *name);
void sim_call(struct sim_thread *t, void *fn, long a, long b, long c, long d);
void sim_resume(struct sim_thread *t);

#endif
