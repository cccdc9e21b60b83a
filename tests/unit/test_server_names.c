/* Whose names the server looks up, when, and for how long it knows them. The users and their clients are this
 * test's own: it stands in for libc and for the kernel. */
#include <errno.h>
#include <pwd.h>
#include <sys/syscall.h>

#include "server_house.h"
#include "sys/sysgroup.h"

/* A dynamic user has the groups of its process, so that only names are looked up. */
enum { READER = 61200, READERS = 6000, ADMINS = 6001, NOBODYS = 7000, FIRST_OF_MANY = 1000, SOME_S = 60 };

/* Who connects, and what the system says of users. */
static struct {
	uid_t uid;
	gid_t gid;
	const char *name;  /* of every user; NULL: there is no such user */
	int failure;       /* what a lookup fails with */
	size_t size;       /* that a user's record takes */
	int64_t took_ms;   /* how long a lookup takes */
	unsigned lookups;
} people;

int getpwuid_r(uid_t uid, struct passwd *record, char *strings, size_t size, struct passwd **found)
{
	*found = NULL;
	if (size < people.size)
		return ERANGE;
	people.lookups++;
	house.now_ms += people.took_ms;
	if (people.failure != 0 || people.name == NULL)
		return people.failure;
	*record = (struct passwd){.pw_uid = uid, .pw_name = strings};
	snprintf(strings, size, "%s", people.name);
	*found = record;
	return 0;
}

/* In the place of sys/sysgroup.c. */

int sysgroup_find(const char *name, gid_t *ret_gid)
{
	*ret_gid = strcmp(name, "admins") == 0 ? ADMINS : READERS;
	return 0;
}

int sysgroup_of_user(uid_t uid, gid_t **ret_gids, size_t *ret_count)
{
	(void)uid;
	(void)ret_gids;
	(void)ret_count;
	return ENOENT;
}

bool sysgroup_user_is_dynamic(uid_t uid)
{
	return uid == READER;
}

int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict len)
{
	if (level == SOL_SOCKET && option == SO_PEERCRED) {
		*(struct ucred *)value = (struct ucred){.pid = 1, .uid = people.uid, .gid = people.gid};
		return 0;
	}
	if (level == SOL_SOCKET && option == SO_PEERGROUPS) {
		*len = 0;
		return 0;
	}
	return (int)syscall(SYS_getsockopt, fd, level, option, value, len);
}

/* Clients of this user and group; those of READERS may look, and nobody but root may change. */
static void begin_as(uid_t uid, gid_t gid)
{
	const struct server_rules rules = {.max_clients = 1000, .keep_events = 100,
		.access = {.read_group = "readers"}};

	people.uid = uid;
	people.gid = gid;
	people.name = "rita";
	people.failure = 0;
	people.size = people.lookups = 0;
	people.took_ms = 0;
	begin();
	server_configure(house.server, &rules);
}

static void denied(const char *name)
{
	char text[100];
	const char *reply;

	snprintf(text, sizeof text, "the user is %s\n", name);
	say(0, "KILL ffff\n");
	reply = got(0);
	ck_assert_ptr_nonnull(strstr(reply, "ERR denied not permitted: KILL "));
	ck_assert_ptr_nonnull(strstr(reply, text));
}

/* The name in the spec that a client declares. */
static void declares(int client, const char *name)
{
	char text[100];

	snprintf(text, sizeof text, " user=%s ", name);
	say(client, "UPDATE 0 1\n");
	commit_ends(true);
	ck_assert_ptr_nonnull(strstr(got(client), "\nOK graph="));
	say(client, "SPEC\n");
	ck_assert_ptr_nonnull(strstr(got(client), text));
}

START_TEST(who_only_looks_is_not_looked_up)
{
	begin_as(READER, READERS);
	say(0, "PING\nSPEC\nNODES\nMETRICS\nWATCH ALL\nUNWATCH\nHELP\n");
	ck_assert_ptr_null(strstr(got(0), "ERR"));
	ck_assert_uint_eq(people.lookups, 0);
	denied("rita");
	ck_assert_uint_eq(people.lookups, 1);
	end();
}
END_TEST

START_TEST(who_may_nothing_is_not_looked_up_for_what_all_may)
{
	begin_as(READER, NOBODYS);
	say(0, "PING\nUNWATCH\n");
	ck_assert_str_eq(got(0), "OK\nOK\n");
	ck_assert_uint_eq(people.lookups, 0);
	end();
}
END_TEST

START_TEST(a_name_is_looked_up_once)
{
	begin_as(0, 0);
	for (int i = 0; i < 3; i++)
		declares(i, "rita");
	ck_assert_uint_eq(people.lookups, 1);
	end();
}
END_TEST

START_TEST(a_lookup_that_failed_is_good_for_a_while)
{
	begin_as(READER, READERS);
	people.failure = EIO;
	for (int i = 0; i < 3; i++)
		denied("61200");
	ck_assert_uint_eq(people.lookups, 1);
	house.now_ms += SOME_S * 1000;
	denied("61200");
	ck_assert_uint_eq(people.lookups, 2);
	people.failure = 0;
	house.now_ms += SOME_S * 1000;
	denied("rita");
	house.now_ms += SOME_S * 1000;
	denied("rita");
	ck_assert_uint_eq(people.lookups, 3);
	end();
}
END_TEST

START_TEST(a_user_that_is_not_there_may_come)
{
	begin_as(READER, READERS);
	people.name = NULL;
	denied("61200");
	denied("61200");
	ck_assert_uint_eq(people.lookups, 1);
	people.name = "rita";
	house.now_ms += SOME_S * 1000;
	denied("rita");
	end();
}
END_TEST

/* Or a directory that hangs would be asked again as soon as it has given up. */
START_TEST(the_longer_a_failure_took_the_longer_it_is_good_for)
{
	begin_as(READER, READERS);
	people.failure = EIO;
	people.took_ms = 30 * 1000;
	denied("61200");
	house.now_ms += SOME_S * 1000;
	denied("61200");
	ck_assert_uint_eq(people.lookups, 1);
	house.now_ms += 10 * people.took_ms;
	denied("61200");
	ck_assert_uint_eq(people.lookups, 2);
	end();
}
END_TEST

START_TEST(a_reload_forgets_the_names)
{
	begin_as(0, 0);
	declares(0, "rita");
	people.name = "rosa";
	declares(0, "rita");
	server_configure(house.server, &(struct server_rules){.max_clients = CLIENTS, .keep_events = 100});
	declares(0, "rosa");
	end();
}
END_TEST

START_TEST(a_record_may_be_large)
{
	begin_as(0, 0);
	people.size = 1000 * 1000;
	declares(0, "rita");
	end();
}
END_TEST

static void come_again(uid_t uid)
{
	close(house.clients[0]);
	people.uid = uid;
	connect_client(0);
	denied("rita");
}

START_TEST(of_many_users_those_are_known_who_came_last)
{
	enum { MANY = 10000, FEW = 100 };
	unsigned lookups;

	begin_as(FIRST_OF_MANY, READERS);
	server_configure(house.server, &(struct server_rules){.max_clients = 1000, .keep_events = 100});
	for (uid_t uid = 1; uid <= MANY; uid++) {
		come_again(FIRST_OF_MANY + uid);
		if (uid % FEW == 0) { /* who comes again and again stays known */
			lookups = people.lookups;
			come_again(FIRST_OF_MANY);
			ck_assert_uint_eq(people.lookups, uid == FEW ? lookups + 1 : lookups);
		}
	}
	lookups = people.lookups;
	for (uid_t uid = MANY; uid > MANY - FEW; uid--)
		come_again(FIRST_OF_MANY + uid);
	ck_assert_uint_eq(people.lookups, lookups);
	come_again(FIRST_OF_MANY + 1);
	ck_assert_uint_eq(people.lookups, lookups + 1);
	end();
}
END_TEST

/* Its watch ends with the connection, and nothing is said that would be taken for an answer. */
START_TEST(a_change_of_one_who_may_not_watch_any_more_is_not_called_denied)
{
	const struct server_rules rules = {.max_clients = 1000, .keep_events = 100,
		.access = {.admin_group = "readers"}};
	char byte;

	begin_as(READER, ADMINS);
	server_configure(house.server, &(struct server_rules){.max_clients = 1000, .keep_events = 100,
		.access = {.admin_group = "admins"}});
	for (int client = 0; client < 2; client++) {
		say(client, "WATCH ALL initial=no\n");
		ck_assert_str_eq(got(client), HOUSE_WATCHED);
	}
	say(0, "UPDATE 0 1\n");
	server_configure(house.server, &rules);
	ck_assert_str_eq(got(0), "");
	ck_assert_int_eq(recv(house.clients[0], &byte, 1, MSG_DONTWAIT), 0);
	ck_assert_str_eq(got(1), "ERR denied not permitted: WATCH requires membership in readers; the user is rita\n");
	commit_ends(true);
	ck_assert_uint_eq(core_group_find(engine_core(house.engine), "default")->spec.revision, 1);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("server");
	TCase *tests = tcase_create("names");

	tcase_add_test(tests, who_only_looks_is_not_looked_up);
	tcase_add_test(tests, who_may_nothing_is_not_looked_up_for_what_all_may);
	tcase_add_test(tests, a_name_is_looked_up_once);
	tcase_add_test(tests, a_lookup_that_failed_is_good_for_a_while);
	tcase_add_test(tests, a_user_that_is_not_there_may_come);
	tcase_add_test(tests, the_longer_a_failure_took_the_longer_it_is_good_for);
	tcase_add_test(tests, a_reload_forgets_the_names);
	tcase_add_test(tests, a_record_may_be_large);
	tcase_add_test(tests, of_many_users_those_are_known_who_came_last);
	tcase_add_test(tests, a_change_of_one_who_may_not_watch_any_more_is_not_called_denied);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
