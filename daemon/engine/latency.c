#include "latency.h"

const int64_t latency_bounds_us[LATENCY_BOUNDS] = {
	100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,
	5000000, 10000000,
};

void latency_add(struct latency *latency, int64_t took_us)
{
	unsigned bucket = 0;

	while (bucket < LATENCY_BOUNDS && took_us > latency_bounds_us[bucket])
		bucket++;
	latency->counts[bucket]++;
	latency->sum_us += took_us > 0 ? (uint64_t)took_us : 0;
}
