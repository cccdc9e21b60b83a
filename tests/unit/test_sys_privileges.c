/* Giving up root: for good, with no group left, and only for a user who is known. */
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <unistd.h>

#include "sys/privileges.h"
#include "unit.h"

static bool is_root(void)
{
	if (geteuid() == 0)
		return true;
	printf("not root: not tried\n");
	return false;
}

START_TEST(there_is_no_way_back_to_root)
{
	struct passwd *user = getpwnam("daemon");
	gid_t some[] = {0, 4};
	struct error error;
	uid_t real, effective, saved;

	if (!is_root() || !user)
		return;
	ck_assert_int_eq(setgroups(2, some), 0);
	ck_assert_int_eq(privileges_drop(user->pw_uid, &error), 0);
	ck_assert_int_eq(getresuid(&real, &effective, &saved), 0);
	ck_assert(real == user->pw_uid && effective == user->pw_uid && saved == user->pw_uid);
	ck_assert_uint_eq(getegid(), user->pw_gid);
	ck_assert_int_eq(getgroups(0, NULL), 0);
	ck_assert_int_eq(seteuid(0), -1);
	ck_assert_int_eq(setegid(0), -1);
	ck_assert_int_eq(access("/etc/shadow", R_OK), -1);
}
END_TEST

START_TEST(users_that_are_nobody_are_refused)
{
	static const uid_t uids[] = {0, 65534, 4000000000};
	struct error error;

	for (size_t i = 0; i < sizeof uids / sizeof uids[0]; i++) {
		ck_assert_int_eq(privileges_drop(uids[i], &error), -1);
		ck_assert_int_eq(error.code, ERR_DENIED);
	}
	ck_assert_str_eq(error.text, "there is no user 4000000000 to become");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("privileges");
	TCase *tests = tcase_create("privileges");

	tcase_add_test(tests, there_is_no_way_back_to_root);
	tcase_add_test(tests, users_that_are_nobody_are_refused);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK);
}
