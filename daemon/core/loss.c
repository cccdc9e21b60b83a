/* Losses, and who makes up for them. A node is lost when it dies, when a client kills it, and when it is
 * stopped while it is unhealthy. Its slot then has a loss, and the next node that is started there is an heir:
 * when its start has succeeded it has replaced the lost one, which is counted and told once. An heir that
 * ends before that leaves the loss to the next one.
 *
 * A plan may put the successor into another slot, one that is lower or free sooner, and takes the loss there.
 * A loss for which a plan has no start is not wanted any more, for the size was lowered: it is forgotten,
 * and so are all when the group is as declared.
 *
 * A node is replaced once. If it cannot be stopped, its loss is taken back, unless a plan took it to another slot:
 * then the node has a successor there, and its own end is no second loss. A node that recovers is there again,
 * and can be lost again.
 *
 * None of this is stored. A load finds it again as far as the kept nodes tell: not whether one that never
 * ran was killed, nor whether one that was stopped had been unhealthy. */
#include <stdlib.h>

#include "internal.h"
#include "proto/mem.h"

static void slot_lose(struct group *group, uint32_t number)
{
	struct slot *slot = group_slot(group, number);

	group->losses += !slot->lost;
	slot->lost = true;
}

static bool slot_find(struct group *group, uint32_t number)
{
	struct slot *slot = group_slot(group, number);
	bool lost = slot->lost;

	group->losses -= lost;
	slot->lost = false;
	return lost;
}

void loss_begin(struct core *core, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);

	if (node->lost)
		return; /* a plan may have taken its loss elsewhere already */
	node->lost = true;
	node->heir = false;
	slot_lose(core->groups[node->group], node->slot);
}

void loss_averted(struct core *core, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);

	if (node->lost && slot_find(core->groups[node->group], node->slot))
		node->lost = false;
}

void loss_recovered(struct core *core, uint32_t ref)
{
	node_at(&core->nodes, ref)->lost = false;
}

void loss_count_death(struct core *core, uint32_t ref)
{
	node_at(&core->nodes, ref)->died = true;
	core->counters.nodes_died++;
}

void loss_inherit(struct core *core, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);

	node->heir = slot_find(core->groups[node->group], node->slot);
}

void loss_leave(struct core *core, uint32_t ref)
{
	if (node_at(&core->nodes, ref)->heir)
		loss_begin(core, ref);
}

bool loss_made_up(struct core *core, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);
	bool replaces = node->heir;

	node->heir = false;
	core->counters.nodes_replaced += replaces;
	return replaces;
}

/* Plans. */

static bool start_waits(const struct graph *graph, uint32_t task)
{
	return graph->tasks[task].action == ACTION_START_NODE &&
		graph->tasks[task].state == TASK_WAITING;
}

/* The starts of what is missing come before this task; the others renew what is there. */
static uint32_t growth_end(const struct graph *graph)
{
	for (uint32_t t = 0; t < graph->task_count; t++)
		if (graph->tasks[t].description == DESCRIPTION_START_NODES)
			return t;
	return 0;
}

/* Which of the first `count` slots the graph starts a node in. NULL: there is no memory. */
static bool *slots_started(const struct graph *graph, uint32_t count)
{
	bool *started = mem_large_zalloc(count, sizeof *started);

	for (uint32_t t = 0; started && t < graph->task_count; t++)
		if (start_waits(graph, t) && graph->tasks[t].slot < count)
			started[graph->tasks[t].slot] = true;
	return started;
}

/* Whether who is started next in the slot has a loss to make up for, or gets one from who is there. */
static bool slot_owes(const struct core *core, struct group *group, uint32_t number)
{
	const struct slot *slot = group_slot(group, number);

	return slot->lost || (slot->node != NODE_NONE && node_at(&core->nodes, slot->node)->heir);
}

/* The first start from `task` on, and before `end`, whose slot owes nothing; `end` if there is none. */
static uint32_t next_place(const struct core *core, struct group *group, const struct graph *graph,
	uint32_t task, uint32_t end)
{
	while (task < end && (!start_waits(graph, task) ||
			slot_owes(core, group, graph->tasks[task].slot)))
		task++;
	return task;
}

/* Nothing will come in place of the node that was lost in this slot. If it is there still, it can be lost again. */
static void loss_forget(const struct core *core, const struct group *group, uint32_t slot)
{
	uint32_t ref = group_slot_node(group, slot);

	if (ref != NODE_NONE)
		node_at(&core->nodes, ref)->lost = false;
}

void losses_place(const struct core *core, struct group *group, const struct graph *graph)
{
	uint32_t slots = group->slots_used, task = 0, end;
	bool *started;

	if (group->losses == 0)
		return;
	started = slots_started(graph, slots);
	if (!started)
		return; /* what is counted may be wrong, and nothing else */
	end = growth_end(graph);
	for (uint32_t slot = 0; slot < slots && group->losses > 0; slot++) {
		if (started[slot] || !slot_find(group, slot))
			continue;
		task = next_place(core, group, graph, task, end);
		if (task < end)
			slot_lose(group, graph->tasks[task].slot);
		else
			loss_forget(core, group, slot);
	}
	free(started);
}

void losses_forget(struct group *group)
{
	for (uint32_t slot = 0; group->losses > 0; slot++)
		slot_find(group, slot);
}

/* Loading. */

/* The graph by which the group was last as declared, as far as it is kept; NULL: none. */
static const struct graph *last_reached(const struct group *group)
{
	const struct graph *graph;

	TAILQ_FOREACH_REVERSE(graph, &group->graphs, graph_list, entry)
		if (graph->state == GRAPH_SUCCEEDED)
			return graph;
	return NULL;
}

/* Whether the node ended before the graph did. If both have the same time, the node's end was what the graph still
 * waited for, unless it is a node that the graph started. */
static bool ended_before(const struct node *node, const struct graph *graph)
{
	if (node->finished_us != graph->finished_us)
		return node->finished_us < graph->finished_us;
	for (uint32_t t = 0; graph_loaded(graph) && t < graph->task_count; t++)
		if (id_equal(&graph->tasks[t].node, &node->id))
			return graph->tasks[t].action != ACTION_START_NODE;
	return false;
}

/* One that never ran has left the slot as it was. */
static void load_ended(struct core *core, struct group *group)
{
	const struct graph *reached = last_reached(group);
	uint32_t ref;

	for (uint64_t number = 0; (ref = group_ended_from(group, &number)) != NODE_NONE; number++) {
		const struct node *node = node_at(&core->nodes, ref);

		if ((reached && ended_before(node, reached)) || node->started_us == 0)
			continue;
		if (node->state == NODE_FAILED)
			slot_lose(group, node->slot);
		else
			slot_find(group, node->slot);
	}
}

static void load_live(struct core *core, struct group *group, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);
	bool starts = node->graph != GRAPH_NONE &&
		core->graphs[node->graph]->tasks[node->task].action == ACTION_START_NODE;

	if (node->op == OP_KILL)
		loss_begin(core, ref);
	else
		node->heir = slot_find(group, node->slot) && starts;
}

void losses_load(struct core *core, struct group *group)
{
	const struct graph *newest = TAILQ_LAST(&group->graphs, graph_list);

	if (newest && newest->state == GRAPH_SUCCEEDED)
		return;
	load_ended(core, group);
	for (uint32_t slot = 0; slot < group->slots_used; slot++)
		if (group->slots[slot].node != NODE_NONE)
			load_live(core, group, group->slots[slot].node);
	if (group->active)
		losses_place(core, group, group->active);
}
