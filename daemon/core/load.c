/* Loading what a store has kept. The parts are taken in as they are; the end ties them together
 * again, rebuilds what is derived, and asks the driver for the truth about every live node. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "graph_check.h"
#include "internal.h"
#include "planner.h"
#include "proto/mem.h"

enum { SLOT_MAX = 2 * LIMIT_SIZE };

static int contradiction(struct error *error, const char *what, const char *group)
{
	return error_set(error, ERR_STORAGE, "the stored state contradicts itself: %s, in group %s",
		what, group);
}

/* Of a task of a graph; the state file numbers graphs by their serials. */
static int task_contradiction(const struct core *core, const struct graph *graph, uint32_t number,
	const char *what, struct error *error)
{
	return error_set(error, ERR_STORAGE, "the stored state contradicts itself: %s, in group %s, "
		"graph %" PRIu64 ", task %" PRIu32, what, graph_group(core, graph)->name, graph->serial,
		number);
}

static int graph_contradiction(const struct core *core, const struct graph *graph, const char *what,
	struct error *error)
{
	return error_set(error, ERR_STORAGE, "the stored state contradicts itself: %s, in group %s, "
		"graph %" PRIu64, what, graph_group(core, graph)->name, graph->serial);
}

static struct group *find_group(const struct core *core, const char *name, struct error *error)
{
	struct group *group = core_group_find(core, name);

	if (!group)
		error_set(error, ERR_STORAGE, "no such group: \"%s\"", name);
	return group;
}

int core_load_group(struct core *core, const char *name, const struct id *next_graph,
	uint64_t proven_revision, struct error *error)
{
	struct group *group = core_group_find(core, name);
	struct error inner;

	if (arg_group(name, &inner) < 0)
		return error_set(error, ERR_STORAGE, "%s", inner.text);
	if (!group)
		group = core_group_create(core, name);
	group->next_graph = *next_graph;
	group->proven_revision = proven_revision;
	return 0;
}

int core_load_spec(struct core *core, const char *name, struct spec *spec, struct error *error)
{
	struct group *group = find_group(core, name, error);
	uint64_t expected;

	if (!group)
		return -1;
	expected = group->spec.revision + 1;
	if (spec->revision == 0 || (group->specs.count > 0 && spec->revision != expected))
		return contradiction(error, "a revision is missing", name);
	group_keep_spec(group, spec, UINT32_MAX - 1);
	return 0;
}

int core_load_graph(struct core *core, const char *name, struct graph *graph, struct error *error)
{
	struct group *group = find_group(core, name, error);
	const char *wrong;

	if (!group)
		return -1;
	wrong = graph_state_wrong(graph);
	if (wrong)
		return contradiction(error, wrong, name);
	if (graph->revision == 0 || graph->revision > group->spec.revision)
		return contradiction(error, "a graph works towards a spec that is not there", name);
	if (!graph_shape_is_valid(graph))
		return contradiction(error, "the edges of a graph are broken", name);
	if (origin_known(&graph->canceller) && graph->state != GRAPH_CANCELLED)
		return contradiction(error, "somebody cancelled a graph that is not cancelled", name);
	if (origin_known(&graph->origin) && graph->reason != REASON_UPDATE &&
		graph->reason != REASON_KILL)
		return contradiction(error, "somebody asked for a graph that imd planned by itself", name);
	if (core_graph_find(core, &graph->id))
		return contradiction(error, "a graph is there twice", name);
	graph->group = group->index;
	graph->ready.head = graph->floor.head = TASK_NONE;
	core_graph_add(core, graph);
	return 0;
}

/* What contradicts the state of a node, NULL: nothing. */
static const char *node_state_wrong(const struct node *node)
{
	if (!node_live(node) && node->op != OP_NONE)
		return "the driver has yet to answer for a node that has ended";
	if (node->state == NODE_STARTING && node->started_us != 0)
		return "a node is starting that has run";
	if (node->state == NODE_RUNNING && node->started_us == 0)
		return "a node runs that was never started";
	return NULL;
}

int core_load_node(struct core *core, const char *name, const struct node *stored,
	uint32_t *ret_ref, struct error *error)
{
	struct group *group = find_group(core, name, error);
	const char *wrong;
	struct node *node;
	struct slot *slot;
	uint32_t ref;

	if (!group)
		return -1;
	wrong = node_state_wrong(stored);
	if (wrong)
		return contradiction(error, wrong, name);
	if (stored->revision == 0 || stored->revision > group->spec.revision)
		return contradiction(error, "a node was started for a spec that is not there", name);
	if (node_ref(core, &stored->id) != NODE_NONE)
		return contradiction(error, "a node is there twice", name);
	if (stored->slot > SLOT_MAX)
		return contradiction(error, "a slot is out of range", name);
	slot = group_slot(group, stored->slot);
	if (node_live(stored) && slot->node != NODE_NONE)
		return contradiction(error, "two nodes live in one slot", name);
	node = node_pool_take(&core->nodes, &ref);
	*node = *stored;
	node->group = group->index;
	node->used = true;
	node->changed = node->available = node->inspecting = false;
	node->heir = node->lost = node->died = false;
	node->marker = 0;
	node->graph = GRAPH_NONE;
	node->task = node->settle = TASK_NONE;
	node->ready_timer = TIMER_NONE;
	id_index_add(&core->node_ids, &node->id, ref);
	*ret_ref = ref;
	if (!node_live(node)) {
		group_keep_ended(group, ref, UINT32_MAX - 1);
		return 0;
	}
	slot->node = ref;
	group->live++;
	core->live++;
	group->states[node->state]++;
	return 0;
}

int core_load_marker(struct core *core, uint32_t ref, const struct origin *marker, struct error *error)
{
	struct node *node = node_at(&core->nodes, ref);

	if (!node->marked)
		return contradiction(error, "somebody marked a node that is not marked",
			core->groups[node->group]->name);
	node_mark(&core->nodes, node, marker);
	return 0;
}

/* The end. */

static bool graph_runs(const struct graph *graph)
{
	return graph->state == GRAPH_RUNNING || graph->state == GRAPH_RUNNING_ERRORED;
}

/* Whether a Settle of the graph that runs may wait for the node: something in flight will end or start it, or it has
 * yet to become available. */
static bool settle_fits_node(const struct graph *graph, const struct node *node)
{
	return graph_runs(graph) && node->group == graph->group && node->settle == TASK_NONE &&
		(node->graph != GRAPH_NONE || node->op != OP_NONE || node->state == NODE_RUNNING);
}

/* Whether the state of a node is one that its running task allows. A start is cancelled for the next graph. */
static bool task_fits_node(const struct graph *graph, const struct task *task, const struct node *node)
{
	if (task->action == ACTION_SHUT_DOWN_NODE)
		return node->state == NODE_SHUTTING_DOWN &&
			(node->op == OP_NONE || node->op == OP_STOP || node->op == OP_KILL);
	if (node->state == NODE_STARTING)
		return node->op == OP_NONE || node->op == OP_START ||
			(node->op == OP_CANCEL && !graph_runs(graph));
	return node->state == NODE_RUNNING && node->op == OP_NONE;
}

static int load_running_task(struct core *core, struct graph *graph, uint32_t number,
	struct error *error)
{
	struct group *group = graph_group(core, graph);
	struct task *task = &graph->tasks[number];
	uint32_t ref = node_ref(core, &task->node);
	struct node *node = ref == NODE_NONE ? NULL : node_at(&core->nodes, ref);

	if (!node || !node_live(node))
		return task_contradiction(core, graph, number, "a task runs on a node that is not there", error);
	if (task->version != node->version || task->slot != node->slot)
		return task_contradiction(core, graph, number, "a task runs on another node than planned", error);
	if (task->description == DESCRIPTION_SETTLE) {
		if (!settle_fits_node(graph, node))
			return task_contradiction(core, graph, number, "a Settle waits for nothing", error);
		task->gate = GATE_SETTLE;
		node->settle = number;
		return 0;
	}
	if (node->graph != GRAPH_NONE)
		return task_contradiction(core, graph, number, "two tasks run on one node", error);
	if (!task_fits_node(graph, task, node))
		return task_contradiction(core, graph, number, "a task runs on a node that does something else",
			error);
	node->graph = graph->index;
	node->task = number;
	group->in_flight++;
	if (node->op != OP_NONE)
		return 0;
	task->gate = node->state == NODE_RUNNING ? GATE_MIN_READY : GATE_RETRY;
	if (task->gate == GATE_RETRY) /* at once: how long it has waited is not known */
		task->timer = timers_add(&core->timers, (struct timer){.kind = TIMER_TASK,
			.a = graph->index, .b = number, .deadline_ms = core->now.mono_ms});
	return 0;
}

/* The tasks that wait will begin in time, and what they need must be there then. A slot is started in
 * once in a graph, and a node is stopped once; where a node is in the way of a start, the task that
 * ends it is one that the start waits for. */
enum { CLAIM_START = 1, CLAIM_STOP = 2 };

static bool start_can_begin(const struct core *core, const struct graph *graph, uint32_t number)
{
	const struct task *task = &graph->tasks[number];
	const struct group *group = graph_group(core, graph);
	struct id id = plan_node_id(&graph->id, number);
	uint32_t count, occupant = NODE_NONE;
	const uint32_t *prereqs = graph_prereqs(graph, number, &count);

	if (!id_equal(&task->node, &id) || node_ref(core, &id) != NODE_NONE || task->version != group->spec.version)
		return false;
	if (task->slot < group->slots_used)
		occupant = group->slots[task->slot].node;
	if (occupant == NODE_NONE)
		return true;
	for (uint32_t i = 0; i < count; i++) {
		const struct task *prereq = &graph->tasks[prereqs[i]];

		if (id_equal(&prereq->node, &node_at(&core->nodes, occupant)->id))
			return prereq->state == TASK_WAITING || prereq->state == TASK_RUNNING;
	}
	return false;
}

static bool stop_can_begin(const struct core *core, const struct graph *graph, uint32_t number)
{
	const struct task *task = &graph->tasks[number];
	const struct node *node = core_node_find(core, &task->node);

	return node && node_live(node) && node->group == graph->group && node->slot == task->slot &&
		node->version == task->version &&
		((node->graph == GRAPH_NONE && node->op == OP_NONE) || node->settle != TASK_NONE);
}

static int check_waiting_task(const struct core *core, const struct graph *graph, uint32_t number,
	uint8_t *claims, struct error *error)
{
	const struct task *task = &graph->tasks[number];
	bool start = task->action == ACTION_START_NODE;
	uint8_t claim = start ? CLAIM_START : CLAIM_STOP;

	if (graph->state != GRAPH_RUNNING)
		return task_contradiction(core, graph, number, "a task waits in a graph that goes on no further", error);
	if (task->description == DESCRIPTION_SETTLE) /* graph_start begins them all */
		return task_contradiction(core, graph, number, "a Settle has not begun", error);
	if (task->action == ACTION_DO_NOTHING)
		return 0;
	if (task->slot > SLOT_MAX || (claims[task->slot] & claim))
		return task_contradiction(core, graph, number, "two tasks wait for one slot", error);
	claims[task->slot] |= claim;
	if (start ? !start_can_begin(core, graph, number) : !stop_can_begin(core, graph, number))
		return task_contradiction(core, graph, number, "a task waits that cannot begin", error);
	return 0;
}

/* When all that runs is known. */
static int check_waiting_tasks(const struct core *core, const struct graph *graph,
	struct error *error)
{
	uint8_t *claims;
	int ret = 0;

	if (graph->counts[TASK_WAITING] == 0)
		return 0;
	claims = mem_zalloc(SLOT_MAX + 1, sizeof *claims);
	for (uint32_t t = 0; t < graph->task_count && ret == 0; t++)
		if (graph->tasks[t].state == TASK_WAITING)
			ret = check_waiting_task(core, graph, t, claims, error);
	free(claims);
	return ret;
}

static void load_waiting_task(struct core *core, struct graph *graph, uint32_t number)
{
	struct task *task = &graph->tasks[number];
	uint32_t count;
	const uint32_t *prereqs = graph_prereqs(graph, number, &count);

	task->gate = GATE_PREREQS;
	task->pending = 0;
	for (uint32_t i = 0; i < count; i++)
		task->pending += graph->tasks[prereqs[i]].state != TASK_SUCCEEDED;
	if (task->pending > 0)
		return;
	graph_task_ready(graph, number);
	core_group_runnable(core, graph_group(core, graph));
}

static int load_task(struct core *core, struct graph *graph, uint32_t number, struct error *error)
{
	struct task *task = &graph->tasks[number];
	bool ended = task->state != TASK_WAITING && task->state != TASK_RUNNING;

	task->gate = GATE_NONE;
	if (ended != (task->finished_us != 0))
		return task_contradiction(core, graph, number, ended ? "a task has ended at no time"
			: "a task goes on that has ended", error);
	if (task->state == TASK_RUNNING)
		return load_running_task(core, graph, number, error);
	if (task->state == TASK_WAITING)
		load_waiting_task(core, graph, number);
	return 0;
}

static int load_tasks(struct core *core, struct graph *graph, struct error *error)
{
	uint32_t counts[TASK_STATE_COUNT] = {0};

	for (uint32_t t = 0; t < graph->task_count; t++) {
		counts[graph->tasks[t].state]++;
		if (load_task(core, graph, t, error) < 0)
			return -1;
	}
	if (graph_ended(graph) && memcmp(counts, graph->counts, sizeof counts) != 0)
		return graph_contradiction(core, graph, "a graph counts other tasks than it has", error);
	memcpy(graph->counts, counts, sizeof counts);
	if (graph->failed_task != TASK_NONE && graph->tasks[graph->failed_task].state != TASK_FAILED)
		return graph_contradiction(core, graph, "a graph failed by a task that did not", error);
	return 0;
}

/* The plan that is carried out is for the current spec, and its bounds are those that the planner derives from it. */
static int check_active(const struct core *core, const struct group *group, struct error *error)
{
	const struct graph *graph = group->active;
	const struct spec *spec = &group->spec;
	struct plan_target target = plan_target(spec->size, spec->version, &spec->policy);
	uint32_t floor = target.size > target.unavailable ? target.size - target.unavailable : 0;

	if (TAILQ_NEXT(graph, entry))
		return graph_contradiction(core, graph, "a graph runs that is not the newest", error);
	if (graph->revision != spec->revision)
		return graph_contradiction(core, graph, "a graph runs for another spec than the current one", error);
	if (graph->min_available > floor || graph->max_live < target.size + target.surge)
		return graph_contradiction(core, graph, "the bounds of a graph are not those of its spec", error);
	return 0;
}

static int load_graphs(struct core *core, struct group *group, struct error *error)
{
	struct graph *graph;

	TAILQ_FOREACH(graph, &group->graphs, entry) {
		group->ended_graphs += graph_ended(graph);
		if (!graph_loaded(graph))
			continue;
		if (load_tasks(core, graph, error) < 0)
			return -1;
		if (graph_ended(graph)) {
			group->ended_tasks += graph->task_count;
			continue;
		}
		if (!graph_runs(graph))
			continue;
		if (group->active)
			return graph_contradiction(core, graph, "two graphs run", error);
		group_set_active(core, group, graph);
	}
	if (group->active && check_active(core, group, error) < 0)
		return -1;
	TAILQ_FOREACH(graph, &group->graphs, entry)
		if (check_waiting_tasks(core, graph, error) < 0)
			return -1;
	return 0;
}

/* How long it has run is not known. It counts as available, unless a task waits for it to be. */
static void load_running_node(struct core *core, uint32_t ref)
{
	const struct node *node = node_at(&core->nodes, ref);
	uint64_t min_ready_ms = core->groups[node->group]->spec.policy.min_ready_ms;

	if (node->settle == TASK_NONE && node->graph == GRAPH_NONE)
		node_set_available(core, ref, true);
	else
		node_arm_ready(core, ref, core->now.mono_ms + (int64_t)min_ready_ms);
}

static int load_nodes(struct core *core, struct group *group, struct error *error)
{
	for (uint32_t i = 0; i < group->slots_used; i++) {
		uint32_t ref = group->slots[i].node;
		struct node *node = ref == NODE_NONE ? NULL : node_at(&core->nodes, ref);

		if (!node)
			continue;
		if (node->graph == GRAPH_NONE && node->op != OP_KILL &&
			(node->op != OP_NONE || node->state == NODE_SHUTTING_DOWN))
			return error_set(error, ERR_STORAGE, "the stored state contradicts itself: "
				"a node is in flight without a task, in group %s, slot %" PRIu32,
				group->name, i);
		node->running_ms = core->now.mono_ms;
		if (node->state == NODE_RUNNING)
			load_running_node(core, ref);
		if (node->op != OP_NONE || node->state == NODE_RUNNING ||
			node->state == NODE_UNHEALTHY)
			action_add(core, DO_INSPECT, ref);
	}
	return 0;
}

/* A heal that was only planned for later: what it was waiting for is forgotten. The graph that runs may
 * know nothing of a node that became unhealthy behind its plan. */
static void load_heal(struct core *core, struct group *group)
{
	bool unhealthy = group->states[NODE_UNHEALTHY] > 0;
	bool proven = group->proven_revision == group->spec.revision;

	if (group->active ? unhealthy : proven && (unhealthy || group->live != group->spec.size))
		group_replan_due(core, group, REASON_HEAL, NULL);
}

/* What is left of contradictions shows as a broken invariant. */
static int check_all(const struct core *core, struct error *error)
{
	struct error inner;

	if (core_check(core, &inner) == 0)
		return 0;
	return error_set(error, ERR_STORAGE, "the stored state contradicts itself: %s", inner.text);
}

int core_load_end(struct core *core, const struct now *now, struct update *update,
	struct error *error)
{
	core->now = *now;
	core->update = update;
	for (uint32_t i = 0; i < core->group_count; i++) {
		struct group *group = core->groups[i];

		if (core_graph_find(core, &group->next_graph))
			return contradiction(error, "the id of the next graph is taken", group->name);
		if (group->proven_revision > group->spec.revision)
			return contradiction(error, "a spec was reached that is not there", group->name);
		if (load_graphs(core, group, error) < 0 || load_nodes(core, group, error) < 0)
			return -1;
		group_update_peak(core, group);
		losses_load(core, group);
		load_heal(core, group);
	}
	return check_all(core, error);
}
