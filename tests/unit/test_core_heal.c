/* Stories of nodes that are killed, die, are unhealthy or must prove themselves; and of a restart. */
#include "core_story.h"

static void group_of_three(void)
{
	story_setup();
	update_to(3, 1);
	all_done();
}

static void kill_slot(uint32_t slot)
{
	ck_assert_int_eq(ask(CORE_KILL, &node_in(slot)->id), 0);
}

/* Kills the node in a slot and waits until its successor is available. Returns after how long the
 * successor was started. */
static int64_t kill_and_wait(uint32_t slot)
{
	int64_t killed_ms = story.now.mono_ms, waited_ms;

	kill_slot(slot);
	done(slot);
	if (group_slot_node(story_group(), slot) == NODE_NONE) {
		expect_gate(last_graph(), last_graph()->task_count - 2, "backoff");
		pass_ms(next_ms());
	}
	waited_ms = story.now.mono_ms - killed_ms;
	done(slot);
	expect_nodes("a1 a1 a1");
	expect_graph(last_graph(), "succeeded");
	return waited_ms;
}

START_TEST(a_killed_node_is_replaced_at_once)
{
	struct node *node;
	struct id killed;

	group_of_three();
	killed = node_in(1)->id;
	kill_slot(1);
	expect_did("kill 1@1");
	expect_told("node-state 1 shutting_down, graph-started kill, task-started 0");
	expect_nodes("a1 d1 a1");
	expect_tasks(last_graph(), "rww");
	/* A second time is no more than the first. */
	ck_assert_int_eq(ask(CORE_KILL, &killed), 0);
	expect_did("");
	done(1);
	expect_did("start 1@1");
	expect_told("node-state 1 failed, task-succeeded 0, task-started 1, "
		"node-started 1 starting");
	node = core_node_find(&story.core, &killed);
	ck_assert_str_eq(node->error, "killed by tester");
	ck_assert_int_eq(ask(CORE_KILL, &killed), -1);
	ck_assert_int_eq(story.error.code, ERR_CONFLICT);
	all_done();
	expect_nodes("a1 a1 a1");
	story_end();
}
END_TEST

START_TEST(deaths_in_a_row_wait)
{
	group_of_three();
	ck_assert_int_eq(kill_and_wait(0), 0);
	ck_assert_int_eq(kill_and_wait(0), 10000);
	ck_assert_int_eq(kill_and_wait(0), 20000);
	/* Every slot for itself. */
	ck_assert_int_eq(kill_and_wait(1), 0);
	for (int64_t delay_ms = 40000; delay_ms < 300000; delay_ms *= 2)
		ck_assert_int_eq(kill_and_wait(0), delay_ms);
	ck_assert_int_eq(kill_and_wait(0), 300000);
	ck_assert_int_eq(kill_and_wait(0), 300000);
	/* Ten minutes of health, not a moment less, and all is forgotten. */
	pass_ms(599999);
	ck_assert_int_eq(kill_and_wait(0), 300000);
	pass_ms(600000);
	ck_assert_int_eq(kill_and_wait(0), 0);
	ck_assert_int_eq(kill_and_wait(0), 10000);
	story_end();
}
END_TEST

START_TEST(an_update_forgets_the_backoff)
{
	group_of_three();
	kill_and_wait(2);
	kill_slot(2);
	done(2);
	expect_nodes("a1 a1");
	story.did[0] = '\0';
	update_to(3, 1);
	expect_did("start 2@1");
	all_done();
	ck_assert_int_eq(next_ms(), -1);
	story_end();
}
END_TEST

START_TEST(a_node_that_dies_by_itself_is_replaced)
{
	group_of_three();
	exits(2);
	expect_did("start 2@1");
	expect_told("node-state 2 failed, graph-started heal, task-started 0, "
		"node-started 2 starting");
	all_done();
	exits(2);
	expect_did("");
	expect_gate(last_graph(), 0, "backoff");
	ck_assert_int_eq(next_ms(), 10000);
	pass_ms(10000);
	expect_did("start 2@1");
	all_done();
	expect_nodes("a1 a1 a1");
	story_end();
}
END_TEST

START_TEST(a_death_supersedes_an_upgrade)
{
	struct graph *upgrade;

	group_of_three();
	update_to(3, 2);
	upgrade = last_graph();
	expect_did("stop 2@1");
	exits(0);
	expect_graph(upgrade, "superseded");
	/* The free place is filled first; the upgrade goes on when all are there. */
	expect_did("start 0@2");
	done(0);
	expect_nodes("a2 a1 d1");
	done(2);
	expect_did("start 2@2");
	ck_assert_int_ne(upgrade->finished_us, 0);
	done(2);
	expect_did("stop 1@1");
	all_done();
	expect_nodes("a2 a2 a2");
	expect_graph(last_graph(), "succeeded");
	story_end();
}
END_TEST

START_TEST(an_unhealthy_node_is_replaced)
{
	group_of_three();
	health(1, false);
	expect_did("stop 1@1");
	expect_nodes("a1 d1 a1");
	all_done();
	expect_nodes("a1 a1 a1");
	/* The next time it has its backoff to recover in. */
	health(1, false);
	expect_did("");
	expect_nodes("a1 u1 a1");
	ck_assert_str_eq(node_in(1)->error, "no pulse");
	health(1, true);
	expect_nodes("a1 a1 a1");
	health(1, false);
	pass_ms(next_ms());
	pass_ms(60000);
	expect_did("stop 1@1");
	all_done();
	expect_nodes("a1 a1 a1");
	story_end();
}
END_TEST

START_TEST(a_node_that_recovers_is_left_alone)
{
	uint32_t graphs;

	group_of_three();
	health(1, false);
	all_done();
	health(1, false);
	health(1, true);
	story.did[0] = story.told[0] = '\0';
	graphs = story_group()->graph_count;
	while (next_ms() >= 0)
		pass_ms(next_ms());
	expect_did("");
	expect_told("");
	ck_assert_uint_eq(story_group()->graph_count, graphs);
	expect_nodes("a1 a1 a1");
	story_end();
}
END_TEST

/* With min-ready it must prove itself again, for as long as the latest spec says. */
START_TEST(a_node_that_recovers_proves_itself)
{
	story_setup();
	story.policy.min_ready_ms = 5000;
	update_to(1, 1);
	done(0);
	pass_ms(5000);
	health(0, false);
	done(0);
	done(0);
	pass_ms(5000);
	health(0, false);
	health(0, true);
	expect_nodes("r1");
	pass_ms(4999);
	expect_nodes("r1");
	pass_ms(1);
	expect_nodes("a1");
	story_end();
}
END_TEST

/* Four nodes in the middle of an upgrade: slot 3 and 0 are done, the latter after a loss, so that
 * its next loss is not made up at once; slot 2 starts, slot 1 is next. */
static void upgrade_under_way(void)
{
	story_setup();
	update_to(4, 1);
	all_done();
	update_to(4, 2);
	done(3);
	ck_assert_int_eq(ask(CORE_CANCEL, &last_graph()->id), 0);
	done(3);
	expect_nodes("a1 a1 a1 a2");
	health(0, false);
	done(0);
	done(0);
	done(2);
	expect_nodes("a2 a1 s2 a2");
	ck_assert_uint_eq(last_graph()->min_available, 3);
	story.did[0] = story.told[0] = '\0';
}

/* A stop that costs availability waits while another node is unexpectedly down. */
START_TEST(the_floor_is_checked_again)
{
	upgrade_under_way();
	health(0, false);
	done(2);
	expect_nodes("u2 a1 a2 a2");
	expect_did("");
	expect_tasks(last_graph(), "sssssww");
	expect_gate(last_graph(), 5, "floor");
	health(0, true);
	expect_did("stop 1@1");
	all_done();
	expect_nodes("a2 a2 a2 a2");
	story_end();
}
END_TEST

/* Where it stays down it is replaced when its backoff has passed; then the upgrade goes on. */
START_TEST(the_floor_holds_until_the_heal)
{
	upgrade_under_way();
	health(0, false);
	done(2);
	pass_ms(9999);
	expect_gate(last_graph(), 5, "floor");
	expect_did("");
	pass_ms(1);
	expect_did("stop 0@2");
	ck_assert_int_eq(last_graph()->reason, REASON_HEAL);
	done(0);
	expect_did("start 0@2");
	done(0);
	expect_did("stop 1@1");
	all_done();
	expect_nodes("a2 a2 a2 a2");
	expect_graph(last_graph(), "succeeded");
	story_end();
}
END_TEST

START_TEST(killing_what_starts_and_what_stops)
{
	story_setup();
	update_to(2, 1);
	kill_slot(0);
	expect_did("start 0@1, start 1@1, kill 0@1");
	done(0);
	expect_did("start 0@1");
	all_done();
	expect_nodes("a1 a1");
	update_to(1, 1);
	kill_slot(1);
	expect_did("stop 1@1, kill 1@1");
	expect_nodes("a1 d1");
	done(1);
	expect_nodes("a1");
	expect_graph(last_graph(), "succeeded");
	/* Between two attempts of its start there is nothing to kill. */
	update_to(2, 1);
	answer(1, RESULT_FAILED, "no room");
	story.did[0] = '\0';
	kill_slot(1);
	expect_did("start 1@1");
	all_done();
	expect_nodes("a1 a1");
	story_end();
}
END_TEST

START_TEST(a_node_that_cannot_be_killed)
{
	group_of_three();
	kill_slot(0);
	answer(0, RESULT_FAILED, "not permitted");
	/* It is there, and broken: it is stopped in the usual way. */
	expect_did("kill 0@1, stop 0@1");
	all_done();
	expect_nodes("a1 a1 a1");
	expect_graph(last_graph(), "succeeded");
	story_end();
}
END_TEST

START_TEST(min_ready)
{
	struct graph *graph;

	story_setup();
	story.policy.min_ready_ms = 5000;
	update_to(2, 1);
	graph = last_graph();
	done(0);
	expect_nodes("r1 s1");
	expect_tasks(graph, "rrw");
	expect_gate(graph, 0, "min-ready");
	pass_ms(2000);
	done(1);
	pass_ms(2999);
	expect_nodes("r1 r1");
	pass_ms(1);
	expect_nodes("a1 r1");
	pass_ms(2000);
	expect_nodes("a1 a1");
	expect_graph(graph, "succeeded");

	/* In an upgrade the next stop waits for it. */
	story.did[0] = '\0';
	update_to(2, 2);
	done(1);
	done(1);
	expect_did("stop 1@1, start 1@2");
	pass_ms(5000);
	expect_did("stop 0@1");
	story_end();
}
END_TEST

/* What runs for as long as the new spec asks is available for its plan, and not stopped at once. */
START_TEST(a_spec_that_asks_for_less_min_ready)
{
	struct graph *graph;

	story_setup();
	story.policy.min_ready_ms = 3600 * 1000;
	update_to(3, 1);
	graph = last_graph();
	done(0);
	done(1);
	pass_ms(1000);
	done(2);
	expect_nodes("r1 r1 r1");
	story.did[0] = '\0';
	story.policy.min_ready_ms = 1000;
	update_to(3, 2);
	expect_graph(graph, "superseded");
	ck_assert_uint_eq(last_graph()->min_available, 2);
	expect_nodes("a1 a1 d1"); /* the third is not available yet, so it goes first */
	expect_did("stop 2@1");
	while (last_graph()->state == GRAPH_RUNNING) {
		all_done();
		pass_ms(1000);
	}
	expect_nodes("a2 a2 a2");
	story_end();
}
END_TEST

START_TEST(a_release_that_does_not_stay_healthy)
{
	struct graph *graph;

	group_of_three();
	story.policy.min_ready_ms = 5000;
	update_to(3, 2);
	graph = last_graph();
	done(2);
	done(2);
	story.did[0] = '\0';
	health(2, false);
	expect_graph(graph, "failed");
	expect_nodes("a1 a1 u2");
	expect_did("");
	ck_assert_str_eq(graph_task_error(graph, 1), "not available after min-ready: no pulse");
	ck_assert_ptr_nonnull(strstr(graph->error, "no pulse"));
	/* It never worked, so that it is not tried again. */
	ck_assert_int_eq(next_ms(), -1);

	update_to(3, 2);
	all_done();
	expect_nodes("a1 a1 r2");
	exits(2);
	expect_graph(last_graph(), "failed");
	expect_nodes("a1 a1");
	story_end();
}
END_TEST

START_TEST(a_spec_that_worked_is_tried_again)
{
	group_of_three();
	exits(0);
	for (int i = 0; i < 3; i++) {
		answer(0, RESULT_FAILED, "no room");
		pass_ms(next_ms());
	}
	answer(0, RESULT_FAILED, "no room");
	expect_graph(last_graph(), "failed");
	expect_nodes("- a1 a1");
	story.did[0] = '\0';
	pass_ms(9999);
	expect_did("");
	pass_ms(1);
	expect_did("start 0@1");
	for (int i = 0; i < 3; i++) {
		answer(0, RESULT_FAILED, "no room");
		pass_ms(next_ms());
	}
	answer(0, RESULT_FAILED, "no room");
	ck_assert_int_eq(next_ms(), 20000);
	pass_ms(20000);
	all_done();
	expect_nodes("a1 a1 a1");
	ck_assert_int_eq(next_ms(), -1);
	story_end();
}
END_TEST

/* A node that readies and is no longer wanted is stopped at no cost; where the stop never comes it
 * becomes available like any other. */
START_TEST(a_released_node)
{
	story_setup();
	story.policy.min_ready_ms = 5000;
	update_to(2, 1);
	done(0);
	done(1);
	story.did[0] = '\0';
	story.policy.max_parallel = 1;
	update_to(2, 2);
	expect_did("stop 1@1");
	expect_nodes("r1 d1");
	ck_assert_int_eq(ask(CORE_CANCEL, &last_graph()->id), 0);
	done(1);
	pass_ms(4999);
	expect_nodes("r1");
	pass_ms(1);
	expect_nodes("a1");
	story_end();
}
END_TEST

/* Its stop failed once, and then it is gone: it does not wait for the next attempt, which may never come. */
START_TEST(a_node_that_ends_between_two_attempts_to_stop_it)
{
	story_setup();
	update_to(2, 1);
	all_done();
	update_to(1, 1);
	answer(1, RESULT_FAILED, "it does not stop");
	expect_gate(last_graph(), 0, "retry");
	exits(1);
	expect_nodes("a1");
	expect_graph(last_graph(), "succeeded");
	ck_assert_int_eq(next_ms(), -1);
	ck_assert_uint_eq(story.core.counters.nodes_died, 0);
	story_end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_killed_node_is_replaced_at_once, deaths_in_a_row_wait,
		an_update_forgets_the_backoff, a_node_that_dies_by_itself_is_replaced,
		a_death_supersedes_an_upgrade, an_unhealthy_node_is_replaced,
		a_node_that_recovers_is_left_alone, a_node_that_recovers_proves_itself,
		the_floor_is_checked_again, the_floor_holds_until_the_heal,
		killing_what_starts_and_what_stops,
		a_node_that_cannot_be_killed, min_ready, a_spec_that_asks_for_less_min_ready,
		a_release_that_does_not_stay_healthy,
		a_spec_that_worked_is_tried_again, a_released_node,
		a_node_that_ends_between_two_attempts_to_stop_it,
	};

	return story_main("core, healing", tests, sizeof tests / sizeof tests[0]);
}
