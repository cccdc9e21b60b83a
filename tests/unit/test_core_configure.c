/* A core whose config changes in the midst of things: what is kept is pruned when more comes, and nothing
 * that runs is lost. */
#include "core_story.h"

static struct core_config config;

static void begin(void)
{
	config = story_config();
	story_begin(&config);
}

static void reconfigure(void)
{
	core_configure(&story.core, &config);
	story_check();
	story_pass();
}

static void live_through(uint64_t from, uint64_t to)
{
	for (uint64_t version = from; version <= to; version++) {
		update_to(2, version);
		all_done();
	}
}

static void expect_kept(uint32_t graphs, uint64_t first_spec, uint32_t ended)
{
	ck_assert_uint_eq(story_group()->graph_count, graphs);
	ck_assert_uint_eq(group_spec_from(story_group(), 1)->revision, first_spec);
	ck_assert_uint_eq(story_group()->ended.count, ended);
	ck_assert_uint_eq(story.core.node_ids.count, story_group()->live + ended);
}

START_TEST(lower_limits_prune_with_what_comes)
{
	begin();
	live_through(1, 20);
	expect_kept(20, 1, 38);
	config.keep_graphs = 3;
	config.keep_specs = 2;
	config.keep_nodes = 4;
	reconfigure();
	expect_kept(20, 1, 38);
	live_through(21, 21);
	expect_kept(3, 20, 4);
	config.keep_nodes = 0;
	config.keep_graphs = config.keep_specs = 1;
	reconfigure();
	live_through(22, 22);
	expect_kept(1, 22, 0);
	config.keep_nodes = 5;
	config.keep_graphs = config.keep_specs = 100;
	reconfigure();
	live_through(23, 40);
	expect_kept(19, 22, 5);
	story_end();
}
END_TEST

START_TEST(lower_limits_between_any_two_answers)
{
	for (uint32_t after = 0; after < 24; after++) {
		begin();
		live_through(1, 8);
		update_to(5, 9);
		for (uint32_t slot = 0, step = 0; step < after; step++, slot = (slot + 1) % 5) {
			if (group_slot_node(story_group(), slot) != NODE_NONE && node_in(slot)->op != OP_NONE)
				done(slot);
		}
		config.keep_graphs = config.keep_specs = 1 + after % 3;
		config.keep_nodes = after % 4;
		config.keep_tasks = after % 2 * 5;
		reconfigure();
		update_to(3, 10);
		all_done();
		expect_nodes("a10 a10 a10");
		ck_assert_uint_le(story_group()->graph_count, config.keep_graphs);
		ck_assert_uint_le(story_group()->ended.count, config.keep_nodes);
		story_end();
	}
}
END_TEST

START_TEST(tasks_leave_memory_at_once)
{
	config = story_config();
	config.tasks_stored = true;
	story_begin(&config);
	live_through(1, 5);
	ck_assert(graph_loaded(TAILQ_FIRST(&story_group()->graphs)));
	config.keep_tasks = 0;
	config.tasks_stored = false; /* the store's to know, not the config's */
	reconfigure();
	ck_assert_uint_eq(story_group()->graph_count, 5);
	ck_assert(!graph_loaded(TAILQ_FIRST(&story_group()->graphs)));
	ck_assert(graph_loaded(last_graph()));
	story_end();
}
END_TEST

START_TEST(retries_and_delays_apply_to_what_comes)
{
	begin();
	update_to(1, 1);
	answer(0, RESULT_FAILED, "no");
	ck_assert_int_ge(next_ms(), 1000);
	config.retry_delay_ms = config.retry_max_ms = 7;
	config.retries = 1;
	reconfigure();
	ck_assert_int_ge(next_ms(), 1000); /* the delay that runs, runs on */
	pass_ms(2000);
	answer(0, RESULT_FAILED, "no");
	expect_graph(last_graph(), "failed");
	config.retries = 3;
	reconfigure();
	update_to(1, 2);
	answer(0, RESULT_FAILED, "no");
	ck_assert_int_le(next_ms(), 7);
	story_end();
}
END_TEST

START_TEST(a_group_without_a_spec_has_the_policy_to_come)
{
	struct group_policy policies[] = {
		{"db", {.max_surge = {.value = 1}}},
		{"default", {.max_surge = {.value = 2}}},
		{"web", {.max_surge = {.value = 3}}},
	};

	begin();
	config.policies = policies;
	config.policy_count = 3;
	config.policy.max_surge.value = 9;
	reconfigure();
	ck_assert_uint_eq(story_group()->spec.policy.max_surge.value, 2);
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_eq(core_policy(&story.core.config, policies[i].group), &policies[i].policy);
	ck_assert_uint_eq(core_policy(&story.core.config, "dc")->max_surge.value, 9);
	ck_assert_uint_eq(core_policy(&story.core.config, "a")->max_surge.value, 9);
	ck_assert_uint_eq(core_policy(&story.core.config, "x")->max_surge.value, 9);
	update_to(1, 1);
	config.policy_count = 0;
	reconfigure();
	ck_assert_uint_eq(story_group()->spec.policy.max_surge.value, story.policy.max_surge.value);
	story_end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		lower_limits_prune_with_what_comes, lower_limits_between_any_two_answers,
		tasks_leave_memory_at_once, retries_and_delays_apply_to_what_comes,
		a_group_without_a_spec_has_the_policy_to_come,
	};

	return story_main("core configure", tests, sizeof tests / sizeof tests[0]);
}
