#include "needs.h"

#include "reports.h"
#include "store/store.h"

/* Arrays that grow double their room, so they have up to twice what they need. */
enum { DOUBLED = 2 };

enum {
	/* Of a plan, for each of its tasks and for each node that it is made from (struct planner). */
	PLAN_TASK = sizeof(struct task) + 8 * sizeof(uint32_t),
	PLAN_NODE = sizeof(struct plan_node) + sizeof(uint8_t) + 5 * sizeof(uint32_t),
	CHANGE = DOUBLED * sizeof(struct change),
	/* A node may change, its task with it, and the Settle that waits for it; and it may be in a new plan with a
	 * Settle or a stop, and with a start. */
	NODE_CHANGES = 3,
	NODE_TASKS = 2,
	NODE_NOW = PLAN_NODE + NODE_TASKS * PLAN_TASK + NODE_CHANGES * CHANGE + DOUBLED * sizeof(struct action),
	/* The reports are copied when their ring grows. */
	NODE_LATER = NODE_CHANGES * STORE_CHANGE_BYTES + NODE_TASKS * STORE_PLAN_TASK_BYTES +
		(DOUBLED + 1) * sizeof(struct report),
	/* The old plan's tasks are cancelled; they have never begun, so they are not stored. */
	TASK_NOW = CHANGE,
	/* What a shrinking UPDATE leaves behind until its tasks have ended: a graph, and reports. */
	NODE_LEFT = NODE_TASKS * PLAN_TASK + DOUBLED * sizeof(struct report),
	/* A node that comes to live: itself, its slot, two indices with the smaller ones that they grow out of, timers
	 * of the core and the driver, numbers in the store and the driver's world, and two texts of errors. */
	NODE_GROWTH = 640,
	/* A client: its session and bufferevent, and two pieces of input, because it reads one request ahead at most.
	 * Libevent reads 4 KiB at once, and rounds a piece with its header up to a power of two. Output that waits
	 * bypasses the reserve. */
	CLIENT = 4096 + 2 * 8192,
};

size_t needs_of_clients(uint32_t clients)
{
	return clients > NEEDS_BASE_CLIENTS ? (size_t)(clients - NEEDS_BASE_CLIENTS) * CLIENT : 0;
}

static struct needs group_needs(uint64_t peak, uint64_t tasks)
{
	return (struct needs){.now = peak * NODE_NOW + tasks * TASK_NOW, .later = peak * NODE_LATER};
}

/* Places in the pool of nodes that are free again need no growth. */
static uint64_t nodes_to_come(const struct core *core, uint64_t peak)
{
	uint64_t there = core->live + (core->nodes.used - core->node_ids.count);

	return peak > there ? peak - there : 0;
}

static size_t kept(const struct core *core, uint64_t peak, uint64_t tasks)
{
	struct needs most = group_needs(peak, tasks);

	return NEEDS_BASE + most.now + most.later + peak * NODE_LEFT + nodes_to_come(core, peak) * NODE_GROWTH;
}

size_t needs_kept(const struct core *core)
{
	return kept(core, core->peak, core->active_tasks);
}

struct needs needs_most(const struct core *core)
{
	return group_needs(core->peak, core->active_tasks);
}

static uint64_t active_tasks(const struct group *group)
{
	return group && group->active ? group->active->task_count : 0;
}

static struct needs update_needs(const struct core *core, const struct core_event *event)
{
	const struct group *group = core_group_find(core, event->update.group);
	uint32_t live = group ? group->live : 0, size = event->update.size;
	uint64_t tasks = (uint64_t)live + size + 4, old_tasks = active_tasks(group);
	uint32_t old_peak = group ? group->peak : 0;
	uint32_t peak = core_peak(live, size, &event->update.policy);
	uint64_t plan = tasks * PLAN_TASK + (uint64_t)live * PLAN_NODE;
	struct needs needs = {
		.now = plan + (uint64_t)live * NODE_CHANGES * CHANGE + old_tasks * TASK_NOW,
		.later = (uint64_t)live * NODE_LATER + tasks * STORE_PLAN_TASK_BYTES,
	};

	if (group && size < group->spec.size && peak <= old_peak)
		return needs;
	needs.after = tasks * PLAN_TASK + kept(core, core->peak - old_peak + peak, core->active_tasks - old_tasks + tasks);
	return needs;
}

/* Nodes whose tasks wait for another attempt are given up; there is no plan. */
static struct needs cancel_needs(const struct graph *graph, const struct core *core)
{
	uint64_t nodes = graph ? core->groups[graph->group]->in_flight : 0;

	return (struct needs){
		.now = nodes * NODE_CHANGES * CHANGE + (graph ? (uint64_t)graph->task_count * TASK_NOW : 0),
		.later = nodes * NODE_CHANGES * STORE_CHANGE_BYTES,
	};
}

static const struct group *node_group(const struct core *core, const struct id *id)
{
	const struct node *node = core_node_find(core, id);

	return node ? core->groups[node->group] : NULL;
}

/* Whether the report says what was expected: then only its own node and task change. */
static bool as_expected(const struct core_event *event)
{
	if (event->kind == CORE_DONE)
		return event->done.result == RESULT_OK;
	if (event->kind == CORE_INSPECTED)
		return event->found == FOUND_RUNNING || event->found == FOUND_BUSY;
	return event->kind == CORE_MARK;
}

struct needs needs_of(const struct core *core, const struct core_event *event)
{
	const struct group *group;

	if (event->kind == CORE_UPDATE)
		return update_needs(core, event);
	if (event->kind == CORE_TICK)
		return needs_most(core);
	if (as_expected(event))
		return (struct needs){0};
	if (event->kind == CORE_CANCEL)
		return cancel_needs(core_graph_find(core, &event->id), core);
	group = node_group(core, &event->id);
	return group ? group_needs(group->peak, active_tasks(group)) : (struct needs){0};
}
