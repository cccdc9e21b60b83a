/* Groups of the system's: what libc may answer to the question for one, and what becomes of it. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>

#include "sys/sysgroup.h"
#include "unit.h"

enum { GID = 4711, UID = 815, WANTED_SIZE = 100000 };

/* What the system answers. */
static struct {
	int failed;   /* what getgrnam_r returns, */
	bool found;   /* where it has no record */
	size_t wants; /* room for texts; less is too little */
	int asked;
	int groups;   /* of a user; negative: the list fails */
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

int getpwuid_r(uid_t uid, struct passwd *record, char *strings, size_t size, struct passwd **ret_found)
{
	answer.asked++;
	*ret_found = NULL;
	if (size < answer.wants)
		return ERANGE;
	if (!answer.found)
		return answer.failed;
	*record = (struct passwd){.pw_name = strings, .pw_uid = uid, .pw_gid = GID};
	*ret_found = record;
	return 0;
}

int getgrouplist(const char *user, gid_t group, gid_t *list, int *count)
{
	int room = *count;

	(void)user;
	if (answer.groups < 0)
		return -1;
	*count = answer.groups;
	for (int i = 0; i < room && i < answer.groups; i++)
		list[i] = group + (gid_t)i;
	return room < answer.groups ? -1 : answer.groups;
}

static void begin(void)
{
	memset(&answer, 0, sizeof answer);
}

START_TEST(a_group_that_is_there)
{
	gid_t gid = 0;

	answer.found = true;
	ck_assert_int_eq(sysgroup_find("games", &gid), 0);
	ck_assert_uint_eq(gid, GID);
	answer.wants = WANTED_SIZE;
	gid = 0;
	ck_assert_int_eq(sysgroup_find("games", &gid), 0);
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
	ck_assert_int_eq(sysgroup_find("games", &gid), ENOENT);
}
END_TEST

static const int unsure[] = {EINTR, EIO, EMFILE, ENFILE, ENOMEM, EAGAIN, EACCES, ETIMEDOUT};

START_TEST(a_group_that_cannot_be_looked_up)
{
	gid_t gid;

	answer.failed = unsure[_i];
	ck_assert_int_eq(sysgroup_find("games", &gid), unsure[_i]);
}
END_TEST

START_TEST(a_group_that_is_too_large)
{
	gid_t gid;

	answer.wants = SIZE_MAX;
	ck_assert_int_eq(sysgroup_find("games", &gid), ERANGE);
}
END_TEST

static const int group_counts[] = {1, 2, 32, 33, 1000, 65536};

START_TEST(the_groups_of_a_user)
{
	gid_t *gids = NULL;
	size_t count = 0;

	answer.found = true;
	answer.wants = WANTED_SIZE;
	answer.groups = group_counts[_i];
	ck_assert_int_eq(sysgroup_of_user(UID, &gids, &count), 0);
	ck_assert_uint_eq(count, (size_t)group_counts[_i]);
	ck_assert_uint_eq(gids[0], GID);
	ck_assert_uint_eq(gids[count - 1], GID + count - 1);
	free(gids);
}
END_TEST

START_TEST(a_user_whose_groups_are_not_known)
{
	gid_t *gids;
	size_t count;

	answer.failed = ESRCH;
	ck_assert_int_eq(sysgroup_of_user(UID, &gids, &count), ENOENT);
	answer.failed = EIO;
	ck_assert_int_eq(sysgroup_of_user(UID, &gids, &count), EIO);
	answer.found = true;
	answer.groups = -1;
	ck_assert_int_eq(sysgroup_of_user(UID, &gids, &count), EIO);
}
END_TEST

START_TEST(dynamic_users)
{
	ck_assert(!sysgroup_user_is_dynamic(0));
	ck_assert(!sysgroup_user_is_dynamic(61183));
	ck_assert(sysgroup_user_is_dynamic(61184));
	ck_assert(sysgroup_user_is_dynamic(65519));
	ck_assert(!sysgroup_user_is_dynamic(65520));
}
END_TEST

static Suite *sysgroup_suite(void)
{
	Suite *suite = suite_create("sysgroup");
	TCase *tests = tcase_create("sysgroup");

	tcase_add_checked_fixture(tests, begin, NULL);
	tcase_add_test(tests, a_group_that_is_there);
	tcase_add_loop_test(tests, a_group_that_is_not_there, 0, sizeof absent / sizeof absent[0]);
	tcase_add_loop_test(tests, a_group_that_cannot_be_looked_up, 0,
		sizeof unsure / sizeof unsure[0]);
	tcase_add_test(tests, a_group_that_is_too_large);
	tcase_add_loop_test(tests, the_groups_of_a_user, 0, sizeof group_counts / sizeof group_counts[0]);
	tcase_add_test(tests, a_user_whose_groups_are_not_known);
	tcase_add_test(tests, dynamic_users);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return unit_run(sysgroup_suite(), CK_FORK_GETENV);
}
