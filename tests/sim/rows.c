/* The durable state as rows: deep copies taken from the core when a commit begins, applied when it
 * becomes durable, and given back to a new core. */
#include <stdlib.h>

#include "proto/mem.h"
#include "sim.h"

static char *text_copy(const char *text)
{
	return text ? mem_strdup(text) : NULL;
}

static void *memory_copy(const void *memory, size_t size)
{
	void *copy = mem_alloc(size ? size : 1);

	if (size)
		memcpy(copy, memory, size);
	return copy;
}

/* Finding. */

struct group_row *rows_group(const struct rows *rows, const char *name)
{
	for (uint32_t i = 0; i < rows->group_count; i++)
		if (strcmp(rows->groups[i].name, name) == 0)
			return &rows->groups[i];
	return NULL;
}

static uint32_t graph_place(const struct rows *rows, const struct id *id)
{
	uint32_t i = rows->graph_count;

	while (i-- > 0)
		if (id_equal(&rows->graphs[i]->graph.id, id))
			return i;
	return UINT32_MAX;
}

static uint32_t node_place(const struct rows *rows, const struct id *id)
{
	uint32_t i = rows->node_count;

	while (i-- > 0)
		if (id_equal(&rows->nodes[i]->node.id, id))
			return i;
	return UINT32_MAX;
}

struct graph_row *rows_graph(const struct rows *rows, const struct id *id)
{
	uint32_t place = graph_place(rows, id);

	return place == UINT32_MAX ? NULL : rows->graphs[place];
}

struct node_row *rows_node(const struct rows *rows, const struct id *id)
{
	uint32_t place = node_place(rows, id);

	return place == UINT32_MAX ? NULL : rows->nodes[place];
}

/* Copying from the core. */

static struct task_row task_copy(const struct graph *graph, uint32_t task)
{
	return (struct task_row){.task = graph->tasks[task],
		.error = text_copy(graph_task_error(graph, task))};
}

/* With its tasks and edges, or its head alone. */
static struct graph_row *graph_copy(const struct core *core, const struct graph *graph, bool whole)
{
	struct graph_row *row = mem_zalloc(1, sizeof *row);

	strcpy(row->group, core->groups[graph->group]->name);
	row->graph = *graph;
	row->graph.error = text_copy(graph->error);
	row->graph.tasks = NULL;
	row->graph.prereqs = row->graph.dependents = NULL;
	row->graph.errors = NULL;
	if (!whole)
		return row;
	row->tasks = mem_zalloc(graph->task_count + 1, sizeof *row->tasks);
	for (uint32_t t = 0; t < graph->task_count; t++)
		row->tasks[t] = task_copy(graph, t);
	row->tasks[graph->task_count].task = graph->tasks[graph->task_count];
	row->prereqs = memory_copy(graph->prereqs, graph->edge_count * sizeof(uint32_t));
	row->dependents = memory_copy(graph->dependents, graph->edge_count * sizeof(uint32_t));
	return row;
}

static struct node_row *node_copy(const struct core *core, const struct node *node)
{
	struct node_row *row = mem_zalloc(1, sizeof *row);

	strcpy(row->group, core->groups[node->group]->name);
	row->node = *node;
	if (node_marker(&core->nodes, node))
		row->marker = *node_marker(&core->nodes, node);
	row->node.error = text_copy(node->error);
	return row;
}

static void copy_group(struct row_change *row, const struct group *group)
{
	strcpy(row->group.name, group->name);
	row->group.next_graph = group->next_graph;
	row->group.proven_revision = group->proven_revision;
}

static void copy_spec(struct row_change *row, const struct group *group, uint64_t revision)
{
	const struct spec *spec = group_spec_from(group, revision);

	strcpy(row->group.name, group->name);
	if (!spec || spec->revision != revision)
		return; /* it is gone by now */
	row->spec = *spec;
	row->spec.note = text_copy(spec->note);
}

void rows_copy(struct row_change *row, const struct core *core, const struct change *change)
{
	const struct graph *graph;
	const struct node *node;

	*row = (struct row_change){.kind = change->kind, .id = change->id,
		.number = change->number};
	switch (change->kind) {
	case CHANGE_GROUP:
		copy_group(row, core->groups[change->a]);
		break;
	case CHANGE_SPEC:
		copy_spec(row, core->groups[change->a], change->number);
		break;
	case CHANGE_SPEC_GONE:
		strcpy(row->group.name, core->groups[change->a]->name);
		break;
	case CHANGE_GRAPH_NEW:
	case CHANGE_GRAPH:
		graph = core->graphs[change->a];
		if (graph)
			row->graph = graph_copy(core, graph, change->kind == CHANGE_GRAPH_NEW);
		break;
	case CHANGE_TASK:
		graph = core->graphs[change->a];
		if (!graph || change->b >= graph->task_count)
			break;
		row->id = graph->id;
		row->task = change->b;
		row->task_row = task_copy(graph, change->b);
		row->found = true;
		break;
	case CHANGE_NODE:
		node = node_at(&core->nodes, change->a);
		if (node->used)
			row->node = node_copy(core, node);
		break;
	case CHANGE_GRAPH_GONE:
	case CHANGE_NODE_GONE:
		break;
	}
}

/* Releasing. */

static void graph_row_free(struct graph_row *row)
{
	if (!row)
		return;
	for (uint32_t t = 0; row->tasks && t < row->graph.task_count; t++)
		free(row->tasks[t].error);
	free(row->tasks);
	free(row->prereqs);
	free(row->dependents);
	free(row->graph.error);
	free(row);
}

static void node_row_free(struct node_row *row)
{
	if (row)
		free(row->node.error);
	free(row);
}

void row_change_fini(struct row_change *row)
{
	free(row->spec.note);
	graph_row_free(row->graph);
	node_row_free(row->node);
	free(row->task_row.error);
}

void rows_fini(struct rows *rows)
{
	for (uint32_t i = 0; i < rows->group_count; i++) {
		for (uint32_t s = 0; s < rows->groups[i].spec_count; s++)
			free(rows->groups[i].specs[s].note);
		free(rows->groups[i].specs);
	}
	for (uint32_t i = 0; i < rows->graph_count; i++)
		graph_row_free(rows->graphs[i]);
	for (uint32_t i = 0; i < rows->node_count; i++)
		node_row_free(rows->nodes[i]);
	free(rows->groups);
	free(rows->graphs);
	free(rows->nodes);
	*rows = (struct rows){0};
}

/* Applying: each takes over what the change owns. */

static struct group_row *take_group(struct rows *rows, const char *name)
{
	struct group_row *group = rows_group(rows, name);

	if (group)
		return group;
	rows->groups = mem_realloc(rows->groups, rows->group_count + 1, sizeof *rows->groups);
	group = &rows->groups[rows->group_count++];
	*group = (struct group_row){0};
	strcpy(group->name, name);
	return group;
}

static void apply_group(struct rows *rows, const struct group_row *changed)
{
	struct group_row *group = take_group(rows, changed->name);

	group->next_graph = changed->next_graph;
	group->proven_revision = changed->proven_revision;
}

static void apply_spec(struct rows *rows, struct row_change *row)
{
	struct group_row *group = take_group(rows, row->group.name);

	if (row->spec.revision == 0)
		return;
	group->specs = mem_realloc(group->specs, group->spec_count + 1, sizeof *group->specs);
	group->specs[group->spec_count++] = row->spec;
	row->spec.note = NULL;
}

static void apply_spec_gone(struct rows *rows, const struct row_change *row)
{
	struct group_row *group = take_group(rows, row->group.name);

	for (uint32_t i = 0; i < group->spec_count; i++) {
		if (group->specs[i].revision != row->number)
			continue;
		free(group->specs[i].note);
		memmove(&group->specs[i], &group->specs[i + 1],
			(--group->spec_count - i) * sizeof *group->specs);
		return;
	}
}

static void apply_graph_new(struct rows *rows, struct row_change *row)
{
	uint32_t place = graph_place(rows, &row->graph->graph.id);

	if (place == UINT32_MAX) {
		place = rows->graph_count++;
		rows->graphs = mem_realloc(rows->graphs, rows->graph_count, sizeof *rows->graphs);
		rows->graphs[place] = NULL;
	}
	graph_row_free(rows->graphs[place]);
	rows->graphs[place] = row->graph;
	row->graph = NULL;
}

/* The head of a graph that is stored; its tasks stay. */
static void apply_graph(struct rows *rows, struct row_change *row)
{
	struct graph_row *stored = rows_graph(rows, &row->graph->graph.id);

	if (!stored)
		return; /* its own GRAPH_NEW follows */
	free(stored->graph.error);
	stored->graph = row->graph->graph;
	row->graph->graph.error = NULL;
}

static void apply_task(struct rows *rows, struct row_change *row)
{
	struct graph_row *stored = rows_graph(rows, &row->id);

	if (!stored)
		return;
	free(stored->tasks[row->task].error);
	stored->tasks[row->task] = row->task_row;
	row->task_row.error = NULL;
}

static void apply_node(struct rows *rows, struct row_change *row)
{
	uint32_t place = node_place(rows, &row->node->node.id);

	if (place == UINT32_MAX) {
		place = rows->node_count++;
		rows->nodes = mem_realloc(rows->nodes, rows->node_count, sizeof *rows->nodes);
		rows->nodes[place] = NULL;
	}
	node_row_free(rows->nodes[place]);
	rows->nodes[place] = row->node;
	row->node = NULL;
}

static void apply_graph_gone(struct rows *rows, const struct id *id)
{
	uint32_t place = graph_place(rows, id);

	if (place == UINT32_MAX)
		return;
	graph_row_free(rows->graphs[place]);
	memmove(&rows->graphs[place], &rows->graphs[place + 1],
		(--rows->graph_count - place) * sizeof *rows->graphs);
}

static void apply_node_gone(struct rows *rows, const struct id *id)
{
	uint32_t place = node_place(rows, id);

	if (place == UINT32_MAX)
		return;
	node_row_free(rows->nodes[place]);
	memmove(&rows->nodes[place], &rows->nodes[place + 1],
		(--rows->node_count - place) * sizeof *rows->nodes);
}

void rows_apply(struct rows *rows, struct row_change *row)
{
	switch (row->kind) {
	case CHANGE_GROUP:
		apply_group(rows, &row->group);
		break;
	case CHANGE_SPEC:
		apply_spec(rows, row);
		break;
	case CHANGE_SPEC_GONE:
		apply_spec_gone(rows, row);
		break;
	case CHANGE_GRAPH_NEW:
		if (row->graph)
			apply_graph_new(rows, row);
		break;
	case CHANGE_GRAPH:
		if (row->graph)
			apply_graph(rows, row);
		break;
	case CHANGE_TASK:
		if (row->found)
			apply_task(rows, row);
		break;
	case CHANGE_NODE:
		if (row->node)
			apply_node(rows, row);
		break;
	case CHANGE_GRAPH_GONE:
		apply_graph_gone(rows, &row->id);
		break;
	case CHANGE_NODE_GONE:
		apply_node_gone(rows, &row->id);
		break;
	}
}

/* Giving back. */

static struct graph *graph_restore(const struct graph_row *row)
{
	struct graph *graph = mem_alloc(sizeof *graph);
	uint32_t count = row->graph.task_count;

	*graph = row->graph;
	graph->error = text_copy(row->graph.error);
	graph->tasks = mem_zalloc(count + 1, sizeof *graph->tasks);
	graph->errors = NULL;
	graph->error_count = 0;
	graph->changed = false;
	for (uint32_t t = 0; t <= count; t++) {
		graph->tasks[t] = row->tasks[t].task;
		graph->tasks[t].changed = false;
		graph->tasks[t].error = 0;
		if (!row->tasks[t].error)
			continue;
		graph->errors = mem_realloc(graph->errors, graph->error_count + 1, sizeof(char *));
		graph->errors[graph->error_count] = text_copy(row->tasks[t].error);
		graph->tasks[t].error = ++graph->error_count;
	}
	graph->prereqs = memory_copy(row->prereqs, graph->edge_count * sizeof(uint32_t));
	graph->dependents = memory_copy(row->dependents, graph->edge_count * sizeof(uint32_t));
	return graph;
}

static int load_group(const struct group_row *group, struct core *core, struct error *error)
{
	if (core_load_group(core, group->name, &group->next_graph, group->proven_revision,
		    error) < 0)
		return -1;
	for (uint32_t i = 0; i < group->spec_count; i++) {
		struct spec spec = group->specs[i];

		spec.note = text_copy(spec.note);
		if (core_load_spec(core, group->name, &spec, error) < 0)
			return -1;
	}
	return 0;
}

static int compare_serials(const void *a, const void *b)
{
	const struct graph_row *const *x = a, *const *y = b;

	return (*x)->graph.serial < (*y)->graph.serial ? -1
						       : (*x)->graph.serial > (*y)->graph.serial;
}

static int load_node(const struct node_row *row, struct core *core, struct error *error)
{
	struct node node = row->node;
	uint32_t ref;

	node.error = text_copy(node.error);
	if (core_load_node(core, row->group, &node, &ref, error) < 0)
		return -1;
	return origin_known(&row->marker) ? core_load_marker(core, ref, &row->marker, error) : 0;
}

int rows_load(struct sim *sim, struct core *core, struct error *error)
{
	struct rows *rows = &sim->storage.rows;
	uint32_t begin = sim_below(sim, rows->node_count);

	for (uint32_t i = 0; i < rows->group_count; i++)
		if (load_group(&rows->groups[i], core, error) < 0)
			return -1;
	if (rows->graph_count > 0)
		qsort(rows->graphs, rows->graph_count, sizeof *rows->graphs, compare_serials);
	for (uint32_t i = 0; i < rows->graph_count; i++)
		if (core_load_graph(core, rows->graphs[i]->group,
			    graph_restore(rows->graphs[i]), error) < 0)
			return -1;
	for (uint32_t i = 0; i < rows->node_count; i++) /* in any order */
		if (load_node(rows->nodes[(begin + i) % rows->node_count], core, error) < 0)
			return -1;
	return 0;
}
