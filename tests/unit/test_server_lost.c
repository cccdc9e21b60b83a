/* What clients get while the state cannot be read: the real server and engine on a store that fails as
 * it is told to. */
#include "server_house.h"

#define LOST "ERR storage the state cannot be read just now: no memory\n"
#define FAILED "ERR storage the disk is full\n"

static void lose_state(void)
{
	say(0, "UPDATE 1 1\n");
	house.unreadable = true;
	commit_ends(false);
	ck_assert_str_eq(got(0), FAILED);
	ck_assert_ptr_nonnull(engine_lost(house.engine));
}

START_TEST(requests_about_the_state_are_refused_and_the_others_answered)
{
	static const char *const refused[] = {"SPEC\n", "SPECS\n", "NODES\n", "NODE 12345\n",
		"GRAPHS\n", "GRAPH 12345\n", "TASKS 12345\n", "GROUPS\n", "STATS\n", "METRICS\n",
		"PLAN 1 1\n", "UPDATE 2 2\n", "KILL 12345\n", "MARK 12345\n", "CANCEL 12345\n", "WATCH ALL\n",
		"WATCH ALL initial=no\n"};

	begin();
	lose_state();
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		say(0, refused[i]);
		ck_assert_str_eq(got(0), LOST);
	}
	say(0, "PING\nNODES\nUNWATCH\nUPDATE 1\nQUIT\n");
	ck_assert_ptr_nonnull(strstr(got(0), "OK\n" LOST "OK\nERR bad-argument "));
	end();
}
END_TEST

START_TEST(who_waits_for_a_commit_when_the_state_is_lost_is_told)
{
	begin();
	say(0, "UPDATE 1 1\n");
	say(1, "NODES\nPING\nSPEC\n");
	say(2, "WATCH TASKS\nPING\n");
	house.unreadable = true;
	commit_ends(false);
	ck_assert_str_eq(got(0), FAILED);
	ck_assert_str_eq(got(1), LOST "OK\n" LOST);
	ck_assert_str_eq(got(2), LOST "OK\n");
	end();
}
END_TEST

START_TEST(an_update_whose_plan_cannot_be_listed_says_that_it_is_made)
{
	begin();
	say(0, "UPDATE 1 1\n");
	say(1, "UPDATE 2 1 group=a\n"); /* in the next commit, which the plan waits for */
	commit_ends(true);
	ck_assert_str_eq(got(0), "");
	house.unreadable = true;
	commit_ends(false);
	ck_assert_str_eq(got(0), "ERR storage the change is made, but "
		"the state cannot be read just now: no memory\n");
	ck_assert_str_eq(got(1), FAILED);
	end();
}
END_TEST

/* Reads on until this has come, or nothing more does; returns the last that came, a text. */
static const char *read_on(int client, const char *until)
{
	static char text[64 * 1024];
	size_t len = 0;

	for (;;) {
		ssize_t more;

		if (len > sizeof text / 2) { /* what is looked for may stand across two reads */
			memmove(text, text + len - 1024, 1024);
			len = 1024;
		}
		run();
		more = recv(house.clients[client], text + len, sizeof text - 1 - len, MSG_DONTWAIT);
		if (more <= 0)
			return text;
		len += (size_t)more;
		text[len] = '\0';
		if (strstr(text, until) != NULL)
			return text;
	}
}

START_TEST(a_line_that_is_begun_is_ended_before_the_error)
{
	static const char end_of_all[] = "\n" LOST;
	const char *text;

	begin();
	say(0, "PLAN 200000 1\n"); /* the line of the barrier is over a megabyte */
	ck_assert_ptr_nonnull(strstr(read_on(0, "prereqs=0,1,"), "prereqs=0,1,"));
	say(1, "UPDATE 1 1\n");
	house.unreadable = true;
	commit_ends(false);
	text = read_on(0, "\nERR ");
	ck_assert_uint_gt(strlen(text), strlen(end_of_all));
	ck_assert_str_eq(text + strlen(text) - strlen(end_of_all), end_of_all);
	ck_assert_ptr_null(strstr(text, "waits=")); /* with which the line would end */
	say(0, "PING\n");
	ck_assert_str_eq(got(0), "OK\n");
	end();
}
END_TEST

/* The group `web` comes to this spec, and its graph to its end. */
static void bring_web_to(const char *spec)
{
	char request[64];

	snprintf(request, sizeof request, "UPDATE %s group=web\n", spec);
	say(0, request);
	for (int commits = 0; house.done != NULL; commits++) {
		ck_assert_int_lt(commits, 100);
		commit_ends(true);
		run();
	}
	got(0);
}

/* Lost is all but the default group, which the graph is not of. */
START_TEST(a_graph_that_was_read_back_goes_with_the_state)
{
	char request[64] = "TASKS ";
	struct graph *graph, *read_back = mem_zalloc(1, sizeof *read_back);

	begin();
	bring_web_to("1 1");
	bring_web_to("2 1");
	graph = TAILQ_FIRST(&core_group_find(engine_core(house.engine), "web")->graphs);
	ck_assert(graph_ended(graph) && !graph_loaded(graph));
	*read_back = (struct graph){.id = graph->id, .state = graph->state};
	id_format_z(&graph->id, request + strlen(request));
	strcat(request, " group=web\n");
	say(1, request);
	ck_assert_ptr_nonnull(house.fetched);
	say(0, "UPDATE 1 1\n");
	house.unreadable = true;
	house.fetched(house.fetched_arg, read_back, NULL);
	commit_ends(false);
	ck_assert_str_eq(got(1), LOST);
	ck_assert_str_eq(got(0), FAILED);
	end();
}
END_TEST

START_TEST(a_watch_goes_on_behind_the_load)
{
	begin();
	say(1, "WATCH GRAPHS\n");
	ck_assert_str_eq(got(1), HOUSE_WATCHED);
	lose_state();
	house.now_ms += 999;
	say(0, "SPEC\n");
	ck_assert_str_eq(got(0), LOST);
	house.unreadable = false;
	house.now_ms += 1;
	engine_turn(house.engine);
	ck_assert_ptr_null(engine_lost(house.engine));
	say(0, "UPDATE 0 1\n");
	commit_ends(true);
	ck_assert_ptr_nonnull(strstr(got(0), "\nOK graph="));
	ck_assert_ptr_nonnull(strstr(got(1), "EVENT 1 graph-started "));
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("server");
	TCase *tests = tcase_create("lost");

	tcase_add_test(tests, requests_about_the_state_are_refused_and_the_others_answered);
	tcase_add_test(tests, who_waits_for_a_commit_when_the_state_is_lost_is_told);
	tcase_add_test(tests, an_update_whose_plan_cannot_be_listed_says_that_it_is_made);
	tcase_add_test(tests, a_line_that_is_begun_is_ended_before_the_error);
	tcase_add_test(tests, a_graph_that_was_read_back_goes_with_the_state);
	tcase_add_test(tests, a_watch_goes_on_behind_the_load);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
