/* The only home of atomics and system calls in libsd.so. Everything else takes its state by pointer
 * and comes here to order memory or to enter the kernel, so that a simulator can stand in for both.
 *
 * x86-64: acquire loads and release stores are plain moves; exchange, compare-and-swap and
 * fetch-or are locked and drain the store buffer. Never mfence: 25 ns here against 9 ns. */
#ifndef SD_SYS_H
#define SD_SYS_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef SD_SIM
#include "simsys.h"
#else

#define sd_load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define sd_peek(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define sd_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define sd_poke(p, v) (*(p) = (v)) /* before an sd_store that publishes it, or a hint */
#define sd_xchg(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define sd_add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
#define sd_or(p, v) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define sd_cas(p, old, new) \
	__sync_bool_compare_and_swap((p), (old), (new))

/* Payload, between the program's memory and the ring. sd_copy_small: without a call, for
 * 0 < n <= SD_SMALL: two moves of one size that overlap. */
#define sd_copy_bulk(to, from, n) memcpy((to), (from), (n))
enum { SD_SMALL = 32 };
static inline void sd_copy_small(void *to, const void *from, size_t n)
{
#define SD_TWO(type)                                                               \
	do {                                                                       \
		type a, b;                                                         \
		__builtin_memcpy(&a, from, sizeof a);                              \
		__builtin_memcpy(&b, (const char *)from + n - sizeof b, sizeof b); \
		__builtin_memcpy(to, &a, sizeof a);                                \
		__builtin_memcpy((char *)to + n - sizeof b, &b, sizeof b);         \
	} while (0)
	if (n >= 16)
		SD_TWO(unsigned __int128);
	else if (n >= 8)
		SD_TWO(uint64_t);
	else if (n >= 4)
		SD_TWO(uint32_t);
	else if (n >= 2)
		SD_TWO(uint16_t);
	else
		*(char *)to = *(const char *)from;
#undef SD_TWO
}

static inline void sd_copy(void *to, const void *from, size_t n)
{
	if (n <= SD_SMALL)
		sd_copy_small(to, from, n);
	else
		memcpy(to, from, n);
}

static inline void sd_pause(void) { __builtin_ia32_pause(); }
static inline uint64_t sd_tsc(void) { return __builtin_ia32_rdtsc(); }

/* sd_sys returns the result, or -errno; it never touches errno. */
static inline long sd_sys6(long n, long a, long b, long c, long d, long e, long f)
{
	long r;
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}
/* sd_sleep is sd_sys6 for a call that sleeps: -EINTR at once if handlers have run (signal.c). */
__attribute__((visibility("hidden"))) long sd_sleep(long n, long a, long b, long c, long d, long e, long f);

/* A section is a bounded piece of work that a handler must not see half done: a handler that comes
 * meanwhile runs at its end (signal.c). sd_section counts nested sections of the thread; its highest
 * bit says that something waits for the last to end. One instruction each, so that no handler comes
 * between looking and writing. sd_enter_first: where no section can be open yet. sd_leave_with
 * returns n: a call that ends with it keeps nothing over another call. */
#define SD_DEFERRED 0x80000000u
extern __attribute__((visibility("hidden"))) __thread uint32_t sd_section;
__attribute__((visibility("hidden"))) size_t sd_left(size_t n); /* n */
static inline void sd_enter_first(void) { __asm__ volatile("movl $1, %0" : "=m"(sd_section) : : "memory"); }
static inline void sd_enter(void) { __asm__ volatile("addl $1, %0" : "+m"(sd_section) : : "memory", "cc"); }
static inline size_t sd_leave_with(size_t n)
{
	int more;
	__asm__ volatile("subl $1, %0" : "+m"(sd_section), "=@ccnz"(more) : : "memory");
	return __builtin_expect(more, 0) ? sd_left(n) : n;
}
static inline void sd_leave(void) { sd_leave_with(0); }

static inline int64_t sd_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

#endif /* SD_SIM */

#define SD_SYS_PICK(a, b, c, d, e, f, g, name, ...) name
#define sd_sys(...)                                                                            \
	SD_SYS_PICK(__VA_ARGS__, SD_S6, SD_S5, SD_S4, SD_S3, SD_S2, SD_S1, SD_S0)(__VA_ARGS__)
#define SD_S0(n) sd_sys6(n, 0, 0, 0, 0, 0, 0)
#define SD_S1(n, a) sd_sys6(n, (long)(a), 0, 0, 0, 0, 0)
#define SD_S2(n, a, b) sd_sys6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define SD_S3(n, a, b, c) sd_sys6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SD_S4(n, a, b, c, d) sd_sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SD_S5(n, a, b, c, d, e) \
	sd_sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SD_S6(n, a, b, c, d, e, f) \
	sd_sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
