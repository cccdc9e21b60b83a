/* Every invariant of the model, checked against the whole state. */
#include <stdlib.h>

#include "internal.h"

struct tally {
	uint32_t live, available, in_flight, losses;
	uint32_t states[NODE_STATE_COUNT];
};

static int broken(struct error *error, const struct group *group, const char *what)
{
	return error_set(error, ERR_INTERNAL, "invariant broken in group %s: %s", group->name, what);
}

#define CHECK(condition)                                         \
	do {                                                     \
		if (!(condition))                                \
			return broken(error, group, #condition); \
	} while (0)

static int check_node_task(const struct core *core, const struct group *group,
	const struct node *node, struct error *error)
{
	const struct graph *graph = core->graphs[node->graph];
	const struct task *task;

	CHECK(graph && graph->group == group->index && !graph_ended(graph));
	CHECK(node->task < graph->task_count);
	task = &graph->tasks[node->task];
	CHECK(id_equal(&task->node, &node->id));
	CHECK(task->state == TASK_RUNNING && task->slot == node->slot);
	CHECK(task->description != DESCRIPTION_SETTLE);
	CHECK(node->op != OP_NONE || task->gate == GATE_RETRY || task->gate == GATE_MIN_READY);
	return 0;
}

static int check_node(const struct core *core, const struct group *group, uint32_t slot,
	struct tally *tally, struct error *error)
{
	const struct node *node = node_at(&core->nodes, group->slots[slot].node);

	CHECK(node->used && node_live(node));
	CHECK(node->group == group->index && node->slot == slot);
	CHECK(node_ref(core, &node->id) == group->slots[slot].node);
	CHECK(!node->available || node->state == NODE_RUNNING);
	CHECK((node->ready_timer != TIMER_NONE) ==
		(node->state == NODE_RUNNING && !node->available));
	CHECK(node->marker == 0 || (node->marked && node->marker <= core->nodes.marker_count &&
		core->nodes.markers[node->marker - 1].nodes > 0));
	CHECK(node->op == OP_NONE || node->state == NODE_STARTING ||
		node->state == NODE_SHUTTING_DOWN);
	CHECK((node->op != OP_START && node->op != OP_CANCEL) || node->state == NODE_STARTING);
	CHECK((node->op != OP_START && node->op != OP_STOP) || node->graph != GRAPH_NONE);
	CHECK(node->state != NODE_STARTING || node->graph != GRAPH_NONE);
	CHECK(node->state != NODE_SHUTTING_DOWN || node->op != OP_NONE || node->graph != GRAPH_NONE);
	CHECK(!node->heir || !group->slots[slot].lost);
	CHECK(node->settle == TASK_NONE || (group->active &&
		group->active->tasks[node->settle].gate == GATE_SETTLE));
	tally->live++;
	tally->available += node->available;
	tally->in_flight += node->graph != GRAPH_NONE;
	tally->states[node->state]++;
	return node->graph == GRAPH_NONE ? 0 : check_node_task(core, group, node, error);
}

static int check_task(const struct core *core, const struct group *group,
	const struct graph *graph, uint32_t number, struct error *error)
{
	const struct task *task = &graph->tasks[number];
	const struct node *node = core_node_find(core, &task->node);
	uint32_t count, pending = 0;
	const uint32_t *prereqs = graph_prereqs(graph, number, &count);

	for (uint32_t i = 0; i < count; i++)
		pending += graph->tasks[prereqs[i]].state != TASK_SUCCEEDED;
	if (task->state == TASK_WAITING) {
		CHECK(graph == group->active && !graph_ended(graph));
		CHECK(task->gate != GATE_PREREQS || task->pending == pending);
		CHECK((task->gate == GATE_PREREQS) == (pending > 0));
		CHECK(task->gate == GATE_PREREQS || graph->state == GRAPH_RUNNING);
	} else if (task->state == TASK_RUNNING) {
		CHECK(pending == 0 && node);
		CHECK(task->gate == GATE_SETTLE ? node->settle == number && graph == group->active
						: node->task == number &&
				core->graphs[node->graph] == graph);
	} else {
		CHECK(task->gate == GATE_NONE);
		CHECK(task->state != TASK_SUCCEEDED || pending == 0);
		CHECK(task->finished_us != 0);
	}
	return 0;
}

static int check_graph(const struct core *core, const struct group *group,
	const struct graph *graph, struct error *error)
{
	uint32_t counts[TASK_STATE_COUNT] = {0};
	bool runs = graph->state == GRAPH_RUNNING || graph->state == GRAPH_RUNNING_ERRORED;

	CHECK(core->graphs[graph->index] == graph && core_graph_find(core, &graph->id) == graph);
	CHECK(runs == (group->active == graph));
	CHECK(!runs || !graph_ended(graph));
	CHECK(!origin_known(&graph->canceller) || graph->state == GRAPH_CANCELLED);
	CHECK(!origin_known(&graph->origin) || graph->reason == REASON_UPDATE ||
		graph->reason == REASON_KILL);
	if (!graph_loaded(graph)) {
		CHECK(graph_ended(graph));
		return 0;
	}
	for (uint32_t t = 0; t < graph->task_count; t++) {
		counts[graph->tasks[t].state]++;
		if (check_task(core, group, graph, t, error) < 0)
			return -1;
	}
	for (enum task_state state = 0; state < TASK_STATE_COUNT; state++)
		CHECK(counts[state] == graph->counts[state]);
	CHECK(graph_ended(graph) == (counts[TASK_WAITING] + counts[TASK_RUNNING] == 0) ||
		group->replan >= 0);
	CHECK(graph->state != GRAPH_SUCCEEDED || counts[TASK_SUCCEEDED] == graph->task_count);
	return 0;
}

static int check_group(const struct core *core, const struct group *group, struct error *error)
{
	struct tally tally = {0};
	const struct graph *graph;
	uint32_t graphs = 0, ended = 0;

	for (uint32_t i = 0; i < group->slots_used; i++) {
		tally.losses += group->slots[i].lost;
		if (group->slots[i].node != NODE_NONE &&
			check_node(core, group, i, &tally, error) < 0)
			return -1;
	}
	CHECK(tally.live == group->live && tally.available == group->available);
	CHECK(tally.in_flight == group->in_flight && tally.losses == group->losses);
	for (enum node_state state = 0; state <= NODE_SHUTTING_DOWN; state++)
		CHECK(tally.states[state] == group->states[state]);
	TAILQ_FOREACH(graph, &group->graphs, entry) {
		graphs++;
		ended += graph_ended(graph);
		if (check_graph(core, group, graph, error) < 0)
			return -1;
	}
	CHECK(graphs == group->graph_count && ended == group->ended_graphs);
	CHECK(group->specs.count == 0 ? group->spec.revision == 0
				      : group->spec.revision ==
				group->specs.first + group->specs.count - 1);
	CHECK(group->replan < 0 || group->runnable);
	return 0;
}

/* What the core keeps of all groups together. */
static int check_sums(const struct core *core, struct error *error)
{
	uint64_t live = 0, peak = 0, tasks = 0;

	for (uint32_t i = 0; i < core->group_count; i++) {
		const struct group *group = core->groups[i];

		CHECK(group->live <= group->peak);
		live += group->live;
		peak += group->peak;
		tasks += group->active ? group->active->task_count : 0;
	}
	if (live != core->live || peak != core->peak || tasks != core->active_tasks)
		return error_set(error, ERR_INTERNAL, "invariant broken: the sums over all groups");
	return 0;
}

int core_check(const struct core *core, struct error *error)
{
	for (uint32_t i = 0; i < core->group_count; i++)
		if (check_group(core, core->groups[i], error) < 0)
			return -1;
	return check_sums(core, error);
}
