/* sys.h in the simulator: each operation asks the engine. */
#include "engine.h"

extern __attribute__((visibility("hidden"))) struct sim_api sim;

#define sd_load(p) ((__typeof__(*(p)))sim.load((p), sizeof *(p)))
#define sd_peek(p) sd_load(p)
#define sd_store(p, v) sim.store((p), sizeof *(p), (uint64_t)(v))
#define sd_poke(p, v) sd_store(p, v)
#define sd_xchg(p, v) ((__typeof__(*(p)))sim.locked(SIM_XCHG, (p), sizeof *(p), (uint64_t)(v), 0))
#define sd_add(p, v) ((__typeof__(*(p)))(sim.locked(SIM_ADD, (p), sizeof *(p), (uint64_t)(v), 0) + (uint64_t)(v)))
#define sd_or(p, v) ((__typeof__(*(p)))sim.locked(SIM_OR, (p), sizeof *(p), (uint64_t)(v), 0))
#define sd_cas(p, old, new)                                                                            \
	({                                                                                             \
		__typeof__(*(p)) sim_old = (old);                                                      \
		(__typeof__(*(p)))sim.locked(SIM_CAS, (p), sizeof *(p), (uint64_t)sim_old,             \
					     (uint64_t)(new)) == sim_old;                              \
	})
#define sd_copy_bulk(to, from, n) sim.copy((to), (from), (n))
#define sd_copy(to, from, n) sim.copy((to), (from), (n))
#define sd_copy_small(to, from, n) sim.copy((to), (from), (n))
enum { SD_SMALL = 32 };

static inline void sd_pause(void) { sim.pause(); }
static inline uint64_t sd_tsc(void) { return sim.now(); }
static inline long sd_sys6(long n, long a, long b, long c, long d, long e, long f)
{
	return n == SYS_getpid ? sim.pid() : sim.sys(n, a, b, c, d, e, f);
}
static inline int64_t sd_now_ns(void) { return sim.now(); }

/* No handler runs here, so nothing is deferred. */
static __thread uint32_t sd_section = 0;
static inline void sd_enter_first(void) {}
static inline void sd_enter(void) {}
static inline void sd_leave(void) {}
static inline size_t sd_leave_with(size_t n) { return n; }
