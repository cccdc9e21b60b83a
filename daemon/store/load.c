/* Nothing in the file is believed: every value is checked before it goes into the core, which checks in
 * turn that the parts fit together. */
#include "load.h"

#include <inttypes.h>
#include <stdlib.h>

#include "plan.h"
#include "proto/mem.h"
#include "proto/stamp.h"

#define SERIAL_MAX ((uint64_t)INT64_MAX / 2) /* so that there is always a next one */
#define MIN_READY_MAX ((uint64_t)24 * 3600 * 1000)

static const struct id no_id;

/* A row that is read. The first value that cannot be is noted, and the rest is read as it comes. */
struct cursor {
	struct db_statement *statement;
	const char *table;
	const char *wrong; /* the column, NULL: all was right so far */
};

static int cursor_open(struct db *db, const char *table, const char *sql, struct cursor *ret_cursor,
	struct error *error)
{
	*ret_cursor = (struct cursor){.table = table};
	return db_prepare(db, sql, &ret_cursor->statement, error);
}

static int cursor_check(const struct cursor *cursor, int64_t key, struct error *error)
{
	if (!cursor->wrong)
		return 0;
	return error_set(error, ERR_STORAGE, "the table %s has a row, %" PRIi64
		", whose %s cannot be", cursor->table, key, cursor->wrong);
}

static void wrong(struct cursor *cursor, const char *column)
{
	if (!cursor->wrong)
		cursor->wrong = column;
}

static uint64_t get_number(struct cursor *cursor, int column, const char *name, uint64_t max)
{
	int64_t number = db_column_number(cursor->statement, column);

	if (number < 0 || (uint64_t)number > max)
		wrong(cursor, name);
	return (uint64_t)number;
}

static uint32_t get_u32(struct cursor *cursor, int column, const char *name)
{
	return (uint32_t)get_number(cursor, column, name, UINT32_MAX - 1);
}

/* 0 where there is none, if there need not be one: time 0 is none. */
static int64_t get_time(struct cursor *cursor, int column, const char *name, bool needed)
{
	size_t len;
	const char *text = db_column_text(cursor->statement, column, &len);
	int64_t time_us = 0;

	if ((text && stamp_parse(text, len, &time_us) < 0) || (needed && time_us == 0))
		wrong(cursor, name);
	return time_us;
}

static void get_id(struct cursor *cursor, int column, const char *name, bool needed,
	struct id *ret_id)
{
	size_t len;
	const char *text = db_column_text(cursor->statement, column, &len);

	*ret_id = (struct id){0};
	if ((text && id_parse(text, len, ret_id) < 0) || (needed && id_equal(ret_id, &no_id)))
		wrong(cursor, name);
}

static int get_word(struct cursor *cursor, int column, const char *name,
	int (*parse)(const char *word))
{
	const char *text = db_column_text(cursor->statement, column, NULL);
	int value = text ? parse(text) : -1;

	if (value < 0)
		wrong(cursor, name);
	return value < 0 ? 0 : value;
}

/* A copy that the caller owns, NULL where there is none. */
static char *get_text(struct cursor *cursor, int column)
{
	const char *text = db_column_text(cursor->statement, column, NULL);

	return text ? mem_strdup(text) : NULL;
}

/* A text of another row's table, valid until the next row; "" where there is none. */
static const char *peek_text(struct cursor *cursor, int column)
{
	const char *text = db_column_text(cursor->statement, column, NULL);

	return text ? text : "";
}

/* ---- groups and specs ---------------------------------------------------------------------- */

/* Numbers are those that the core gives: the group default has the first, stored or not. */
static int load_group(struct cursor *cursor, struct core *core, struct error *error)
{
	int64_t number = db_column_number(cursor->statement, 0);
	uint64_t proven = get_number(cursor, 3, "proven_revision", INT64_MAX);
	struct id next_graph;
	const char *name;

	get_id(cursor, 2, "next_graph", true, &next_graph);
	name = peek_text(cursor, 1);
	if (cursor_check(cursor, number, error) < 0 ||
		core_load_group(core, name, &next_graph, proven, error) < 0)
		return -1;
	if (core_group_find(core, name)->index != number)
		wrong(cursor, "number");
	return cursor_check(cursor, number, error);
}

static int check_next_graphs(struct db *db, struct error *error)
{
	int64_t same;

	if (db_number(db, "SELECT count(*) - count(DISTINCT next_graph) FROM groups", &same, error) < 0)
		return -1;
	if (same != 0)
		return error_set(error, ERR_STORAGE, "the table groups has a next_graph twice");
	return 0;
}

static int load_groups(struct db *db, struct core *core, struct error *error)
{
	struct cursor cursor;
	int row;

	if (cursor_open(db, "groups", "SELECT number, name, next_graph, proven_revision FROM groups"
			" ORDER BY number", &cursor, error) < 0)
		return -1;
	while ((row = db_next(cursor.statement, error)) > 0)
		if (load_group(&cursor, core, error) < 0) {
			row = -1;
			break;
		}
	db_finish(cursor.statement);
	return row < 0 ? -1 : check_next_graphs(db, error);
}

static void get_policy(struct cursor *cursor, struct policy *ret_policy)
{
	if (arg_amount(peek_text(cursor, 4), "max_surge", UINT32_MAX, &ret_policy->max_surge,
			NULL) < 0)
		wrong(cursor, "max_surge");
	if (arg_amount(peek_text(cursor, 5), "max_unavailable", UINT32_MAX,
			&ret_policy->max_unavailable, NULL) < 0)
		wrong(cursor, "max_unavailable");
	ret_policy->max_parallel = get_u32(cursor, 6, "max_parallel");
	ret_policy->min_ready_ms = get_number(cursor, 7, "min_ready_ms", MIN_READY_MAX);
}

static void get_spec(struct cursor *cursor, struct spec *ret_spec)
{
	const char *user = peek_text(cursor, 10);

	*ret_spec = (struct spec){
		.revision = get_number(cursor, 1, "revision", SERIAL_MAX),
		.size = (uint32_t)get_number(cursor, 2, "size", LIMIT_SIZE),
		.version = get_number(cursor, 3, "version", INT64_MAX),
		.created_us = get_time(cursor, 8, "created", true),
		.origin.uid = (uid_t)get_number(cursor, 9, "uid", UINT32_MAX),
		.reason = (enum reason)get_word(cursor, 11, "reason", reason_parse),
	};
	get_policy(cursor, &ret_spec->policy);
	if (strlen(user) >= sizeof ret_spec->origin.user)
		wrong(cursor, "user");
	else
		strcpy(ret_spec->origin.user, user);
}

static int load_specs(struct db *db, struct core *core, struct error *error)
{
	struct cursor cursor;
	int row;

	if (cursor_open(db, "specs", "SELECT group_name, revision, size, version, max_surge,"
			" max_unavailable, max_parallel, min_ready_ms, created, uid, user, reason, note"
			" FROM specs ORDER BY group_name, revision", &cursor, error) < 0)
		return -1;
	while ((row = db_next(cursor.statement, error)) > 0) {
		struct spec spec;

		get_spec(&cursor, &spec);
		if (cursor_check(&cursor, (int64_t)spec.revision, error) < 0) {
			row = -1;
			break;
		}
		spec.note = get_text(&cursor, 12);
		if (core_load_spec(core, peek_text(&cursor, 0), &spec, error) < 0) {
			free(spec.note);
			row = -1;
			break;
		}
	}
	db_finish(cursor.statement);
	return row;
}

/* ---- graphs -------------------------------------------------------------------------------- */

static void get_graph(struct cursor *cursor, struct graph *graph)
{
	struct db_statement *statement = cursor->statement;

	*graph = (struct graph){
		.serial = get_number(cursor, 0, "serial", SERIAL_MAX),
		.revision = get_number(cursor, 3, "revision", INT64_MAX),
		.state = (enum graph_state)get_word(cursor, 4, "state", graph_state_parse),
		.reason = (enum reason)get_word(cursor, 5, "reason", reason_parse),
		.min_available = get_u32(cursor, 7, "min_available"),
		.max_live = get_u32(cursor, 8, "max_live"),
		.created_us = get_time(cursor, 9, "created", true),
		.started_us = get_time(cursor, 10, "started", false),
		.dropped_us = get_time(cursor, 11, "dropped", false),
		.finished_us = get_time(cursor, 12, "finished", false),
		.failed_task = TASK_NONE,
	};
	get_id(cursor, 1, "id", true, &graph->id);
	get_id(cursor, 13, "successor", false, &graph->successor);
	if (graph->serial == 0)
		wrong(cursor, "serial");
	if (db_column_text(statement, 14, NULL))
		graph->failed_task = get_u32(cursor, 14, "failed_task");
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
		uint32_t number = get_u32(tasks, 0, "id");

		if (number >= graph->task_count) {
			wrong(tasks, "id");
		} else {
			struct task *task = &graph->tasks[number];

			task->state = (uint8_t)get_word(tasks, 1, "state", task_state_parse);
			task->attempt = (uint16_t)get_number(tasks, 2, "attempt", UINT16_MAX);
			task->started_us = get_time(tasks, 3, "started", true);
			task->finished_us = get_time(tasks, 4, "finished", false);
			if (task->attempt == 0 || task->state == TASK_WAITING)
				wrong(tasks, "attempt");
			set_task_error(graph, task, get_text(tasks, 5));
		}
		if (cursor_check(tasks, number, error) < 0)
			row = -1;
		if (row < 0)
			break;
	}
	db_rewind(tasks->statement);
	return row;
}

static int load_plan(struct cursor *cursor, struct graph *graph, struct error *error)
{
	uint32_t count = get_u32(cursor, 6, "tasks");
	size_t len;
	const void *data = db_column_blob(cursor->statement, 16, &len);
	struct error inner;

	if (!data)
		wrong(cursor, "plan");
	if (cursor_check(cursor, (int64_t)graph->serial, error) < 0)
		return -1;
	if (plan_decode(graph, count, data, len, &inner) < 0)
		return error_set(error, inner.code, "graph %" PRIu64 ": %s", graph->serial, inner.text);
	set_waiting(graph);
	return 0;
}

static int load_graph(struct cursor *cursor, struct core *core, struct cursor *tasks,
	struct error *error)
{
	struct graph *graph = mem_alloc(sizeof *graph);

	get_graph(cursor, graph);
	if (load_plan(cursor, graph, error) == 0 && load_tasks(graph, tasks, error) == 0) {
		if (graph->failed_task == TASK_NONE || graph->failed_task < graph->task_count) {
			graph->error = get_text(cursor, 15);
			if (core_load_graph(core, peek_text(cursor, 2), graph, error) == 0)
				return 0;
		} else {
			wrong(cursor, "failed_task");
			cursor_check(cursor, (int64_t)graph->serial, error);
		}
	}
	graph_free(graph);
	return -1;
}

static int load_graphs(struct db *db, struct core *core, struct error *error)
{
	struct cursor graphs, tasks;
	int row;

	if (cursor_open(db, "tasks", "SELECT id, state, attempt, started, finished, error FROM tasks"
			" WHERE graph = ?1 ORDER BY id", &tasks, error) < 0)
		return -1;
	if (cursor_open(db, "graphs", "SELECT serial, id, group_name, revision, state, reason,"
			" graphs.tasks, min_available, max_live, created, started, dropped, finished,"
			" successor, failed_task, error, plans.tasks FROM graphs"
			" LEFT JOIN plans ON plans.graph = serial ORDER BY serial", &graphs, error) < 0) {
		db_finish(tasks.statement);
		return -1;
	}
	while ((row = db_next(graphs.statement, error)) > 0)
		if (load_graph(&graphs, core, &tasks, error) < 0) {
			row = -1;
			break;
		}
	db_finish(graphs.statement);
	db_finish(tasks.statement);
	return row;
}

/* ---- nodes --------------------------------------------------------------------------------- */

/* Ended nodes are kept in the order in which they ended. */
struct ended {
	struct node node;
	char group[LIMIT_GROUP_NAME + 1];
	uint64_t serial;
};
struct ended_list {
	struct ended *list;
	size_t count, capacity;
};

static int compare_ended(const void *a, const void *b)
{
	const struct ended *x = a, *y = b;

	if (x->node.finished_us != y->node.finished_us)
		return x->node.finished_us < y->node.finished_us ? -1 : 1;
	return x->serial < y->serial ? -1 : x->serial > y->serial;
}

static struct ended *ended_add(struct ended_list *ended)
{
	if (ended->count == ended->capacity) {
		ended->capacity = ended->capacity ? ended->capacity * 2 : 64;
		ended->list = mem_realloc(ended->list, ended->capacity, sizeof *ended->list);
	}
	return &ended->list[ended->count++];
}

static void ended_fini(struct ended_list *ended)
{
	for (size_t i = 0; i < ended->count; i++)
		free(ended->list[i].node.error);
	free(ended->list);
}

static int get_asked(struct cursor *cursor, int column)
{
	if (!db_column_text(cursor->statement, column, NULL))
		return OP_NONE;
	return get_word(cursor, column, "asked", node_op_parse);
}

static void get_node(struct cursor *cursor, struct node *node)
{
	*node = (struct node){
		.slot = get_u32(cursor, 3, "slot"),
		.version = get_number(cursor, 4, "version", INT64_MAX),
		.revision = get_number(cursor, 5, "revision", INT64_MAX),
		.state = (uint8_t)get_word(cursor, 6, "state", node_state_parse),
		.op = (uint8_t)get_asked(cursor, 7),
		.marked = get_number(cursor, 8, "marked", 1) == 1,
		.created_us = get_time(cursor, 9, "created", true),
		.started_us = get_time(cursor, 10, "started", false),
	};
	get_id(cursor, 1, "id", true, &node->id);
	if (!node_live(node))
		node->finished_us = get_time(cursor, 11, "finished", true);
}

static int give_node(struct core *core, const char *group, struct node *node,
	struct node_serials *serials, uint64_t serial, struct error *error)
{
	uint32_t ref;

	if (core_load_node(core, group, node, &ref, error) < 0)
		return -1;
	node->error = NULL; /* the core's */
	node_serials_set(serials, ref, serial);
	return 0;
}

static int load_node(struct cursor *cursor, struct core *core, struct node_serials *serials,
	struct ended_list *ended, struct error *error)
{
	uint64_t serial = get_number(cursor, 0, "serial", SERIAL_MAX);
	const char *group = peek_text(cursor, 2);
	struct node node;
	struct ended *kept;

	get_node(cursor, &node);
	if (serial == 0)
		wrong(cursor, "serial");
	if (strlen(group) > LIMIT_GROUP_NAME)
		wrong(cursor, "group_name");
	if (cursor_check(cursor, (int64_t)serial, error) < 0)
		return -1;
	node.error = get_text(cursor, 12);
	if (!node_live(&node)) {
		kept = ended_add(ended);
		*kept = (struct ended){.node = node, .serial = serial};
		strcpy(kept->group, group);
		return 0;
	}
	if (give_node(core, group, &node, serials, serial, error) == 0)
		return 0;
	free(node.error);
	return -1;
}

static int load_ended(struct core *core, struct node_serials *serials, struct ended_list *ended,
	struct error *error)
{
	if (ended->count > 0)
		qsort(ended->list, ended->count, sizeof *ended->list, compare_ended);
	for (size_t i = 0; i < ended->count; i++)
		if (give_node(core, ended->list[i].group, &ended->list[i].node, serials,
			    ended->list[i].serial, error) < 0)
			return -1;
	return 0;
}

static int load_nodes(struct db *db, struct core *core, struct node_serials *serials,
	struct error *error)
{
	struct ended_list ended = {0};
	struct cursor cursor;
	int row;

	if (cursor_open(db, "nodes", "SELECT serial, id, group_name, slot, version, revision, state,"
			" asked, marked, created, started, finished, error FROM nodes ORDER BY serial",
			&cursor, error) < 0)
		return -1;
	while ((row = db_next(cursor.statement, error)) > 0)
		if (load_node(&cursor, core, serials, &ended, error) < 0) {
			row = -1;
			break;
		}
	db_finish(cursor.statement);
	if (row == 0)
		row = load_ended(core, serials, &ended, error);
	ended_fini(&ended);
	return row;
}

int load_tables(struct db *db, struct core *core, struct node_serials *serials,
	uint64_t *ret_event_seq, struct error *error)
{
	int64_t seq;

	if (db_number(db, "SELECT event_seq FROM daemon", &seq, error) < 0)
		return -1;
	if (seq < 0 || (uint64_t)seq > SERIAL_MAX)
		return error_set(error, ERR_STORAGE, "the table daemon has an event_seq that cannot be");
	*ret_event_seq = (uint64_t)seq;
	if (load_groups(db, core, error) < 0 || load_specs(db, core, error) < 0)
		return -1;
	if (load_graphs(db, core, error) < 0)
		return -1;
	return load_nodes(db, core, serials, error);
}
