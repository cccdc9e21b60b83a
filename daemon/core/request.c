/* What users ask of the core. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "proto/mem.h"

static int check_update(const struct core *core, const struct group *group,
	const struct core_event *event, struct error *error)
{
	uint64_t revision = group ? group->spec.revision : 0;

	if (event->update.has_if_revision && event->update.if_revision != revision)
		return error_set(error, ERR_CONFLICT,
			"group %s is at revision %" PRIu64 ", not %" PRIu64, event->update.group,
			revision, event->update.if_revision);
	if (!group && core->group_count >= core->config.max_groups)
		return error_set(error, ERR_TOO_MANY, "there are %u groups already, the most allowed",
			core->group_count);
	return 0;
}

static struct spec new_spec(const struct core *core, const struct group *group,
	const struct core_event *event)
{
	return (struct spec){
		.revision = group->spec.revision + 1,
		.size = event->update.size,
		.version = event->update.version,
		.policy = event->update.policy,
		.created_us = core->now.wall_us,
		.origin = event->origin,
		.reason = REASON_UPDATE,
	};
}

static void keep_spec(struct core *core, struct group *group, struct spec *spec, const char *note)
{
	uint64_t gone;

	spec->note = note ? mem_strdup(note) : NULL;
	group_keep_spec(group, spec, core->config.keep_specs);
	change_add(core, (struct change){.kind = CHANGE_SPEC, .a = group->index,
		.number = spec->revision});
	while ((gone = group_drop_spec(group, core->config.keep_specs)) != 0)
		change_add(core, (struct change){.kind = CHANGE_SPEC_GONE, .a = group->index,
			.number = gone});
	change_group(core, group);
}

int step_update(struct core *core, struct core_event *event, struct error *error)
{
	struct group *group = core_group_find(core, event->update.group);
	struct group nothing = {.index = GROUP_NONE, .next_graph = core->next_graph};
	const struct group *planned = group ? group : &nothing;
	struct plan_node *nodes;
	struct graph *graph;
	struct spec spec;
	size_t count;

	if (check_update(core, group, event, error) < 0)
		return -1;
	spec = new_spec(core, planned, event);
	if (group_plan(core, planned, &spec, &graph, &nodes, &count, error) < 0)
		return -1;
	if (!group) { /* only now, so that nothing is left of what could not be planned */
		group = core_group_create(core, event->update.group);
		graph->group = group->index;
	}
	graph->origin = event->origin;
	keep_spec(core, group, &spec, event->update.note);
	heal_forget(core, group);
	group_adopt(core, group, graph, nodes, count, REASON_UPDATE);
	free(nodes);
	event->ret_graph = graph->id;
	return 0;
}

int core_preview(struct core *core, const struct core_event *event, struct graph **ret_graph,
	struct error *error)
{
	struct group *group = core_group_find(core, event->update.group);
	struct group nothing = {.index = GROUP_NONE, .next_graph = core->next_graph};
	struct plan_node *nodes;
	struct spec spec;
	size_t count;

	core->now = event->now;
	if (check_update(core, group, event, error) < 0)
		return -1;
	if (!group)
		group = &nothing;
	spec = new_spec(core, group, event);
	if (group_plan(core, group, &spec, ret_graph, &nodes, &count, error) < 0)
		return -1;
	free(nodes);
	(*ret_graph)->origin = event->origin;
	for (uint32_t t = 0; t < (*ret_graph)->task_count; t++)
		if ((*ret_graph)->tasks[t].description == DESCRIPTION_SETTLE)
			(*ret_graph)->tasks[t].gate = GATE_SETTLE;
	return 0;
}

static int find_live(const struct core *core, const struct id *id, uint32_t *ret_ref,
	struct error *error)
{
	char text[ID_TEXT_LEN + 1];

	*ret_ref = node_ref(core, id);
	id_format_z(id, text);
	if (*ret_ref == NODE_NONE)
		return error_set(error, ERR_NOT_FOUND, "no node has the id %s", text);
	if (!node_live(node_at(&core->nodes, *ret_ref)))
		return error_set(error, ERR_CONFLICT, "node %s has ended already", text);
	return 0;
}

/* The start or the proving of a node that is killed is over; a stop goes on, and ends with it. */
static void kill_task(struct core *core, uint32_t ref, const char *why)
{
	struct node *node = node_at(&core->nodes, ref);
	struct task *task;

	if (node->graph == GRAPH_NONE)
		return;
	task = &core->graphs[node->graph]->tasks[node->task];
	if (task->gate == GATE_RETRY)
		timers_cancel(&core->timers, task->timer);
	task->gate = GATE_NONE;
	if (task->action == ACTION_START_NODE)
		node_task_end(core, ref, TASK_CANCELLED, why);
}

int step_kill(struct core *core, struct core_event *event, struct error *error)
{
	char why[LIMIT_ERROR_TEXT];
	struct node *node;
	uint32_t ref;
	bool between; /* attempts of its start: the driver has nothing of it */

	if (find_live(core, &event->id, &ref, error) < 0)
		return -1;
	node = node_at(&core->nodes, ref);
	if (node->op == OP_KILL)
		return 0;
	snprintf(why, sizeof why, "killed by %s", event->origin.user);
	between = node->state == NODE_STARTING && node->op == OP_NONE;
	if (node->state != NODE_SHUTTING_DOWN && node->op != OP_CANCEL)
		group_replan_due(core, core->groups[node->group], REASON_KILL, &event->origin);
	loss_begin(core, ref);
	if (between) {
		loss_count_death(core, ref);
		node_close(core, ref, NODE_FAILED, why);
		kill_task(core, ref, why);
		node_settled(core, ref, SETTLED_OTHERWISE, NULL);
		node_bury(core, ref);
		return 0;
	}
	node->op = OP_KILL;
	if (node->state != NODE_SHUTTING_DOWN) {
		node_set_state(core, ref, NODE_SHUTTING_DOWN, why);
	} else {
		free(node->error);
		node->error = mem_strdup(why);
		change_node(core, ref);
	}
	kill_task(core, ref, why);
	action_add(core, DO_KILL, ref);
	return 0;
}

/* The last one who marks a node is who marked it. */
int step_mark(struct core *core, struct core_event *event, struct error *error)
{
	struct node *node;
	uint32_t ref;

	if (find_live(core, &event->id, &ref, error) < 0)
		return -1;
	node = node_at(&core->nodes, ref);
	if (!event->mark && !node->marked)
		return 0;
	if (event->mark)
		node_mark(&core->nodes, node, &event->origin);
	else
		node_unmark(&core->nodes, node);
	change_node(core, ref);
	return 0;
}

int step_cancel(struct core *core, struct core_event *event, struct error *error)
{
	struct graph *graph = core_graph_find(core, &event->id);
	char text[ID_TEXT_LEN + 1];

	id_format_z(&event->id, text);
	if (!graph)
		return error_set(error, ERR_NOT_FOUND, "no graph has the id %s", text);
	if (graph_group(core, graph)->active != graph)
		return error_set(error, ERR_CONFLICT, "graph %s is %s already", text,
			graph_state_name(graph->state));
	graph->canceller = event->origin;
	graph_stop(core, graph, GRAPH_CANCELLED);
	return 0;
}
