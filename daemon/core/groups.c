/* The core's tables of groups and graphs: adding to them, finding in them, pruning them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "proto/mem.h"

/* The place of a name in by_name, or where it would be. */
static uint32_t name_place(const struct core *core, const char *name, bool *ret_found)
{
	uint32_t low = 0, high = core->group_count;

	*ret_found = false;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = strcmp(core->by_name[middle]->name, name);

		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct group *core_group_find(const struct core *core, const char *name)
{
	bool found;
	uint32_t place = name_place(core, name, &found);

	return found ? core->by_name[place] : NULL;
}

struct group *core_group_create(struct core *core, const char *name)
{
	bool found;
	uint32_t place = name_place(core, name, &found);
	struct group *group = group_new(name);
	uint32_t count = core->group_count + 1;

	assert(!found);
	core->groups = mem_realloc(core->groups, count, sizeof(struct group *));
	core->by_name = mem_realloc(core->by_name, count, sizeof(struct group *));
	memmove(core->by_name + place + 1, core->by_name + place,
		(core->group_count - place) * sizeof(struct group *));
	core->by_name[place] = group;
	group->index = core->group_count;
	core->groups[core->group_count++] = group;
	group->spec.policy = *core_policy(&core->config, name);
	group->next_graph = core->next_graph;
	core->config.new_id(core->config.new_id_arg, &core->next_graph);
	return group;
}

/* The ring of groups that have something to plan or to start. */
void core_group_runnable(struct core *core, struct group *group)
{
	if (group->runnable)
		return;
	if (core->runnable_count == core->runnable_capacity) {
		uint32_t capacity = core->runnable_capacity ? core->runnable_capacity * 2 : 8;
		uint32_t *ring = mem_alloc(capacity * sizeof *ring);

		for (uint32_t i = 0; i < core->runnable_count; i++)
			ring[i] = core->runnable[(core->runnable_head + i) %
				core->runnable_capacity];
		free(core->runnable);
		core->runnable = ring;
		core->runnable_capacity = capacity;
		core->runnable_head = 0;
	}
	group->runnable = true;
	core->runnable[(core->runnable_head + core->runnable_count++) % core->runnable_capacity] =
		group->index;
}

void group_set_active(struct core *core, struct group *group, struct graph *graph)
{
	if (group->active)
		core->active_tasks -= group->active->task_count;
	group->active = graph;
	if (graph)
		core->active_tasks += graph->task_count;
}

/* A plan starts at most `size` nodes, and surge raises no more than it starts. */
uint32_t core_peak(uint32_t live, uint32_t size, const struct policy *policy)
{
	uint32_t surge = plan_target(size, 0, policy).surge, most = size + (surge < size ? surge : size);

	return live > most ? live : most;
}

void group_update_peak(struct core *core, struct group *group)
{
	uint32_t peak = core_peak(group->live, group->spec.size, &group->spec.policy);

	if (group->active) { /* its bound, which reckons with more surge than there may be starts */
		uint32_t most = group->live + group->spec.size;

		most = group->active->max_live < most ? group->active->max_live : most;
		peak = most > peak ? most : peak;
	}
	core->peak = core->peak - group->peak + peak;
	group->peak = peak;
}

/* A free place among the graphs: the one that was left last. */
static uint32_t graph_place(struct core *core)
{
	uint32_t capacity = core->graph_capacity;

	if (core->graph_free_count == 0) {
		core->graph_capacity = capacity ? capacity * 2 : 16;
		core->graphs = mem_realloc(core->graphs, core->graph_capacity,
			sizeof(struct graph *));
		core->graph_free = mem_realloc(core->graph_free, core->graph_capacity,
			sizeof *core->graph_free);
		for (uint32_t i = core->graph_capacity; i-- > capacity;) {
			core->graphs[i] = NULL;
			core->graph_free[core->graph_free_count++] = i;
		}
	}
	return core->graph_free[--core->graph_free_count];
}

void core_graph_add(struct core *core, struct graph *graph)
{
	struct group *group = graph_group(core, graph);

	graph->index = graph_place(core);
	if (graph->serial == 0)
		graph->serial = core->next_serial;
	if (graph->serial >= core->next_serial) /* a loaded one keeps the one it had */
		core->next_serial = graph->serial + 1;
	core->graphs[graph->index] = graph;
	id_index_add(&core->graph_ids, &graph->id, graph->index);
	TAILQ_INSERT_TAIL(&group->graphs, graph, entry);
	group->graph_count++;
}

static void graph_remove(struct core *core, struct graph *graph)
{
	struct group *group = graph_group(core, graph);

	if (graph_loaded(graph))
		group->ended_tasks -= graph->task_count;
	group->graph_count--;
	group->ended_graphs--;
	TAILQ_REMOVE(&group->graphs, graph, entry);
	id_index_remove(&core->graph_ids, &graph->id);
	core->graphs[graph->index] = NULL;
	core->graph_free[core->graph_free_count++] = graph->index;
	change_add(core, (struct change){.kind = CHANGE_GRAPH_GONE, .b = graph->task_count,
		.number = graph->serial, .id = graph->id});
	graph_free(graph);
}

/* The latest ended graph of a group, which always stays; NULL where there is none. */
static struct graph *latest_ended(struct group *group)
{
	struct graph *graph;

	TAILQ_FOREACH_REVERSE(graph, &group->graphs, graph_list, entry)
		if (graph_ended(graph))
			break;
	return graph;
}

/* Drops the tasks of the oldest ended graphs beyond the limit from memory. What is changed has yet to be
 * stored. */
static void group_unload(struct core *core, struct group *group)
{
	const struct graph *latest = latest_ended(group);
	struct graph *graph;

	TAILQ_FOREACH(graph, &group->graphs, entry) {
		if (group->ended_tasks <= core->config.keep_tasks)
			break;
		if (!graph_ended(graph) || !graph_loaded(graph) || graph == latest)
			continue;
		if (graph->changed) {
			core->unload_due = true;
			continue;
		}
		group->ended_tasks -= graph->task_count;
		graph_unload(graph);
	}
}

void core_graphs_unload(struct core *core)
{
	if (!core->unload_due)
		return;
	core->unload_due = false;
	for (uint32_t i = 0; i < core->group_count; i++)
		if (core->groups[i]->ended_tasks > core->config.keep_tasks)
			group_unload(core, core->groups[i]);
}

/* Removes the oldest ended graphs beyond the limits; the latest one always stays. */
void core_graph_prune(struct core *core, struct group *group)
{
	const struct graph *latest = latest_ended(group);
	struct graph *graph, *next;
	bool stored = core->config.tasks_stored;

	if (stored && group->ended_tasks > core->config.keep_tasks)
		core->unload_due = true;
	for (graph = TAILQ_FIRST(&group->graphs); graph; graph = next) {
		next = TAILQ_NEXT(graph, entry);
		if (group->ended_graphs <= core->config.keep_graphs &&
			(stored || group->ended_tasks <= core->config.keep_tasks))
			break;
		if (!graph_ended(graph) || graph == latest)
			continue;
		graph_remove(core, graph);
	}
}

struct graph *core_graph_find(const struct core *core, const struct id *id)
{
	uint32_t ref = id_index_find(&core->graph_ids, id);

	return ref == ID_INDEX_NONE ? NULL : core->graphs[ref];
}

struct node *core_node_find(const struct core *core, const struct id *id)
{
	uint32_t ref = node_ref(core, id);

	return ref == ID_INDEX_NONE ? NULL : node_at(&core->nodes, ref);
}

/* Looks a whole id or a prefix up; `what` names the kind of thing in the message. */
static int lookup(const struct id_index *index, const struct id_prefix *prefix, const char *what,
	uint32_t *ret_ref, struct error *error)
{
	unsigned found = id_index_find_prefix(index, prefix, ret_ref);
	char text[ID_TEXT_LEN + 1], *end;

	if (found == 1)
		return 0;
	id_format_z(&prefix->id, text);
	end = text;
	for (unsigned digits = 0; digits < prefix->digits; end++)
		digits += *end != '-';
	*end = '\0';
	if (found == 0)
		return error_set(error, ERR_NOT_FOUND, "no %s has the id %s", what, text);
	return error_set(error, ERR_BAD_ARGUMENT,
		"more than one %s has an id that begins with %s: give more digits", what, text);
}

int core_graph_lookup(const struct core *core, const struct id_prefix *prefix,
	struct graph **ret_graph, struct error *error)
{
	uint32_t ref;

	if (lookup(&core->graph_ids, prefix, "graph", &ref, error) < 0)
		return -1;
	*ret_graph = core->graphs[ref];
	return 0;
}

int core_node_lookup(const struct core *core, const struct id_prefix *prefix,
	struct node **ret_node, struct error *error)
{
	uint32_t ref;

	if (lookup(&core->node_ids, prefix, "node", &ref, error) < 0)
		return -1;
	*ret_node = node_at(&core->nodes, ref);
	return 0;
}
