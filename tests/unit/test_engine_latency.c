/* Latencies are counted in the bucket that they belong to. */
#include "engine/latency.h"
#include "unit.h"

static uint64_t count_of(const struct latency *latency)
{
	uint64_t count = 0;

	for (int i = 0; i <= LATENCY_BOUNDS; i++)
		count += latency->counts[i];
	return count;
}

START_TEST(bounds_rise_from_100_us_to_10_s)
{
	ck_assert_int_eq(latency_bounds_us[0], 100);
	ck_assert_int_eq(latency_bounds_us[LATENCY_BOUNDS - 1], 10000000);
	for (int i = 1; i < LATENCY_BOUNDS; i++)
		ck_assert_int_gt(latency_bounds_us[i], latency_bounds_us[i - 1]);
}
END_TEST

START_TEST(a_bound_belongs_to_its_bucket)
{
	struct latency latency = {0};
	uint64_t sum_us = 0;

	for (int i = 0; i < LATENCY_BOUNDS; i++) {
		latency_add(&latency, latency_bounds_us[i]);
		ck_assert_uint_eq(latency.counts[i], i == 0 ? 1 : 2);
		latency_add(&latency, latency_bounds_us[i] + 1);
		ck_assert_uint_eq(latency.counts[i + 1], 1);
		sum_us += 2 * (uint64_t)latency_bounds_us[i] + 1;
	}
	ck_assert_uint_eq(count_of(&latency), 2 * LATENCY_BOUNDS);
	ck_assert_uint_eq(latency.sum_us, sum_us);
}
END_TEST

START_TEST(what_took_no_time_or_very_long_is_counted)
{
	struct latency latency = {0};

	latency_add(&latency, 0);
	latency_add(&latency, INT64_C(3600000000));
	ck_assert_uint_eq(latency.counts[0], 1);
	ck_assert_uint_eq(latency.counts[LATENCY_BOUNDS], 1);
	ck_assert_uint_eq(count_of(&latency), 2);
	ck_assert_uint_eq(latency.sum_us, UINT64_C(3600000000));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("latency");
	TCase *tests = tcase_create("latency");

	tcase_add_test(tests, bounds_rise_from_100_us_to_10_s);
	tcase_add_test(tests, a_bound_belongs_to_its_bucket);
	tcase_add_test(tests, what_took_no_time_or_very_long_is_counted);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
