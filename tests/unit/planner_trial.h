/* A small group, its plan, and the search through every way in which the plan may be carried out.
 *
 * A state of an execution is which tasks have begun and which have ended. The full search visits every such
 * state: a task whose prerequisites have ended may begin, and may end any time later. The eager
 * search lets tasks begin at once, so that the sets of ended tasks are its states. It misses nothing: in any
 * state, letting what may begin begin makes live nodes no fewer and available ones no more, and frees
 * no slot; so where a bound is broken at all it is broken in an eager state. The two are compared on
 * the groups that both can search. */
#ifndef IMD_TESTS_PLANNER_TRIAL_H
#define IMD_TESTS_PLANNER_TRIAL_H

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/planner.h"

enum { NODES_MAX = 6, NODES_ROOM = 12, TASKS_MAX = 32, WANTED = 2, OTHER = 1 };
enum { HEALTHS = 5, KINDS = 2 * HEALTHS, MARKED_KINDS = 2 * KINDS };

static uint64_t case_count, state_count;

/* A group, and what it is to become. */
struct trial {
	struct plan_node nodes[NODES_ROOM];
	uint32_t count;
	struct plan_target target;
	struct graph graph;
};

/* A graph as sets of tasks, one bit each. */
struct run {
	uint32_t count, all;
	uint32_t prereqs[TASKS_MAX];
	uint32_t frees[TASKS_MAX]; /* of a start: the task that frees its slot */
	uint32_t starts, stops, barriers, settles;
	uint32_t costly;  /* stops of available nodes */
	uint32_t going;   /* Settles of nodes that will be gone */
	uint32_t rising;  /* Settles of nodes that will be available */
	uint32_t tight;   /* starts in slots that must become free first */
	uint32_t culls;   /* stops of available nodes that must wait for a proof of the version */
	int live, available, max_live, min_available;
	uint64_t states;
	const char *broken; /* the invariant that does not hold, NULL: all do */
	uint32_t begun, ended; /* where it does not */
};

static void trial_print(const struct trial *trial, const struct run *run)
{
	static const char *const healths[] = {"available", "readying", "starting", "broken", "stopping"};

	printf("size %u, surge %u, unavailable %u; nodes (wanted version %d):\n", trial->target.size,
		trial->target.surge, trial->target.unavailable, WANTED);
	for (uint32_t i = 0; i < trial->count; i++)
		printf("  slot %u: %s@%d%s%s\n", trial->nodes[i].slot, healths[trial->nodes[i].health],
			(int)trial->nodes[i].version, trial->nodes[i].marked ? " marked" : "",
			trial->nodes[i].release ? " released" : "");
	printf("max-live %u, min-available %u; tasks:\n", trial->graph.max_live,
		trial->graph.min_available);
	for (uint32_t t = 0; t < trial->graph.task_count; t++) {
		const struct task *task = &trial->graph.tasks[t];

		printf("  %2u [", t);
		for (uint32_t q = 0; q < t; q++)
			if (run->prereqs[t] >> q & 1)
				printf(" %u", q);
		printf(" ] %s %s slot %u%s%s\n", task_action_name(task->action),
			task_description_name(task->description), task->slot,
			run->begun >> t & 1 ? " begun" : "", run->ended >> t & 1 ? " ended" : "");
	}
	fflush(stdout);
}

static void trial_fail(const struct trial *trial, const struct run *run, const char *what)
{
	trial_print(trial, run);
	ck_abort_msg("%s", what);
}

#define trial_must(trial, run, condition) \
	do { \
		if (!(condition)) \
			trial_fail(trial, run, #condition); \
	} while (0)

/* The invariants of a state. */
static const char *state_check(const struct run *run, uint32_t begun, uint32_t ended, bool stuck)
{
	int live = run->live - __builtin_popcount(ended & (run->stops | run->going))
		+ __builtin_popcount(begun & run->starts);
	int available = run->available - __builtin_popcount(begun & run->costly)
		+ __builtin_popcount(ended & (run->starts | run->rising));

	if (live > run->max_live)
		return "the ceiling does not hold";
	if (available < run->min_available)
		return "the floor does not hold";
	for (uint32_t rest = begun & run->tight; rest; rest &= rest - 1)
		if (run->frees[__builtin_ctz(rest)] & ~ended)
			return "two live nodes share a slot";
	if (begun & run->culls && !(ended & (run->starts | run->rising)))
		return "a healthy surplus node is stopped before the new version is proven";
	if (stuck && ended != run->all)
		return "nothing can go on";
	return NULL;
}

static void state_visit(struct run *run, uint32_t begun, uint32_t ended, bool stuck)
{
	const char *broken = state_check(run, begun, ended, stuck);

	run->states++;
	if (!broken || run->broken)
		return;
	run->broken = broken;
	run->begun = begun;
	run->ended = ended;
}

/* Decides of one task after the other whether it has ended: of a task whose prerequisites have not
 * there is no choice, and of a barrier neither. Every set of ended tasks comes up once. */
static inline void search_eager(struct run *run, uint32_t task, uint32_t begun, uint32_t ended)
{
	uint32_t bit;

	for (;; task++) {
		if (run->broken)
			return;
		if (task == run->count) {
			state_visit(run, begun, ended, begun == ended);
			return;
		}
		bit = UINT32_C(1) << task;
		if (run->prereqs[task] & ~ended)
			continue;
		begun |= bit;
		if (!(run->barriers & bit))
			search_eager(run, task + 1, begun, ended);
		ended |= bit;
	}
}

/* The states that the full search has met: a hash table that forgets by counting on its era. */
enum { MET_SIZE = 1 << 22 };
static struct met {
	uint32_t era, begun, ended;
} *met;
static uint32_t met_era, met_count;
static struct {
	uint32_t begun, ended;
} *todo;
static uint32_t todo_count;

static void meet(const struct run *run, uint32_t begun, uint32_t ended)
{
	uint64_t hash = ((uint64_t)begun << 32 | ended) * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t place = (uint32_t)(hash >> 42);

	/* A barrier takes no time. */
	for (uint32_t task = 0; task < run->count; task++)
		if (run->barriers >> task & 1 && !(run->prereqs[task] & ~ended)
			&& !(ended >> task & 1)) {
			meet(run, begun | UINT32_C(1) << task, ended | UINT32_C(1) << task);
			return;
		}
	for (; met[place].era == met_era; place = (place + 1) % MET_SIZE)
		if (met[place].begun == begun && met[place].ended == ended)
			return;
	if (++met_count > MET_SIZE / 2)
		ck_abort_msg("more states than there is room for");
	met[place].era = met_era;
	met[place].begun = begun;
	met[place].ended = ended;
	todo[todo_count].begun = begun;
	todo[todo_count++].ended = ended;
}

/* Every way to let one task begin, or one that has begun end. */
static inline void search_full(struct run *run)
{
	if (!met)
		met = calloc(MET_SIZE, sizeof *met);
	if (!todo)
		todo = calloc(MET_SIZE, sizeof *todo);
	ck_assert(met != NULL && todo != NULL);
	met_era++;
	met_count = 0;
	todo_count = 0;
	meet(run, run->settles, 0);
	while (todo_count && !run->broken) {
		uint32_t begun = todo[--todo_count].begun, ended = todo[todo_count].ended;
		bool stuck = true;

		for (uint32_t task = 0; task < run->count; task++) {
			uint32_t bit = UINT32_C(1) << task;

			if (begun & ~ended & bit)
				meet(run, begun, ended | bit);
			else if (!(begun & bit) && !(run->prereqs[task] & ~ended))
				meet(run, begun | bit, ended);
			else
				continue;
			stuck = false;
		}
		state_visit(run, begun, ended, stuck);
	}
}

static const struct plan_node *trial_node(const struct trial *trial, const struct id *id)
{
	for (uint32_t i = 0; i < trial->count; i++)
		if (id_equal(&trial->nodes[i].id, id))
			return &trial->nodes[i];
	return NULL;
}

static const struct plan_node *trial_slot(const struct trial *trial, uint32_t slot)
{
	for (uint32_t i = 0; i < trial->count; i++)
		if (trial->nodes[i].slot == slot)
			return &trial->nodes[i];
	return NULL;
}

/* The task that ends a node, 0: none does. */
static uint32_t node_end(const struct trial *trial, const struct run *run, const struct id *id)
{
	for (uint32_t t = 0; t < run->count; t++)
		if ((run->stops | run->going) >> t & 1 && id_equal(&trial->graph.tasks[t].node, id))
			return UINT32_C(1) << t;
	return 0;
}

static void run_add_settle(struct run *run, const struct trial *trial, uint32_t t)
{
	const struct task *task = &trial->graph.tasks[t];
	const struct plan_node *node = trial_node(trial, &task->node);

	trial_must(trial, run, node && node->slot == task->slot && node->version == task->version);
	trial_must(trial, run, run->prereqs[t] == 0);
	trial_must(trial, run, t == 0 || run->settles >> (t - 1) & 1);
	trial_must(trial, run, node->health != PLAN_AVAILABLE && node->health != PLAN_BROKEN);
	trial_must(trial, run, node->health != PLAN_READYING || !node->release);
	run->settles |= UINT32_C(1) << t;
	if (node->health == PLAN_STOPPING || node->release)
		run->going |= UINT32_C(1) << t;
	else
		run->rising |= UINT32_C(1) << t;
}

static void run_add_stop(struct run *run, const struct trial *trial, uint32_t t)
{
	const struct task *task = &trial->graph.tasks[t];
	const struct plan_node *node = trial_node(trial, &task->node);

	trial_must(trial, run, node && node->slot == task->slot && node->version == task->version);
	trial_must(trial, run, !node_end(trial, run, &task->node));
	trial_must(trial, run, node->health == PLAN_AVAILABLE || node->health == PLAN_BROKEN
		|| (node->health == PLAN_READYING && node->release));
	run->stops |= UINT32_C(1) << t;
	if (node->health == PLAN_AVAILABLE)
		run->costly |= UINT32_C(1) << t;
}

static void run_add_task(struct run *run, const struct trial *trial, uint32_t t)
{
	const struct graph *graph = &trial->graph;
	const struct task *task = &graph->tasks[t];
	uint32_t count;
	const uint32_t *prereqs = graph_prereqs(graph, t, &count);

	for (uint32_t i = 0; i < count; i++) {
		trial_must(trial, run, prereqs[i] < t);
		trial_must(trial, run, !(run->prereqs[t] >> prereqs[i] & 1));
		run->prereqs[t] |= UINT32_C(1) << prereqs[i];
	}
	trial_must(trial, run, task->gate == GATE_PREREQS && task->pending == count);
	trial_must(trial, run, task->state == TASK_WAITING && task->attempt == 0 && task->error == 0);
	if (task->action == ACTION_SHUT_DOWN_NODE) {
		run_add_stop(run, trial, t);
	} else if (task->action == ACTION_START_NODE) {
		struct id id = plan_node_id(&graph->id, t);

		trial_must(trial, run, id_equal(&task->node, &id) && task->version == WANTED);
		run->starts |= UINT32_C(1) << t;
	} else if (task->description == DESCRIPTION_SETTLE) {
		run_add_settle(run, trial, t);
	} else {
		trial_must(trial, run, task->description != DESCRIPTION_NONE && count > 0);
		run->barriers |= UINT32_C(1) << t;
	}
}

/* A start's slot must be free of the node that has it, and no other start may have it. */
static void run_find_slots(struct run *run, const struct trial *trial)
{
	for (uint32_t t = 0; t < run->count; t++) {
		const struct plan_node *node = trial_slot(trial, trial->graph.tasks[t].slot);

		if (!(run->starts >> t & 1))
			continue;
		for (uint32_t other = 0; other < t; other++)
			trial_must(trial, run, !(run->starts >> other & 1)
				|| trial->graph.tasks[t].slot != trial->graph.tasks[other].slot);
		if (!node)
			continue;
		run->frees[t] = node_end(trial, run, &node->id);
		run->tight |= UINT32_C(1) << t;
		trial_must(trial, run, run->frees[t] != 0);
	}
}

/* Where no node at the wanted version is available, the healthy ones that the barrier KillSome waits for
 * may be stopped only after one is. */
static void run_find_culls(struct run *run, const struct trial *trial)
{
	for (uint32_t i = 0; i < trial->count; i++)
		if (trial->nodes[i].health == PLAN_AVAILABLE && trial->nodes[i].version == WANTED)
			return;
	for (uint32_t t = 0; t < run->count && trial->target.size > 0; t++)
		if (trial->graph.tasks[t].description == DESCRIPTION_KILL_SOME)
			run->culls = run->prereqs[t] & run->costly;
}

/* The same edges must stand in both directions. */
static void check_dependents(const struct run *run, const struct trial *trial)
{
	uint32_t edges = 0;

	for (uint32_t t = 0; t < run->count; t++) {
		uint32_t count;
		const uint32_t *dependents = graph_dependents(&trial->graph, t, &count);

		edges += count;
		for (uint32_t i = 0; i < count; i++)
			trial_must(trial, run, dependents[i] < run->count
				&& run->prereqs[dependents[i]] >> t & 1);
	}
	trial_must(trial, run, edges == trial->graph.edge_count);
}

static int smaller(int a, int b)
{
	return a < b ? a : b;
}

/* What must hold of the graph as such: its bounds, its end, and that it does no more than it must. */
static void run_check(const struct run *run, const struct trial *trial)
{
	const struct plan_target *target = &trial->target;
	int wanted = 0, size = (int)target->size, floor = size - (int)target->unavailable;
	int stays, ceiling = size + (int)target->surge;

	for (uint32_t i = 0; i < trial->count; i++) {
		const struct plan_node *node = &trial->nodes[i];
		bool ends = node_end(trial, run, &node->id) != 0;

		if (node->version == WANTED && node->health <= PLAN_STARTING)
			wanted++;
		trial_must(trial, run, ends || (node->version == WANTED && node->health <= PLAN_STARTING));
		trial_must(trial, run, !node->release || (ends && (node->health == PLAN_STARTING
			|| node->health == PLAN_READYING)));
	}
	stays = smaller(wanted, size);
	trial_must(trial, run, __builtin_popcount(run->starts) == size - stays);
	trial_must(trial, run, run->live - __builtin_popcount(run->stops | run->going) == stays);
	/* All who stay are available in the end. */
	trial_must(trial, run, run->available - __builtin_popcount(run->costly)
		+ __builtin_popcount(run->rising) == stays);
	trial_must(trial, run, run->max_live == (run->live > ceiling ? run->live : ceiling));
	trial_must(trial, run, run->min_available == smaller(run->available, floor > 0 ? floor : 0));
	trial_must(trial, run, trial->graph.counts[TASK_WAITING] == run->count);
	trial_must(trial, run, trial->graph.edge_count <= 3 * run->count + 3);
}

static void run_init(struct run *run, const struct trial *trial)
{
	const struct graph *graph = &trial->graph;

	memset(run, 0, sizeof *run);
	ck_assert(graph->task_count < TASKS_MAX);
	run->count = graph->task_count;
	run->all = (UINT32_C(1) << run->count) - 1;
	run->live = (int)trial->count;
	run->max_live = (int)graph->max_live;
	run->min_available = (int)graph->min_available;
	for (uint32_t i = 0; i < trial->count; i++)
		run->available += trial->nodes[i].health == PLAN_AVAILABLE;
	for (uint32_t t = 0; t < run->count; t++)
		run_add_task(run, trial, t);
	run_find_slots(run, trial);
	run_find_culls(run, trial);
	check_dependents(run, trial);
	run_check(run, trial);
}

/* Layouts of slots: rising, falling, and with gaps. */
enum { LAYOUTS = 3 };

static void trial_plan(struct trial *trial, const uint8_t *kinds, uint32_t count, unsigned layout)
{
	struct error error;

	trial->count = count;
	memset(&trial->graph, 0, sizeof trial->graph);
	trial->graph.id.bytes[3] = 7;
	for (uint32_t i = 0; i < count; i++) {
		uint8_t kind = kinds[i] % KINDS;

		trial->nodes[i] = (struct plan_node){
			.version = kind / HEALTHS ? OTHER : WANTED, .health = kind % HEALTHS,
			.marked = kinds[i] >= KINDS,
			.slot = layout == 0 ? i : layout == 1 ? count - 1 - i : (5 * i + 1) % 17};
		trial->nodes[i].id.bytes[0] = (uint8_t)(i + 1);
	}
	ck_assert(plan_make(&trial->graph, trial->nodes, count, &trial->target, &error) == 0);
	case_count++;
}

static void trial_fini(struct trial *trial)
{
	free(trial->graph.tasks);
	free(trial->graph.prereqs);
	free(trial->graph.dependents);
}

static struct plan_target target_make(uint32_t size, uint32_t surge, uint32_t unavailable)
{
	struct policy policy = {.max_surge = {surge, false}, .max_unavailable = {unavailable, false}};

	return plan_target(size, WANTED, &policy);
}

/* Every health and version; then the same with a mark. */
static const uint8_t all_kinds[MARKED_KINDS] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19};

/* What is done with every group. */
typedef void group_visit(const uint8_t *kinds, uint32_t count);

/* Calls visit for every multiset of up to `most` of the kinds from the list. */
static void groups_walk(const uint8_t *list, uint32_t list_count, uint32_t most,
	group_visit *visit)
{
	uint8_t kinds[NODES_MAX], picks[NODES_MAX];

	for (uint32_t count = 0; count <= most; count++) {
		memset(picks, 0, sizeof picks);
		for (;;) {
			uint32_t i = count;

			for (uint32_t k = 0; k < count; k++)
				kinds[k] = list[picks[k]];
			visit(kinds, count);
			while (i > 0 && picks[i - 1] == list_count - 1)
				i--;
			if (i == 0)
				break;
			memset(picks + i - 1, picks[i - 1] + 1, count - i + 1);
		}
	}
}

static void targets_walk(struct trial *trial, const uint8_t *kinds, uint32_t count,
	void (*visit)(struct trial *, struct run *))
{
	struct run run;

	for (uint32_t i = 0; i < 7 * 16; i++) {
		if (i % 16 == 0)
			continue; /* neither surge nor unavailability: the same as U 1 */
		trial->target = target_make(i / 16, i / 4 % 4, i % 4);
		trial_plan(trial, kinds, count, (unsigned)((case_count + case_count / 105) % LAYOUTS));
		run_init(&run, trial);
		visit(trial, &run);
		trial_fini(trial);
	}
}

static inline void report(const char *what)
{
	printf("%" PRIu64 " cases, %" PRIu64 " states %s\n", case_count, state_count, what);
	fflush(stdout);
}

#endif
