/* What of the events is logged, and when: not before it is durable, and never where it was taken back. */
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/notes.h"
#include "unit.h"

static struct notes notes;
static struct group group = {.name = "web"};
static struct task tasks[2] = {{.action = ACTION_START_NODE, .slot = 3, .version = 7}};
static struct graph graph = {.revision = 2, .reason = REASON_UPDATE, .tasks = tasks, .task_count = 1,
	.created_us = 1000000};
static struct node node = {.version = 7, .slot = 3, .died = true, .state = NODE_FAILED};
static int pipe_end = -1;

static void set_up(void)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	pipe_end = ends[0];
	memset(&graph.id, 0x11, sizeof graph.id);
	memset(&tasks[0].node, 0x22, sizeof tasks[0].node);
	memset(&node.id, 0x22, sizeof node.id);
	notes_init(&notes);
}

static void tear_down(void)
{
	notes_fini(&notes);
}

/* What was logged since the last call; a line that marks the end is written first. */
static const char *logged(void)
{
	static char text[4096];
	ssize_t got;

	ck_assert_int_eq(write(STDERR_FILENO, "end", 3), 3);
	got = read(pipe_end, text, sizeof text - 1);
	ck_assert_int_ge(got, 3);
	text[got - 3] = '\0';
	return text;
}

static void take_graph(uint64_t seq, enum event_type type)
{
	notes_take(&notes, seq, &(struct notice){.type = type, .at_us = 3500000, .group = &group,
		.graph = &graph, .task = type >= EVENT_TASK_STARTED ? 0 : TASK_NONE});
}

static void take_node(uint64_t seq)
{
	notes_take(&notes, seq, &(struct notice){.type = EVENT_NODE_STATE, .group = &group,
		.task = TASK_NONE, .node = &node});
}

#define GRAPH "graph=11111111-1111-1111-1111-111111111111"
#define NODE "node=22222222-2222-2222-2222-222222222222"

START_TEST(an_end_is_logged_once_it_is_durable)
{
	take_graph(5, EVENT_GRAPH_SUCCEEDED);
	notes_publish(&notes, 4);
	ck_assert_str_eq(logged(), "");
	notes_publish(&notes, 5);
	ck_assert_str_eq(logged(), "<6>graph-succeeded group=web " GRAPH
		" revision=2 reason=update tasks=1 took-ms=2500\n");
	notes_publish(&notes, 6);
	ck_assert_str_eq(logged(), "");
}
END_TEST

START_TEST(what_was_taken_back_is_not_logged)
{
	graph.error = (char[]){"task 0 failed"};
	take_graph(5, EVENT_GRAPH_FAILED);
	take_graph(6, EVENT_GRAPH_FAILED);
	take_node(7);
	notes_retract(&notes, 5);
	take_graph(6, EVENT_GRAPH_CANCELLED);
	graph.error = NULL; /* what was noted does not depend on it */
	notes_publish(&notes, 100);
	ck_assert_str_eq(logged(), "<4>graph-failed group=web " GRAPH
		" revision=2 reason=update tasks=1 took-ms=2500 error=\"task 0 failed\"\n"
		"<5>graph-cancelled group=web " GRAPH
		" revision=2 reason=update tasks=1 took-ms=2500 error=\"task 0 failed\"\n");
}
END_TEST

START_TEST(who_asked_and_who_cancelled_is_told)
{
	graph.origin = (struct origin){.uid = 1, .user = "anna"};
	graph.canceller = (struct origin){.uid = 2, .user = "carol \"c\""};
	log_set_level(LEVEL_DEBUG);
	take_graph(1, EVENT_GRAPH_STARTED);
	take_graph(2, EVENT_GRAPH_CANCELLED);
	take_graph(3, EVENT_GRAPH_SUCCEEDED); /* nobody does that */
	graph.origin = graph.canceller = (struct origin){0};
	notes_publish(&notes, 3);
	log_set_level(LEVEL_INFO);
	ck_assert_str_eq(logged(), "<7>graph-started group=web " GRAPH
		" revision=2 reason=update user=anna tasks=1 took-ms=2500\n"
		"<5>graph-cancelled group=web " GRAPH
		" revision=2 reason=update user=\"carol \\\"c\\\"\" tasks=1 took-ms=2500\n"
		"<6>graph-succeeded group=web " GRAPH
		" revision=2 reason=update tasks=1 took-ms=2500\n");
}
END_TEST

START_TEST(a_superseded_graph_names_its_successor)
{
	memset(&graph.successor, 0x33, sizeof graph.successor);
	take_graph(1, EVENT_GRAPH_SUPERSEDED);
	memset(&graph.successor, 0, sizeof graph.successor);
	notes_publish(&notes, 1);
	ck_assert_ptr_nonnull(strstr(logged(), " successor=33333333-3333-3333-3333-333333333333\n"));
}
END_TEST

START_TEST(deaths_and_replacements_are_of_note)
{
	node.error = (char[]){"gone"};
	take_node(1);
	node.error = NULL;
	tasks[0].replaces = true;
	take_graph(2, EVENT_TASK_SUCCEEDED);
	tasks[0].replaces = false;
	notes_publish(&notes, 2);
	ck_assert_str_eq(logged(), "<4>node-died group=web " NODE " slot=3 version=7 error=gone\n"
		"<6>node-replaced group=web " NODE " slot=3 version=7 " GRAPH "\n");
}
END_TEST

START_TEST(the_rest_is_not_of_note)
{
	take_graph(1, EVENT_GRAPH_STARTED); /* but at the level of debug */
	take_graph(2, EVENT_TASK_STARTED);
	take_graph(3, EVENT_TASK_SUCCEEDED);
	graph.reason = REASON_KILL; /* it has other starts besides those of successors */
	take_graph(4, EVENT_TASK_SUCCEEDED);
	graph.reason = REASON_UPDATE;
	take_graph(4, EVENT_TASK_FAILED);
	node.died = false; /* it could not be started */
	take_node(5);
	node.died = true;
	node.state = NODE_UNHEALTHY;
	take_node(6);
	node.state = NODE_FAILED;
	notes_publish(&notes, 10);
	ck_assert_str_eq(logged(), "");
	log_set_level(LEVEL_DEBUG);
	take_graph(11, EVENT_GRAPH_STARTED);
	notes_publish(&notes, 11);
	ck_assert_int_eq(strncmp(logged(), "<7>graph-started group=web ", 27), 0);
	log_set_level(LEVEL_INFO);
}
END_TEST

static Suite *notes_suite(void)
{
	Suite *suite = suite_create("notes");
	TCase *tests = tcase_create("notes");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, an_end_is_logged_once_it_is_durable);
	tcase_add_test(tests, what_was_taken_back_is_not_logged);
	tcase_add_test(tests, who_asked_and_who_cancelled_is_told);
	tcase_add_test(tests, a_superseded_graph_names_its_successor);
	tcase_add_test(tests, deaths_and_replacements_are_of_note);
	tcase_add_test(tests, the_rest_is_not_of_note);
	suite_add_tcase(suite, tests);
	return suite;
}

/* Each test has a process of its own: they change stderr. */
int main(void)
{
	return unit_run(notes_suite(), CK_FORK);
}
