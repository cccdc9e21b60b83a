/* Stories of updates: plans carried out, retried, failed, superseded, cancelled. */
#include "core_story.h"

START_TEST(update_of_an_empty_group)
{
	struct graph *plan;
	struct core_event event;

	story_setup();
	event = update_event(2, 7);
	ck_assert_int_eq(core_preview(&story.core, &event, &plan, &story.error), 0);
	ck_assert_uint_eq(plan->task_count, 3);
	expect_nodes("");
	ck_assert(last_graph() == NULL);

	update_to(2, 7);
	expect_did("start 0@7, start 1@7");
	expect_told("graph-started update, task-started 0, node-started 0 starting, "
		"task-started 1, node-started 1 starting");
	expect_nodes("s7 s7");
	expect_graph(last_graph(), "running");
	expect_tasks(last_graph(), "rrw");
	expect_gate(last_graph(), 2, "prereqs");

	/* It was what the preview told. */
	ck_assert(id_equal(&plan->id, &last_graph()->id));
	ck_assert(id_equal(&plan->id, &story.graph));
	for (uint32_t t = 0; t < plan->task_count; t++)
		ck_assert(id_equal(&plan->tasks[t].node, &last_graph()->tasks[t].node));
	graph_free(plan);

	done(1);
	expect_told("node-state 1 running, task-succeeded 1");
	done(0);
	expect_told("node-state 0 running, task-succeeded 0, task-started 2, task-succeeded 2, "
		"graph-succeeded update");
	expect_did("");
	expect_nodes("a7 a7");
	ck_assert_int_eq(next_ms(), -1);
	story_end();
}
END_TEST

START_TEST(the_same_again_is_no_task)
{
	story_setup();
	update_to(2, 1);
	all_done();
	update_to(2, 1);
	expect_did("");
	expect_told("graph-started update, graph-succeeded update");
	ck_assert_uint_eq(last_graph()->task_count, 0);
	ck_assert_uint_eq(story_group()->spec.revision, 2);
	update_to(0, 5);
	all_done();
	expect_nodes("");
	update_to(0, 5);
	expect_graph(last_graph(), "succeeded");
	story_end();
}
END_TEST

START_TEST(a_rolling_upgrade_goes_one_by_one)
{
	story_setup();
	update_to(3, 1);
	all_done();
	update_to(3, 2);
	expect_did("stop 2@1");
	done(2);
	expect_did("start 2@2");
	expect_nodes("a1 a1 s2");
	done(2);
	expect_did("stop 1@1");
	done(1);
	done(1);
	expect_did("start 1@2, stop 0@1");
	expect_tasks(last_graph(), "ssssrw");
	done(0);
	done(0);
	expect_nodes("a2 a2 a2");
	expect_graph(last_graph(), "succeeded");
	story_end();
}
END_TEST

START_TEST(a_failed_start_is_tried_again)
{
	static const int64_t delays_ms[] = {1000, 2000, 4000};

	story_setup();
	update_to(1, 1);
	expect_did("start 0@1");
	for (int i = 0; i < 3; i++) {
		story.told[0] = '\0';
		answer(0, RESULT_FAILED, "no room");
		expect_told("task-retrying 0");
		expect_gate(last_graph(), 0, "retry");
		ck_assert_str_eq(graph_task_error(last_graph(), 0), "no room");
		expect_nodes("s1");
		ck_assert_int_ge(next_ms(), delays_ms[i]);
		ck_assert_int_le(next_ms(), delays_ms[i] + delays_ms[i] / 4);
		pass_ms(next_ms() - 1);
		expect_did("");
		pass_ms(1);
		expect_did("start 0@1");
		expect_told("task-started 0");
		ck_assert_uint_eq(last_graph()->tasks[0].attempt, i + 2);
	}
	done(0);
	expect_nodes("a1");
	expect_graph(last_graph(), "succeeded");
	ck_assert_int_eq(next_ms(), -1);
	story_end();
}
END_TEST

static void fail_all_attempts(uint32_t slot, const char *text)
{
	for (uint32_t i = 0; i < story.core.config.retries; i++) {
		answer(slot, RESULT_FAILED, text);
		pass_ms(next_ms());
	}
	answer(slot, RESULT_FAILED, text);
}

START_TEST(a_start_that_fails_for_good_fails_the_graph)
{
	struct graph *graph;

	story_setup();
	update_to(4, 1);
	all_done();
	story.policy.max_surge = (struct amount){2, false};
	update_to(4, 2);
	graph = last_graph();
	expect_did("start 4@2, start 5@2, stop 1@1");
	done(1);
	expect_did("start 1@2");
	story.told[0] = '\0';
	fail_all_attempts(4, "bad release");
	story.did[0] = '\0';
	expect_graph(graph, "running_errored");
	expect_tasks(graph, "fcrcsrcc");
	expect_nodes("a1 s2 a1 a1 - s2");
	ck_assert_uint_eq(graph->failed_task, 0);
	ck_assert_str_eq(graph_task_error(graph, 0), "bad release");
	ck_assert_ptr_nonnull(strstr(graph->error, "task 0, start_node"));
	ck_assert_ptr_nonnull(strstr(graph->error, "slot 4, failed at attempt 4: bad release"));

	/* What is in flight ends; nothing new begins. */
	done(5);
	expect_graph(graph, "running_errored");
	done(1);
	expect_graph(graph, "failed");
	expect_did("");
	expect_nodes("a1 a2 a1 a1 - a2");
	ck_assert_uint_eq(story_group()->spec.version, 2);
	ck_assert_int_eq(next_ms(), -1);

	/* From there a rollback goes like any other update. */
	story.policy = story.core.config.policy;
	update_to(4, 1);
	all_done();
	expect_nodes("a1 a1 a1 a1");
	story_end();
}
END_TEST

/* In the end also those that are between two attempts are given up. */
START_TEST(a_failing_graph_gives_up_what_sleeps)
{
	story_setup();
	update_to(2, 1);
	fail_all_attempts(0, "no");
	expect_graph(last_graph(), "running_errored");
	expect_nodes("- s1");
	done(1);
	expect_graph(last_graph(), "failed");
	story_end();

	story_setup();
	update_to(2, 1);
	answer(0, RESULT_FAILED, "no");
	pass_ms(next_ms());
	answer(0, RESULT_FAILED, "no");
	pass_ms(next_ms());
	answer(0, RESULT_FAILED, "no");
	answer(1, RESULT_FAILED, "nor here");
	pass_ms(1000000);
	answer(0, RESULT_FAILED, "no");
	expect_nodes("- s1");
	answer(1, RESULT_FAILED, "nor here");
	expect_graph(last_graph(), "failed");
	expect_tasks(last_graph(), "ffc");
	expect_nodes("");
	story_end();
}
END_TEST

START_TEST(a_stop_that_fails_for_good_leaves_the_node_unhealthy)
{
	story_setup();
	update_to(2, 1);
	all_done();
	update_to(1, 1);
	fail_all_attempts(1, "it will not die");
	expect_nodes("a1 u1");
	ck_assert_str_eq(node_in(1)->error, "it will not die");
	expect_graph(last_graph(), "failed");
	story_end();
}
END_TEST

/* The new plan reckons with what is in flight, and waits for it where it must. */
START_TEST(an_update_supersedes_another)
{
	struct graph *first, *second;

	story_setup();
	update_to(3, 1);
	first = last_graph();
	done(0);
	story.did[0] = story.told[0] = '\0';

	update_to(3, 2);
	second = last_graph();
	expect_graph(first, "superseded");
	ck_assert(id_equal(&first->successor, &second->id));
	ck_assert_int_eq(first->finished_us, 0);
	expect_tasks(first, "srrc");
	expect_did("cancel 1@1, cancel 2@1");
	expect_told("task-cancelled 3, graph-started update, task-started 0, task-started 1");
	expect_gate(second, 0, "settle");
	expect_nodes("a1 s1 s1");

	/* The place of a node that is gone is taken at once. */
	answer(1, RESULT_CANCELLED, NULL);
	expect_did("start 1@2");
	expect_told("node-state 1 shut_down, task-cancelled 1, task-succeeded 0, "
		"task-started 2, node-started 1 starting");
	answer(2, RESULT_CANCELLED, NULL);
	expect_told("node-state 2 shut_down, task-cancelled 2, graph-superseded update, "
		"task-succeeded 1, task-started 3, node-started 2 starting");
	ck_assert_int_ne(first->finished_us, 0);
	all_done();
	expect_nodes("a2 a2 a2");
	expect_graph(second, "succeeded");
	story_end();
}
END_TEST

START_TEST(a_start_that_is_still_wanted_goes_on)
{
	story_setup();
	update_to(3, 1);
	expect_did("start 0@1, start 1@1, start 2@1");
	update_to(2, 1);
	expect_did("cancel 2@1");
	expect_tasks(last_graph(), "rrr");
	done(0);
	answer(2, RESULT_CANCELLED, NULL);
	expect_tasks(last_graph(), "srs");
	done(1);
	expect_graph(last_graph(), "succeeded");
	expect_nodes("a1 a1");
	story_end();
}
END_TEST

START_TEST(a_start_that_was_quicker_than_its_cancel)
{
	story_setup();
	update_to(2, 1);
	update_to(1, 1);
	story.did[0] = story.told[0] = '\0';
	done(1);
	/* The group is planned anew, and as it is what was wanted, it is the one that stays. */
	expect_did("cancel 0@1");
	ck_assert_int_eq(last_graph()->reason, REASON_SETTLE);
	expect_nodes("s1 a1");
	answer(0, RESULT_CANCELLED, NULL);
	expect_nodes("- a1");
	expect_graph(last_graph(), "succeeded");

	/* One at a version that is not wanted goes the usual way. */
	update_to(2, 1);
	update_to(1, 2);
	story.did[0] = '\0';
	expect_nodes("s1 d1");
	done(0);
	expect_nodes("d1 d1");
	expect_did("stop 0@1");
	all_done();
	expect_nodes("a2");
	story_end();
}
END_TEST

/* Whatever the number of updates, never too many nodes and never too few. */
START_TEST(updates_in_a_row)
{
	story_setup();
	update_to(3, 1);
	all_done();
	for (uint64_t version = 2; version < 30; version++) {
		update_to(3, version);
		ck_assert_uint_le(story_group()->live, 3);
		ck_assert_uint_ge(story_group()->available, 2);
		if (version % 3 == 0)
			done(2);
		story.told[0] = story.did[0] = '\0';
	}
	all_done();
	expect_nodes("a29 a29 a29");
	expect_graph(last_graph(), "succeeded");
	ck_assert_uint_eq(story_group()->in_flight, 0);
	story_end();
}
END_TEST

START_TEST(max_parallel)
{
	story_setup();
	story.policy.max_parallel = 2;
	update_to(5, 1);
	expect_did("start 0@1, start 1@1");
	expect_gate(last_graph(), 2, "parallel");
	expect_gate(last_graph(), 5, "prereqs");
	done(1);
	expect_did("start 2@1");
	/* One that waits for its next attempt still holds its place. */
	answer(0, RESULT_FAILED, "no");
	expect_did("");
	done(2);
	expect_did("start 3@1");
	pass_ms(next_ms());
	expect_did("start 0@1");
	all_done();
	expect_nodes("a1 a1 a1 a1 a1");
	story_end();
}
END_TEST

START_TEST(cancel)
{
	struct graph *graph;
	struct id none = {{1}};

	story_setup();
	update_to(3, 1);
	all_done();
	update_to(3, 2);
	graph = last_graph();
	done(2);
	story.did[0] = story.told[0] = '\0';
	ck_assert_int_eq(ask(CORE_CANCEL, &graph->id), 0);
	expect_graph(graph, "cancelled");
	expect_tasks(graph, "srcccc");
	expect_told("task-cancelled 2, task-cancelled 3, task-cancelled 4, task-cancelled 5");
	ck_assert_int_eq(ask(CORE_CANCEL, &graph->id), -1);
	ck_assert_int_eq(story.error.code, ERR_CONFLICT);
	done(2);
	expect_told("node-state 2 running, task-succeeded 1, graph-cancelled update");
	expect_did("");
	expect_nodes("a1 a1 a2");
	ck_assert_int_eq(ask(CORE_CANCEL, &graph->id), -1);
	ck_assert_int_eq(ask(CORE_CANCEL, &none), -1);
	ck_assert_int_eq(story.error.code, ERR_NOT_FOUND);
	story_end();
}
END_TEST

START_TEST(if_revision)
{
	struct core_event event;

	story_setup();
	update_to(1, 1);
	event = update_event(2, 1);
	event.update.has_if_revision = true;
	event.update.if_revision = 2;
	ck_assert_int_eq(story_step(event), -1);
	ck_assert_int_eq(story.error.code, ERR_CONFLICT);
	ck_assert_uint_eq(story_group()->spec.revision, 1);
	event.update.if_revision = 1;
	ck_assert_int_eq(story_step(event), 0);
	ck_assert_uint_eq(story_group()->spec.revision, 2);
	/* A group that is not there is at revision 0. */
	event.update.group = "web";
	ck_assert_int_eq(story_step(event), -1);
	ck_assert_ptr_null(core_group_find(&story.core, "web"));
	event.update.if_revision = 0;
	ck_assert_int_eq(story_step(event), 0);
	ck_assert_ptr_nonnull(core_group_find(&story.core, "web"));
	story_end();
}
END_TEST

START_TEST(groups_have_a_limit_and_do_not_mix)
{
	struct core_config config = story_config();
	struct core_event event;

	config.max_groups = 2;
	story_begin(&config);
	event = update_event(2, 1);
	event.update.group = "web";
	ck_assert_int_eq(story_step(event), 0);
	expect_did("start 0@1, start 1@1");
	event.update.group = "third";
	ck_assert_int_eq(story_step(event), -1);
	ck_assert_int_eq(story.error.code, ERR_TOO_MANY);
	expect_nodes("");
	update_to(1, 4);
	expect_did("start 0@4");
	expect_nodes("s4");
	ck_assert_uint_eq(core_group_find(&story.core, "web")->live, 2);
	story_end();
}
END_TEST

START_TEST(marked_nodes_go_first)
{
	story_setup();
	update_to(3, 1);
	all_done();
	ck_assert_int_eq(ask(CORE_MARK, &node_in(1)->id), 0);
	expect_did("");
	update_to(2, 1);
	expect_did("stop 1@1");
	all_done();
	expect_nodes("a1 - a1");
	story_end();
}
END_TEST

START_TEST(the_past_is_kept_to_a_limit)
{
	struct core_config config = story_config();
	uint64_t number = 0;

	config.keep_graphs = 3;
	config.keep_specs = 2;
	config.keep_nodes = 4;
	story_begin(&config);
	for (uint64_t version = 1; version <= 20; version++) {
		update_to(2, version);
		all_done();
	}
	ck_assert_uint_eq(story_group()->graph_count, 3);
	ck_assert_ptr_null(group_spec_from(story_group(), 21));
	ck_assert_uint_eq(group_spec_from(story_group(), 1)->revision, 19);
	for (int i = 0; i < 4; i++, number++) {
		uint32_t ref = group_ended_from(story_group(), &number);

		ck_assert_uint_ne(ref, NODE_NONE);
		ck_assert_uint_ge(node_at(&story.core.nodes, ref)->version, 18);
	}
	ck_assert_uint_eq(group_ended_from(story_group(), &number), NODE_NONE);
	ck_assert_uint_eq(story.core.node_ids.count, 2 + 4);
	story_end();
}
END_TEST

/* Large graphs begin a budget at a time. */
START_TEST(a_budget_of_starts)
{
	struct core_event event;
	bool more;

	story_setup();
	event = update_event(250, 1);
	ck_assert_int_eq(core_step(&story.core, &event, &story.update, &story.error), 0);
	for (uint32_t begun = 100; begun <= 300; begun += 100) {
		more = core_run(&story.core, &story.now, 100, &story.update);
		ck_assert_uint_eq(story_group()->live, begun < 250 ? begun : 250);
		ck_assert(more == (begun < 250));
		story_check();
		update_clear(&story.update);
		story.told[0] = '\0';
	}
	story_end();
}
END_TEST

/* Answers that no longer fit, or never did. */
START_TEST(stale_reports_are_ignored)
{
	struct core_event event = {.kind = CORE_DONE, .done = {.op = OP_STOP}};

	story_setup();
	update_to(1, 1);
	story.did[0] = story.told[0] = '\0';
	event.id = node_in(0)->id;
	ck_assert_int_eq(story_step(event), 0);
	expect_nodes("s1");
	done(0);
	story.told[0] = '\0';
	event.done.op = OP_START;
	event.done.result = RESULT_FAILED;
	ck_assert_int_eq(story_step(event), 0);
	event.done.op = OP_KILL;
	ck_assert_int_eq(story_step(event), 0);
	event.id.bytes[0] ^= 1;
	for (enum core_event_kind kind = CORE_DONE; kind <= CORE_INSPECTED; kind++) {
		event.kind = kind;
		ck_assert_int_eq(story_step(event), 0);
	}
	expect_told("");
	expect_did("");
	expect_nodes("a1");
	story_end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		update_of_an_empty_group, the_same_again_is_no_task,
		a_rolling_upgrade_goes_one_by_one, a_failed_start_is_tried_again,
		a_start_that_fails_for_good_fails_the_graph, a_failing_graph_gives_up_what_sleeps,
		a_stop_that_fails_for_good_leaves_the_node_unhealthy, an_update_supersedes_another,
		a_start_that_is_still_wanted_goes_on, a_start_that_was_quicker_than_its_cancel,
		updates_in_a_row, max_parallel, cancel, if_revision,
		groups_have_a_limit_and_do_not_mix, marked_nodes_go_first,
		the_past_is_kept_to_a_limit, a_budget_of_starts, stale_reports_are_ignored,
	};

	return story_main("core, updates", tests, sizeof tests / sizeof tests[0]);
}
