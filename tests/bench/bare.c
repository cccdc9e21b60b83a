/* What SQLite alone needs for the rows that imd writes and reads: the schema and the settings are the
 * daemon's, and a loop does nothing but write rows whose values stand ready, or read them.
 *
 *   replay COMMITS FILE   writes the rows of the last graph in FILE again, which has to have succeeded:
 *                         each task and its node as they begin, and a commit later as they end
 *   update COUNT FILE     commits what an UPDATE writes that has nothing to do, once more each time
 *   read FILE             reads every column of every row
 *
 * FILE is one that imd left; replay and update change it. The result is one line of key=value. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "store/schema.h"
#include "store/sqlite.h"

enum { COLUMNS = 32, NAME = 32, SQL = 2048 };

struct value {
	char type;       /* the first letter of INTEGER, TEXT or BLOB; NUL: no value */
	int64_t number;
	const char *data;
	size_t len;
};

struct table {
	const char *name, *order;
	char columns[COLUMNS][NAME];
	char types[COLUMNS];
	int column_count;
	struct value *values;
	size_t count, capacity;
	struct db_statement *replace;
};

/* A row to write; without one it is the end of a commit. */
struct step {
	struct table *table;
	const struct value *row;
};

struct tape {
	struct step *steps;
	size_t count, capacity;
	size_t rows;
};

static struct db *db;
static struct table groups = {.name = "groups", .order = "number"};
static struct table specs = {.name = "specs", .order = "group_name, revision"};
static struct table graphs = {.name = "graphs", .order = "serial"};
static struct table plans = {.name = "plans", .order = "graph"};
static struct table tasks = {.name = "tasks", .order = "graph, id"};
static struct table nodes = {.name = "nodes", .order = "serial"};
static struct table *const tables[] = {&groups, &specs, &graphs, &plans, &tasks, &nodes};
enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };
static struct db_statement *begin, *commit, *event_seq;
static struct error error;

static void *grown(void *list, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return list;
	*capacity = *capacity > 0 ? *capacity * 2 : 64;
	list = realloc(list, *capacity * size);
	if (list == NULL)
		bench_die("no memory");
	return list;
}

/* ---- the database -------------------------------------------------------------------------- */

static struct db_statement *prepare(const char *sql)
{
	struct db_statement *statement;

	if (db_prepare(db, sql, &statement, &error) < 0)
		bench_die("%s: %s", sql, error.text);
	return statement;
}

static void execute(struct db_statement *statement)
{
	if (db_execute(statement, &error) < 0)
		bench_die("%s", error.text);
}

static bool next(struct db_statement *statement)
{
	int row = db_next(statement, &error);

	if (row < 0)
		bench_die("%s", error.text);
	return row > 0;
}

static void run(const char *sql)
{
	if (db_run(db, sql, &error) < 0)
		bench_die("%s: %s", sql, error.text);
}

static void describe(struct table *table)
{
	char sql[SQL];
	struct db_statement *statement;

	snprintf(sql, sizeof sql, "SELECT name, type FROM pragma_table_info('%s')", table->name);
	statement = prepare(sql);
	while (next(statement)) {
		if (table->column_count == COLUMNS)
			bench_die("the table %s has too many columns", table->name);
		snprintf(table->columns[table->column_count], NAME, "%s",
			db_column_text(statement, 0, NULL));
		table->types[table->column_count++] = *db_column_text(statement, 1, NULL);
	}
	db_finish(statement);
}

/* Not used: the states of benchmarks have been in use. */
static void no_id(void *arg, struct id *ret_id)
{
	(void)arg;
	*ret_id = (struct id){0};
}

static void open_file(const char *path)
{
	static const struct id_source ids = {.new_id = no_id};

	int64_t version;

	if (db_open(path, path, false, &db, &error) < 0 || schema_check(db, path, true, &version, &error) < 0 ||
		schema_try(db, version, &error) < 0 || schema_accept(db, path, version, &ids, &error) < 0)
		bench_die("%s", error.text);
	for (int i = 0; i < TABLE_COUNT; i++)
		describe(tables[i]);
}

static void prepare_writing(struct table *table)
{
	char sql[SQL];
	int len = snprintf(sql, sizeof sql, "REPLACE INTO %s VALUES (?", table->name);

	for (int i = 1; i < table->column_count; i++)
		len += snprintf(sql + len, sizeof sql - (size_t)len, ", ?");
	snprintf(sql + len, sizeof sql - (size_t)len, ")");
	table->replace = prepare(sql);
}

static void bind(struct db_statement *statement, int place, const struct value *value)
{
	switch (value->type) {
	case 'I': db_bind_number(statement, place, value->number); break;
	case 'T': db_bind_text(statement, place, value->data, value->len); break;
	case 'B': db_bind_blob(statement, place, value->data, value->len); break;
	default: db_bind_none(statement, place);
	}
}

static void write_row(struct table *table, const struct value *row)
{
	for (int i = 0; i < table->column_count; i++)
		bind(table->replace, i + 1, &row[i]);
	execute(table->replace);
}

/* ---- rows in memory ------------------------------------------------------------------------ */

static struct value get(struct db_statement *statement, int column, char type)
{
	struct value value = {.type = type, .number = db_column_number(statement, column)};
	const void *data = type == 'B' ? db_column_blob(statement, column, &value.len) :
		db_column_text(statement, column, &value.len);
	char *copy;

	if (data == NULL)
		value.type = '\0';
	if (data == NULL || type == 'I')
		return value;
	copy = malloc(value.len + 1);
	if (copy == NULL)
		bench_die("no memory");
	value.data = memcpy(copy, data, value.len);
	return value;
}

static void load(struct table *table)
{
	char sql[SQL];
	struct db_statement *statement;

	snprintf(sql, sizeof sql, "SELECT * FROM %s ORDER BY %s", table->name, table->order);
	statement = prepare(sql);
	while (next(statement)) {
		table->values = grown(table->values, table->count, &table->capacity,
				    (size_t)table->column_count * sizeof *table->values);
		for (int i = 0; i < table->column_count; i++)
			table->values[table->count * (size_t)table->column_count + (size_t)i] =
				get(statement, i, table->types[i]);
		table->count++;
	}
	db_finish(statement);
}

static void load_all(void)
{
	for (int i = 0; i < TABLE_COUNT; i++)
		load(tables[i]);
	if (groups.count == 0 || specs.count == 0 || graphs.count == 0)
		bench_die("the file has no graph");
}

static struct value *row_at(const struct table *table, size_t index)
{
	return table->values + index * (size_t)table->column_count;
}

static struct value *last_row(const struct table *table)
{
	return row_at(table, table->count - 1);
}

static struct value *cell(const struct table *table, struct value *row, const char *column)
{
	for (int i = 0; i < table->column_count; i++)
		if (strcmp(table->columns[i], column) == 0)
			return &row[i];
	bench_die("the table %s has no column %s", table->name, column);
}

static bool text_is(const struct value *value, const char *text)
{
	return value->len == strlen(text) && memcmp(value->data, text, value->len) == 0;
}

static struct value *row_copy(const struct table *table, const struct value *row)
{
	size_t size = (size_t)table->column_count * sizeof *row;
	struct value *copy = malloc(size);

	if (copy == NULL)
		bench_die("no memory");
	return memcpy(copy, row, size);
}

/* NULL: no value. */
static void set_text(const struct table *table, struct value *row, const char *column,
	const char *text)
{
	struct value *value = cell(table, row, column);

	*value = (struct value){.type = '\0'};
	if (text != NULL)
		*value = (struct value){.type = 'T', .data = text, .len = strlen(text)};
}

/* ---- replay -------------------------------------------------------------------------------- */

static void tape_add(struct tape *tape, struct table *table, const struct value *row)
{
	tape->steps = grown(tape->steps, tape->count, &tape->capacity, sizeof *tape->steps);
	tape->steps[tape->count++] = (struct step){table, row};
	tape->rows += table != NULL;
}

static int compare_ids(const void *a, const void *b)
{
	struct value *const *x = a, *const *y = b;

	return memcmp(cell(&nodes, *x, "id")->data, cell(&nodes, *y, "id")->data, ID_TEXT_LEN);
}

/* All nodes, by their ids. */
static struct value **nodes_sorted(void)
{
	struct value **list = calloc(nodes.count + 1, sizeof *list);

	if (list == NULL)
		bench_die("no memory");
	for (size_t i = 0; i < nodes.count; i++)
		list[i] = row_at(&nodes, i);
	qsort(list, nodes.count, sizeof *list, compare_ids);
	return list;
}

/* NULL where the task has none. */
static struct value *node_of(struct value **sorted, struct value *task)
{
	struct value key[COLUMNS] = {0}, *row = key;
	struct value **found;

	if (cell(&tasks, task, "node")->type == '\0')
		return NULL;
	*cell(&nodes, key, "id") = *cell(&tasks, task, "node");
	found = bsearch(&row, sorted, nodes.count, sizeof *sorted, compare_ids);
	if (found == NULL)
		bench_die("a node of the graph is not in the file; imd has to keep them all");
	return *found;
}

/* A task without a node ends in the commit in which it begins. */
static void tape_add_begin(struct tape *tape, struct value *task, const struct value *node)
{
	bool starts = text_is(cell(&tasks, task, "action"), "start_node");
	struct value *begun;

	if (node == NULL)
		return;
	begun = row_copy(&tasks, task);
	set_text(&tasks, begun, "state", "running");
	set_text(&tasks, begun, "finished", NULL);
	tape_add(tape, &tasks, begun);
	begun = row_copy(&nodes, node);
	set_text(&nodes, begun, "state", starts ? "starting" : "shutting_down");
	set_text(&nodes, begun, "asked", starts ? "start" : "stop");
	set_text(&nodes, begun, starts ? "started" : "finished", NULL);
	tape_add(tape, &nodes, begun);
}

static void tape_add_end(struct tape *tape, struct value *task, struct value *node)
{
	if (!text_is(cell(&tasks, task, "state"), "succeeded"))
		bench_die("the last graph in the file has not succeeded");
	tape_add(tape, &tasks, task);
	if (node != NULL)
		tape_add(tape, &nodes, node);
}

static void tape_add_head(struct tape *tape)
{
	struct value *graph = row_copy(&graphs, last_row(&graphs));

	set_text(&graphs, graph, "state", "running");
	set_text(&graphs, graph, "finished", NULL);
	tape_add(tape, &groups, last_row(&groups));
	tape_add(tape, &specs, last_row(&specs));
	tape_add(tape, &graphs, graph);
	tape_add(tape, &plans, last_row(&plans));
}

/* The tasks of the last graph in as many commits: in each some begin, and those of the one before end. */
static void tape_make(struct tape *tape, size_t first, size_t commits)
{
	size_t chunk = (tasks.count - first + commits - 2) / (commits - 1);
	size_t ended = first, begun = first;
	struct value **sorted = nodes_sorted();

	tape_add_head(tape);
	while (ended < tasks.count) {
		size_t begun_before = begun;

		for (; ended < begun_before; ended++)
			tape_add_end(tape, row_at(&tasks, ended), node_of(sorted, row_at(&tasks, ended)));
		for (; begun < tasks.count && begun < begun_before + chunk; begun++)
			tape_add_begin(tape, row_at(&tasks, begun), node_of(sorted, row_at(&tasks, begun)));
		if (ended == tasks.count) {
			tape_add(tape, &graphs, last_row(&graphs));
			tape_add(tape, &groups, last_row(&groups));
		}
		tape_add(tape, NULL, NULL);
	}
	free(sorted);
}

/* The file as it was before the graph. */
static void take_back(int64_t serial)
{
	char sql[SQL];

	snprintf(sql, sizeof sql, "DELETE FROM nodes WHERE id IN (SELECT node FROM tasks"
		" WHERE graph = %lld AND action = 'start_node');"
		"DELETE FROM tasks WHERE graph = %lld; DELETE FROM plans WHERE graph = %lld;"
		"DELETE FROM graphs WHERE serial = %lld; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)",
		(long long)serial, (long long)serial, (long long)serial, (long long)serial);
	run(sql);
}

static void prepare_all(void)
{
	for (int i = 0; i < TABLE_COUNT; i++)
		prepare_writing(tables[i]);
	begin = prepare("BEGIN IMMEDIATE");
	commit = prepare("COMMIT");
	event_seq = prepare("UPDATE daemon SET event_seq = event_seq + 1 WHERE one = 1");
}

static size_t tape_play(const struct tape *tape)
{
	size_t commits = 0;

	execute(begin);
	for (size_t i = 0; i < tape->count; i++) {
		if (tape->steps[i].table != NULL) {
			write_row(tape->steps[i].table, tape->steps[i].row);
			continue;
		}
		execute(event_seq);
		execute(commit);
		commits++;
		if (i + 1 < tape->count)
			execute(begin);
	}
	return commits;
}

static void replay(uint64_t wanted, const char *path)
{
	struct tape tape = {0};
	size_t first, commits;
	int64_t serial;
	uint64_t start_ns;

	open_file(path);
	load_all();
	serial = cell(&graphs, last_row(&graphs), "serial")->number;
	for (first = tasks.count; first > 0; first--)
		if (cell(&tasks, row_at(&tasks, first - 1), "graph")->number != serial)
			break;
	if (first == tasks.count || wanted < 2)
		bench_die("the last graph in the file has no tasks");
	tape_make(&tape, first, wanted);
	take_back(serial);
	prepare_all();
	start_ns = bench_now_ns();
	commits = tape_play(&tape);
	printf("seconds=%.6f commits=%zu rows=%zu\n", (double)(bench_now_ns() - start_ns) / 1e9,
		commits, tape.rows);
}

/* ---- update -------------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The oldest of what is kept goes with what is new; a plan without tasks may have no row. */
static void commit_update(struct db_statement *spec_gone, struct db_statement *graph_gone)
{
	struct value *spec = last_row(&specs), *graph = last_row(&graphs);
	struct value *first_spec = row_at(&specs, 0), *first_graph = row_at(&graphs, 0);

	execute(begin);
	write_row(&groups, last_row(&groups));
	cell(&specs, spec, "revision")->number++;
	write_row(&specs, spec);
	bind(spec_gone, 1, cell(&specs, first_spec, "group_name"));
	bind(spec_gone, 2, cell(&specs, first_spec, "revision"));
	execute(spec_gone);
	cell(&specs, first_spec, "revision")->number++;
	cell(&graphs, graph, "serial")->number++;
	cell(&graphs, graph, "revision")->number++;
	write_row(&graphs, graph);
	bind(graph_gone, 1, cell(&graphs, first_graph, "serial"));
	execute(graph_gone);
	cell(&graphs, first_graph, "serial")->number++;
	execute(event_seq);
	execute(commit);
}

static void update(uint64_t count, const char *path)
{
	uint64_t *times = calloc(count, sizeof *times);
	struct db_statement *spec_gone, *graph_gone;

	if (times == NULL)
		bench_die("no memory");
	open_file(path);
	load_all();
	prepare_all();
	spec_gone = prepare("DELETE FROM specs WHERE group_name = ? AND revision = ?");
	graph_gone = prepare("DELETE FROM graphs WHERE serial = ?");
	for (uint64_t i = 0; i < count; i++) {
		uint64_t start_ns = bench_now_ns();

		commit_update(spec_gone, graph_gone);
		times[i] = bench_now_ns() - start_ns;
	}
	qsort(times, count, sizeof *times, compare_numbers);
	printf("p50_us=%.1f p99_us=%.1f\n", (double)times[count / 2] / 1000,
		(double)times[count * 99 / 100] / 1000);
}

/* ---- read ---------------------------------------------------------------------------------- */

static size_t read_table(struct table *table, uint64_t *bytes)
{
	char sql[SQL];
	struct db_statement *statement;
	size_t rows = 0, len;

	snprintf(sql, sizeof sql, "SELECT * FROM %s ORDER BY %s", table->name, table->order);
	statement = prepare(sql);
	for (; next(statement); rows++)
		for (int i = 0; i < table->column_count; i++) {
			if (table->types[i] == 'I') {
				*bytes += db_column_number(statement, i) > 0;
				continue;
			}
			if (table->types[i] == 'T')
				db_column_text(statement, i, &len);
			else
				db_column_blob(statement, i, &len);
			*bytes += len;
		}
	db_finish(statement);
	return rows;
}

static void read_all(const char *path)
{
	uint64_t start_ns = bench_now_ns(), bytes = 0, plan_bytes = 0;
	size_t rows = 0;
	int64_t plan_tasks = 0;
	double seconds;

	open_file(path);
	for (int i = 0; i < TABLE_COUNT; i++) {
		uint64_t before = bytes;

		rows += read_table(tables[i], &bytes);
		if (tables[i] == &plans)
			plan_bytes = bytes - before;
	}
	seconds = (double)(bench_now_ns() - start_ns) / 1e9;
	if (db_number(db, "SELECT sum(tasks) FROM graphs", &plan_tasks, &error) < 0)
		bench_die("%s", error.text);
	printf("seconds=%.6f rows=%zu bytes=%llu plan_bytes=%llu plan_tasks=%lld\n", seconds, rows,
		(unsigned long long)bytes, (unsigned long long)plan_bytes, (long long)plan_tasks);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "replay") == 0)
		replay(bench_number(argv[2], UINT32_MAX), argv[3]);
	else if (argc == 4 && strcmp(argv[1], "update") == 0)
		update(bench_number(argv[2], 10000000), argv[3]);
	else if (argc == 3 && strcmp(argv[1], "read") == 0)
		read_all(argv[2]);
	else
		bench_die("usage: bare replay COMMITS FILE | update COUNT FILE | read FILE");
	return 0;
}
