/* Graphs of the state file: their heads, and where they are wanted their plans and what their tasks have
 * come to. */
#include "load.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cursor.h"
#include "plan.h"
#include "proto/mem.h"

#define HEAD_COLUMNS                                                                           \
	"serial, id, group_name, revision, state, reason, tasks, min_available, max_live, created," \
	" started, dropped, finished, successor, failed_task, error, succeeded, failed, cancelled," \
	" uid, user, cancelled_uid, cancelled_by"

/* Statements for the heads, for the plan and for the tasks of one graph. */
struct reader {
	struct cursor heads, plans, tasks;
};

static void reader_close(struct reader *reader)
{
	db_finish(reader->heads.statement);
	db_finish(reader->plans.statement);
	db_finish(reader->tasks.statement);
}

static int reader_open(struct db *db, const char *heads, struct reader *reader, struct error *error)
{
	*reader = (struct reader){.heads.statement = NULL};
	if (cursor_open(db, "graphs", heads, &reader->heads, error) < 0 ||
		cursor_open(db, "plans", "SELECT tasks FROM plans WHERE graph = ?1", &reader->plans,
			error) < 0 ||
		cursor_open(db, "tasks", "SELECT id, state, attempt, started, finished, error"
			" FROM tasks WHERE graph = ?1 ORDER BY id", &reader->tasks, error) < 0) {
		reader_close(reader);
		return -1;
	}
	return 0;
}

static void get_head(struct cursor *cursor, struct graph *graph)
{
	*graph = (struct graph){
		.serial = cursor_number(cursor, 0, "serial", SERIAL_MAX),
		.revision = cursor_number(cursor, 3, "revision", INT64_MAX),
		.state = (enum graph_state)cursor_word(cursor, 4, "state", graph_state_parse),
		.reason = (enum reason)cursor_word(cursor, 5, "reason", reason_parse),
		.min_available = cursor_u32(cursor, 7, "min_available"),
		.max_live = cursor_u32(cursor, 8, "max_live"),
		.created_us = cursor_time(cursor, 9, "created", true),
		.started_us = cursor_time(cursor, 10, "started", false),
		.dropped_us = cursor_time(cursor, 11, "dropped", false),
		.finished_us = cursor_time(cursor, 12, "finished", false),
		.failed_task = TASK_NONE,
		.task_count = cursor_u32(cursor, 6, "tasks"),
	};
	cursor_peek(cursor, 2, "group_name", TEXT_GROUP_MAX); /* for load_head */
	cursor_id(cursor, 1, "id", true, &graph->id);
	cursor_id(cursor, 13, "successor", false, &graph->successor);
	if (graph->serial == 0)
		cursor_wrong(cursor, "serial");
	if (!cursor_is_null(cursor, 14))
		graph->failed_task = cursor_u32(cursor, 14, "failed_task");
	if (graph->failed_task != TASK_NONE && graph->failed_task >= graph->task_count)
		cursor_wrong(cursor, "failed_task");
	graph->counts[TASK_SUCCEEDED] = cursor_count(cursor, 16, "succeeded");
	graph->counts[TASK_FAILED] = cursor_count(cursor, 17, "failed");
	graph->counts[TASK_CANCELLED] = cursor_count(cursor, 18, "cancelled");
	cursor_origin(cursor, 19, "uid", "user", &graph->origin);
	cursor_origin(cursor, 21, "cancelled_uid", "cancelled_by", &graph->canceller);
}

/* What never began was cancelled with all that waited, or waits. */
static void set_waiting(struct graph *graph)
{
	if (graph->dropped_us == 0)
		return;
	for (uint32_t t = 0; t < graph->task_count; t++) {
		graph->tasks[t].state = TASK_CANCELLED;
		graph->tasks[t].finished_us = graph->dropped_us;
	}
}

static void set_task_error(struct graph *graph, struct task *task, char *text)
{
	if (!text)
		return;
	graph->errors = mem_realloc(graph->errors, graph->error_count + 1, sizeof(char *));
	graph->errors[graph->error_count] = text;
	task->error = ++graph->error_count;
}

static int load_tasks(struct graph *graph, struct cursor *tasks, struct error *error)
{
	int row;

	db_bind_number(tasks->statement, 1, (int64_t)graph->serial);
	while ((row = db_next(tasks->statement, error)) > 0) {
		uint32_t number = cursor_u32(tasks, 0, "id");

		if (number >= graph->task_count) {
			cursor_wrong(tasks, "id");
		} else {
			struct task *task = &graph->tasks[number];

			task->state = (uint8_t)cursor_word(tasks, 1, "state", task_state_parse);
			task->attempt = (uint16_t)cursor_number(tasks, 2, "attempt", UINT16_MAX);
			task->started_us = cursor_time(tasks, 3, "started", true);
			task->finished_us = cursor_time(tasks, 4, "finished", false);
			if (task->attempt == 0 || task->state == TASK_WAITING)
				cursor_wrong(tasks, "attempt");
			set_task_error(graph, task, cursor_text(tasks, 5, "error", TEXT_ERROR_MAX));
		}
		if (cursor_check(tasks, number, error) < 0)
			row = -1;
		if (row < 0)
			break;
	}
	db_rewind(tasks->statement);
	return row;
}

/* A lack of memory is not the fault of the row. */
static int plan_failed(const struct graph *graph, const struct error *inner, struct error *error)
{
	if (inner->code == ERR_INTERNAL)
		return error_set(error, ERR_INTERNAL, "%s of graph %" PRIu64, inner->text, graph->serial);
	return error_set(error, inner->code, "table plans, graph %" PRIu64 ": %s", graph->serial, inner->text);
}

/* A graph without tasks has no row in plans. */
static int load_plan(struct graph *graph, struct cursor *plans, struct error *error)
{
	static const char no_edges[1];
	const void *data = no_edges;
	size_t len = sizeof no_edges;
	struct error inner;
	int row, ret = 0;

	db_bind_number(plans->statement, 1, (int64_t)graph->serial);
	row = db_next(plans->statement, error);
	if (row > 0) {
		data = cursor_blob(plans, 0, "tasks", &len);
		row = cursor_check(plans, (int64_t)graph->serial, error) < 0 ? -1 : row;
	}
	if (row == 0 && graph->task_count > 0)
		row = error_set(error, ERR_STORAGE, "table plans: no row for graph %" PRIu64
			", which has tasks", graph->serial);
	if (row < 0)
		ret = -1;
	else if (plan_decode(graph, graph->task_count, data, len, &inner) < 0)
		ret = plan_failed(graph, &inner, error);
	db_rewind(plans->statement);
	return ret;
}

/* The graph of the head that was read, with or without its tasks. */
static struct graph *read_graph(struct reader *reader, bool tasks, struct error *error)
{
	struct graph *graph = mem_alloc(sizeof *graph);

	get_head(&reader->heads, graph);
	graph->error = cursor_text(&reader->heads, 15, "error", TEXT_ERROR_MAX);
	if (cursor_check(&reader->heads, (int64_t)graph->serial, error) < 0)
		goto failed;
	if (!tasks)
		return graph;
	if (load_plan(graph, &reader->plans, error) < 0)
		goto failed;
	set_waiting(graph);
	if (load_tasks(graph, &reader->tasks, error) < 0)
		goto failed;
	return graph;
failed:
	graph_free(graph);
	return NULL;
}

/* ---- which tasks are kept in memory -------------------------------------------------------- */

/* Of a group: tasks are kept of the latest graph that has ended and, as far as core_config.keep_tasks allows, of
 * those before it. */
struct kept {
	uint64_t first; /* serial of the first graph whose tasks are kept; 0: none has ended */
	uint64_t tasks; /* of it and of the later ones */
	bool whole;     /* no graph before `first` fits */
};

/* Rows come with the latest graph first. An unknown group is reported when the graph is loaded. */
static int count_kept(struct cursor *cursor, const struct core *core, struct kept *groups,
	struct error *error)
{
	uint64_t serial = cursor_number(cursor, 0, "serial", SERIAL_MAX);
	const char *name = cursor_peek(cursor, 1, "group_name", TEXT_GROUP_MAX);
	uint32_t tasks = cursor_u32(cursor, 2, "tasks");
	const struct group *group;
	struct kept *kept;

	if (cursor_check(cursor, (int64_t)serial, error) < 0)
		return -1;
	group = core_group_find(core, name);
	if (!group || groups[group->index].whole)
		return 0;
	kept = &groups[group->index];
	if (kept->tasks > 0 && kept->tasks + tasks > core->config.keep_tasks) {
		kept->whole = true;
		return 0;
	}
	kept->tasks += tasks;
	kept->first = serial;
	return 0;
}

/* Reads few columns, and in the order of the file: rows may be as large as somebody made them. */
static int find_kept(struct db *db, const struct core *core, struct kept *groups,
	struct error *error)
{
	struct cursor cursor;
	int row;

	if (cursor_open(db, "graphs", "SELECT serial, group_name, tasks FROM graphs"
			" WHERE finished IS NOT NULL ORDER BY serial DESC", &cursor, error) < 0)
		return -1;
	while ((row = db_next(cursor.statement, error)) > 0)
		if (count_kept(&cursor, core, groups, error) < 0) {
			row = -1;
			break;
		}
	db_finish(cursor.statement);
	return row;
}

/* ---- all graphs ---------------------------------------------------------------------------- */

/* Loads the graph of the head that was read. */
static int load_head(struct reader *reader, struct core *core, const struct kept *groups,
	struct error *error)
{
	const char *name = cursor_peek(&reader->heads, 2, "group_name", TEXT_GROUP_MAX);
	uint64_t serial = cursor_number(&reader->heads, 0, "serial", SERIAL_MAX);
	const struct group *group = core_group_find(core, name);
	bool tasks = !core->config.tasks_stored || cursor_is_null(&reader->heads, 12) ||
		(group && serial >= groups[group->index].first);
	struct graph *graph = read_graph(reader, tasks, error);

	if (!graph)
		return -1;
	if (core_load_graph(core, name, graph, error) == 0)
		return 0;
	graph_free(graph);
	return cursor_fail(&reader->heads, (int64_t)serial, error);
}

static int load_heads(struct db *db, struct core *core, const struct kept *groups,
	struct error *error)
{
	struct reader reader;
	int row;

	if (reader_open(db, "SELECT " HEAD_COLUMNS " FROM graphs ORDER BY serial", &reader, error) < 0)
		return -1;
	while ((row = db_next(reader.heads.statement, error)) > 0)
		if (load_head(&reader, core, groups, error) < 0) {
			row = -1;
			break;
		}
	reader_close(&reader);
	return row;
}

int load_graphs(struct db *db, struct core *core, struct error *error)
{
	struct kept *groups = mem_zalloc(core->group_count, sizeof *groups);
	int ret = 0;

	if (core->config.tasks_stored)
		ret = find_kept(db, core, groups, error);
	if (ret == 0)
		ret = load_heads(db, core, groups, error);
	free(groups);
	return ret;
}

int load_graph(struct db *db, uint64_t serial, struct graph **ret_graph, struct error *error)
{
	struct reader reader;
	int row;

	if (reader_open(db, "SELECT " HEAD_COLUMNS " FROM graphs WHERE serial = ?1"
			" AND finished IS NOT NULL", &reader, error) < 0)
		return -1;
	db_bind_number(reader.heads.statement, 1, (int64_t)serial);
	row = db_next(reader.heads.statement, error);
	*ret_graph = row > 0 ? read_graph(&reader, true, error) : NULL;
	if (row == 0)
		error_set(error, ERR_GONE, "the graph is not kept any more");
	reader_close(&reader);
	return *ret_graph != NULL ? 0 : -1;
}
