/* Groups of the system's: what libc may answer to the question for one, and what becomes of it. */
#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/team.h"
#include "unit.h"

enum { GID = 4711, WANTED_SIZE = 100000 };

/* What the system answers. */
static struct {
	int failed;   /* what getgrnam_r returns, */
	bool found;   /* where it has no record */
	size_t wants; /* room for texts; less is too little */
	int asked;
} answer;

/* In the place of libc's. */
int getgrnam_r(const char *name, struct group *record, char *strings, size_t size,
	struct group **ret_found)
{
	(void)name;
	answer.asked++;
	*ret_found = NULL;
	if (size < answer.wants)
		return ERANGE;
	if (!answer.found)
		return answer.failed;
	memset(strings, 'x', size);
	record->gr_gid = GID;
	*ret_found = record;
	return 0;
}

static void begin(void)
{
	memset(&answer, 0, sizeof answer);
}

START_TEST(a_group_that_is_there)
{
	gid_t gid = 0;

	answer.found = true;
	ck_assert_int_eq(team_find("games", &gid), 0);
	ck_assert_uint_eq(gid, GID);
	answer.wants = WANTED_SIZE;
	gid = 0;
	ck_assert_int_eq(team_find("games", &gid), 0);
	ck_assert_uint_eq(gid, GID);
	ck_assert_int_gt(answer.asked, 2);
}
END_TEST

/* All that getgrnam(3) says of a group that is not there. */
static const int absent[] = {0, ENOENT, ESRCH, EBADF, EPERM};

START_TEST(a_group_that_is_not_there)
{
	gid_t gid;

	answer.failed = absent[_i];
	ck_assert_int_eq(team_find("games", &gid), ENOENT);
}
END_TEST

static const int unsure[] = {EINTR, EIO, EMFILE, ENFILE, ENOMEM, EAGAIN, EACCES, ETIMEDOUT};

START_TEST(a_group_that_cannot_be_looked_up)
{
	gid_t gid;

	answer.failed = unsure[_i];
	ck_assert_int_eq(team_find("games", &gid), unsure[_i]);
}
END_TEST

START_TEST(a_group_that_is_too_large)
{
	gid_t gid;

	answer.wants = SIZE_MAX;
	ck_assert_int_eq(team_find("games", &gid), ERANGE);
}
END_TEST

static Suite *team_suite(void)
{
	Suite *suite = suite_create("team");
	TCase *tests = tcase_create("team");

	tcase_add_checked_fixture(tests, begin, NULL);
	tcase_add_test(tests, a_group_that_is_there);
	tcase_add_loop_test(tests, a_group_that_is_not_there, 0, sizeof absent / sizeof absent[0]);
	tcase_add_loop_test(tests, a_group_that_cannot_be_looked_up, 0,
		sizeof unsure / sizeof unsure[0]);
	tcase_add_test(tests, a_group_that_is_too_large);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return unit_run(team_suite(), CK_FORK_GETENV);
}
