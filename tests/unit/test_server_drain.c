/* What clients get when the daemon is to end: the real server and engine, and commits that take as long as
 * the test says. */
#include "server_house.h"

#define ENDS "ERR shutting-down the daemon ends\n"
#define CLOSED "(closed)"

static int drained;

static void on_drained(void *arg)
{
	(void)arg;
	drained++;
}

static void begin_drain(void)
{
	drained = 0;
	server_drain(house.server, on_drained, NULL);
	ck_assert_int_eq(drained, 0); /* never from within */
	run();
}

/* What the client has got, and whether the connection is closed behind it. */
static const char *told(int client)
{
	static char text[4096];
	char byte;
	bool closed;

	snprintf(text, sizeof text, "%s", got(client));
	closed = recv(house.clients[client], &byte, 1, MSG_DONTWAIT) == 0;
	return closed ? strcat(text, CLOSED) : text;
}

static void expect_told(int client, const char *begins, const char *ends)
{
	const char *text = told(client);

	ck_assert_msg(strncmp(text, begins, strlen(begins)) == 0, "%s", text);
	ck_assert_uint_ge(strlen(text), strlen(ends));
	ck_assert_str_eq(text + strlen(text) - strlen(ends), ends);
}

START_TEST(who_waits_for_nothing_is_told_at_once)
{
	begin();
	say(1, "WATCH ALL initial=no\n");
	ck_assert_str_eq(got(1), HOUSE_WATCHED);
	say(2, "UPDATE 1 "); /* a request that is not whole is not begun */
	begin_drain();
	for (int client = 0; client < CLIENTS; client++)
		ck_assert_str_eq(told(client), ENDS CLOSED);
	ck_assert_int_eq(drained, 1);
	end();
}
END_TEST

START_TEST(what_was_begun_is_answered_first)
{
	begin();
	say(0, "UPDATE 1 1 quiet=yes\nUPDATE 1 2 quiet=yes\n");
	say(1, "SPEC\n"); /* it waits for the commit, and is not begun */
	begin_drain();
	ck_assert_str_eq(told(1), ENDS CLOSED);
	ck_assert_str_eq(told(2), ENDS CLOSED);
	ck_assert_str_eq(told(0), "");
	ck_assert_int_eq(drained, 0);
	commit_ends(true);
	expect_told(0, "GRAPH ", "\n" ENDS CLOSED);
	ck_assert_uint_eq(core_group_find(engine_core(house.engine), "default")->spec.revision, 1);
	ck_assert_int_eq(drained, 1);
	end();
}
END_TEST

START_TEST(what_has_failed_is_told_too)
{
	begin();
	say(0, "UPDATE 1 1\n");
	begin_drain();
	commit_ends(false);
	ck_assert_str_eq(told(0), "ERR storage the disk is full\n" ENDS CLOSED);
	ck_assert_int_eq(drained, 1);
	end();
}
END_TEST

/* The time for it is over: whether the commit goes well is not known. */
START_TEST(who_is_not_waited_for_is_told_nothing_false)
{
	begin();
	say(0, "UPDATE 1 1\n");
	begin_drain();
	server_stop(house.server);
	ck_assert_str_eq(told(0), CLOSED);
	end();
}
END_TEST

/* The change is stored, and its plan waits for the next commit: it was begun all the same. */
START_TEST(a_change_without_its_plan_is_not_called_not_begun)
{
	begin();
	say(0, "UPDATE 1 1\n");
	say(1, "UPDATE 1 1 group=b\n");
	begin_drain();
	commit_ends(true);
	run();
	ck_assert_uint_eq(core_group_find(engine_core(house.engine), "default")->spec.revision, 1);
	ck_assert_int_eq(drained, 0);
	server_stop(house.server);
	ck_assert_str_eq(told(0), CLOSED);
	ck_assert_str_eq(told(1), CLOSED);
	end();
}
END_TEST

START_TEST(a_copy_is_sent_to_its_end)
{
	begin();
	say(0, "BACKUP\n");
	begin_drain();
	ck_assert_str_eq(told(0), "");
	ck_assert_int_eq(drained, 0);
	piece_comes("abc", 3, NULL);
	ck_assert_str_eq(told(0), "DATA offset=0 bytes=3 base64=YWJj\n");
	piece_comes("", 0, NULL);
	ck_assert_str_eq(told(0), "OK bytes=3\n" ENDS CLOSED);
	ck_assert(!house.copying);
	ck_assert_int_eq(drained, 1);
	end();
}
END_TEST

/* It has changed nothing: to ask the next daemon for it is no harm. */
START_TEST(a_copy_that_is_not_waited_for_is_called_off)
{
	begin();
	say(0, "BACKUP\n");
	begin_drain();
	piece_comes("abc", 3, NULL);
	run();
	server_stop(house.server);
	ck_assert(!house.copying);
	ck_assert_str_eq(told(0), "DATA offset=0 bytes=3 base64=YWJj\n" ENDS CLOSED);
	end();
}
END_TEST

START_TEST(nobody_is_let_in_any_more)
{
	int late = socket(AF_UNIX, SOCK_STREAM, 0);

	begin();
	say(0, "UPDATE 1 1\n");
	begin_drain();
	ck_assert_int_lt(connect(late, (struct sockaddr *)&house.address, sizeof house.address), 0);
	close(late);
	commit_ends(true);
	run();
	ck_assert_int_eq(drained, 1);
	end();
}
END_TEST

START_TEST(without_clients_it_is_over_at_once)
{
	begin();
	for (int client = 0; client < CLIENTS; client++)
		say(client, "QUIT\n");
	begin_drain();
	ck_assert_int_eq(drained, 1);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("server");
	TCase *tests = tcase_create("drain");

	tcase_add_test(tests, who_waits_for_nothing_is_told_at_once);
	tcase_add_test(tests, what_was_begun_is_answered_first);
	tcase_add_test(tests, what_has_failed_is_told_too);
	tcase_add_test(tests, who_is_not_waited_for_is_told_nothing_false);
	tcase_add_test(tests, a_change_without_its_plan_is_not_called_not_begun);
	tcase_add_test(tests, a_copy_is_sent_to_its_end);
	tcase_add_test(tests, a_copy_that_is_not_waited_for_is_called_off);
	tcase_add_test(tests, nobody_is_let_in_any_more);
	tcase_add_test(tests, without_clients_it_is_over_at_once);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
