/* Plans that lack one edge: the searches must find what is wrong with them, and whatever waits for a
 * Settle must really rely on it. */
#include "planner_trial.h"
#include "unit.h"

/* Edges that were left out, and of these the ones that were missed: without them a bound broke. */
static struct edges {
	uint64_t tried, missed;
} settle_edges, barrier_edges, other_edges;

static void edge_drop(struct run *run, uint32_t t, uint32_t q)
{
	run->prereqs[t] &= ~(UINT32_C(1) << q);
	run->states = 0;
}

/* Leaves an edge out. Both searches must come to the same conclusion. */
static void edge_try(const struct trial *trial, const struct run *run, uint32_t t, uint32_t q,
	struct edges *edges)
{
	struct run eager = *run, full = *run;

	edge_drop(&eager, t, q);
	search_eager(&eager, 0, 0, 0);
	state_count += eager.states;
	edges->tried++;
	edges->missed += eager.broken != NULL;
	if (edges == &settle_edges && !eager.broken) {
		printf("without %u before %u:\n", q, t);
		trial_fail(trial, &eager, "what waits for a Settle need not");
	}
	if (trial->count > 2)
		return;
	edge_drop(&full, t, q);
	search_full(&full);
	trial_must(trial, &full, (full.broken != NULL) == (eager.broken != NULL));
}

/* Leaves every edge out in turn, but for those to barriers, which only gather. */
static void edges_target(struct trial *trial, struct run *run)
{
	for (uint32_t t = 0; t < run->count; t++)
		for (uint32_t q = 0; q < t && !(run->barriers >> t & 1); q++)
			if (run->prereqs[t] >> q & 1)
				edge_try(trial, run, t, q, run->settles >> q & 1 ? &settle_edges
					: run->barriers >> q & 1 ? &barrier_edges : &other_edges);
}

static void edges_group(const uint8_t *kinds, uint32_t count)
{
	struct trial trial;

	targets_walk(&trial, kinds, count, edges_target);
}

/* What waits for a Settle relies on it: without the edge some order breaks a bound. */
START_TEST(settle_edges_are_needed)
{
	groups_walk(all_kinds, KINDS, NODES_MAX, edges_group);
	groups_walk(all_kinds, MARKED_KINDS, 3, edges_group);
	report("so far; with an edge left out");
	printf("edges whose absence breaks a bound: %" PRIu64 " of %" PRIu64 " from a Settle, %"
		PRIu64 " of %" PRIu64 " from a barrier, %" PRIu64 " of %" PRIu64 " others\n",
		settle_edges.missed, settle_edges.tried, barrier_edges.missed,
		barrier_edges.tried, other_edges.missed, other_edges.tried);
	ck_assert_uint_gt(settle_edges.tried, 100000);
	ck_assert_uint_eq(settle_edges.missed, settle_edges.tried);
	ck_assert_uint_gt(other_edges.missed, other_edges.tried / 2);
}
END_TEST

/* The searches find what is wrong with plans that lack an edge. */
START_TEST(missing_edges_are_found)
{
	enum { OLD = HEALTHS };
	static const struct {
		uint8_t kinds[NODES_MAX];
		uint32_t count, size, surge, unavailable;
		uint32_t task, prereq;
		const char *broken;
	} rows[] = {
		/* The chain of a rolling upgrade, where one pair follows the other … */
		{{OLD, OLD, OLD}, 3, 3, 0, 1, 2, 1, "the floor does not hold"},
		/* … and where a start follows the stop of the node in its slot. */
		{{OLD, OLD, OLD}, 3, 3, 0, 1, 3, 2, "the ceiling does not hold"},
		{{HEALTHS + PLAN_BROKEN}, 1, 1, 2, 0, 1, 0, "two live nodes share a slot"},
		/* A surge lane, within a pair and between two. */
		{{OLD, OLD, OLD}, 3, 3, 1, 0, 1, 0, "the floor does not hold"},
		{{OLD, OLD, OLD}, 3, 3, 1, 0, 2, 1, "the ceiling does not hold"},
		/* Lanes before the new nodes of a larger group are there. */
		{{OLD, OLD}, 2, 4, 0, 1, 3, 2, "the floor does not hold"},
		/* A cull without a proof. */
		{{OLD, OLD, OLD, OLD}, 4, 2, 0, 1, 2, 1,
			"a healthy surplus node is stopped before the new version is proven"},
		/* A start in the place of a node that is still going. */
		{{PLAN_STOPPING}, 1, 1, 0, 1, 1, 0, "the ceiling does not hold"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct trial trial;
		struct run run, full;

		trial.target = target_make(rows[i].size, rows[i].surge, rows[i].unavailable);
		trial_plan(&trial, rows[i].kinds, rows[i].count, 0);
		run_init(&run, &trial);
		trial_must(&trial, &run, run.prereqs[rows[i].task] >> rows[i].prereq & 1);
		edge_drop(&run, rows[i].task, rows[i].prereq);
		full = run;
		search_eager(&run, 0, 0, 0);
		search_full(&full);
		trial_must(&trial, &run, run.broken && !strcmp(run.broken, rows[i].broken));
		trial_must(&trial, &full, full.broken != NULL);
		trial_fini(&trial);
	}
}
END_TEST

/* They also find a task that can never begin. */
START_TEST(deadlocks_are_found)
{
	static const uint8_t kinds[] = {HEALTHS, HEALTHS};
	struct trial trial = {.target = target_make(2, 0, 1)};
	struct run run, full;

	trial_plan(&trial, kinds, 2, 0);
	run_init(&run, &trial);
	run.prereqs[1] |= UINT32_C(1) << 2;
	full = run;
	search_eager(&run, 0, 0, 0);
	search_full(&full);
	ck_assert_str_eq(run.broken, "nothing can go on");
	ck_assert_str_eq(full.broken, "nothing can go on");
	trial_fini(&trial);
}
END_TEST

static Suite *edges_suite(void)
{
	Suite *suite = suite_create("planner, edges");
	TCase *tests = tcase_create("planner, edges");

	tcase_add_test(tests, missing_edges_are_found);
	tcase_add_test(tests, deadlocks_are_found);
	tcase_add_test(tests, settle_edges_are_needed);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	int status;

	/* In one process, as the search is its own witness of what it has met. */
	status = unit_run(edges_suite(), CK_NOFORK);
	free(met);
	free(todo);
	return status;
}
