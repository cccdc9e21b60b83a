/* Plans that clients ask for: large ones are made one in a pass of the loop, so that others are answered in
 * between. */
#include <signal.h>

#include "server_house.h"

static void send_only(int client, const char *text)
{
	ck_assert_int_eq(send(house.clients[client], text, strlen(text), 0), (int)strlen(text));
}

static bool has_reply(int client)
{
	char text[4096];

	return recv(house.clients[client], text, sizeof text, MSG_DONTWAIT) > 0;
}

/* Requests that were carried out. */
static uint64_t handled(void)
{
	struct server_load load;

	server_load(house.server, &load);
	return load.requests;
}

static void one_pass(void)
{
	event_base_loop(house.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

START_TEST(one_large_plan_is_made_in_a_pass)
{
	send_only(0, "PLAN 10000 1 quiet=yes\n");
	send_only(1, "PLAN 10000 1 quiet=yes\n");
	send_only(2, "PING\n");
	one_pass();
	ck_assert_uint_eq(handled(), 2);
	ck_assert(has_reply(2));
	one_pass();
	ck_assert_uint_eq(handled(), 3);
	run();
	ck_assert(has_reply(0));
	ck_assert(has_reply(1));
	ck_assert_uint_eq(handled(), 3);
}
END_TEST

START_TEST(small_plans_do_not_wait)
{
	for (int i = 0; i < CLIENTS; i++)
		send_only(i, "PLAN 3 1 quiet=yes\n");
	one_pass();
	ck_assert_uint_eq(handled(), CLIENTS);
}
END_TEST

START_TEST(a_client_may_go_while_its_plan_waits)
{
	signal(SIGPIPE, SIG_IGN); /* as imd does */
	for (int i = 0; i < CLIENTS; i++)
		send_only(i, "PLAN 10000 1 quiet=yes\n");
	one_pass();
	for (int i = 0; i < CLIENTS; i++) {
		close(house.clients[i]);
		run();
		connect_client(i);
		say(i, "PING\n");
		ck_assert(has_reply(i));
	}
}
END_TEST

START_TEST(plans_wait_when_the_daemon_shuts_down)
{
	for (int i = 0; i < CLIENTS; i++)
		send_only(i, "PLAN 10000 1 quiet=yes\n");
	one_pass();
	server_stop(house.server);
	run();
}
END_TEST

static Suite *previews_suite(void)
{
	Suite *suite = suite_create("previews");
	TCase *tests = tcase_create("previews");

	tcase_add_checked_fixture(tests, begin, end);
	tcase_add_test(tests, one_large_plan_is_made_in_a_pass);
	tcase_add_test(tests, small_plans_do_not_wait);
	tcase_add_test(tests, a_client_may_go_while_its_plan_waits);
	tcase_add_test(tests, plans_wait_when_the_daemon_shuts_down);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return unit_run(previews_suite(), CK_FORK_GETENV);
}
