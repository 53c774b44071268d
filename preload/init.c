#include <dlfcn.h>
#include <sched.h>
#include <stdlib.h>

#include "real.h"

struct sd_real sd_real_;
struct sd_global sd_g = {.out_fd = -1, .page_fd = -1};

void sd_init(void)
{
#define RESOLVE(ret, name, args) sd_real_.name = (ret(*) args)dlsym(RTLD_NEXT, #name);
	SD_REAL_FUNCTIONS(RESOLVE)
#undef RESOLVE
	const char *off = getenv("SDIRECT_OFF");
	cpu_set_t set;
	sd_g.pid = sd_sys(SYS_getpid);
	sd_g.cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 2;
	sd_client_init();
	sd_g.on = !(off && *off == '1');
	if (sd_g.on)
		sd_fork_init();
}

__attribute__((constructor)) static void start(void)
{
	if (sd_real_.read == NULL)
		sd_init();
}
