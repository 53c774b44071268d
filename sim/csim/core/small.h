/* Included before everything else in simulated builds: a small process, and rings of a few bytes, so that
 * every run wraps, fills and grows. Shapes stay those of the ABI; sizes too where package socket is the peer. */
#include "abi.h"

#ifndef SIM_FULL
#undef SD_CAP_HOT
#undef SD_CAP_BULK
#undef SD_CAP_SPILL
#undef SD_DIR_STRIDE
#undef SD_ARENA_SLOTS
#undef SD_RING_OFF
#undef SD_ARENA_SIZE
#undef SD_BELLS
#undef SD_BELL_PAGE_SIZE
#define SD_CAP_HOT 64
#define SD_CAP_BULK 128
#define SD_CAP_SPILL 512
#define SD_DIR_STRIDE 704
#define SD_ARENA_SLOTS 2
#define SD_RING_OFF 8192
#define SD_ARENA_SIZE 16384ULL
#define SD_BELLS 8
#define SD_BELL_PAGE_SIZE 86016
#endif
#define SD_FD_MAX 1024
/* Thread-local variables in one section, which the engine changes with the thread. */
#define __thread __attribute__((section("sdtls")))
