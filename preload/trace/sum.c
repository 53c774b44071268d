/* The checksum of bytes that moved: CRC-32C without inversions. The instruction takes three cycles and
 * three can be under way, so long strings go in three lanes, whose sums are then shifted behind each other. */
#include <nmmintrin.h>
#include <wmmintrin.h>

#include "trace.h"

enum { LANE = 128 };

#define SUM __attribute__((target("sse4.2,pclmul")))

/* The sum of what s is of, followed by as many zeros as k stands for: x^(8·zeros − 33), reflected. */
SUM static inline uint64_t shifted(uint64_t s, uint32_t k)
{
	return _mm_crc32_u64(0, _mm_cvtsi128_si64(_mm_clmulepi64_si128(_mm_cvtsi64_si128(s), _mm_cvtsi32_si128(k), 0)));
}
enum { ONE_LANE = 0x0d3b6092 };
#define TWO_LANES 0xb9e02b86u

SUM static inline uint64_t word(uint64_t s, const char *b)
{
	uint64_t w;
	__builtin_memcpy(&w, b, 8);
	return _mm_crc32_u64(s, w);
}

SUM uint32_t sd_trace_sum(uint32_t sum, const void *p, size_t n)
{
	const char *b = p;
	uint64_t s = sum;
	for (; n >= 3 * LANE; n -= 3 * LANE, b += 3 * LANE) {
		uint64_t t = 0, u = 0;
		for (int i = 0; i < LANE; i += 8) {
			s = word(s, b + i);
			t = word(t, b + LANE + i);
			u = word(u, b + 2 * LANE + i);
		}
		s = shifted(s, TWO_LANES) ^ shifted(t, ONE_LANE) ^ u;
	}
	for (; n >= 8; n -= 8, b += 8)
		s = word(s, b);
	for (; n > 0; n--, b++)
		s = _mm_crc32_u8((uint32_t)s, (unsigned char)*b);
	return (uint32_t)s;
}
