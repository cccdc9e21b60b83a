/* Nothing in the file is believed: every value is checked before it goes into the core, which checks in
 * turn that the parts fit together. */
#include "load.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cursor.h"
#include "proto/mem.h"

#define MIN_READY_MAX ((uint64_t)24 * 3600 * 1000)

/* ---- groups and specs ---------------------------------------------------------------------- */

/* Numbers are those that the core gives: the group default has the first, stored or not. */
static int load_group(struct cursor *cursor, struct core *core, struct error *error)
{
	int64_t number = (int64_t)cursor_number(cursor, 0, "number", UINT32_MAX);
	uint64_t proven = cursor_number(cursor, 3, "proven_revision", INT64_MAX);
	struct id next_graph;
	const char *name;

	cursor_id(cursor, 2, "next_graph", true, &next_graph);
	name = cursor_peek(cursor, 1, "name", TEXT_GROUP_MAX);
	if (cursor_check(cursor, number, error) < 0)
		return -1;
	if (core_load_group(core, name, &next_graph, proven, error) < 0)
		return cursor_fail(cursor, number, error);
	if (core_group_find(core, name)->index != number)
		cursor_wrong(cursor, "number");
	return cursor_check(cursor, number, error);
}

static int check_next_graphs(struct db *db, struct error *error)
{
	int64_t same;

	if (db_number(db, "SELECT count(*) - count(DISTINCT next_graph) FROM groups", &same, error) < 0)
		return -1;
	if (same != 0)
		return error_set(error, ERR_STORAGE, "table groups: two rows have the same next_graph");
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
	if (arg_amount(cursor_peek(cursor, 4, "max_surge", TEXT_AMOUNT_MAX), "max_surge", LIMIT_SURGE_PERCENT,
			&ret_policy->max_surge, NULL) < 0)
		cursor_wrong(cursor, "max_surge");
	if (arg_amount(cursor_peek(cursor, 5, "max_unavailable", TEXT_AMOUNT_MAX), "max_unavailable",
			LIMIT_UNAVAILABLE_PERCENT, &ret_policy->max_unavailable, NULL) < 0)
		cursor_wrong(cursor, "max_unavailable");
	ret_policy->max_parallel = cursor_u32(cursor, 6, "max_parallel");
	ret_policy->min_ready_ms = cursor_number(cursor, 7, "min_ready_ms", MIN_READY_MAX);
}

static void get_spec(struct cursor *cursor, struct spec *ret_spec)
{
	*ret_spec = (struct spec){
		.revision = cursor_number(cursor, 1, "revision", SERIAL_MAX),
		.size = (uint32_t)cursor_number(cursor, 2, "size", LIMIT_SIZE),
		.version = cursor_number(cursor, 3, "version", INT64_MAX),
		.created_us = cursor_time(cursor, 8, "created", true),
		.reason = (enum reason)cursor_word(cursor, 11, "reason", reason_parse),
	};
	get_policy(cursor, &ret_spec->policy);
	cursor_origin(cursor, 9, "uid", "user", &ret_spec->origin);
}

static int load_spec(struct cursor *cursor, struct core *core, struct error *error)
{
	const char *group = cursor_peek(cursor, 0, "group_name", TEXT_GROUP_MAX);
	struct spec spec;
	int ret;

	get_spec(cursor, &spec);
	spec.note = cursor_text(cursor, 12, "note", TEXT_NOTE_MAX);
	ret = cursor_check(cursor, (int64_t)spec.revision, error);
	if (ret == 0 && core_load_spec(core, group, &spec, error) < 0)
		ret = cursor_fail(cursor, (int64_t)spec.revision, error);
	if (ret < 0)
		free(spec.note);
	return ret;
}

static int load_specs(struct db *db, struct core *core, struct error *error)
{
	struct cursor cursor;
	int row;

	if (cursor_open(db, "specs", "SELECT group_name, revision, size, version, max_surge,"
			" max_unavailable, max_parallel, min_ready_ms, created, uid, user, reason, note"
			" FROM specs ORDER BY group_name, revision", &cursor, error) < 0)
		return -1;
	while ((row = db_next(cursor.statement, error)) > 0)
		if (load_spec(&cursor, core, error) < 0) {
			row = -1;
			break;
		}
	db_finish(cursor.statement);
	return row;
}

/* ---- nodes --------------------------------------------------------------------------------- */

/* Ended nodes are kept in the order in which they ended. */
struct ended {
	struct node node;
	struct origin marker;
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
	if (cursor_is_null(cursor, column))
		return OP_NONE;
	return cursor_word(cursor, column, "asked", node_op_parse);
}

static void get_node(struct cursor *cursor, struct node *node)
{
	*node = (struct node){
		.slot = cursor_u32(cursor, 3, "slot"),
		.version = cursor_number(cursor, 4, "version", INT64_MAX),
		.revision = cursor_number(cursor, 5, "revision", INT64_MAX),
		.state = (uint8_t)cursor_word(cursor, 6, "state", node_state_parse),
		.op = (uint8_t)get_asked(cursor, 7),
		.marked = cursor_number(cursor, 8, "marked", 1) == 1,
		.created_us = cursor_time(cursor, 9, "created", true),
		.started_us = cursor_time(cursor, 10, "started", false),
	};
	cursor_id(cursor, 1, "id", true, &node->id);
	if (!node_live(node))
		node->finished_us = cursor_time(cursor, 11, "finished", true);
}

static int give_node(const struct cursor *cursor, struct core *core, const char *group,
	struct node *node, const struct origin *marker, struct node_serials *serials, uint64_t serial,
	struct error *error)
{
	uint32_t ref;

	if (core_load_node(core, group, node, &ref, error) < 0)
		return cursor_fail(cursor, (int64_t)serial, error);
	node->error = NULL; /* the core's */
	node_serials_set(serials, ref, serial);
	if (origin_known(marker) && core_load_marker(core, ref, marker, error) < 0)
		return cursor_fail(cursor, (int64_t)serial, error);
	return 0;
}

static int load_node(struct cursor *cursor, struct core *core, struct node_serials *serials,
	struct ended_list *ended, struct error *error)
{
	uint64_t serial = cursor_number(cursor, 0, "serial", SERIAL_MAX);
	const char *group = cursor_peek(cursor, 2, "group_name", TEXT_GROUP_MAX);
	struct node node;
	struct origin marker;
	struct ended *kept;

	get_node(cursor, &node);
	cursor_origin(cursor, 13, "marked_uid", "marked_by", &marker);
	if (serial == 0)
		cursor_wrong(cursor, "serial");
	node.error = cursor_text(cursor, 12, "error", TEXT_ERROR_MAX);
	if (cursor_check(cursor, (int64_t)serial, error) < 0) {
		free(node.error);
		return -1;
	}
	if (!node_live(&node)) {
		kept = ended_add(ended);
		*kept = (struct ended){.node = node, .marker = marker, .serial = serial};
		strcpy(kept->group, group);
		return 0;
	}
	if (give_node(cursor, core, group, &node, &marker, serials, serial, error) == 0)
		return 0;
	free(node.error);
	return -1;
}

static int load_ended(const struct cursor *cursor, struct core *core, struct node_serials *serials,
	struct ended_list *ended, struct error *error)
{
	if (ended->count > 0)
		qsort(ended->list, ended->count, sizeof *ended->list, compare_ended);
	for (size_t i = 0; i < ended->count; i++)
		if (give_node(cursor, core, ended->list[i].group, &ended->list[i].node,
			    &ended->list[i].marker, serials, ended->list[i].serial, error) < 0)
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
			" asked, marked, created, started, finished, error, marked_uid, marked_by"
			" FROM nodes ORDER BY serial",
			&cursor, error) < 0)
		return -1;
	while ((row = db_next(cursor.statement, error)) > 0)
		if (load_node(&cursor, core, serials, &ended, error) < 0) {
			row = -1;
			break;
		}
	db_finish(cursor.statement);
	if (row == 0)
		row = load_ended(&cursor, core, serials, &ended, error);
	ended_fini(&ended);
	return row;
}

/* ---- the daemon ---------------------------------------------------------------------------- */

static int load_daemon_row(struct cursor *cursor, struct store_history *ret_history, struct error *error)
{
	ret_history->event_seq = cursor_number(cursor, 1, "event_seq", SERIAL_MAX);
	cursor_id(cursor, 2, "incarnation", !cursor_is_null(cursor, 2), &ret_history->incarnation);
	cursor_number(cursor, 3, "commits", SERIAL_MAX);
	return cursor_check(cursor, (int64_t)cursor_number(cursor, 0, "one", 1), error);
}

/* There is one row. A file that is only read may have no incarnation. */
static int load_daemon(struct db *db, struct store_history *ret_history, struct error *error)
{
	struct cursor cursor;
	int row, ret = -1;

	if (cursor_open(db, "daemon", "SELECT one, event_seq, incarnation, commits FROM daemon", &cursor, error) < 0)
		return -1;
	row = db_next(cursor.statement, error);
	if (row > 0)
		ret = load_daemon_row(&cursor, ret_history, error);
	else if (row == 0)
		error_set(error, ERR_STORAGE, "table daemon: its row is missing");
	db_finish(cursor.statement);
	return ret;
}

int load_tables(struct db *db, struct core *core, struct node_serials *serials,
	struct store_history *ret_history, struct error *error)
{
	if (load_daemon(db, ret_history, error) < 0)
		return -1;
	if (load_groups(db, core, error) < 0 || load_specs(db, core, error) < 0)
		return -1;
	if (load_graphs(db, core, error) < 0)
		return -1;
	return load_nodes(db, core, serials, error);
}

/* ---- orphans ------------------------------------------------------------------------------- */

int load_check_orphans(struct db *db, struct error *error)
{
	static const struct {
		const char *table, *count, *first;
	} children[] = {
#define ORPHANS(table) \
	" FROM " table " WHERE NOT EXISTS (SELECT 1 FROM graphs WHERE serial = " table ".graph)"
		{"plans", "SELECT count(*)" ORPHANS("plans"), "SELECT min(graph)" ORPHANS("plans")},
		{"tasks", "SELECT count(*)" ORPHANS("tasks"), "SELECT min(graph)" ORPHANS("tasks")},
#undef ORPHANS
	};

	for (size_t i = 0; i < sizeof children / sizeof children[0]; i++) {
		int64_t count, first;

		if (db_number(db, children[i].count, &count, error) < 0)
			return -1;
		if (count == 0)
			continue;
		if (db_number(db, children[i].first, &first, error) < 0)
			return -1;
		return error_set(error, ERR_STORAGE, "table %s: %" PRIi64 " rows of graphs that do not exist; "
			"the first is of graph %" PRIi64, children[i].table, count, first);
	}
	return 0;
}
