/* What a step leaves behind: changes to store, actions for the driver, notices for watchers. */
#include "internal.h"

void change_add(struct core *core, struct change change)
{
	update_add_change(core->update, &change);
}

void change_group(struct core *core, struct group *group)
{
	if (group->changed)
		return;
	group->changed = true;
	change_add(core, (struct change){.kind = CHANGE_GROUP, .a = group->index});
}

void change_graph(struct core *core, struct graph *graph)
{
	if (graph->changed)
		return;
	graph->changed = true;
	change_add(core, (struct change){.kind = CHANGE_GRAPH, .a = graph->index});
}

void change_graph_new(struct core *core, struct graph *graph)
{
	graph->changed = true;
	change_add(core, (struct change){.kind = CHANGE_GRAPH_NEW, .a = graph->index});
}

void change_task(struct core *core, struct graph *graph, uint32_t task)
{
	if (graph->tasks[task].changed)
		return;
	graph->tasks[task].changed = true;
	change_add(core, (struct change){.kind = CHANGE_TASK, .a = graph->index, .b = task});
}

void change_node(struct core *core, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);

	if (node->changed)
		return;
	node->changed = true;
	change_add(core, (struct change){.kind = CHANGE_NODE, .a = ref});
}

static void change_taken(struct core *core, const struct change *change)
{
	struct graph *graph;

	switch (change->kind) {
	case CHANGE_GROUP:
		core->groups[change->a]->changed = false;
		break;
	case CHANGE_NODE:
		node_at(&core->nodes, change->a)->changed = false;
		break;
	case CHANGE_GRAPH_NEW:
	case CHANGE_GRAPH:
	case CHANGE_TASK:
		graph = core->graphs[change->a];
		if (!graph)
			break;
		if (change->kind != CHANGE_TASK)
			graph->changed = false;
		else if (change->b < graph->task_count)
			graph->tasks[change->b].changed = false;
		break;
	case CHANGE_SPEC:
	case CHANGE_SPEC_GONE:
	case CHANGE_GRAPH_GONE:
	case CHANGE_NODE_GONE:
		break;
	}
}

void core_changes_taken(struct core *core, const struct update *update)
{
	for (size_t i = 0; i < update->change_count; i++)
		change_taken(core, &update->changes[i]);
}

void node_inspected(struct core *core, struct node *node)
{
	struct group *group = core->groups[node->group];

	if (!node->inspecting)
		return;
	node->inspecting = false;
	if (--group->inspections == 0)
		core_group_runnable(core, group);
}

void action_add(struct core *core, enum action_kind kind, uint32_t node)
{
	struct node *target = node_at(&core->nodes, node);
	struct action action = {.kind = (uint8_t)kind, .node = node, .id = target->id};

	if (kind == DO_INSPECT && !target->inspecting) {
		target->inspecting = true;
		core->groups[target->group]->inspections++;
	} else if (kind != DO_INSPECT) {
		node_inspected(core, target); /* what is asked now will tell */
		target->calls++;
	}
	action.call = target->calls;
	update_add_action(core->update, &action);
}

static void tell(struct core *core, struct notice notice)
{
	notice.at_us = core->now.wall_us;
	core->update->notice(core->update->arg, &notice);
}

void notice_node(struct core *core, enum event_type type, uint32_t ref)
{
	const struct node *node = node_at(&core->nodes, ref);

	tell(core, (struct notice){.type = type, .group = core->groups[node->group],
		.task = TASK_NONE, .node = node});
}

void notice_graph(struct core *core, enum event_type type, const struct graph *graph)
{
	tell(core, (struct notice){.type = type, .group = graph_group(core, graph),
		.graph = graph, .task = TASK_NONE});
}

void notice_task(struct core *core, enum event_type type, const struct graph *graph, uint32_t task)
{
	tell(core, (struct notice){.type = type, .group = graph_group(core, graph),
		.graph = graph, .task = task});
}
