#include <dlfcn.h>

#include "next.h"

struct sd_next sd_next_;

void sd_next_init(void)
{
#define RESOLVE(ret, name, args) sd_next_.name = (ret(*) args)dlsym(RTLD_NEXT, #name);
	SD_TRACED(RESOLVE)
#undef RESOLVE
	sd_trace_open();
}
