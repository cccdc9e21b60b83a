/* One way from any state to the spec: plan from the live state, and when surprised plan again. */
#include <assert.h>
#include <stdlib.h>

#include "internal.h"
#include "proto/mem.h"

/* How the planner is to see a node; false where the plan will not find it: its start is between two
 * attempts, of which there are no more when the plan is adopted. */
static bool node_view(const struct core *core, const struct node *node, uint64_t min_ready_ms,
	struct plan_node *ret_view)
{
	const struct graph *graph = node->graph == GRAPH_NONE ? NULL : core->graphs[node->graph];
	bool retrying = graph && graph->tasks[node->task].gate == GATE_RETRY;
	enum plan_health health = PLAN_BROKEN;

	switch ((enum node_state)node->state) {
	case NODE_STARTING:
		if (retrying)
			return false;
		health = node->op == OP_START ? PLAN_STARTING : PLAN_STOPPING;
		break;
	case NODE_RUNNING:
		if (node->available ||
			core->now.mono_ms - node->running_ms >= (int64_t)min_ready_ms)
			health = PLAN_AVAILABLE;
		else
			health = PLAN_READYING;
		break;
	case NODE_SHUTTING_DOWN:
		if (!retrying)
			health = PLAN_STOPPING;
		break;
	default:
		break;
	}
	*ret_view = (struct plan_node){.id = node->id, .version = node->version,
		.slot = node->slot, .health = (uint8_t)health, .marked = node->marked};
	return true;
}

int group_plan(struct core *core, const struct group *group, const struct spec *spec,
	struct graph **ret_graph, struct plan_node **ret_nodes, size_t *ret_count,
	struct error *error)
{
	struct plan_target target = plan_target(spec->size, spec->version, &spec->policy);
	struct plan_node *nodes = mem_large_alloc(group->live + 1, sizeof *nodes);
	struct graph *graph = mem_zalloc(1, sizeof *graph);
	size_t count = 0;

	if (!nodes) {
		free(graph);
		return error_set(error, ERR_INTERNAL, "not enough memory to plan");
	}
	for (uint32_t i = 0; i < group->slots_used; i++) {
		uint32_t ref = group->slots[i].node;

		if (ref != NODE_NONE && node_view(core, node_at(&core->nodes, ref),
						spec->policy.min_ready_ms, &nodes[count]))
			count++;
	}
	graph->id = group->next_graph;
	graph->group = group->index;
	graph->revision = spec->revision;
	graph->created_us = core->now.wall_us;
	graph->failed_task = TASK_NONE;
	if (plan_make(graph, nodes, count, &target, error) < 0) {
		free(nodes);
		free(graph);
		return -1;
	}
	*ret_graph = graph;
	*ret_nodes = nodes;
	*ret_count = count;
	return 0;
}

/* A node that runs for as long as the new spec asks is available from now on. */
static void make_available(struct core *core, const struct plan_node *view)
{
	uint32_t ref = node_ref(core, &view->id);
	const struct node *node = node_at(&core->nodes, ref);

	if (!node->available)
		node_becomes_available(core, ref);
}

static void release_node(struct core *core, const struct plan_node *view)
{
	uint32_t ref = node_ref(core, &view->id);
	struct node *node = node_at(&core->nodes, ref);

	if (view->health == PLAN_STARTING) {
		node->op = OP_CANCEL;
		change_node(core, ref);
		action_add(core, DO_CANCEL, ref);
	} else { /* it becomes available all the same, for it may not be stopped after all */
		node_task_end(core, ref, TASK_CANCELLED, NULL);
	}
}

void group_adopt(struct core *core, struct group *group, struct graph *graph,
	const struct plan_node *nodes, size_t count, enum reason reason)
{
	struct graph *old = group->active;

	core->counters.plans[reason]++;
	group->replan = (int)reason; /* so that the old graph does not end before it is superseded */
	for (size_t i = 0; i < count; i++)
		if (nodes[i].health == PLAN_AVAILABLE)
			make_available(core, &nodes[i]);
		else if (nodes[i].health == PLAN_READYING)
			node_watch_ready(core, node_ref(core, &nodes[i].id));
	group->replan = -1;
	if (old) {
		old->successor = graph->id;
		graph_stop(core, old, GRAPH_SUPERSEDED);
	}
	group_give_up_retries(core, group);
	for (size_t i = 0; i < count; i++)
		if (nodes[i].release)
			release_node(core, &nodes[i]);
	graph->reason = reason;
	core_graph_add(core, graph);
	change_graph_new(core, graph);
	group_set_active(core, group, graph);
	group_update_peak(core, group);
	core->config.new_id(core->config.new_id_arg, &group->next_graph);
	change_group(core, group);
	losses_place(core, group, graph);
	graph_start(core, graph);
}

void group_replan_due(struct core *core, struct group *group, enum reason reason,
	const struct origin *origin)
{
	if (group->spec.revision == 0)
		return; /* nothing was ever declared */
	if (group->replan < 0)
		group->replan_origin = (struct origin){0};
	if (group->replan < 0 || (origin && !origin_known(&group->replan_origin))) {
		group->replan = (int)reason;
		if (origin)
			group->replan_origin = *origin;
	}
	core_group_runnable(core, group);
}

void group_replan(struct core *core, struct group *group)
{
	enum reason reason = (enum reason)group->replan;
	struct plan_node *nodes;
	struct graph *graph;
	size_t count;

	group->replan = -1;
	group->unplanned = group_plan(core, group, &group->spec, &graph, &nodes, &count, NULL) < 0;
	if (group->unplanned) {
		heal_later(core, group, core->now.mono_ms + (int64_t)core->config.heal_delay_ms);
		return;
	}
	graph->origin = group->replan_origin;
	group_adopt(core, group, graph, nodes, count, reason);
	free(nodes);
}
