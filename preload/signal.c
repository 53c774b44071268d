/* Handlers, seen: each that the program installs runs through a stub of ours, so that a call which
 * waits knows what interrupted it (docs/architecture.md, Signals). */
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>

#include "real.h"

/* A stub for each (handler, SA_SIGINFO, SA_RESTART) ever installed. The kernel's action names the
 * stub, the stub names the handler: there is nothing to keep in step, and a slot, once taken, never
 * changes; so installing is lock-free and a handler, another thread or a vfork child may do it at any
 * moment. When all are taken, handlers are installed as they are. */
#define STUBS 256
#define STUB_BYTES 16
#define WITH_INFO (1ull << 63)
#define RESTARTS (1ull << 62)
#define HANDLER (RESTARTS - 1)
static uint64_t slots[STUBS]; /* 0: free; else the handler's address and the two flags */

__thread uint32_t sd_handled, sd_section;

/* sd_sleep(n, six arguments): a system call that sleeps, unless a handler has run since sd_handled was
 * cleared: then -EINTR. A handler that interrupts it between that look and the system call continues
 * at sleep_skip, so that no signal is slept over. */
__asm__(".pushsection sd_handling, \"ax\", @progbits\n"
	".balign 16\n"
	"sd_stubs:\n"
	".set slot, 0\n"
	".rept 256\n"
	".balign 16\n"
	"mov $slot, %ecx\n"
	"jmp handling\n"
	".set slot, slot + 1\n"
	".endr\n"
	".popsection\n"
	".pushsection .text\n"
	".globl sd_sleep\n"
	".hidden sd_sleep\n"
	".type sd_sleep, @function\n"
	"sd_sleep:\n"
	".cfi_startproc\n"
	"mov %rdi, %rax\n"
	"mov %rsi, %rdi\n"
	"mov %rdx, %rsi\n"
	"mov %rcx, %rdx\n"
	"mov %r8, %r10\n"
	"mov %r9, %r8\n"
	"mov 8(%rsp), %r9\n"
	"mov sd_handled@gottpoff(%rip), %rcx\n"
	"sleep_look:\n"
	"cmpl $0, %fs:(%rcx)\n"
	"jne sleep_skip\n"
	"syscall\n"
	"sleep_done:\n"
	"ret\n"
	"sleep_skip:\n"
	"mov $-4, %rax\n"
	"ret\n"
	".cfi_endproc\n"
	".size sd_sleep, . - sd_sleep\n"
	".popsection\n");

extern const char sd_stubs[] SD_HIDDEN, sleep_look[] SD_HIDDEN, sleep_done[] SD_HIDDEN, sleep_skip[] SD_HIDDEN;
extern const char __start_sd_handling[] SD_HIDDEN, __stop_sd_handling[] SD_HIDDEN;

/* The kernel's action, and its mask, which is shorter than libc's. */
struct action {
	const void *handler;
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

#define BIT(sig) (1ull << ((sig) - 1))
#define FAULTS (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGSYS))

static uint64_t set_mask(uint64_t mask)
{
	uint64_t old = 0;
	sd_sys(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &old, 8);
	return old;
}

/* The mask that holds again when the last section ends. Valid while SD_DEFERRED is set. */
static __thread uint64_t deferred_mask;

/* The signal came in a section: it is sent again, to this thread, as it was, and stays blocked with
 * all others until the section ends. 1 done; 0: it cannot be queued and must run now. */
static int defer(int sig, siginfo_t *info, uint64_t *mask, int first, uint32_t slot)
{
	uint64_t block = ~FAULTS | BIT(sig), before = set_mask(block);
	struct action a;
	/* SA_RESETHAND has taken effect: once more. */
	if (sd_sys(SYS_rt_sigaction, sig, NULL, &a, 8) == 0 && a.handler == SIG_DFL && (a.flags & SA_RESETHAND)) {
		a.handler = sd_stubs + slot * STUB_BYTES;
		sd_sys(SYS_rt_sigaction, sig, &a, NULL, 8);
	}
	if (sd_sys(SYS_rt_tgsigqueueinfo, sd_sys(SYS_getpid), sd_sys(SYS_gettid), sig, info) < 0) {
		set_mask(before);
		return 0;
	}
	if (first) {
		deferred_mask = *mask;
		sd_section |= SD_DEFERRED;
	}
	*mask = block;
	return 1;
}

size_t sd_left(size_t n)
{
	if (sd_section == SD_DEFERRED) { /* the last one, and something waits for it */
		sd_section = 0;
		set_mask(deferred_mask);
	}
	return n;
}

static __thread struct sd_wait *waiting;

void sd_wait_begin(struct sd_wait *w) { waiting = w; }

void sd_wait_end(void)
{
	sd_enter();
	struct sd_wait *w = waiting;
	waiting = NULL;
	if (w && w->waker)
		sd_add(&w->waker->waiting, -1);
	if (w && w->bell)
		sd_add(&w->bell->parked, -1);
	if (w && w->count)
		sd_add(w->count, -1);
	if (w && w->disarm)
		w->disarm(w->arg);
	sd_leave();
}

#ifdef __SANITIZE_ADDRESS__
void __asan_handle_no_return(void); /* cancellation unwinds frames whose shadow nobody clears */
#else
static void __asan_handle_no_return(void) {}
#endif

static void cancelled(void *arg)
{
	(void)arg;
	__asan_handle_no_return();
	sd_wait_end();
}

/* A cancellation point as libc's own: cancellation is asynchronous during the system call. */
long sd_wait_sleep(long n, long a, long b, long c, long d, long e, long f)
{
	long r;
	int type;
	if (!sd_multi())
		return sd_sleep(n, a, b, c, d, e, f);
	pthread_cleanup_push(cancelled, NULL);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	r = sd_sleep(n, a, b, c, d, e, f);
	pthread_setcanceltype(type, &type);
	pthread_cleanup_pop(0);
	return r;
}

void sd_cancellation_point(void)
{
	if (!sd_multi())
		return;
#ifdef __SANITIZE_ADDRESS__
	pthread_cleanup_push(cancelled, NULL);
	pthread_testcancel();
	pthread_cleanup_pop(0);
#else
	pthread_testcancel();
#endif
}

/* Of signals that are delivered at once only the first decides what becomes of the call, as in the
 * kernel: the others interrupt its stub, not the call. A handler's own calls are not ours: what it
 * and the handlers nested in it leave in sd_handled is overwritten. A fault of an instruction in a
 * section, which reads and writes the program's memory, cannot wait. */
__attribute__((used, noinline, section("sd_handling"))) static void handling(int sig, siginfo_t *info, ucontext_t *uc,
									     uint32_t slot)
{
	uint64_t h = sd_peek(&slots[slot]);
	const char *at = (const char *)uc->uc_mcontext.gregs[REG_RIP];
	int first = at < __start_sd_handling || at >= __stop_sd_handling;
	uint32_t section = sd_section;
	if (section && !(info->si_code > 0 && (BIT(sig) & FAULTS)) &&
	    defer(sig, info, (uint64_t *)&uc->uc_sigmask, first, slot))
		return;
	uint32_t handled = sd_peek(&sd_handled), kind = h & RESTARTS ? SD_RESTARTED : SD_INTERRUPTED;
	if (first && handled < kind)
		handled = kind;
	if (at >= sleep_look && at < sleep_done)
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)sleep_skip;
	sd_section = 0;
	sd_wait_end();
	((void (*)(int, siginfo_t *, void *))(h & HANDLER))(sig, info, uc);
	sd_section = section;
	sd_store(&sd_handled, handled);
}

static void (*stub(uint64_t h))(int, siginfo_t *, void *)
{
	for (int i = 0; i < STUBS; i++)
		if (sd_peek(&slots[i]) == h || sd_cas(&slots[i], 0, h) || sd_peek(&slots[i]) == h)
			return (void *)(sd_stubs + i * STUB_BYTES);
	return NULL;
}

/* The slot of a stub, or 0. */
static uint64_t slot_of(const void *handler)
{
	size_t at = (const char *)handler - sd_stubs;
	return at < STUBS * STUB_BYTES ? sd_peek(&slots[at / STUB_BYTES]) : 0;
}

static int is_function(void (*h)(int)) { return h != SIG_DFL && h != SIG_IGN; }

SD_EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction ours, was;
	if (act) {
		ours = *act;
		if (sd_g.on && is_function(act->sa_handler) && ((uint64_t)act->sa_handler & ~HANDLER) == 0) {
			void (*f)(int, siginfo_t *, void *) =
			    stub((uint64_t)act->sa_handler | (act->sa_flags & SA_SIGINFO ? WITH_INFO : 0) |
				 (act->sa_flags & SA_RESTART ? RESTARTS : 0));
			if (f) {
				ours.sa_sigaction = f;
				ours.sa_flags |= SA_SIGINFO;
			}
		}
	}
	int r = sd_real()->sigaction(sig, act ? &ours : NULL, old ? &was : NULL);
	if (r == 0 && old) {
		uint64_t h = slot_of((const void *)was.sa_handler);
		if (h) {
			was.sa_handler = (void (*)(int))(h & HANDLER);
			if (!(h & WITH_INFO))
				was.sa_flags &= ~SA_SIGINFO;
		}
		*old = was;
	}
	return r;
}

SD_EXPORT int __sigaction(int, const struct sigaction *, struct sigaction *) __attribute__((alias("sigaction")));

/* The rest is libc's, again, because libc's own would install handlers past us. */

static uint8_t interrupting[_NSIG]; /* by siginterrupt: what signal() installs is without SA_RESTART */

static sighandler_t install(int sig, sighandler_t h, int flags, sigset_t mask)
{
	struct sigaction act = {.sa_handler = h, .sa_flags = flags, .sa_mask = mask}, old;
	return sigaction(sig, &act, &old) < 0 ? SIG_ERR : old.sa_handler;
}

/* The set of one signal; 0 and EINVAL if there is none, or no such handler. */
static int only(sigset_t *set, int sig, sighandler_t h)
{
	sigemptyset(set);
	if (h != SIG_ERR)
		return sigaddset(set, sig) == 0;
	errno = EINVAL;
	return 0;
}

SD_EXPORT sighandler_t signal(int sig, sighandler_t h)
{
	sigset_t itself;
	if (!only(&itself, sig, h))
		return SIG_ERR;
	return install(sig, h, sd_peek(&interrupting[sig]) ? 0 : SA_RESTART, itself);
}

SD_EXPORT sighandler_t bsd_signal(int, sighandler_t) __attribute__((alias("signal")));
SD_EXPORT sighandler_t ssignal(int, sighandler_t) __attribute__((alias("signal")));

SD_EXPORT sighandler_t sysv_signal(int sig, sighandler_t h)
{
	sigset_t itself;
	if (!only(&itself, sig, h))
		return SIG_ERR;
	return install(sig, h, SA_RESETHAND | SA_NODEFER, (sigset_t){0});
}

SD_EXPORT sighandler_t __sysv_signal(int, sighandler_t) __attribute__((alias("sysv_signal")));

SD_EXPORT int siginterrupt(int sig, int interrupt)
{
	struct sigaction act;
	if (sigaction(sig, NULL, &act) < 0)
		return -1;
	sd_store(&interrupting[sig], interrupt != 0);
	act.sa_flags = interrupt ? act.sa_flags & ~SA_RESTART : act.sa_flags | SA_RESTART;
	return sigaction(sig, &act, NULL);
}

SD_EXPORT sighandler_t sigset(int sig, sighandler_t h)
{
	sigset_t one, was;
	sighandler_t old;
	if (!only(&one, sig, SIG_DFL))
		return SIG_ERR;
	if (h == SIG_HOLD) {
		struct sigaction act;
		if (sigprocmask(SIG_BLOCK, &one, &was) < 0)
			return SIG_ERR;
		if (sigismember(&was, sig))
			return SIG_HOLD;
		return sigaction(sig, NULL, &act) < 0 ? SIG_ERR : act.sa_handler;
	}
	if ((old = install(sig, h, 0, (sigset_t){0})) == SIG_ERR || sigprocmask(SIG_UNBLOCK, &one, &was) < 0)
		return SIG_ERR;
	return sigismember(&was, sig) ? SIG_HOLD : old;
}

/* 1: some handler that runs past our stubs has no SA_RESTART. */
static int unseen_interrupts(void)
{
	struct action a;
	for (int s = 1; s < _NSIG; s++)
		if (sd_sys(SYS_rt_sigaction, s, NULL, &a, 8) == 0 && is_function((sighandler_t)a.handler) &&
		    !slot_of(a.handler) && !(a.flags & SA_RESTART))
			return 1;
	return 0;
}

int sd_interrupted(int restarts)
{
	uint32_t handled = sd_xchg(&sd_handled, SD_NOTHING);
	if (!restarts || handled == SD_INTERRUPTED)
		return 1;
	return handled == SD_NOTHING && unseen_interrupts();
}
