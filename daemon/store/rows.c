#include "rows.h"

#include <stdlib.h>

#include "plan.h"
#include "store.h"
#include "proto/mem.h"

enum { KEEP_ROWS = 8192, KEEP_TEXTS = 256 * 1024 };

/* Rows and texts are in arrays that may have twice the room that they need; texts are short. */
_Static_assert(2 * (sizeof(struct row) + sizeof(struct origin)) <= STORE_CHANGE_BYTES, "the row of a change");

static const char *const op_words[] = {
	[OP_NONE] = NULL,
	[OP_START] = "start",
	[OP_CANCEL] = "cancel",
	[OP_STOP] = "stop",
	[OP_KILL] = "kill",
};
enum { OP_COUNT = sizeof op_words / sizeof op_words[0] };

const char *node_op_word(enum node_op op)
{
	return op_words[op];
}

int node_op_parse(const char *word)
{
	for (int op = OP_NONE + 1; op < OP_COUNT; op++)
		if (strcmp(op_words[op], word) == 0)
			return op;
	return -1;
}

/* ---- the list ------------------------------------------------------------------------------ */

void rows_fini(struct rows *rows)
{
	free(rows->list);
	buf_fini(&rows->texts);
	*rows = (struct rows){0};
}

void rows_clear(struct rows *rows)
{
	if (rows->capacity > KEEP_ROWS || rows->texts.capacity > KEEP_TEXTS) {
		rows_fini(rows);
		return;
	}
	rows->count = 0;
	rows->texts.len = 0;
	rows->removes = false;
	rows->spec_gone = rows->graph_gone = 0;
}

static struct row *rows_add(struct rows *rows, enum row_kind kind)
{
	struct row *row;

	if (rows->count == rows->capacity) {
		rows->capacity = rows->capacity ? rows->capacity * 2 : 64;
		rows->list = mem_realloc(rows->list, rows->capacity, sizeof *rows->list);
	}
	row = &rows->list[rows->count++];
	row->kind = kind;
	return row;
}

static struct row_text add_text(struct rows *rows, const char *text)
{
	struct row_text added = {0};

	if (!text)
		return added;
	added.at = rows->texts.len + 1;
	added.len = strlen(text);
	buf_add(&rows->texts, text, added.len);
	return added;
}

const char *rows_text(const struct rows *rows, const struct row_text *text)
{
	if (text->at == 0)
		return NULL;
	return text->len > 0 ? rows->texts.data + text->at - 1 : "";
}

/* 1 + where it begins; 0: nobody. */
static size_t add_origin(struct rows *rows, const struct origin *origin)
{
	size_t at = rows->texts.len + 1;

	if (!origin_known(origin))
		return 0;
	buf_add(&rows->texts, (const char *)origin, sizeof *origin);
	return at;
}

struct origin rows_origin(const struct rows *rows, size_t at)
{
	struct origin origin = {0};

	if (at > 0)
		memcpy(&origin, rows->texts.data + at - 1, sizeof origin);
	return origin;
}

/* ---- the numbers of nodes ------------------------------------------------------------------ */

void node_serials_fini(struct node_serials *serials)
{
	free(serials->by_ref);
	*serials = (struct node_serials){0};
}

void node_serials_set(struct node_serials *serials, uint32_t ref, uint64_t serial)
{
	uint32_t capacity = serials->capacity ? serials->capacity : NODE_CHUNK;

	while (ref >= capacity)
		capacity *= 2;
	if (capacity != serials->capacity) {
		serials->by_ref = mem_realloc(serials->by_ref, capacity, sizeof *serials->by_ref);
		memset(serials->by_ref + serials->capacity, 0,
			(capacity - serials->capacity) * sizeof *serials->by_ref);
		serials->capacity = capacity;
	}
	serials->by_ref[ref] = serial;
	if (serial > serials->last)
		serials->last = serial;
}

static uint64_t serial_of(const struct node_serials *serials, uint32_t ref)
{
	return ref < serials->capacity ? serials->by_ref[ref] : 0;
}

/* ---- copying ------------------------------------------------------------------------------- */

static void take_group(struct rows *rows, const struct group *group)
{
	rows_add(rows, ROW_GROUP)->group = (struct row_group){
		.number = group->index,
		.name = group->name,
		.next_graph = group->next_graph,
		.proven_revision = group->proven_revision,
	};
}

static void take_spec(struct rows *rows, const struct group *group, uint64_t revision)
{
	const struct spec *spec = group_spec_from(group, revision);
	struct row_text note;

	if (!spec || spec->revision != revision)
		return;
	note = add_text(rows, spec->note);
	rows_add(rows, ROW_SPEC)->spec = (struct row_spec){.group = group->name, .spec = *spec,
		.note = note};
}

/* Revisions go in their order, and one that came and went within the commit is passed over: so one row
 * does for a run of them. */
static void take_spec_gone(struct rows *rows, const struct group *group, uint64_t revision)
{
	struct row *last = rows->spec_gone > 0 ? &rows->list[rows->spec_gone - 1] : NULL;

	if (last && last->spec.group == group->name) {
		last->spec.spec.revision = revision;
		return;
	}
	rows->removes = true;
	rows->spec_gone = rows->count + 1;
	rows_add(rows, ROW_SPEC_GONE)->spec = (struct row_spec){.group = group->name,
		.spec.revision = revision};
}

static void take_graph(struct rows *rows, const struct core *core, const struct graph *graph)
{
	struct row_text error = add_text(rows, graph->error);
	size_t origin = add_origin(rows, &graph->origin);
	size_t canceller = add_origin(rows, &graph->canceller);

	rows_add(rows, ROW_GRAPH)->graph = (struct row_graph){
		.serial = graph->serial,
		.revision = graph->revision,
		.id = graph->id,
		.successor = graph->successor,
		.group = core->groups[graph->group]->name,
		.state = graph->state,
		.reason = graph->reason,
		.tasks = graph->task_count,
		.min_available = graph->min_available,
		.max_live = graph->max_live,
		.failed_task = graph->failed_task,
		.succeeded = graph->counts[TASK_SUCCEEDED],
		.failed = graph->counts[TASK_FAILED],
		.cancelled = graph->counts[TASK_CANCELLED],
		.created_us = graph->created_us,
		.started_us = graph->started_us,
		.dropped_us = graph->dropped_us,
		.finished_us = graph->finished_us,
		.error = error,
		.origin = origin,
		.canceller = canceller,
	};
}

static void take_plan(struct rows *rows, const struct graph *graph)
{
	struct row_text tasks = {.at = rows->texts.len + 1};

	plan_encode(&rows->texts, graph);
	tasks.len = rows->texts.len - (tasks.at - 1);
	rows_add(rows, ROW_PLAN)->plan = (struct row_plan){.graph = graph->serial, .tasks = tasks};
}

/* A task that never began has no row. */
static void take_task(struct rows *rows, const struct graph *graph, uint32_t number)
{
	const struct task *task = &graph->tasks[number];
	struct row_text error;

	if (number >= graph->task_count || task->attempt == 0)
		return;
	error = add_text(rows, graph_task_error(graph, number));
	rows_add(rows, ROW_TASK)->task = (struct row_task){.graph = graph->serial, .id = number,
		.task = *task, .error = error};
}

static void take_node(struct rows *rows, struct node_serials *serials, const struct core *core,
	uint32_t ref)
{
	const struct node *node = node_at(&core->nodes, ref);
	const struct origin *marker = node_marker(&core->nodes, node);
	struct row_text error;
	size_t marker_at;

	if (!node->used)
		return;
	if (serial_of(serials, ref) == 0)
		node_serials_set(serials, ref, serials->last + 1);
	error = add_text(rows, node->error);
	marker_at = marker ? add_origin(rows, marker) : 0;
	rows_add(rows, ROW_NODE)->node = (struct row_node){
		.serial = serial_of(serials, ref),
		.group = core->groups[node->group]->name,
		.node = *node,
		.error = error,
		.marker = marker_at,
	};
}

/* A node that came and went within the commit was never stored. The place may have another node by
 * now: that is named behind this, and is stored anew. */
static void take_node_gone(struct rows *rows, struct node_serials *serials, uint32_t ref)
{
	uint64_t serial = serial_of(serials, ref);

	if (serial == 0)
		return;
	serials->by_ref[ref] = 0;
	rows->removes = true;
	rows_add(rows, ROW_NODE_GONE)->serial = serial;
}

static void take_graph_change(struct rows *rows, const struct core *core,
	const struct change *change)
{
	const struct graph *graph = core->graphs[change->a];

	if (!graph)
		return;
	if (change->kind == CHANGE_TASK) {
		take_task(rows, graph, change->b);
		return;
	}
	take_graph(rows, core, graph);
	if (change->kind == CHANGE_GRAPH_NEW && graph->task_count > 0)
		take_plan(rows, graph);
}

/* As with revisions: one row does for a run of serials. */
static void take_graph_gone(struct rows *rows, uint64_t serial, bool tasks)
{
	struct row *last = rows->graph_gone > 0 ? &rows->list[rows->graph_gone - 1] : NULL;

	if (last && last->graph_gone.last + 1 == serial) {
		last->graph_gone.last = serial;
		last->graph_gone.tasks = last->graph_gone.tasks || tasks;
		return;
	}
	rows->removes = true;
	rows->graph_gone = rows->count + 1;
	rows_add(rows, ROW_GRAPH_GONE)->graph_gone = (struct row_graph_gone){.first = serial,
		.last = serial, .tasks = tasks};
}

void rows_take(struct rows *rows, struct node_serials *serials, const struct core *core,
	const struct change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct change *change = &changes[i];

		switch (change->kind) {
		case CHANGE_GROUP:
			take_group(rows, core->groups[change->a]);
			break;
		case CHANGE_SPEC:
			take_spec(rows, core->groups[change->a], change->number);
			break;
		case CHANGE_SPEC_GONE:
			take_spec_gone(rows, core->groups[change->a], change->number);
			break;
		case CHANGE_GRAPH_NEW:
		case CHANGE_GRAPH:
		case CHANGE_TASK:
			take_graph_change(rows, core, change);
			break;
		case CHANGE_GRAPH_GONE:
			take_graph_gone(rows, change->number, change->b > 0);
			break;
		case CHANGE_NODE:
			take_node(rows, serials, core, change->a);
			break;
		case CHANGE_NODE_GONE:
			take_node_gone(rows, serials, change->a);
			break;
		}
	}
}
