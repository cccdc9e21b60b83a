#include "tables.h"

#include "proto/stamp.h"
#include "schema.h"

enum {
	AMOUNT_SIZE = 16,
	FREE_PAGES_KEPT = 256, /* for the next rows; what is free beyond is given back */
};

static const struct id no_id;

static const char *const texts[TABLE_STATEMENT_COUNT] = {
	[TABLE_BEGIN] = "BEGIN IMMEDIATE",
	[TABLE_COMMIT] = "COMMIT",
	[TABLE_ROLLBACK] = "ROLLBACK",
	[TABLE_DAEMON] = "UPDATE daemon SET event_seq = ?1, commits = commits + 1 WHERE one = 1",
	[TABLE_GROUP] = "INSERT INTO groups (number, name, next_graph, proven_revision)"
		" VALUES (?1, ?2, ?3, ?4) ON CONFLICT (number) DO UPDATE"
		" SET next_graph = excluded.next_graph, proven_revision = excluded.proven_revision",
	[TABLE_SPEC] = "REPLACE INTO specs (group_name, revision, size, version, max_surge,"
		" max_unavailable, max_parallel, min_ready_ms, created, uid, user, reason, note)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
	[TABLE_SPEC_GONE] = "DELETE FROM specs WHERE group_name = ?1 AND revision <= ?2",
	[TABLE_GRAPH] = "REPLACE INTO graphs (serial, id, group_name, revision, state, reason, tasks,"
		" min_available, max_live, created, started, dropped, finished, successor, failed_task,"
		" error, succeeded, failed, cancelled, uid, user, cancelled_uid, cancelled_by)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
		" ?18, ?19, ?20, ?21, ?22, ?23)",
	[TABLE_PLAN] = "REPLACE INTO plans (graph, tasks) VALUES (?1, ?2)",
	[TABLE_TASK] = "REPLACE INTO tasks (graph, id, action, description, node, slot, state, attempt,"
		" started, finished, error) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[TABLE_NODE] = "REPLACE INTO nodes (serial, id, group_name, slot, version, revision, state,"
		" asked, marked, created, started, finished, error, marked_uid, marked_by)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
	[TABLE_GRAPH_GONE] = "DELETE FROM graphs WHERE serial BETWEEN ?1 AND ?2",
	[TABLE_PLAN_GONE] = "DELETE FROM plans WHERE graph BETWEEN ?1 AND ?2",
	[TABLE_TASKS_GONE] = "DELETE FROM tasks WHERE graph BETWEEN ?1 AND ?2",
	[TABLE_NODE_GONE] = "DELETE FROM nodes WHERE serial = ?1",
	[TABLE_FREE_PAGES] = "PRAGMA freelist_count",
	[TABLE_VACUUM] = "PRAGMA incremental_vacuum(64)",
};

int tables_init(struct tables *tables, struct db *db, struct error *error)
{
	*tables = (struct tables){.db = db};
	for (int i = 0; i < TABLE_STATEMENT_COUNT; i++)
		if (db_prepare(db, texts[i], &tables->statements[i], error) < 0)
			return -1;
	return 0;
}

void tables_fini(struct tables *tables)
{
	for (int i = 0; i < TABLE_STATEMENT_COUNT; i++)
		db_finish(tables->statements[i]);
	*tables = (struct tables){0};
}

/* ---- parameters ---------------------------------------------------------------------------- */

/* `text` has room for STAMP_TEXT_LEN; time 0 is none. */
static void bind_time(struct db_statement *statement, int place, int64_t time_us, char *text)
{
	if (time_us == 0) {
		db_bind_none(statement, place);
		return;
	}
	stamp_format(time_us, text);
	db_bind_text(statement, place, text, STAMP_TEXT_LEN);
}

/* `text` has room for ID_TEXT_LEN; an id of zeros is none. */
static void bind_id(struct db_statement *statement, int place, const struct id *id, char *text)
{
	if (id_equal(id, &no_id)) {
		db_bind_none(statement, place);
		return;
	}
	id_format(id, text);
	db_bind_text(statement, place, text, ID_TEXT_LEN);
}

static void bind_row_text(struct db_statement *statement, int place, const struct rows *rows,
	const struct row_text *text)
{
	if (text->at == 0)
		db_bind_none(statement, place);
	else
		db_bind_text(statement, place, rows_text(rows, text), text->len);
}

/* The number of a user, and in the next place the name; neither where it is nobody. */
static void bind_origin(struct db_statement *statement, int place, const struct origin *origin)
{
	if (origin_known(origin)) {
		db_bind_number(statement, place, origin->uid);
		db_bind_string(statement, place + 1, origin->user);
	} else {
		db_bind_none(statement, place);
		db_bind_none(statement, place + 1);
	}
}

/* ---- rows ---------------------------------------------------------------------------------- */

static int write_group(struct tables *tables, const struct rows *rows, const struct row *row,
	struct error *error)
{
	struct db_statement *statement = tables->statements[TABLE_GROUP];
	const struct row_group *group = &row->group;
	char id[ID_TEXT_LEN];

	(void)rows;
	db_bind_number(statement, 1, group->number);
	db_bind_string(statement, 2, group->name);
	bind_id(statement, 3, &group->next_graph, id);
	db_bind_number(statement, 4, (int64_t)group->proven_revision);
	return db_execute(statement, error);
}

static int write_spec(struct tables *tables, const struct rows *rows, const struct row *row,
	struct error *error)
{
	struct db_statement *statement = tables->statements[TABLE_SPEC];
	const struct spec *spec = &row->spec.spec;
	char surge[AMOUNT_SIZE], unavailable[AMOUNT_SIZE], created[STAMP_TEXT_LEN];

	amount_format(&spec->policy.max_surge, surge);
	amount_format(&spec->policy.max_unavailable, unavailable);
	db_bind_string(statement, 1, row->spec.group);
	db_bind_number(statement, 2, (int64_t)spec->revision);
	db_bind_number(statement, 3, spec->size);
	db_bind_number(statement, 4, (int64_t)spec->version);
	db_bind_string(statement, 5, surge);
	db_bind_string(statement, 6, unavailable);
	db_bind_number(statement, 7, spec->policy.max_parallel);
	db_bind_number(statement, 8, (int64_t)spec->policy.min_ready_ms);
	bind_time(statement, 9, spec->created_us, created);
	db_bind_number(statement, 10, spec->origin.uid);
	db_bind_string(statement, 11, spec->origin.user);
	db_bind_string(statement, 12, reason_name(spec->reason));
	bind_row_text(statement, 13, rows, &row->spec.note);
	return db_execute(statement, error);
}

static int write_spec_gone(struct tables *tables, const struct rows *rows, const struct row *row,
	struct error *error)
{
	struct db_statement *statement = tables->statements[TABLE_SPEC_GONE];

	(void)rows;
	db_bind_string(statement, 1, row->spec.group);
	db_bind_number(statement, 2, (int64_t)row->spec.spec.revision);
	return db_execute(statement, error);
}

/* While a graph goes on its tasks tell. */
static void bind_count(struct db_statement *statement, int place, const struct row_graph *graph,
	uint32_t count)
{
	if (graph->finished_us == 0)
		db_bind_none(statement, place);
	else
		db_bind_number(statement, place, count);
}

static int write_graph(struct tables *tables, const struct rows *rows, const struct row *row,
	struct error *error)
{
	struct db_statement *statement = tables->statements[TABLE_GRAPH];
	const struct row_graph *graph = &row->graph;
	char id[ID_TEXT_LEN], successor[ID_TEXT_LEN], times[4][STAMP_TEXT_LEN];
	struct origin origin = rows_origin(rows, graph->origin);
	struct origin canceller = rows_origin(rows, graph->canceller);

	db_bind_number(statement, 1, (int64_t)graph->serial);
	bind_id(statement, 2, &graph->id, id);
	db_bind_string(statement, 3, graph->group);
	db_bind_number(statement, 4, (int64_t)graph->revision);
	db_bind_string(statement, 5, graph_state_name(graph->state));
	db_bind_string(statement, 6, reason_name(graph->reason));
	db_bind_number(statement, 7, graph->tasks);
	db_bind_number(statement, 8, graph->min_available);
	db_bind_number(statement, 9, graph->max_live);
	bind_time(statement, 10, graph->created_us, times[0]);
	bind_time(statement, 11, graph->started_us, times[1]);
	bind_time(statement, 12, graph->dropped_us, times[2]);
	bind_time(statement, 13, graph->finished_us, times[3]);
	bind_id(statement, 14, &graph->successor, successor);
	if (graph->failed_task == TASK_NONE)
		db_bind_none(statement, 15);
	else
		db_bind_number(statement, 15, graph->failed_task);
	bind_row_text(statement, 16, rows, &graph->error);
	bind_count(statement, 17, graph, graph->succeeded);
	bind_count(statement, 18, graph, graph->failed);
	bind_count(statement, 19, graph, graph->cancelled);
	bind_origin(statement, 20, &origin);
	bind_origin(statement, 22, &canceller);
	return db_execute(statement, error);
}

static int write_plan(struct tables *tables, const struct rows *rows, const struct row *row,
	struct error *error)
{
	struct db_statement *statement = tables->statements[TABLE_PLAN];
	const struct row_plan *plan = &row->plan;

	db_bind_number(statement, 1, (int64_t)plan->graph);
	db_bind_blob(statement, 2, rows_text(rows, &plan->tasks), plan->tasks.len);
	return db_execute(statement, error);
}

static int write_task(struct tables *tables, const struct rows *rows, const struct row *row,
	struct error *error)
{
	struct db_statement *statement = tables->statements[TABLE_TASK];
	const struct task *task = &row->task.task;
	char node[ID_TEXT_LEN], started[STAMP_TEXT_LEN], finished[STAMP_TEXT_LEN];

	db_bind_number(statement, 1, (int64_t)row->task.graph);
	db_bind_number(statement, 2, row->task.id);
	db_bind_string(statement, 3, task_action_name(task->action));
	db_bind_string(statement, 4, task->description == DESCRIPTION_NONE
			? NULL : task_description_name(task->description));
	bind_id(statement, 5, &task->node, node);
	if (id_equal(&task->node, &no_id))
		db_bind_none(statement, 6);
	else
		db_bind_number(statement, 6, task->slot);
	db_bind_string(statement, 7, task_state_name(task->state));
	db_bind_number(statement, 8, task->attempt);
	bind_time(statement, 9, task->started_us, started);
	bind_time(statement, 10, task->finished_us, finished);
	bind_row_text(statement, 11, rows, &row->task.error);
	return db_execute(statement, error);
}

static int write_node(struct tables *tables, const struct rows *rows, const struct row *row,
	struct error *error)
{
	struct db_statement *statement = tables->statements[TABLE_NODE];
	const struct node *node = &row->node.node;
	char id[ID_TEXT_LEN], times[3][STAMP_TEXT_LEN];
	struct origin marker = rows_origin(rows, row->node.marker);

	db_bind_number(statement, 1, (int64_t)row->node.serial);
	bind_id(statement, 2, &node->id, id);
	db_bind_string(statement, 3, row->node.group);
	db_bind_number(statement, 4, node->slot);
	db_bind_number(statement, 5, (int64_t)node->version);
	db_bind_number(statement, 6, (int64_t)node->revision);
	db_bind_string(statement, 7, node_state_name(node->state));
	db_bind_string(statement, 8, node_op_word(node->op));
	db_bind_number(statement, 9, node->marked);
	bind_time(statement, 10, node->created_us, times[0]);
	bind_time(statement, 11, node->started_us, times[1]);
	bind_time(statement, 12, node_live(node) ? 0 : node->finished_us, times[2]);
	bind_row_text(statement, 13, rows, &row->node.error);
	bind_origin(statement, 14, &marker);
	return db_execute(statement, error);
}

static int delete_graphs(struct tables *tables, enum table_statement which,
	const struct row_graph_gone *gone, struct error *error)
{
	db_bind_number(tables->statements[which], 1, (int64_t)gone->first);
	db_bind_number(tables->statements[which], 2, (int64_t)gone->last);
	return db_execute(tables->statements[which], error);
}

static int write_graph_gone(struct tables *tables, const struct rows *rows, const struct row *row,
	struct error *error)
{
	const struct row_graph_gone *gone = &row->graph_gone;

	(void)rows;
	if (delete_graphs(tables, TABLE_GRAPH_GONE, gone, error) < 0)
		return -1;
	if (!gone->tasks)
		return 0;
	if (delete_graphs(tables, TABLE_PLAN_GONE, gone, error) < 0)
		return -1;
	return delete_graphs(tables, TABLE_TASKS_GONE, gone, error);
}

static int write_node_gone(struct tables *tables, const struct rows *rows, const struct row *row,
	struct error *error)
{
	(void)rows;
	db_bind_number(tables->statements[TABLE_NODE_GONE], 1, (int64_t)row->serial);
	return db_execute(tables->statements[TABLE_NODE_GONE], error);
}

static int (*const writers[ROW_KIND_COUNT])(struct tables *, const struct rows *,
	const struct row *, struct error *) = {
	[ROW_GROUP] = write_group,
	[ROW_SPEC] = write_spec,
	[ROW_SPEC_GONE] = write_spec_gone,
	[ROW_GRAPH] = write_graph,
	[ROW_PLAN] = write_plan,
	[ROW_GRAPH_GONE] = write_graph_gone,
	[ROW_TASK] = write_task,
	[ROW_NODE] = write_node,
	[ROW_NODE_GONE] = write_node_gone,
};

/* ---- commits ------------------------------------------------------------------------------- */

/* A little at a time, so that no commit waits long for it. */
static int give_back_pages(struct tables *tables, struct error *error)
{
	struct db_statement *count = tables->statements[TABLE_FREE_PAGES];
	struct db_statement *vacuum = tables->statements[TABLE_VACUUM];
	int64_t pages = 0;
	int row = db_next(count, error);

	if (row > 0)
		pages = db_column_number(count, 0);
	db_rewind(count);
	if (row < 0 || pages <= FREE_PAGES_KEPT)
		return row < 0 ? -1 : 0;
	while ((row = db_next(vacuum, error)) > 0)
		;
	return row;
}

static int write_all(struct tables *tables, const struct rows *rows, struct error *error)
{
	if (db_execute(tables->statements[TABLE_BEGIN], error) < 0)
		return -1;
	for (size_t i = 0; i < rows->count; i++)
		if (writers[rows->list[i].kind](tables, rows, &rows->list[i], error) < 0)
			return -1;
	db_bind_number(tables->statements[TABLE_DAEMON], 1, (int64_t)rows->event_seq);
	if (db_execute(tables->statements[TABLE_DAEMON], error) < 0)
		return -1;
	if (rows->removes && give_back_pages(tables, error) < 0)
		return -1;
	if (schema_mark_log(tables->db, error) < 0)
		return -1;
	return db_execute(tables->statements[TABLE_COMMIT], error);
}

/* SQLite may have rolled back by itself; then ROLLBACK fails, which is as good. */
int tables_write(struct tables *tables, const struct rows *rows, struct error *error)
{
	if (write_all(tables, rows, error) == 0)
		return 0;
	db_execute(tables->statements[TABLE_ROLLBACK], NULL);
	return -1;
}
