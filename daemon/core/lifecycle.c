/* Nodes come, change and go. Whoever calls decides; here the counts of the group, its slots and the
 * index of ids are kept in step, and every change is told. */
#include <assert.h>
#include <stdlib.h>

#include "internal.h"
#include "proto/mem.h"

/* Which states may follow which: the diagram in node.h. */
static const bool successors[NODE_STATE_COUNT][NODE_STATE_COUNT] = {
	[NODE_STARTING] = {[NODE_RUNNING] = true, [NODE_SHUTTING_DOWN] = true,
		[NODE_SHUT_DOWN] = true, [NODE_FAILED] = true},
	[NODE_RUNNING] = {[NODE_UNHEALTHY] = true, [NODE_SHUTTING_DOWN] = true,
		[NODE_FAILED] = true},
	[NODE_UNHEALTHY] = {[NODE_RUNNING] = true, [NODE_SHUTTING_DOWN] = true,
		[NODE_FAILED] = true},
	[NODE_SHUTTING_DOWN] = {[NODE_UNHEALTHY] = true, [NODE_SHUT_DOWN] = true,
		[NODE_FAILED] = true},
};

uint32_t node_ref(const struct core *core, const struct id *id)
{
	return id_index_find(&core->node_ids, id);
}

static void set_error(char **error, const char *text)
{
	char *copy = text ? mem_strdup(text) : NULL; /* text may be *error itself */

	free(*error);
	*error = copy;
}

uint32_t node_create(struct core *core, struct group *group, const struct task *task,
	uint64_t revision)
{
	uint32_t ref;
	struct node *node = node_pool_take(&core->nodes, &ref);
	struct slot *slot = group_slot(group, task->slot);

	assert(slot->node == NODE_NONE);
	slot->node = ref;
	node->id = task->node;
	node->version = task->version;
	node->revision = revision;
	node->group = group->index;
	node->slot = task->slot;
	node->graph = GRAPH_NONE;
	node->task = node->settle = TASK_NONE;
	node->ready_timer = TIMER_NONE;
	node->created_us = core->now.wall_us;
	node->state = NODE_STARTING;
	node->used = true;
	id_index_add(&core->node_ids, &node->id, ref);
	group->live++;
	core->live++;
	group->states[NODE_STARTING]++;
	loss_inherit(core, ref);
	core->counters.nodes_started++;
	change_node(core, ref);
	notice_node(core, EVENT_NODE_STARTED, ref);
	return ref;
}

void node_set_available(struct core *core, uint32_t ref, bool available)
{
	struct node *node = node_at(&core->nodes, ref);
	struct group *group = core->groups[node->group];

	if (node->available == available)
		return;
	node->available = available;
	if (available) {
		group->available++;
		core_group_runnable(core, group); /* a stop may have waited for it */
	} else {
		group->available--;
	}
	change_node(core, ref);
}

void node_arm_ready(struct core *core, uint32_t ref, int64_t ready_ms)
{
	struct node *node = node_at(&core->nodes, ref);

	node_disarm_ready(core, node);
	node->ready_timer = timers_add(&core->timers, (struct timer){.kind = TIMER_READY, .a = ref,
		.deadline_ms = ready_ms});
}

void node_disarm_ready(struct core *core, struct node *node)
{
	if (node->ready_timer != TIMER_NONE)
		timers_cancel(&core->timers, node->ready_timer);
	node->ready_timer = TIMER_NONE;
}

static void node_move(struct core *core, uint32_t ref, enum node_state state, const char *error)
{
	struct node *node = node_at(&core->nodes, ref);
	struct group *group = core->groups[node->group];

	assert(successors[node->state][state]);
	if (state != NODE_RUNNING)
		node_set_available(core, ref, false);
	node_disarm_ready(core, node);
	group->states[node->state]--;
	node->state = (uint8_t)state;
	set_error(&node->error, error);
	if (node_live(node))
		group->states[state]++;
	change_node(core, ref);
	notice_node(core, EVENT_NODE_STATE, ref);
}

void node_set_state(struct core *core, uint32_t ref, enum node_state state, const char *error)
{
	struct node *node = node_at(&core->nodes, ref);

	assert(state <= NODE_SHUTTING_DOWN);
	if (state == NODE_UNHEALTHY)
		loss_averted(core, ref);
	if (state == NODE_RUNNING) {
		loss_recovered(core, ref);
		node->running_ms = core->now.mono_ms;
		if (node->started_us == 0)
			node->started_us = core->now.wall_us;
	}
	node_move(core, ref, state, error);
}

static void node_prune(struct core *core, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);

	id_index_remove(&core->node_ids, &node->id);
	change_add(core, (struct change){.kind = CHANGE_NODE_GONE, .a = ref, .id = node->id});
	node_pool_give(&core->nodes, ref);
}

void node_close(struct core *core, uint32_t ref, enum node_state state, const char *error)
{
	struct node *node = node_at(&core->nodes, ref);
	struct group *group = core->groups[node->group];

	assert(node_live(node) && state > NODE_SHUTTING_DOWN);
	node_inspected(core, node);
	loss_leave(core, ref);
	node->op = OP_NONE;
	node->finished_us = core->now.wall_us;
	node_move(core, ref, state, error);
	group->slots[node->slot].node = NODE_NONE;
	group->live--;
	core->live--;
}

void node_bury(struct core *core, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);
	struct group *group = core->groups[node->group];
	uint32_t oldest;

	assert(!node_live(node) && node->graph == GRAPH_NONE && node->settle == TASK_NONE);
	group_keep_ended(group, ref, core->config.keep_nodes);
	while ((oldest = group_drop_ended(group, core->config.keep_nodes)) != NODE_NONE)
		node_prune(core, oldest);
}
