/* What the unit tests share: running a suite, cheap assertions, and chance that can be repeated. */
#ifndef IMD_TESTS_UNIT_H
#define IMD_TESTS_UNIT_H

#include <check.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* libcheck notes every assertion that it passes; in loops only those that fail are worth it. */
#define must(condition)                                                               \
	do {                                                                          \
		if (!(condition))                                                     \
			ck_abort_msg("seed %" PRIu64 ": %s", unit_seed, #condition); \
	} while (0)

/* Whether there is AddressSanitizer, which maps what it likes, and ends the process if it has no memory. */
static inline bool unit_sanitized(void)
{
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
	return true;
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
	return true;
#else
	return false;
#endif
}

/* IMD_TEST_SEED of the environment, or the time. */
static uint64_t unit_seed;
static uint64_t random_state;

/* splitmix64 */
static inline uint64_t random_next(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline uint64_t random_below64(uint64_t limit)
{
	return random_next() % limit;
}

static inline uint32_t random_below(uint32_t limit)
{
	return (uint32_t)random_below64(limit);
}

/* Before a suite whose tests take chances: says with which seed it may be repeated. */
static inline void unit_take_seed(void)
{
	const char *given = getenv("IMD_TEST_SEED");

	unit_seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	random_state = unit_seed;
	printf("IMD_TEST_SEED=%" PRIu64 "\n", unit_seed);
	fflush(stdout);
}

/* Runs the suite and returns the exit status of the program. */
static inline int unit_run(Suite *suite, enum fork_status fork_status)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_set_fork_status(runner, fork_status);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
