/* Refusals in the log: which ones get a line, and that every one of them is counted. */
#include <string.h>

#include "server/audit.h"
#include "unit.h"

enum { ALICE = 1000, BOB = 1001 };

static struct audit audit;
static uint64_t suppressed;

static void audit_zero(void)
{
	memset(&audit, 0, sizeof audit);
	suppressed = 0;
}

static bool admits(uid_t uid, bool changes, int64_t now_ms)
{
	return audit_admit(&audit, uid, changes, now_ms, &suppressed);
}

START_TEST(a_user_gets_one_line_for_each_kind_and_time)
{
	ck_assert(admits(ALICE, true, 0));
	ck_assert(admits(ALICE, false, 1));
	ck_assert(admits(BOB, true, 2));
	ck_assert(!admits(ALICE, true, 3));
	ck_assert(!admits(ALICE, true, AUDIT_EVERY_MS - 1));
	ck_assert(admits(ALICE, true, AUDIT_EVERY_MS));
	ck_assert_uint_eq(suppressed, 2);
	ck_assert(!admits(ALICE, false, AUDIT_EVERY_MS));
	ck_assert(!admits(ALICE, true, 2 * AUDIT_EVERY_MS - 1));
	ck_assert(admits(ALICE, false, AUDIT_EVERY_MS + 1));
	ck_assert_uint_eq(suppressed, 1);
}
END_TEST

START_TEST(more_users_than_places_are_counted_alone)
{
	for (unsigned i = 0; i < AUDIT_PLACES; i++)
		ck_assert(admits(ALICE + i, true, i));
	ck_assert(!admits(ALICE + AUDIT_PLACES, true, AUDIT_PLACES));
	ck_assert(!admits(ALICE + AUDIT_PLACES + 1, true, AUDIT_PLACES));
	ck_assert(!admits(ALICE, true, AUDIT_PLACES));
	/* The first place is free again; what it counted goes to its successor. */
	ck_assert(admits(ALICE + AUDIT_PLACES, true, AUDIT_EVERY_MS));
	ck_assert_uint_eq(suppressed, 3);
	ck_assert(admits(ALICE, true, AUDIT_EVERY_MS + 1));
	ck_assert_uint_eq(suppressed, 0);
}
END_TEST

/* Whatever comes, each refusal has a line or is in the number of a later one, and lines are bounded. */
START_TEST(no_refusal_is_lost)
{
	uint64_t lines = 0, counted = 0, asked = 0, in_window = 0;
	int64_t now_ms = 0, window_ms = 0;

	for (; asked < 200000; asked++) {
		now_ms += random_below(8);
		if (now_ms - window_ms >= AUDIT_EVERY_MS) {
			window_ms = now_ms;
			in_window = 0;
		}
		if (!admits(ALICE + random_below(100), random_below(2) != 0, now_ms))
			continue;
		lines++;
		counted += suppressed;
		must(++in_window <= 2 * AUDIT_PLACES);
	}
	for (unsigned i = 0; i < audit.count; i++)
		counted += audit.places[i].suppressed;
	ck_assert_uint_eq(lines + counted + audit.unplaced, asked);
}
END_TEST

static Suite *audit_suite(void)
{
	Suite *suite = suite_create("audit");
	TCase *tests = tcase_create("audit");

	tcase_add_checked_fixture(tests, audit_zero, NULL);
	tcase_add_test(tests, a_user_gets_one_line_for_each_kind_and_time);
	tcase_add_test(tests, more_users_than_places_are_counted_alone);
	tcase_add_test(tests, no_refusal_is_lost);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	unit_take_seed();
	return unit_run(audit_suite(), CK_FORK_GETENV);
}
