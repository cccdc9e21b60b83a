/* Every plan for small groups, carried out in every order in which its tasks may end; and plans for
 * larger ones in some. */
#include <time.h>

#include "planner_trial.h"
#include "unit.h"

static void eager_target(struct trial *trial, struct run *run)
{
	search_eager(run, 0, 0, 0);
	state_count += run->states;
	if (run->broken)
		trial_fail(trial, run, run->broken);
}

static void eager_group(const uint8_t *kinds, uint32_t count)
{
	struct trial trial;

	targets_walk(&trial, kinds, count, eager_target);
}

static void full_target(struct trial *trial, struct run *run)
{
	search_full(run);
	state_count += run->states;
	if (run->broken)
		trial_fail(trial, run, run->broken);
}

static void full_group(const uint8_t *kinds, uint32_t count)
{
	struct trial trial;

	targets_walk(&trial, kinds, count, full_target);
}

/* Nothing in flight. */
static const uint8_t calm_kinds[] = {
	PLAN_AVAILABLE, PLAN_BROKEN, HEALTHS + PLAN_AVAILABLE, HEALTHS + PLAN_BROKEN};

START_TEST(every_group_eagerly)
{
	groups_walk(all_kinds, KINDS, NODES_MAX, eager_group);
	report("so far; all kinds of nodes");
}
END_TEST

START_TEST(marked_groups_eagerly)
{
	groups_walk(all_kinds, MARKED_KINDS, 4, eager_group);
	report("so far; with marks");
}
END_TEST

START_TEST(calm_groups_in_full)
{
	groups_walk(calm_kinds, 4, NODES_MAX, full_group);
	report("so far; nothing in flight, in full");
}
END_TEST

START_TEST(small_groups_in_full)
{
	groups_walk(all_kinds, KINDS, 3, full_group);
	report("so far; all kinds of nodes, in full");
}
END_TEST

/* The able tasks, but for those of some kinds where there are others. */
static uint32_t random_able(uint32_t able, uint32_t later)
{
	if (able & ~later)
		able &= ~later;
	for (uint32_t skip = random_below((uint32_t)__builtin_popcount(able)); skip > 0; skip--)
		able &= able - 1;
	return able & -able;
}

/* Carries a plan out in one order: what may begin begins, and any task that has begun ends, those of
 * some kinds as late as can be. */
static void walk_at_random(struct run *run)
{
	const uint32_t sets[] = {run->starts, run->stops, run->going, run->rising};
	uint32_t begun = 0, ended = 0, later = 0;

	for (uint32_t i = 0; i < 4; i++)
		later |= random_below(2) ? sets[i] : 0;
	for (;;) {
		uint32_t able = 0;

		for (uint32_t task = 0; task < run->count; task++) {
			uint32_t bit = UINT32_C(1) << task;

			if (run->prereqs[task] & ~ended)
				continue;
			begun |= bit;
			if (run->barriers & bit)
				ended |= bit;
			able |= bit & ~ended;
		}
		state_visit(run, begun, ended, able == 0);
		if (able == 0)
			return;
		ended |= random_able(able, later);
	}
}

/* Groups, sizes and lanes of up to 12: beyond what can be enumerated. */
START_TEST(larger_groups_at_random)
{
	enum { LARGER = 12, TRIALS = 100000, WALKS = 8 };

	unit_take_seed();
	for (uint32_t i = 0; i < TRIALS; i++) {
		uint32_t count = random_below(LARGER + 1), variety = 1 + random_below(MARKED_KINDS);
		uint8_t kinds[LARGER];
		struct trial trial;
		struct run run;

		for (uint32_t k = 0; k < count; k++)
			kinds[k] = all_kinds[(variety + random_below(variety)) % MARKED_KINDS];
		trial.target = target_make(random_below(LARGER + 1), random_below(LARGER + 1),
			random_below(LARGER + 1));
		trial_plan(&trial, kinds, count, i % LAYOUTS);
		run_init(&run, &trial);
		for (uint32_t walk = 0; walk < WALKS && !run.broken; walk++)
			walk_at_random(&run);
		state_count += run.states;
		if (run.broken)
			trial_fail(&trial, &run, run.broken);
		trial_fini(&trial);
	}
	report("so far; larger groups at random");
}
END_TEST

static Suite *planner_suite(void)
{
	Suite *suite = suite_create("planner, exhaustively");
	TCase *tests = tcase_create("planner, exhaustively");

	tcase_add_test(tests, small_groups_in_full);
	tcase_add_test(tests, calm_groups_in_full);
	tcase_add_test(tests, every_group_eagerly);
	tcase_add_test(tests, marked_groups_eagerly);
	tcase_add_test(tests, larger_groups_at_random);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	int status;

	/* In one process, so that the counts add up. */
	status = unit_run(planner_suite(), CK_NOFORK);
	printf("exhaustive: %" PRIu64 " cases, %" PRIu64 " states\n", case_count, state_count);
	free(met);
	free(todo);
	return status;
}
