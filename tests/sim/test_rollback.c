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

int main(void)
{
	Suite *suite = suite_create("rollback");
	TCase *stories = tcase_create("stories");

	tcase_add_test(stories, a_probe_that_a_failed_commit_has_overtaken_is_followed_by_another);
	tcase_add_test(stories, a_probe_that_a_lost_state_has_overtaken_is_followed_by_another);
	return story_run(suite, stories);
}
