/* A module that is loaded with RTLD_DEEPBIND looks for its calls in libc before it looks in libraries that
 * were preloaded, and would act behind our back on connections that the program hands it. So nothing is
 * loaded that way. */
#include <dlfcn.h>

#include "real.h"

struct loading {
	void *(*dlopen)(const char *, int);
	long mode;
}; /* comes back in rax and rdx */

__attribute__((used)) static struct loading loading(const char *file, int mode)
{
	struct sd_real *real = sd_real();
	(void)file;
	return (struct loading){real->dlopen, sd_g.on ? mode & ~RTLD_DEEPBIND : mode};
}

/* libc takes the return address for its caller's, whose RUNPATH and namespace it uses: a jump, whatever the
 * compiler makes of calls at the end of a function. */
__asm__(".pushsection .text\n"
	".globl dlopen\n"
	".type dlopen, @function\n"
	"dlopen:\n"
	"	.cfi_startproc\n"
	"	push %rdi\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	call loading\n"
	"	pop %rdi\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	mov %edx, %esi\n"
	"	jmp *%rax\n"
	"	.cfi_endproc\n"
	".size dlopen, . - dlopen\n"
	".popsection\n");
