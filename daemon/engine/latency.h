/* How long something took, counted in buckets of fixed bounds. */
#ifndef IMD_ENGINE_LATENCY_H
#define IMD_ENGINE_LATENCY_H

#include <stdint.h>

enum { LATENCY_BOUNDS = 16 };

/* The upper bounds in microseconds, rising; each belongs to its bucket. */
extern const int64_t latency_bounds_us[LATENCY_BOUNDS];

struct latency {
	uint64_t counts[LATENCY_BOUNDS + 1]; /* one bucket each; the last is beyond all bounds */
	uint64_t sum_us;
};

void latency_add(struct latency *latency, int64_t took_us);

#endif
