/* Points in time as text, compared with what the C library makes of them. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/stamp.h"
#include "unit.h"

static const int64_t second_us = 1000000;

/* The stamp as gmtime_r() and strftime() would write it. */
static void expected_stamp(int64_t second, int64_t us, char *ret_text, size_t size)
{
	time_t clock = (time_t)second;
	struct tm tm;
	char date[32];

	if (gmtime_r(&clock, &tm) == NULL ||
		strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm) != 19)
		ck_abort_msg("the C library cannot write %" PRId64, second);
	snprintf(ret_text, size, "%s.%06" PRId64 "Z", date, us);
}

/* An assertion of libcheck costs a system call, which would be most of what the many calls cost. */
static void assert_stamp(int64_t second, int64_t us)
{
	char text[STAMP_TEXT_LEN + 1];
	char expected[64];
	int64_t time_us = second * second_us + us;
	int64_t parsed;

	text[STAMP_TEXT_LEN] = '\0';
	stamp_format(time_us, text);
	expected_stamp(second, us, expected, sizeof expected);
	if (strcmp(text, expected) != 0)
		ck_abort_msg("%" PRId64 " became %s, not %s", time_us, text, expected);
	if (stamp_parse(text, STAMP_TEXT_LEN, &parsed) != 0 || parsed != time_us)
		ck_abort_msg("%s was not read as %" PRId64, text, time_us);
}

START_TEST(test_known)
{
	char text[STAMP_TEXT_LEN + 1];
	int64_t time_us;

	memset(text, '#', sizeof text);
	stamp_format(INT64_C(1795336512227842), text);
	ck_assert_mem_eq(text, "2026-11-22T08:35:12.227842Z", STAMP_TEXT_LEN);
	ck_assert_int_eq(text[STAMP_TEXT_LEN], '#');
	ck_assert_int_eq(stamp_parse("1970-01-01T00:00:00.000000Z", STAMP_TEXT_LEN, &time_us), 0);
	ck_assert_int_eq(time_us, 0);
}
END_TEST

/* Every day of 400 years and some, which is a whole turn of the calendar. */
START_TEST(test_every_day)
{
	for (int64_t day = -800; day < 147000; day++) {
		assert_stamp(day * 86400, 0);
		assert_stamp(day * 86400 + 86399, 999999);
	}
}
END_TEST

START_TEST(test_within_a_day)
{
	for (int64_t second = 0; second < 86400; second += 7)
		assert_stamp(1582934400 + second, second % 1000000);
	for (int64_t us = 1; us < second_us; us *= 10)
		assert_stamp(951782400, us);
}
END_TEST

/* The remembered second must not show in another one. */
START_TEST(test_cache)
{
	for (int i = 0; i < 3; i++) {
		assert_stamp(1000000000, i);
		assert_stamp(1000000001, i);
		assert_stamp(-1, 999999 - i);
		assert_stamp(0, i);
		assert_stamp(0, i + 1);
	}
}
END_TEST

/* A stamp with any byte of it replaced by one that is no digit is none. */
static void check_wrong_byte(size_t place)
{
	static const char stamp[] = "2026-11-22T08:35:12.227842Z";

	for (int byte = 0; byte < 256; byte++) {
		char text[STAMP_TEXT_LEN];
		bool digit = byte >= '0' && byte <= '9';
		int64_t time_us;

		memcpy(text, stamp, STAMP_TEXT_LEN);
		if (digit || byte == text[place])
			continue;
		text[place] = (char)byte;
		ck_assert_int_eq(stamp_parse(text, STAMP_TEXT_LEN, &time_us), -1);
	}
}

START_TEST(test_wrong_byte)
{
	for (size_t place = 0; place < STAMP_TEXT_LEN; place++)
		check_wrong_byte(place);
}
END_TEST

START_TEST(test_wrong)
{
	static const char *const wrong[] = {"", "2026-11-22T08:35:12Z", "2026-11-22T08:35:12.227842",
		"2026-11-22 08:35:12.227842Z", "2026-00-22T08:35:12.227842Z",
		"2026-13-22T08:35:12.227842Z", "2026-11-00T08:35:12.227842Z",
		"2026-11-31T08:35:12.227842Z", "2026-02-29T08:35:12.227842Z",
		"2100-02-29T08:35:12.227842Z", "2026-11-22T24:35:12.227842Z",
		"2026-11-22T08:60:12.227842Z", "2026-11-22T08:35:60.227842Z",
		"2026-11-22T08:35:12.2278420Z"};
	int64_t time_us;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		ck_assert_int_eq(stamp_parse(wrong[i], strlen(wrong[i]), &time_us), -1);
	ck_assert_int_eq(stamp_parse("2024-02-29T08:35:12.227842Z", STAMP_TEXT_LEN, &time_us), 0);
	ck_assert_int_eq(stamp_parse("2000-02-29T08:35:12.227842Z", STAMP_TEXT_LEN, &time_us), 0);
}
END_TEST

static Suite *stamp_suite(void)
{
	Suite *suite = suite_create("stamp");
	TCase *tests = tcase_create("stamp");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, test_known);
	tcase_add_test(tests, test_every_day);
	tcase_add_test(tests, test_within_a_day);
	tcase_add_test(tests, test_cache);
	tcase_add_test(tests, test_wrong_byte);
	tcase_add_test(tests, test_wrong);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return unit_run(stamp_suite(), CK_FORK_GETENV);
}
