/* Stories of commits that fail, and of what the store and the driver were asked before that. */
#include "story.h"

/* Probes. */

/* A commit has failed, and the store is slow to say whether it would take another one. */
static void begin_probing(void)
{
	struct sim_config config = slow_world(0);

	config.commit_instant_percent = 0;
	config.commit_delay_max_ms = 10;
	begin_as(&config);
	update(2, 1);
	sim_settle(&sim);
	sim.storage.failing = true;
	update(3, 1);
	while (!sim.storage.probed)
		ck_assert(sim_step(&sim));
	sim_cancel(&sim, &sim.probe_timer);
}

START_TEST(a_probe_that_a_failed_commit_has_overtaken_is_followed_by_another)
{
	uint64_t failures;

	begin_probing();
	failures = sim.storage.failures;
	update(3, 1);
	run_ms(5000); /* the next probe is due, and this one has not ended */
	ck_assert_uint_eq(sim.storage.failures, failures + 1);
	sim.storage.failing = false;
	storage_probe_timer(&sim);
	ck_assert(sim.storage.told_failed); /* it may be of before the commit */
	sim_settle(&sim);
	ck_assert(!sim.storage.told_failed);
	expect(2, 1);
	end();
}
END_TEST

START_TEST(a_probe_that_a_lost_state_has_overtaken_is_followed_by_another)
{
	begin_probing();
	sim.storage.unreadable = true;
	update(3, 1);
	while (!sim.storage.lost)
		ck_assert(sim_step(&sim));
	sim.storage.failing = sim.storage.unreadable = false;
	run_ms(5000);
	ck_assert(!sim.storage.lost);
	storage_probe_timer(&sim);
	sim_settle(&sim);
	ck_assert(!sim.storage.told_failed);
	expect(2, 1);
	end();
}
END_TEST

/* Answers of the driver. Each of these leads to one, and to what else it reports, that is not stored. */

static void nodes_start(void)
{
	begin(100);
	update(2, 1);
}

static void nodes_cannot_start(void)
{
	begin(100);
	sim.world.bad[1] = true;
	update(2, 1);
}

static void starts_are_cancelled(void)
{
	begin(100);
	update(2, 1);
	run_ms(50);
	update(0, 1);
}

static void nodes_stop(void)
{
	begin_with(100, 2, 1);
	update(0, 1);
}

static void nodes_cannot_stop(void)
{
	begin_with(100, 2, 1);
	sim.world.flaky_percent = 100;
	update(0, 1);
}

static void a_node_is_killed(void)
{
	begin_with(100, 2, 1);
	ask(CORE_KILL, node_in(0)->id);
}

static void a_node_cannot_be_killed(void)
{
	begin_with(100, 2, 1);
	sim.world.flaky_percent = 100;
	ask(CORE_KILL, node_in(0)->id);
}

static void a_node_dies(void)
{
	begin_with(100, 2, 1);
	run_ms(50);
	die(0);
}

static void a_node_becomes_unhealthy(void)
{
	begin_with(100, 2, 1);
	run_ms(50);
	world_set_health(&sim, world_find(&sim, &node_in(0)->id), false);
}

static void (*const answers[])(void) = {
	nodes_start, nodes_cannot_start, starts_are_cancelled, nodes_stop, nodes_cannot_stop, a_node_is_killed,
	a_node_cannot_be_killed, a_node_dies, a_node_becomes_unhealthy,
};

/* What a user asks for before the daemon has found out. */

static void ask_nothing(void)
{
}

static void ask_for_none(void)
{
	update(0, 1);
}

static void ask_for_the_same(void)
{
	update(2, 1);
}

static void ask_for_another_version(void)
{
	update(3, 2);
}

static void ask_for_a_kill(void)
{
	if (!slot_free(0))
		ask(CORE_KILL, node_in(0)->id);
}

static void ask_to_cancel(void)
{
	ask(CORE_CANCEL, newest_graph()->id);
}

static void (*const requests[])(void) = {
	ask_nothing, ask_for_none, ask_for_the_same, ask_for_another_version, ask_for_a_kill, ask_to_cancel,
};

enum {
	ANSWER_COUNT = sizeof answers / sizeof answers[0],
	REQUEST_COUNT = sizeof requests / sizeof requests[0],
};

static void fail_the_next_commit(void)
{
	uint64_t failures = sim.storage.failures;

	sim.storage.failing = true;
	while (sim.storage.failures == failures)
		ck_assert(sim_step(&sim));
	sim.storage.failing = false;
}

START_TEST(whatever_is_asked_before_the_driver_is_asked_again)
{
	answers[_i / REQUEST_COUNT]();
	while (!engine_clean(sim.engine)) /* what was asked for is stored, and only its outcome is not */
		ck_assert(sim_step(&sim));
	fail_the_next_commit();
	requests[_i % REQUEST_COUNT]();
	sim.world.flaky_percent = 0;
	sim.world.bad[1] = false;
	sim_settle(&sim);
	update(2, 3);
	sim_settle(&sim);
	expect(2, 3);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rollback");
	TCase *stories = tcase_create("stories");

	tcase_add_test(stories, a_probe_that_a_failed_commit_has_overtaken_is_followed_by_another);
	tcase_add_test(stories, a_probe_that_a_lost_state_has_overtaken_is_followed_by_another);
	tcase_add_loop_test(stories, whatever_is_asked_before_the_driver_is_asked_again, 0,
		ANSWER_COUNT * REQUEST_COUNT);
	return story_run(suite, stories);
}
