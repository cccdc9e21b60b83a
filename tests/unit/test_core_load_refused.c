/* States that no daemon can have written are refused when they are loaded, before anything is done with them. Each case
 * spoils one thing of a state that loads as it is. */
#include "core_restart.h"

static struct graph *first_graph(void)
{
	return TAILQ_FIRST(&story_group()->graphs);
}

/* The first task of the newest graph in this state. */
static struct task *task_in(enum task_state state)
{
	struct graph *graph = last_graph();

	for (uint32_t t = 0; t < graph->task_count; t++)
		if (graph->tasks[t].state == state)
			return &graph->tasks[t];
	ck_abort_msg("no task is %s", task_state_name(state));
}

/* ---- a rolling upgrade, whose first start is in flight ------------------------------------- */

static void newest_for_an_older_spec(void) { last_graph()->revision = 1; }
static void newest_for_no_spec(void) { last_graph()->revision = 9; }
static void newest_with_a_higher_floor(void) { last_graph()->min_available = 3; }
static void newest_with_a_lower_ceiling(void) { last_graph()->max_live = 2; }
static void newest_has_ended(void) { last_graph()->finished_us = 1; }
static void newest_waits(void) { last_graph()->state = GRAPH_WAITING; }
static void newest_has_a_successor(void) { last_graph()->successor = (struct id){{1}}; }
static void newest_has_a_failed_task(void) { last_graph()->failed_task = 0; }
static void newest_is_superseded(void) { last_graph()->state = GRAPH_SUPERSEDED; }
static void newest_was_errored(void) { last_graph()->state = GRAPH_RUNNING_ERRORED; }
static void oldest_runs(void) { first_graph()->state = GRAPH_RUNNING; }
static void oldest_has_not_ended(void) { first_graph()->finished_us = 0; }
static void oldest_was_dropped(void) { first_graph()->dropped_us = 1; }
static void oldest_counts_too_few(void) { first_graph()->counts[TASK_SUCCEEDED]--; }
static void ended_task_at_no_time(void) { first_graph()->tasks[0].finished_us = 0; }
static void running_task_has_ended(void) { task_in(TASK_RUNNING)->finished_us = 1; }
static void running_task_of_another_version(void) { task_in(TASK_RUNNING)->version = 9; }
static void waiting_start_of_another_version(void) { last_graph()->tasks[3].version = 9; }
static void waiting_stop_of_another_version(void) { last_graph()->tasks[2].version = 9; }
static void node_for_no_spec(void) { node_in(1)->revision = 9; }
static void running_node_never_started(void) { node_in(1)->started_us = 0; }
static void starting_node_has_run(void) { node_in(2)->started_us = 1; }
static void start_is_cancelled(void) { node_in(2)->op = OP_CANCEL; }
static void ended_node_is_in_flight(void)
{
	uint64_t number = 0;

	node_at(&story.core.nodes, group_ended_from(story_group(), &number))->op = OP_STOP;
}
static void reached_no_spec(void) { story_group()->proven_revision = 9; }

/* ---- a graph that waits for what is in flight of the one before it ------------------------- */

static void settle_waits(void)
{
	struct task *task = task_in(TASK_RUNNING);

	task->state = TASK_WAITING;
	task->started_us = 0;
}
static void settle_of_a_node_at_rest(void)
{
	struct graph *old = first_graph();
	struct node *node = core_node_find(&story.core, &task_in(TASK_RUNNING)->node);

	node->state = NODE_UNHEALTHY;
	node->op = OP_NONE;
	node->started_us = 1;
	old->state = GRAPH_SUPERSEDED;
	old->tasks[node->task].state = TASK_FAILED;
	old->tasks[node->task].finished_us = 1;
}

/* ---- the cases ----------------------------------------------------------------------------- */

struct spoiled {
	void (*spoil)(void);
	const char *text; /* of the message */
};

static const struct spoiled upgrade_cases[] = {
	{newest_for_an_older_spec, "a graph runs for another spec than the current one"},
	{newest_for_no_spec, "a graph works towards a spec that is not there"},
	{newest_with_a_higher_floor, "the bounds of a graph are not those of its spec"},
	{newest_with_a_lower_ceiling, "the bounds of a graph are not those of its spec"},
	{newest_has_ended, "a graph runs that has ended"},
	{newest_waits, "a graph waits to begin"},
	{newest_has_a_successor, "a graph is superseded, or has a successor, but not both"},
	{newest_has_a_failed_task, "a task failed of a graph that did not"},
	{newest_is_superseded, "a graph does not go on, and its tasks were not cancelled"},
	{newest_was_errored, "a graph does not go on, and its tasks were not cancelled"},
	{oldest_runs, "a graph runs that has ended"},
	{oldest_has_not_ended, "a graph is over and has not ended"},
	{oldest_was_dropped, "a graph goes on whose tasks were cancelled"},
	{oldest_counts_too_few, "a graph counts other tasks than it has"},
	{ended_task_at_no_time, "a task has ended at no time"},
	{running_task_has_ended, "a task goes on that has ended"},
	{running_task_of_another_version, "a task runs on another node than planned"},
	{waiting_start_of_another_version, "a task waits that cannot begin"},
	{waiting_stop_of_another_version, "a task waits that cannot begin"},
	{node_for_no_spec, "a node was started for a spec that is not there"},
	{running_node_never_started, "a node runs that was never started"},
	{starting_node_has_run, "a node is starting that has run"},
	{start_is_cancelled, "a task runs on a node that does something else"},
	{ended_node_is_in_flight, "the driver has yet to answer for a node that has ended"},
	{reached_no_spec, "a spec was reached that is not there"},
};

static const struct spoiled settle_cases[] = {
	{settle_waits, "a Settle has not begun"},
	{settle_of_a_node_at_rest, "a Settle waits for nothing"},
};

static void try_cases(void (*make)(void), const struct spoiled *cases, size_t count)
{
	struct error error;

	story_setup();
	make();
	restart(); /* as it is, it loads */
	story_end();
	for (size_t i = 0; i < count; i++) {
		story_setup();
		make();
		cases[i].spoil();
		ck_assert_msg(try_restart(&error) < 0, "accepted: %s", cases[i].text);
		ck_assert_int_eq(error.code, ERR_STORAGE);
		ck_assert_msg(strstr(error.text, cases[i].text) != NULL, "\"%s\", and not: %s", error.text,
			cases[i].text);
		story_end();
	}
}

static void make_upgrade(void)
{
	update_to(3, 1);
	all_done();
	update_to(3, 2);
	done(2);
	expect_nodes("a1 a1 s2");
}

static void make_settles(void)
{
	update_to(2, 1);
	update_to(2, 2);
}

START_TEST(a_state_that_contradicts_itself_is_refused)
{
	try_cases(make_upgrade, upgrade_cases, sizeof upgrade_cases / sizeof upgrade_cases[0]);
	try_cases(make_settles, settle_cases, sizeof settle_cases / sizeof settle_cases[0]);
}
END_TEST

/* What was never seen is found all the same, as an invariant that does not hold. */
START_TEST(a_broken_invariant_is_a_contradiction)
{
	struct error error;

	story_setup();
	make_upgrade();
	task_in(TASK_WAITING)->state = TASK_SUCCEEDED;
	last_graph()->tasks[2].finished_us = 1;
	ck_assert_int_lt(try_restart(&error), 0);
	ck_assert_int_eq(error.code, ERR_STORAGE);
	ck_assert_msg(strstr(error.text, "contradicts itself: ") != NULL, "%s", error.text);
	story_end();
}
END_TEST

START_TEST(a_name_that_no_group_can_have_is_refused)
{
	struct id id = {{1}};
	struct error error;

	story_setup();
	ck_assert_int_lt(core_load_group(&story.core, "w Z", &id, 0, &error), 0);
	ck_assert_int_eq(error.code, ERR_STORAGE);
	story_end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_state_that_contradicts_itself_is_refused, a_broken_invariant_is_a_contradiction,
		a_name_that_no_group_can_have_is_refused,
	};

	return story_main("core, states that are refused", tests, sizeof tests / sizeof tests[0]);
}
