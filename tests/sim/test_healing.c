/* Stories of deaths, healing and clocks. */
#include "story.h"

/* Healing. */

/* How long it took until somebody lived in the slot again. */
static int64_t healed_after_ms(uint32_t slot)
{
	int64_t begin_ms = sim.mono_ms;

	while (slot_free(slot) || node_in(slot)->state != NODE_RUNNING)
		ck_assert(sim_step(&sim));
	return sim.mono_ms - begin_ms;
}

static int64_t dies_and_is_healed_ms(uint32_t slot)
{
	die(slot);
	sim_step(&sim);
	return healed_after_ms(slot);
}

START_TEST(the_second_death_waits_for_its_backoff_and_health_resets_it)
{
	begin_with(0, 2, 1);
	ck_assert_int_lt(dies_and_is_healed_ms(0), 10);
	ck_assert_int_ge(dies_and_is_healed_ms(0), 9990);
	ck_assert_int_ge(dies_and_is_healed_ms(0), 19990);
	ck_assert_int_lt(dies_and_is_healed_ms(1), 10); /* the other slot's first */
	run_ms(600000);
	ck_assert_int_lt(dies_and_is_healed_ms(0), 10);
	sim_settle(&sim);
	expect(2, 1);
	end();
}
END_TEST

START_TEST(the_backoff_has_a_limit)
{
	begin_with(0, 1, 1);
	for (int i = 0; i < 8; i++)
		dies_and_is_healed_ms(0);
	ck_assert_int_ge(dies_and_is_healed_ms(0), 299990);
	ck_assert_int_le(dies_and_is_healed_ms(0), 300010);
	end();
}
END_TEST

START_TEST(an_update_forgets_the_backoff)
{
	begin_with(0, 1, 1);
	dies_and_is_healed_ms(0);
	die(0);
	run_ms(1000);
	ck_assert(slot_free(0));
	update(1, 1);
	ck_assert_int_lt(healed_after_ms(0), 10);
	end();
}
END_TEST

START_TEST(a_failed_heal_is_tried_again_with_backoff)
{
	struct sim_config config = slow_world(0);
	uint64_t starts;

	config.core.retries = 0;
	begin_as(&config);
	update(1, 1);
	sim_settle(&sim);
	sim.world.bad[1] = true;
	starts = sim.world.starts;
	die(0);
	run_ms(9000);
	ck_assert_uint_eq(sim.world.starts, starts + 1);
	run_ms(2000);
	ck_assert_uint_eq(sim.world.starts, starts + 2);
	run_ms(18000);
	ck_assert_uint_eq(sim.world.starts, starts + 2);
	run_ms(2000);
	ck_assert_uint_eq(sim.world.starts, starts + 3);
	sim.world.bad[1] = false;
	sim_settle(&sim);
	expect(1, 1);
	end();
}
END_TEST

START_TEST(a_failed_first_rollout_is_not_tried_again)
{
	uint64_t starts;

	begin(0);
	sim.world.bad[1] = true;
	update(2, 1);
	sim_settle(&sim);
	ck_assert_int_eq(newest_graph()->state, GRAPH_FAILED);
	ck_assert_uint_eq(group()->spec.size, 2);
	starts = sim.world.starts;
	ck_assert_uint_le(starts, 2 * (1 + sim.config.core.retries));
	sim.world.bad[1] = false;
	run_ms(3600000);
	sim_crash(&sim);
	sim_settle(&sim);
	ck_assert_uint_eq(sim.world.starts, starts);
	end();
}
END_TEST

START_TEST(an_unhealthy_node_that_recovers_before_its_backoff_stays)
{
	struct id id;

	begin_with(0, 2, 1);
	world_set_health(&sim, world_find(&sim, &node_in(0)->id), false);
	sim_settle(&sim); /* the first is replaced at once */
	id = node_in(0)->id;
	world_set_health(&sim, world_find(&sim, &id), false);
	run_ms(5000);
	ck_assert_int_eq(node_in(0)->state, NODE_UNHEALTHY);
	world_set_health(&sim, world_find(&sim, &id), true);
	sim_settle(&sim);
	ck_assert(id_equal(&node_in(0)->id, &id));
	expect(2, 1);
	end();
}
END_TEST

START_TEST(a_death_while_imd_is_down_is_healed)
{
	begin_with(100, 3, 1);
	sim_crash(&sim);
	world_exit(&sim, world_any_running(&sim));
	sim_settle(&sim);
	expect(3, 1);
	end();
}
END_TEST

START_TEST(a_crash_does_not_forget_an_unhealthy_node_that_waited_for_its_backoff)
{
	begin_with(20000, 2, 1);
	die(0);
	sim_settle(&sim);
	ask(CORE_KILL, node_in(1)->id);
	run_ms(1000);
	world_set_health(&sim, world_find(&sim, &node_in(0)->id), false);
	run_ms(1000);
	ck_assert_int_eq(node_in(0)->state, NODE_UNHEALTHY);
	ck_assert_ptr_nonnull(group()->active);
	sim_crash(&sim);
	sim_settle(&sim);
	expect(2, 1);
	end();
}
END_TEST

/* What was lost is told and counted as replaced, once, though the daemon forgets all that is not stored. */

static void expect_replaced(uint64_t lost)
{
	sim_settle(&sim);
	ck_assert_uint_eq(sim.losses.lost[0], lost);
	ck_assert_uint_eq(sim.losses.replaced[0], lost);
}

START_TEST(a_crash_does_not_forget_who_has_no_successor_yet)
{
	begin_with(1000, 3, 1);
	die(0);
	run_ms(500);
	ck_assert_int_eq(node_in(0)->state, NODE_STARTING);
	sim_crash(&sim);
	expect_replaced(1);
	ask(CORE_KILL, node_in(1)->id);
	run_ms(500);
	ck_assert_int_eq(node_in(1)->op, OP_KILL);
	sim_crash(&sim);
	expect_replaced(2);
	end();
}
END_TEST

START_TEST(a_failed_commit_does_not_forget_who_has_no_successor_yet)
{
	uint64_t failures;

	begin_with(1000, 3, 1);
	die(0);
	run_ms(500);
	ck_assert_int_eq(node_in(0)->state, NODE_STARTING);
	sim.storage.failing = true;
	failures = sim.storage.failures;
	while (sim.storage.failures == failures)
		ck_assert(sim_step(&sim));
	sim.storage.failing = false;
	expect_replaced(1);
	ck_assert_uint_eq(engine_core(sim.engine)->counters.nodes_died, 1);
	ck_assert_uint_eq(engine_core(sim.engine)->counters.nodes_replaced, 1);
	end();
}
END_TEST

/* The kill is the last thing that the plan waits for: its end and that of the graph have the same time. */
START_TEST(a_crash_does_not_find_a_loss_of_a_plan_that_has_succeeded)
{
	struct sim_request *request;

	begin(1000);
	new_update(&request, 2, 1)->update.policy.max_surge.value = 1;
	request_submit(request);
	sim_settle(&sim);
	ask(CORE_KILL, node_in(0)->id);
	expect_replaced(1);
	ck_assert(slot_free(0));
	update(3, 1);
	run_ms(500);
	ck_assert_int_eq(node_in(0)->state, NODE_STARTING);
	sim_crash(&sim);
	sim_settle(&sim);
	ck_assert_uint_eq(engine_core(sim.engine)->counters.nodes_replaced, 0);
	end();
}
END_TEST

/* Clocks. */

START_TEST(wall_clock_jumps_decide_nothing)
{
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct sim_config config;
		uint64_t traces[2], steps[2];

		sim_config_random(&config, seed);
		for (int jumps = 0; jumps < 2; jumps++) {
			config.wall_jumps = jumps;
			sim_init(&sim, seed, &config);
			sim_run(&sim);
			traces[jumps] = sim.trace;
			steps[jumps] = sim.steps;
			end();
		}
		ck_assert_uint_eq(steps[0], steps[1]);
		ck_assert_uint_eq(traces[0], traces[1]);
	}
}
END_TEST

START_TEST(a_backoff_is_as_long_though_the_wall_clock_jumps)
{
	begin_with(0, 1, 1);
	dies_and_is_healed_ms(0);
	sim.wall_us += 3600 * INT64_C(1000000);
	die(0);
	run_ms(9000);
	ck_assert(slot_free(0));
	sim.wall_us -= 7200 * INT64_C(1000000);
	run_ms(1100);
	ck_assert_int_eq(node_in(0)->state, NODE_RUNNING);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("healing");
	TCase *stories = tcase_create("stories");

	tcase_add_test(stories, the_second_death_waits_for_its_backoff_and_health_resets_it);
	tcase_add_test(stories, the_backoff_has_a_limit);
	tcase_add_test(stories, an_update_forgets_the_backoff);
	tcase_add_test(stories, a_failed_heal_is_tried_again_with_backoff);
	tcase_add_test(stories, a_failed_first_rollout_is_not_tried_again);
	tcase_add_test(stories, an_unhealthy_node_that_recovers_before_its_backoff_stays);
	tcase_add_test(stories, a_death_while_imd_is_down_is_healed);
	tcase_add_test(stories, a_crash_does_not_forget_an_unhealthy_node_that_waited_for_its_backoff);
	tcase_add_test(stories, a_crash_does_not_forget_who_has_no_successor_yet);
	tcase_add_test(stories, a_failed_commit_does_not_forget_who_has_no_successor_yet);
	tcase_add_test(stories, a_crash_does_not_find_a_loss_of_a_plan_that_has_succeeded);
	tcase_add_test(stories, wall_clock_jumps_decide_nothing);
	tcase_add_test(stories, a_backoff_is_as_long_though_the_wall_clock_jumps);
	return story_run(suite, stories);
}
