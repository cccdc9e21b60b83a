/* Each tale is told once to its end, to count its commits; and then once for each of them and each of
 * three moments around it at which the daemon dies. It comes back to what is durable, the tale goes on, and
 * all must end as it was promised. Every step is checked as in the simulation. With every other seed a
 * node, too, dies while the daemon is down. */
#include <stdio.h>
#include <stdlib.h>

#include "story.h"

enum {
	ACTS_MAX = 4,
	SEEDS = 10, /* of how long things take, and for how long the daemon is down */
	QUIET_MS = 24 * 3600 * 1000,
};

/* What the groups come to. */
enum ending {
	ENDS_WELL,          /* what their newest specs declare */
	ENDS_WELL_IF_HEARD, /* the same, where the last request was answered; else they may be given up */
	ENDS_WELL_UNHURT,   /* the same, where no node dies, for who dies in its min-ready fails a release */
	ENDS_CANCELLED,     /* or that */
};

struct act {
	int64_t at_ms;
	void (*act)(void);
};

struct tale {
	const char *name;
	struct act acts[ACTS_MAX];
	enum ending ending;
};

enum moment { BEFORE, WHEN_DURABLE, BEHIND, MOMENT_COUNT, NO_CRASH = MOMENT_COUNT };

static const char *const moment_names[] = {"before", "when it is durable", "behind it", "no crash"};

/* How the world and the store work. */
static const struct pace {
	const char *name;
	uint32_t op_instant, op_min_ms, op_max_ms, commit_instant, commit_max_ms;
} paces[] = {
	{"slow nodes, slow commits", 0, 50, 150, 0, 20},
	{"slow nodes, instant commits", 0, 50, 150, 100, 0},
	{"instant nodes, slow commits", 100, 0, 0, 0, 20},
};

enum { PACE_COUNT = sizeof paces / sizeof paces[0] };

/* The crash that is to come. */
static struct {
	enum moment moment;
	uint64_t commit;
	bool node_dies; /* while the daemon is down */
} crash;

static void one_dies(void)
{
	struct world_node *node = world_any_running(&sim);

	if (node)
		world_exit(&sim, node);
}

/* Steps. The crash behind a commit comes when the next step is over, in which the engine has gone on. */

static void crash_behind(void)
{
	crash.moment = NO_CRASH;
	if (!sim.engine)
		return;
	sim_crash(&sim);
	check_step(&sim);
}

static bool step_before(int64_t limit_ms)
{
	bool due = crash.moment == BEHIND && sim.storage.commits >= crash.commit;
	bool stepped = sim_step_before(&sim, limit_ms);

	if (due && stepped)
		crash_behind();
	if (crash.node_dies && !sim.engine) {
		crash.node_dies = false;
		one_dies();
	}
	return stepped;
}

static void wait_until(int64_t until_ms)
{
	while (step_before(until_ms))
		;
	if (sim.mono_ms < until_ms)
		sim.mono_ms = until_ms;
}

/* What a user asks for is asked when there is a daemon. */
static void wait_for_daemon(void)
{
	while (!sim.engine)
		if (!step_before(INT64_MAX - 1))
			sim_fail(&sim, "the daemon does not come back");
}

static void settle(void)
{
	while (step_before(sim.mono_ms + QUIET_MS))
		;
	if (crash.moment != BEHIND)
		return;
	crash_behind();
	settle();
}

/* Acts. */

static void declare(const char *name, uint32_t size, uint64_t version, struct policy policy)
{
	struct sim_request *request;

	wait_for_daemon();
	request = request_new(&sim);
	request_update(request, name, size, version)->update.policy = policy;
	request_submit(request);
}

static void declare_calmly(uint32_t size, uint64_t version)
{
	declare("default", size, version, sim.config.core.policy);
}

static void one_of_1(void)
{
	declare_calmly(1, 1);
}

static void three_of_1(void)
{
	declare_calmly(3, 1);
}

static void three_of_2(void)
{
	declare_calmly(3, 2);
}

static void three_of_3(void)
{
	declare_calmly(3, 3);
}

static void five_of_1(void)
{
	declare_calmly(5, 1);
}

static void five_of_2(void)
{
	declare_calmly(5, 2);
}

static void two_of_2(void)
{
	declare_calmly(2, 2);
}

static void none(void)
{
	declare_calmly(0, 1);
}

static void three_of_2_with_surge(void)
{
	declare("default", 3, 2, (struct policy){.max_surge = {.value = 2}});
}

static void carefully(uint64_t version)
{
	declare("default", 4, version, (struct policy){.max_unavailable = {.value = 2},
		.max_parallel = 1, .min_ready_ms = 400});
}

static void four_of_1_carefully(void)
{
	carefully(1);
}

static void four_of_2_carefully(void)
{
	carefully(2);
}

static void both_of_1(void)
{
	three_of_1();
	declare("a", 2, 1, sim.config.core.policy);
}

static void both_of_2(void)
{
	declare("a", 3, 2, sim.config.core.policy);
	three_of_2();
}

static void two_at_once(void)
{
	three_of_2();
	two_of_2();
}

static void bad_release(void)
{
	sim.world.bad[2] = true;
	three_of_2();
}

static void ask_of_live_node(enum core_event_kind kind)
{
	const struct group *group;
	struct sim_request *request;

	wait_for_daemon();
	group = core_group_find(engine_core(sim.engine), "default");
	for (uint32_t slot = 0; slot < group->slots_used; slot++) {
		if (group_slot_node(group, slot) == NODE_NONE)
			continue;
		request = request_new(&sim);
		request->request.event = (struct core_event){.kind = kind, .mark = true,
			.id = node_at(&engine_core(sim.engine)->nodes,
				group->slots[slot].node)->id};
		request_submit(request);
		return;
	}
}

static void kill_one(void)
{
	ask_of_live_node(CORE_KILL);
}

static void mark_one(void)
{
	ask_of_live_node(CORE_MARK);
}

static void one_is_unwell(void)
{
	struct world_node *node = world_any_running(&sim);

	if (node)
		world_set_health(&sim, node, false);
}

static void cancel_newest(void)
{
	struct group *group;

	wait_for_daemon();
	group = core_group_find(engine_core(sim.engine), "default");
	if (group->active)
		ask(CORE_CANCEL, group->active->id);
}

static const struct tale tales[] = {
	{"a scale-up from 0", {{0, five_of_1}}, ENDS_WELL},
	{"a scale-down", {{0, five_of_1}, {3000, one_of_1}}, ENDS_WELL},
	{"to 0 and back in its midst", {{0, three_of_1}, {3000, none}, {3060, three_of_2}}, ENDS_WELL},
	{"a rolling upgrade", {{0, three_of_1}, {3000, three_of_2}}, ENDS_WELL},
	{"an upgrade with surge", {{0, three_of_1}, {3000, three_of_2_with_surge}}, ENDS_WELL},
	{"size and version at once, larger", {{0, three_of_1}, {3000, five_of_2}}, ENDS_WELL},
	{"size and version at once, smaller", {{0, five_of_1}, {3000, two_of_2}}, ENDS_WELL},
	{"an UPDATE over a running graph",
		{{0, five_of_1}, {3000, five_of_2}, {3250, three_of_3}}, ENDS_WELL},
	{"two UPDATEs at once", {{0, three_of_1}, {3000, two_at_once}}, ENDS_WELL},
	{"a KILL in the midst", {{0, three_of_1}, {3000, three_of_2}, {3200, kill_one}}, ENDS_WELL},
	{"a MARK and a scale-down", {{0, three_of_1}, {3000, mark_one}, {3100, one_of_1}}, ENDS_WELL},
	{"a bad release and back", {{0, three_of_1}, {3000, bad_release}, {6000, three_of_1}},
		ENDS_WELL_IF_HEARD},
	{"a node that dies in the midst",
		{{0, three_of_1}, {3000, three_of_2}, {3200, one_dies}, {3400, one_dies}}, ENDS_WELL},
	{"a node that dies at rest", {{0, three_of_1}, {3000, one_dies}}, ENDS_WELL},
	{"a node that is unwell", {{0, three_of_1}, {3000, one_is_unwell}}, ENDS_WELL},
	{"a CANCEL", {{0, three_of_1}, {3000, three_of_2}, {3200, cancel_newest}}, ENDS_CANCELLED},
	{"a CANCEL and an UPDATE behind it",
		{{0, three_of_1}, {3000, three_of_2}, {3200, cancel_newest}, {3230, five_of_2}},
		ENDS_WELL_IF_HEARD},
	{"two groups at once", {{0, both_of_1}, {3000, both_of_2}, {3150, one_dies}}, ENDS_WELL},
	{"max-parallel and min-ready", {{0, four_of_1_carefully}, {6000, four_of_2_carefully}},
		ENDS_WELL_UNHURT},
};

enum { TALE_COUNT = sizeof tales / sizeof tales[0] };

/* Telling. */

/* One way to tell a tale. */
struct way {
	const struct pace *pace;
	uint64_t seed;
	enum moment moment;
	uint64_t commit;
};

static bool node_dies(const struct way *way)
{
	return way->moment != NO_CRASH && way->seed % 2 == 0;
}

static void begin_tale(const struct way *way)
{
	const struct pace *pace = way->pace;
	struct sim_config config;

	sim_config_calm(&config);
	config.op_instant_percent = pace->op_instant;
	config.op_delay_min_ms = pace->op_min_ms;
	config.op_delay_max_ms = pace->op_max_ms;
	config.commit_instant_percent = pace->commit_instant;
	config.commit_delay_max_ms = pace->commit_max_ms;
	sim_init(&sim, way->seed, &config);
	crash.moment = way->moment == BEHIND ? BEHIND : NO_CRASH;
	crash.commit = way->commit;
	crash.node_dies = node_dies(way);
	sim.dies = way->moment == BEFORE ? DIES_BEFORE
		: way->moment == WHEN_DURABLE ? DIES_WHEN_DURABLE : DIES_NEVER;
	sim.dies_at = way->commit;
}

static bool ends_well(const struct tale *tale, const struct way *way)
{
	char last[24];

	snprintf(last, sizeof last, "r%llu", (unsigned long long)sim.request_number);
	switch (tale->ending) {
	case ENDS_WELL:
		return true;
	case ENDS_WELL_IF_HEARD:
		return promise_given(&sim, last);
	case ENDS_WELL_UNHURT:
		return !node_dies(way);
	case ENDS_CANCELLED:
		break;
	}
	return false;
}

static void check_end(const struct tale *tale, const struct way *way)
{
	bool crashed = way->moment != NO_CRASH, well = ends_well(tale, way);

	check_rest(&sim, well);
	promises_check(&sim, engine_core(sim.engine));
	if (sim.crashes != crashed)
		sim_fail(&sim, "the daemon has died %llu times", (unsigned long long)sim.crashes);
	if (!crashed && (sim.refused > 0 || sim.answered != sim.request_number))
		sim_fail(&sim, "not every request was carried out");
	if (well)
		sim_restart_idle(&sim);
}

/* Returns how many commits became durable. */
static uint64_t tell(const struct tale *tale, const struct way *way)
{
	static char about[200];
	uint64_t commits;
	int64_t begun_ms;

	snprintf(about, sizeof about, "%s, %s, commit %llu, %s", tale->name, way->pace->name,
		(unsigned long long)way->commit, moment_names[way->moment]);
	begin_tale(way);
	sim.about = about;
	sim_boot(&sim);
	begun_ms = sim.mono_ms;
	for (int i = 0; i < ACTS_MAX && tale->acts[i].act; i++) {
		wait_until(begun_ms + tale->acts[i].at_ms);
		tale->acts[i].act();
	}
	settle();
	commits = sim.storage.commits;
	check_end(tale, way);
	sim_fini(&sim);
	return commits;
}

struct totals {
	uint64_t commits, crashes;
};

static void tell_all_ways(const struct tale *tale, struct way way, struct totals *totals)
{
	uint64_t commits;

	way.moment = NO_CRASH;
	way.commit = 0;
	commits = tell(tale, &way);
	totals->commits += commits;
	for (way.commit = 1; way.commit <= commits; way.commit++)
		for (way.moment = 0; way.moment < MOMENT_COUNT; way.moment++) {
			tell(tale, &way);
			totals->crashes++;
		}
}

int main(void)
{
	struct totals all = {0};

	for (int i = 0; i < TALE_COUNT; i++) {
		struct totals one = {0};

		for (int pace = 0; pace < PACE_COUNT; pace++)
			for (uint64_t seed = 1; seed <= SEEDS; seed++)
				tell_all_ways(&tales[i],
					(struct way){.pace = &paces[pace], .seed = seed}, &one);
		printf("%s: %llu commits, %llu crashes\n", tales[i].name,
			(unsigned long long)one.commits, (unsigned long long)one.crashes);
		all.commits += one.commits;
		all.crashes += one.crashes;
	}
	printf("%d scenarios, each at %d paces with %d seeds: %llu commits, %llu crashes: all that must "
	       "hold held\n", TALE_COUNT, PACE_COUNT, SEEDS, (unsigned long long)all.commits,
		(unsigned long long)all.crashes);
	return 0;
}
