/* Stories of what is in flight when a graph is superseded, and then does not come as planned: what
 * is still wanted is tried again, and what fails for good fails the graph that waits for it, so that
 * a bad release comes to an end however it was overtaken. */
#include "core_story.h"

enum { ROUNDS_MAX = 1000 };

/* The one in flight when the graph was planned, and those that follow on its account. */
static void fail_all_attempts(uint32_t slot, const char *text)
{
	for (uint32_t i = 0; i < story.core.config.retries + 1; i++) {
		answer(slot, RESULT_FAILED, text);
		pass_ms(next_ms());
	}
	answer(slot, RESULT_FAILED, text);
}

static uint64_t plan_count(void)
{
	uint64_t count = 0;

	for (int reason = 0; reason < REASON_COUNT; reason++)
		count += story.core.counters.plans[reason];
	return count;
}

/* Starts fail and all else is done, until nothing is left to do. Returns how many graphs were
 * planned in the end. */
static uint64_t fail_starts_to_the_end(void)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		bool idle = true;

		for (uint32_t slot = 0; slot < story_group()->slots_used; slot++) {
			uint32_t ref = group_slot_node(story_group(), slot);
			enum node_op op = ref == NODE_NONE ? OP_NONE
				: (enum node_op)node_at(&story.core.nodes, ref)->op;

			if (op == OP_NONE)
				continue;
			idle = false;
			answer(slot, op == OP_START ? RESULT_FAILED
				: op == OP_CANCEL ? RESULT_CANCELLED : RESULT_OK, "bad release");
		}
		if (idle && next_ms() < 0)
			return plan_count();
		if (idle)
			pass_ms(next_ms());
		story.did[0] = story.told[0] = '\0';
	}
	ck_abort_msg("it goes on for ever: %llu plans", (unsigned long long)plan_count());
}

/* A start of the old graph that the new one relies on fails: its next attempt follows. */
START_TEST(a_start_that_is_still_wanted_is_tried_again)
{
	struct graph *first, *second;

	story_setup();
	update_to(1, 1);
	first = last_graph();
	update_to(2, 1);
	second = last_graph();
	expect_did("start 0@1, start 1@1");
	answer(0, RESULT_FAILED, "no room");
	expect_did("");
	expect_gate(first, 0, "retry");
	expect_gate(second, 0, "settle");
	pass_ms(next_ms());
	expect_did("start 0@1");
	all_done();
	expect_nodes("a1 a1");
	expect_graph(first, "superseded");
	expect_graph(second, "succeeded");
	ck_assert_ptr_eq(last_graph(), second);
	story_end();
}
END_TEST

START_TEST(a_start_that_fails_for_good_fails_the_graph_that_waits_for_it)
{
	struct graph *second;

	story_setup();
	update_to(1, 1);
	update_to(2, 1);
	second = last_graph();
	done(1);
	fail_all_attempts(0, "no room");
	expect_nodes("- a1");
	expect_graph(second, "failed");
	expect_tasks(second, "fss");
	ck_assert_ptr_nonnull(strstr(second->error, "task 0, Settle "));
	ck_assert_ptr_nonnull(strstr(second->error, "no room"));
	ck_assert_ptr_eq(last_graph(), second);
	ck_assert_int_eq(next_ms(), -1);
	story_end();
}
END_TEST

START_TEST(a_bad_release_that_is_overtaken_comes_to_its_end)
{
	for (uint32_t size = 1; size <= 10; size++) {
		story_setup();
		update_to(size, 2);
		update_to(size, 2);
		ck_assert_uint_eq(fail_starts_to_the_end(), 2);
		expect_graph(last_graph(), "failed");
		ck_assert_ptr_nonnull(strstr(last_graph()->error, "bad release"));
		story_end();
	}
}
END_TEST

START_TEST(a_bad_release_comes_to_its_end_when_a_node_is_killed)
{
	for (uint32_t size = 1; size <= 10; size++) {
		story_setup();
		update_to(size, 2);
		ck_assert_int_eq(ask(CORE_KILL, &node_in(size / 2)->id), 0);
		ck_assert_uint_eq(fail_starts_to_the_end(), 2);
		expect_graph(last_graph(), "failed");
		story_end();
	}
}
END_TEST

START_TEST(a_bad_rolling_upgrade_comes_to_its_end_when_a_node_is_killed)
{
	story_setup();
	update_to(10, 1);
	all_done();
	story.policy.max_surge = story.policy.max_unavailable = (struct amount){5, false};
	update_to(10, 2);
	ck_assert_int_eq(ask(CORE_KILL, &node_in(1)->id), 0);
	ck_assert_uint_le(fail_starts_to_the_end(), 4);
	expect_graph(last_graph(), "failed");
	story_end();
}
END_TEST

/* Its next attempt is due in a graph that was superseded, when the next plan comes. */
START_TEST(what_waits_for_another_attempt_is_let_go_of_by_the_next_plan)
{
	struct graph *first;

	story_setup();
	update_to(2, 1);
	first = last_graph();
	update_to(3, 1);
	answer(0, RESULT_FAILED, "no room");
	expect_gate(first, 0, "retry");
	story.did[0] = '\0';
	update_to(2, 1);
	expect_tasks(first, "crc");
	expect_did("");
	expect_nodes("- s1 s1");
	all_done();
	expect_nodes("- a1 a1");
	expect_graph(last_graph(), "succeeded");
	story_end();
}
END_TEST

START_TEST(what_waits_for_another_attempt_can_be_killed)
{
	struct graph *first;

	story_setup();
	update_to(2, 1);
	first = last_graph();
	update_to(3, 1);
	answer(0, RESULT_FAILED, "no room");
	expect_gate(first, 0, "retry");
	story.did[0] = '\0';
	ck_assert_int_eq(ask(CORE_KILL, &node_in(0)->id), 0);
	expect_tasks(first, "crc");
	expect_did("start 0@1");
	all_done();
	expect_nodes("a1 a1 a1");
	story_end();
}
END_TEST

/* Of two that a graph waits for one fails for good: the other one is not tried again. */
START_TEST(a_failed_graph_gives_up_what_waits_for_another_attempt)
{
	struct graph *first, *second;

	story_setup();
	update_to(2, 1);
	first = last_graph();
	update_to(3, 1);
	second = last_graph();
	done(2);
	for (uint32_t i = 0; i < story.core.config.retries + 1; i++) {
		answer(0, RESULT_FAILED, "no room");
		pass_ms(next_ms());
	}
	answer(1, RESULT_FAILED, "no luck");
	expect_gate(first, 1, "retry");
	answer(0, RESULT_FAILED, "no room");
	expect_graph(second, "failed");
	expect_tasks(first, "fcc");
	expect_tasks(second, "ffss");
	expect_nodes("- - a1");
	ck_assert_int_eq(next_ms(), -1);
	story_end();
}
END_TEST

START_TEST(a_stop_that_fails_for_good_fails_the_graph_that_waits_for_it)
{
	struct graph *second;

	story_setup();
	update_to(3, 1);
	all_done();
	update_to(1, 1);
	update_to(1, 1);
	second = last_graph();
	done(1);
	fail_all_attempts(2, "it holds on");
	expect_nodes("a1 - u1");
	expect_graph(second, "failed");
	ck_assert_ptr_nonnull(strstr(second->error, "it holds on"));
	story_end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_start_that_is_still_wanted_is_tried_again,
		a_start_that_fails_for_good_fails_the_graph_that_waits_for_it,
		a_bad_release_that_is_overtaken_comes_to_its_end,
		a_bad_release_comes_to_its_end_when_a_node_is_killed,
		a_bad_rolling_upgrade_comes_to_its_end_when_a_node_is_killed,
		what_waits_for_another_attempt_is_let_go_of_by_the_next_plan,
		what_waits_for_another_attempt_can_be_killed,
		a_failed_graph_gives_up_what_waits_for_another_attempt,
		a_stop_that_fails_for_good_fails_the_graph_that_waits_for_it,
	};

	return story_main("core, settling", tests, sizeof tests / sizeof tests[0]);
}
