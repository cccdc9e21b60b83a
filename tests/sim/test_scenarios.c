/* Stories of users, upgrades and the store. */
#include "story.h"

/* Two users at once. */

START_TEST(two_updates_at_once_start_no_more_nodes_than_one)
{
	uint32_t most = 0;

	begin(1000);
	update(3, 1);
	update(3, 1);
	while (sim_step(&sim))
		if (world_count(&sim, "default") > most)
			most = world_count(&sim, "default");
	expect(3, 1);
	ck_assert_uint_eq(most, 3);
	ck_assert_uint_eq(sim.refused, 0);
	end();
}
END_TEST

START_TEST(the_second_update_wins_and_the_bounds_hold_on_the_way)
{
	uint32_t most = 0;

	begin_with(1000, 3, 1);
	update(5, 2);
	run_ms(500);
	update(2, 3);
	while (sim_step(&sim))
		if (world_count(&sim, "default") > most)
			most = world_count(&sim, "default");
	expect(2, 3);
	ck_assert_uint_le(most, 5);
	end();
}
END_TEST

START_TEST(two_updates_in_one_commit_are_two_stored_revisions)
{
	begin(0);
	update(1, 1);
	update(2, 2);
	sim_settle(&sim);
	expect(2, 2);
	ck_assert_uint_eq(rows_group(&sim.storage.rows, "default")->spec_count, 2);
	end();
}
END_TEST

START_TEST(of_two_updates_for_one_revision_the_second_is_refused)
{
	struct sim_request *request;

	begin_with(0, 1, 1);
	for (int i = 0; i < 2; i++) {
		struct core_event *event = new_update(&request, 2 + (uint32_t)i, 1);

		event->update.has_if_revision = true;
		event->update.if_revision = 1;
		request_submit(request);
	}
	sim_settle(&sim);
	expect(2, 1);
	ck_assert_uint_eq(sim.refused, 1);
	ck_assert_int_eq(sim.refusal.code, ERR_CONFLICT);
	end();
}
END_TEST

/* KILL, in every state of a node. */

static void expect_killed(struct id id)
{
	const struct node *node;

	sim_settle(&sim);
	ck_assert_uint_eq(sim.refused, 0);
	ck_assert_ptr_null(world_find(&sim, &id));
	node = core_node_find(engine_core(sim.engine), &id);
	ck_assert(!node || !node_live(node));
}

START_TEST(kill_of_a_starting_node)
{
	struct id id;

	begin(1000);
	update(3, 1);
	run_ms(500);
	id = node_in(1)->id;
	ck_assert_int_eq(node_in(1)->state, NODE_STARTING);
	ask(CORE_KILL, id);
	expect_killed(id);
	expect(3, 1);
	end();
}
END_TEST

START_TEST(kill_of_a_start_that_is_not_yet_stored)
{
	struct sim_config config = slow_world(1000);
	struct id id;

	config.commit_instant_percent = 0;
	config.commit_delay_max_ms = 100;
	begin_as(&config);
	update(3, 1);
	while (!group()->active)
		sim_step(&sim);
	sim_step(&sim);
	id = node_in(0)->id;
	ck_assert_ptr_null(world_find(&sim, &id));
	ask(CORE_KILL, id);
	expect_killed(id);
	expect(3, 1);
	end();
}
END_TEST

START_TEST(kill_between_two_attempts_of_a_start)
{
	struct id id;

	begin(100);
	sim.world.bad[1] = true;
	update(3, 1);
	run_ms(500);
	ck_assert_int_eq(node_in(2)->state, NODE_STARTING);
	ck_assert_int_eq(node_in(2)->op, OP_NONE);
	id = node_in(2)->id;
	sim.world.bad[1] = false;
	ask(CORE_KILL, id);
	expect_killed(id);
	expect(3, 1);
	end();
}
END_TEST

START_TEST(kill_while_min_ready_has_not_passed)
{
	struct sim_request *request;
	struct id id;

	begin(100);
	new_update(&request, 2, 1)->update.policy.min_ready_ms = 5000;
	request_submit(request);
	run_ms(1000);
	ck_assert_int_eq(node_in(0)->state, NODE_RUNNING);
	ck_assert(!node_in(0)->available);
	id = node_in(0)->id;
	ask(CORE_KILL, id);
	expect_killed(id);
	expect(2, 1);
	end();
}
END_TEST

START_TEST(kill_of_a_running_node)
{
	struct id id;

	begin_with(100, 3, 1);
	id = node_in(1)->id;
	ask(CORE_KILL, id);
	expect_killed(id);
	expect(3, 1);
	ck_assert_int_eq(newest_graph()->reason, REASON_KILL);
	end();
}
END_TEST

START_TEST(kill_of_an_unhealthy_node)
{
	struct id id;

	begin_with(100, 3, 1);
	id = node_in(1)->id;
	world_set_health(&sim, world_find(&sim, &id), false);
	ask(CORE_KILL, id);
	expect_killed(id);
	expect(3, 1);
	end();
}
END_TEST

START_TEST(kill_of_a_node_that_is_shutting_down)
{
	struct id id;

	begin_with(1000, 3, 1);
	id = node_in(2)->id;
	update(2, 1);
	run_ms(500);
	ck_assert_int_eq(node_in(2)->state, NODE_SHUTTING_DOWN);
	ask(CORE_KILL, id);
	expect_killed(id);
	expect(2, 1);
	end();
}
END_TEST

START_TEST(kill_between_two_attempts_of_a_stop)
{
	struct id id;

	begin_with(100, 3, 1);
	id = node_in(2)->id;
	sim.world.flaky_percent = 100;
	update(2, 1);
	run_ms(500);
	ck_assert_int_eq(node_in(2)->state, NODE_SHUTTING_DOWN);
	ck_assert_int_eq(node_in(2)->op, OP_NONE);
	sim.world.flaky_percent = 0;
	ask(CORE_KILL, id);
	expect_killed(id);
	expect(2, 1);
	end();
}
END_TEST

START_TEST(kill_twice_is_a_kill_and_of_a_dead_node_a_conflict)
{
	struct id id;

	begin_with(1000, 1, 1);
	id = node_in(0)->id;
	ask(CORE_KILL, id);
	ask(CORE_KILL, id);
	expect_killed(id);
	expect(1, 1);
	ck_assert_uint_eq(sim.world.kills, 1);
	ask(CORE_KILL, id);
	sim_settle(&sim);
	ck_assert_uint_eq(sim.refused, 1);
	ck_assert_int_eq(sim.refusal.code, ERR_CONFLICT);
	end();
}
END_TEST

START_TEST(kill_that_was_stored_but_not_done_is_done_after_a_crash)
{
	struct id id;

	begin(5000);
	update(2, 1);
	run_ms(1000);
	id = node_in(1)->id;
	sim.dies = DIES_WHEN_DURABLE;
	sim.dies_at = sim.storage.commits + 1;
	ask(CORE_KILL, id);
	while (sim.engine)
		sim_step(&sim);
	ck_assert_uint_eq(sim.world.kills, 0);
	expect_killed(id);
	expect(2, 1);
	ck_assert_uint_eq(sim.world.kills, 1);
	end();
}
END_TEST

/* UPDATE in every phase of a rolling upgrade. */

static bool upgrade_overtaken_after(uint32_t steps, uint32_t size, uint32_t surge)
{
	struct sim_request *request;
	bool under_way;

	begin_with(100, 3, 1);
	new_update(&request, 3, 2)->update.policy.max_surge.value = surge;
	request_submit(request);
	for (uint32_t i = 0; i < steps; i++)
		sim_step(&sim);
	under_way = group()->active || steps < 2;
	update(size, 3);
	sim_settle(&sim);
	expect(size, 3);
	end();
	return under_way;
}

START_TEST(update_in_every_phase_of_a_rolling_upgrade)
{
	for (uint32_t size = 0; size <= 5; size++)
		for (uint32_t surge = 0; surge <= 2; surge++) {
			uint32_t steps = 0;

			while (upgrade_overtaken_after(steps, size, surge))
				steps++;
			ck_assert_uint_gt(steps, 5);
		}
}
END_TEST

START_TEST(update_back_in_the_middle_of_a_bad_release)
{
	begin_with(100, 4, 1);
	sim.world.bad[2] = true;
	update(4, 2);
	sim_settle(&sim);
	ck_assert_int_eq(newest_graph()->state, GRAPH_FAILED);
	ck_assert_uint_eq(group()->available, 3);
	ck_assert_ptr_nonnull(strstr(newest_graph()->error, "it would not start"));
	update(4, 1);
	sim_settle(&sim);
	expect(4, 1);
	ck_assert_uint_eq(sim.world.stops, 1);
	end();
}
END_TEST

/* The store fails. */

START_TEST(a_commit_that_fails_changes_nothing)
{
	uint64_t starts, stops, seq;

	begin_with(100, 3, 1);
	starts = sim.world.starts;
	stops = sim.world.stops;
	seq = sim.event_seq;
	sim.storage.failing = true;
	update(0, 2);
	run_ms(10000);
	ck_assert_uint_eq(sim.refused, 1);
	ck_assert_int_eq(sim.refusal.code, ERR_STORAGE);
	ck_assert_uint_eq(sim.world.starts, starts);
	ck_assert_uint_eq(sim.world.stops, stops);
	ck_assert_uint_eq(sim.event_seq, seq);
	expect(3, 1);
	ck_assert(sim.storage.told_failed);
	sim.storage.failing = false;
	sim_settle(&sim);
	ck_assert(!sim.storage.told_failed); /* though nobody asked for anything */
	update(2, 2);
	sim_settle(&sim);
	expect(2, 2);
	end();
}
END_TEST

START_TEST(an_upgrade_stands_still_while_the_store_fails_and_then_goes_on)
{
	uint64_t stops;

	begin_with(100, 3, 1);
	update(3, 2);
	run_ms(250);
	ck_assert_ptr_nonnull(group()->active);
	sim.storage.failing = true;
	stops = sim.world.stops;
	run_ms(60000);
	ck_assert_uint_eq(sim.world.stops, stops);
	ck_assert_uint_ge(world_count(&sim, "default"), 2);
	ck_assert_uint_lt(sim.storage.failures, 100);
	sim.storage.failing = false;
	sim_settle(&sim);
	expect(3, 2);
	end();
}
END_TEST

START_TEST(readers_have_their_turn_while_the_store_fails)
{
	uint64_t answered;

	begin_with(100, 2, 1);
	sim.storage.failing = true;
	update(3, 1);
	request_wait(request_new(&sim));
	run_ms(10);
	answered = sim.answered;
	ck_assert_uint_eq(answered, 3);
	request_wait(request_new(&sim));
	run_ms(10);
	ck_assert_uint_eq(sim.answered, answered + 1);
	end();
}
END_TEST

START_TEST(a_reader_does_not_keep_an_update_from_being_carried_out)
{
	struct sim_config config = slow_world(100);

	config.commit_instant_percent = 0;
	config.commit_delay_max_ms = 50;
	begin_as(&config);
	update(2, 1);
	request_wait(request_new(&sim));
	sim_settle(&sim);
	expect(2, 1);
	end();
}
END_TEST

/* The store cannot be read either. */

/* An upgrade is under way when a commit fails, and then the load. */
static void begin_lost(void)
{
	begin_with(100, 3, 1);
	update(3, 2);
	run_ms(250);
	ck_assert_ptr_nonnull(group()->active);
	sim.storage.failing = sim.storage.unreadable = true;
	while (!sim.storage.lost)
		ck_assert(sim_step(&sim));
}

static void store_mends(void)
{
	sim.storage.failing = sim.storage.unreadable = false;
}

START_TEST(what_cannot_be_read_is_refused_and_nothing_is_lost_or_doubled)
{
	uint64_t starts, stops, refused;

	begin_lost();
	starts = sim.world.starts;
	stops = sim.world.stops;
	refused = sim.refused;
	ck_assert(!engine_clean(sim.engine));
	for (int i = 0; i < 3; i++) {
		update(1, 3);
		request_wait(request_new(&sim));
		ck_assert_uint_eq(sim.refused, refused); /* not from within */
		run_ms(1700);
		refused += 2;
		ck_assert_uint_eq(sim.refused, refused);
		ck_assert_int_eq(sim.refusal.code, ERR_STORAGE);
		ck_assert_str_eq(sim.refusal.text,
			"the state cannot be read just now: the disk cannot be read");
	}
	ck_assert_uint_eq(sim.world.starts, starts);
	ck_assert_uint_eq(sim.world.stops, stops);
	store_mends();
	sim_settle(&sim);
	expect(3, 2);
	ck_assert_uint_eq(rows_group(&sim.storage.rows, "default")->spec_count, 2);
	ck_assert_uint_eq(sim.world.starts, 6);
	ck_assert_uint_eq(sim.world.stops, 3);
	end();
}
END_TEST

START_TEST(who_waited_when_the_state_was_lost_is_told)
{
	struct sim_config config = slow_world(100);

	config.commit_instant_percent = 0;
	config.commit_delay_max_ms = 50;
	begin_as(&config);
	sim.storage.failing = sim.storage.unreadable = true;
	update(2, 1);
	sim_step(&sim);
	request_wait(request_new(&sim));
	update(3, 1);
	run_ms(100);
	ck_assert_uint_eq(sim.refused, 3);
	ck_assert_ptr_nonnull(engine_lost(sim.engine));
	store_mends();
	sim_settle(&sim);
	ck_assert_ptr_null(engine_lost(sim.engine));
	update(2, 1);
	sim_settle(&sim);
	expect(2, 1);
	end();
}
END_TEST

START_TEST(a_load_is_tried_again_every_second_and_not_more)
{
	uint64_t turns;

	begin_lost();
	turns = engine_stats(sim.engine)->turns;
	run_ms(60000);
	ck_assert_uint_ge(sim.storage.failed_loads, 59);
	ck_assert_uint_le(sim.storage.failed_loads, 61);
	ck_assert_uint_le(engine_stats(sim.engine)->turns, turns + 61);
	store_mends();
	sim_settle(&sim);
	expect(3, 2);
	end();
}
END_TEST

START_TEST(a_node_that_dies_while_the_state_is_lost_is_replaced)
{
	struct id id;

	begin_lost();
	id = world_any_running(&sim)->id;
	world_exit(&sim, world_find(&sim, &id));
	run_ms(3000);
	store_mends();
	sim_settle(&sim);
	ck_assert_ptr_null(world_find(&sim, &id));
	expect(3, 2);
	end();
}
END_TEST

START_TEST(a_commit_that_fails_again_behind_the_load_is_tried_again)
{
	begin_lost();
	sim.storage.unreadable = false;
	run_ms(10000);
	ck_assert(!sim.storage.lost);
	ck_assert_uint_ge(sim.storage.failures, 5);
	sim.storage.failing = false;
	sim_settle(&sim);
	expect(3, 2);
	end();
}
END_TEST

START_TEST(a_crash_while_the_state_is_lost)
{
	begin_lost();
	sim_crash(&sim);
	store_mends();
	sim_settle(&sim);
	expect(3, 2);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("scenarios");
	TCase *stories = tcase_create("stories");

	tcase_add_test(stories, two_updates_at_once_start_no_more_nodes_than_one);
	tcase_add_test(stories, the_second_update_wins_and_the_bounds_hold_on_the_way);
	tcase_add_test(stories, two_updates_in_one_commit_are_two_stored_revisions);
	tcase_add_test(stories, of_two_updates_for_one_revision_the_second_is_refused);
	tcase_add_test(stories, kill_of_a_starting_node);
	tcase_add_test(stories, kill_of_a_start_that_is_not_yet_stored);
	tcase_add_test(stories, kill_between_two_attempts_of_a_start);
	tcase_add_test(stories, kill_while_min_ready_has_not_passed);
	tcase_add_test(stories, kill_of_a_running_node);
	tcase_add_test(stories, kill_of_an_unhealthy_node);
	tcase_add_test(stories, kill_of_a_node_that_is_shutting_down);
	tcase_add_test(stories, kill_between_two_attempts_of_a_stop);
	tcase_add_test(stories, kill_twice_is_a_kill_and_of_a_dead_node_a_conflict);
	tcase_add_test(stories, kill_that_was_stored_but_not_done_is_done_after_a_crash);
	tcase_add_test(stories, update_in_every_phase_of_a_rolling_upgrade);
	tcase_add_test(stories, update_back_in_the_middle_of_a_bad_release);
	tcase_add_test(stories, a_commit_that_fails_changes_nothing);
	tcase_add_test(stories, an_upgrade_stands_still_while_the_store_fails_and_then_goes_on);
	tcase_add_test(stories, readers_have_their_turn_while_the_store_fails);
	tcase_add_test(stories, a_reader_does_not_keep_an_update_from_being_carried_out);
	tcase_add_test(stories, what_cannot_be_read_is_refused_and_nothing_is_lost_or_doubled);
	tcase_add_test(stories, who_waited_when_the_state_was_lost_is_told);
	tcase_add_test(stories, a_load_is_tried_again_every_second_and_not_more);
	tcase_add_test(stories, a_node_that_dies_while_the_state_is_lost_is_replaced);
	tcase_add_test(stories, a_commit_that_fails_again_behind_the_load_is_tried_again);
	tcase_add_test(stories, a_crash_while_the_state_is_lost);
	return story_run(suite, stories);
}
