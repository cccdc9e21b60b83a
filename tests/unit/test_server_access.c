/* Membership in the groups that may change and read: when the user database is asked, for how long an answer is
 * good, and that without an answer there are no rights. The test stands in for sys/sysgroup.c. */
#include <errno.h>

#include "server/access.h"
#include "server_house.h"
#include "sys/sysgroup.h"

enum { ALICE = 5000, ADMINS = 6000, READERS = 6001, OTHERS = 6002, NO_FD = -1 };

/* What the user database says. */
static struct {
	gid_t gid;         /* the group of every user, besides */
	int user_failure;  /* what the lookup of a user fails with, */
	int group_failure; /* and that of a group */
	gid_t admins;      /* the ID of the admin group */
	int64_t took_ms;   /* by each lookup of a user */
	unsigned lookups;  /* of users */
} database;

static struct access rights;

int sysgroup_of_user(uid_t uid, gid_t **ret_gids, size_t *ret_count)
{
	(void)uid;
	database.lookups++;
	house.now_ms += database.took_ms;
	if (database.user_failure != 0)
		return database.user_failure;
	*ret_count = 2;
	*ret_gids = mem_alloc(*ret_count * sizeof **ret_gids);
	(*ret_gids)[0] = OTHERS;
	(*ret_gids)[1] = database.gid;
	return 0;
}

int sysgroup_find(const char *name, gid_t *ret_gid)
{
	*ret_gid = strcmp(name, "admins") == 0 ? database.admins : READERS;
	return database.group_failure;
}

bool sysgroup_user_is_dynamic(uid_t uid)
{
	(void)uid;
	return false;
}

static void database_begin(void)
{
	memset(&database, 0, sizeof database);
	database.gid = ADMINS;
	database.admins = ADMINS;
	begin();
	access_configure(&rights, &(struct access_rules){"admins", "readers"});
}

static unsigned rights_of(uid_t uid)
{
	int64_t until_ms;

	return access_rights(&rights, house.engine, NO_FD, uid, &until_ms);
}

START_TEST(an_answer_is_good_for_some_seconds)
{
	ck_assert_uint_eq(rights_of(ALICE), MAY_ALL);
	database.gid = OTHERS;
	house.now_ms += ACCESS_KEPT_MS - 1;
	ck_assert_uint_eq(rights_of(ALICE), MAY_ALL);
	ck_assert_uint_eq(database.lookups, 1);
	house.now_ms += 1;
	ck_assert_uint_eq(rights_of(ALICE), 0);
	ck_assert_uint_eq(database.lookups, 2);
	database.gid = READERS;
	house.now_ms += ACCESS_KEPT_MS;
	ck_assert_uint_eq(rights_of(ALICE), MAY_READ);
}
END_TEST

START_TEST(a_reload_forgets_the_answers)
{
	ck_assert_uint_eq(rights_of(ALICE), MAY_ALL);
	access_configure(&rights, &(struct access_rules){"others", NULL});
	ck_assert_uint_eq(rights_of(ALICE), 0);
}
END_TEST

START_TEST(without_an_answer_there_are_no_rights)
{
	database.user_failure = EIO;
	ck_assert_uint_eq(rights_of(ALICE), 0);
	database.user_failure = ENOENT;
	ck_assert_uint_eq(rights_of(ALICE + 1), 0);
	database.user_failure = 0;
	access_configure(&rights, &(struct access_rules){"admins", "readers"});
	database.group_failure = ETIMEDOUT;
	ck_assert_uint_eq(rights_of(ALICE), 0);
	ck_assert_uint_eq(rights_of(0), MAY_ALL | MAY_ALWAYS);
}
END_TEST

START_TEST(a_group_with_the_overflow_id_grants_nothing)
{
	database.admins = database.gid = 65534;
	ck_assert_uint_eq(rights_of(ALICE), 0);
	database.admins = database.gid = ADMINS;
	ck_assert_uint_eq(rights_of(65534), 0);
}
END_TEST

/* Or a server that does not answer would be asked all the time, and all clients would wait for it. */
START_TEST(the_longer_a_lookup_took_the_longer_it_is_good_for)
{
	database.took_ms = 10000;
	database.user_failure = EIO;
	ck_assert_uint_eq(rights_of(ALICE), 0);
	house.now_ms += ACCESS_KEPT_MS + database.took_ms;
	ck_assert_uint_eq(rights_of(ALICE), 0);
	ck_assert_uint_eq(database.lookups, 1);
	house.now_ms += 10 * database.took_ms;
	ck_assert_uint_eq(rights_of(ALICE), 0);
	ck_assert_uint_eq(database.lookups, 2);
}
END_TEST

START_TEST(of_many_users_some_are_kept)
{
	for (uid_t uid = ALICE; uid < ALICE + 2 * ACCESS_USERS; uid++) {
		house.now_ms++;
		ck_assert_uint_eq(rights_of(uid), MAY_ALL);
	}
	ck_assert_uint_eq(database.lookups, 2 * ACCESS_USERS);
	ck_assert_uint_eq(rights_of(ALICE + 2 * ACCESS_USERS - 1), MAY_ALL);
	ck_assert_uint_eq(database.lookups, 2 * ACCESS_USERS);
	ck_assert_uint_eq(rights_of(ALICE), MAY_ALL);
	ck_assert_uint_eq(database.lookups, 2 * ACCESS_USERS + 1);
}
END_TEST

START_TEST(nobody_is_looked_up_if_no_group_is_set)
{
	access_configure(&rights, &(struct access_rules){NULL, NULL});
	ck_assert_uint_eq(rights_of(ALICE), MAY_READ);
	ck_assert_uint_eq(rights_of(65534), MAY_READ);
	ck_assert_uint_eq(rights_of(0), MAY_ALL | MAY_ALWAYS);
	ck_assert_uint_eq(database.lookups, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("access");
	TCase *tests = tcase_create("access");

	tcase_add_checked_fixture(tests, database_begin, end);
	tcase_add_test(tests, an_answer_is_good_for_some_seconds);
	tcase_add_test(tests, a_reload_forgets_the_answers);
	tcase_add_test(tests, without_an_answer_there_are_no_rights);
	tcase_add_test(tests, a_group_with_the_overflow_id_grants_nothing);
	tcase_add_test(tests, the_longer_a_lookup_took_the_longer_it_is_good_for);
	tcase_add_test(tests, of_many_users_some_are_kept);
	tcase_add_test(tests, nobody_is_looked_up_if_no_group_is_set);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
