/* The floor, by what the driver has said rather than by what the core believes: behind a restart it knows of
 * no node whether it still runs, and must stop none before it does; and who was available then still is,
 * or the next plan would reckon with too low a floor. */
#include <stdlib.h>

#include "proto/mem.h"
#include "sim.h"

void ids_add(struct id_list *list, const struct id *id)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity ? list->capacity * 2 : 16;
		list->ids = mem_realloc(list->ids, list->capacity, sizeof *list->ids);
	}
	list->ids[list->count++] = *id;
}

size_t ids_place(const struct id_list *list, const struct id *id)
{
	size_t i = 0;

	while (i < list->count && !id_equal(&list->ids[i], id))
		i++;
	return i;
}

static void ids_remove(struct id_list *list, const struct id *id)
{
	size_t place = ids_place(list, id);

	if (place < list->count)
		list->ids[place] = list->ids[--list->count];
}

/* Nodes that are known to run. */

void floor_forget_vouched(struct sim *sim)
{
	sim->vouched.count = 0;
}

void floor_vouch(struct sim *sim, const struct id *id)
{
	if (sim->driver && ids_place(&sim->vouched, id) == sim->vouched.count)
		ids_add(&sim->vouched, id);
}

/* How many are available by the core's knowledge, and are vouched for. One that has died since is not
 * available any more as soon as the core has heard of it. */
static uint32_t vouched_count(const struct sim *sim, const struct core *core,
	const struct group *group)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < group->slots_used; i++) {
		const struct node *node = group->slots[i].node == NODE_NONE
			? NULL : node_at(&core->nodes, group->slots[i].node);

		count += node && node->available &&
			ids_place(&sim->vouched, &node->id) < sim->vouched.count;
	}
	return count;
}

/* A stop must find the floor above what it takes away; told at the moment when it begins. */
void floor_check_stop(struct sim *sim, const struct core *core, const struct notice *notice)
{
	const struct task *task = &notice->graph->tasks[notice->task];
	const struct node *node = core_node_find(core, &task->node);
	uint32_t known;

	if (!node || !node->available)
		return;
	known = vouched_count(sim, core, notice->group);
	if (known <= notice->graph->min_available)
		sim_fail(sim, "node %s is stopped with %u available of which %u are known to run, "
			"%u must be", sim_id(&task->node), notice->group->available, known,
			notice->graph->min_available);
}

/* Nodes that were available. */

/* Now that all is durable. */
void floor_remember(struct sim *sim, const struct core *core)
{
	sim->available.count = 0;
	for (uint32_t ref = 0; ref < core->nodes.used; ref++) {
		const struct node *node = node_at(&core->nodes, ref);

		if (node->used && node_live(node) && node->available)
			ids_add(&sim->available, &node->id);
	}
}

/* It has become something else since, even if that is running again. */
void floor_node_state(struct sim *sim, const struct id *id)
{
	ids_remove(&sim->available, id);
}

/* Behind the load, and not yet published. */
static bool changed_since(const struct sim *sim, const struct id *id)
{
	for (size_t i = 0; i < sim->noticed.count; i++)
		if (sim->noticed.items[i].type == EVENT_NODE_STATE &&
			id_equal(&sim->noticed.items[i].node, id))
			return true;
	return false;
}

void floor_check_loaded(const struct sim *sim, const struct core *core)
{
	for (size_t i = 0; i < sim->available.count; i++) {
		const struct node *node = core_node_find(core, &sim->available.ids[i]);

		if (node && node->state == NODE_RUNNING && !node->available &&
			!changed_since(sim, &node->id))
			sim_fail(sim, "node %s was available, and is not behind the load",
				sim_id(&node->id));
	}
}

void floor_fini(struct sim *sim)
{
	free(sim->vouched.ids);
	free(sim->available.ids);
}
