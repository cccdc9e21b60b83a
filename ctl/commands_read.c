/* Commands that make one request and show what it answers. */

#include <stdio.h>
#include <string.h>

#include "columns.h"
#include "command.h"
#include "json.h"
#include "listing.h"
#include "request.h"
#include "text.h"

static int list(struct ctl *ctl, const struct column *columns, size_t column_count)
{
	struct listing listing;
	struct reply_handler handler = {.record = listing_add, .arg = &listing};
	const struct line *ok = NULL;
	int status;

	listing_init(&listing, ctl, columns, column_count);
	listing.first = ctl->quiet;
	status = request_run(ctl, (enum verb)ctl->command->verb, &handler, &ok);
	if (status == STATUS_OK)
		status = listing_print(&listing);
	listing_fini(&listing);
	return status;
}

int command_specs_ls(struct ctl *ctl)
{
	return list(ctl, spec_columns, spec_column_count);
}

int command_nodes_ls(struct ctl *ctl)
{
	return list(ctl, node_columns, node_column_count);
}

int command_graphs_ls(struct ctl *ctl)
{
	return list(ctl, graph_columns, graph_column_count);
}

int command_groups_ls(struct ctl *ctl)
{
	return list(ctl, group_columns, group_column_count);
}

static void show_record(void *arg, const struct line *record)
{
	record_print(arg, record);
}

/* The daemon answers with one record. */
static int show(struct ctl *ctl)
{
	struct reply_handler handler = {.record = show_record, .arg = ctl};
	const struct line *ok = NULL;

	return request_run(ctl, (enum verb)ctl->command->verb, &handler, &ok);
}

int command_spec(struct ctl *ctl)
{
	return show(ctl);
}

int command_nodes_get(struct ctl *ctl)
{
	return show(ctl);
}

int command_act(struct ctl *ctl)
{
	struct reply_handler handler = {.arg = NULL};
	const struct line *ok = NULL;
	int status = request_run(ctl, (enum verb)ctl->command->verb, &handler, &ok);

	if (status == STATUS_OK && ctl->json)
		json_print(json_of_line(ok));
	return status;
}

int command_nodes_kill(struct ctl *ctl)
{
	return command_act(ctl);
}

int command_nodes_mark(struct ctl *ctl)
{
	return command_act(ctl);
}

int command_graphs_cancel(struct ctl *ctl)
{
	return command_act(ctl);
}

/* A graph and its tasks, which come in one reply. */
struct graph_view {
	struct ctl *ctl;
	struct listing tasks;
	json_t *graph;
};

static void graph_view_add(void *arg, const struct line *record)
{
	struct graph_view *view = arg;

	if (strcmp(record->name, "TASK") == 0)
		listing_add(&view->tasks, record);
	else if (strcmp(record->name, "GRAPH") != 0)
		return;
	else if (!view->ctl->json)
		record_print(view->ctl, record);
	else if (view->graph == NULL)
		view->graph = json_of_keys(record);
}

static void graph_view_print(struct graph_view *view)
{
	struct buf line = BUF_INIT;

	if (!view->ctl->json) {
		if (view->tasks.table.row_count == 0)
			return;
		putchar('\n');
		table_print(&view->tasks.table, view->ctl->legend);
		return;
	}
	buf_add_str(&line, "{\"graph\":");
	json_add(&line, view->graph);
	buf_add_str(&line, ",\"tasks\":[");
	if (view->tasks.text.len > 0)
		buf_add(&line, view->tasks.text.data, view->tasks.text.len);
	buf_add_str(&line, "]}\n");
	fwrite(line.data, 1, line.len, stdout);
	buf_fini(&line);
}

int command_graphs_get(struct ctl *ctl)
{
	struct graph_view view = {.ctl = ctl};
	struct reply_handler handler = {.record = graph_view_add, .arg = &view};
	const struct line *ok = NULL;
	int status;

	listing_init(&view.tasks, ctl, task_columns, task_column_count);
	status = request_run(ctl, VERB_graph, &handler, &ok);
	if (status == STATUS_OK)
		graph_view_print(&view);
	json_decref(view.graph);
	listing_fini(&view.tasks);
	return status;
}

static void add_stat(void *arg, const struct line *record)
{
	const char *name = line_get(record, "name");
	const char *value = line_get(record, "value");

	if (name != NULL && value != NULL)
		json_object_set_new(arg, name, json_value(value));
}

int command_stats(struct ctl *ctl)
{
	json_t *stats;
	struct reply_handler handler = {.record = add_stat};
	const struct line *ok = NULL;
	int status;

	if (!ctl->json) {
		ctl->quiet = false; /* the names alone would tell nothing */
		return list(ctl, stat_columns, stat_column_count);
	}
	stats = json_object();
	handler.arg = stats;
	status = request_run(ctl, VERB_stats, &handler, &ok);
	if (status == STATUS_OK)
		json_print(stats);
	else
		json_decref(stats);
	return status;
}

int command_ping(struct ctl *ctl)
{
	struct reply_handler handler = {.arg = NULL};
	const struct line *ok = NULL;
	int64_t begin_ms = client_clock_ms();
	int status = request_run(ctl, VERB_ping, &handler, &ok);
	int64_t took_ms = client_clock_ms() - begin_ms;

	if (status != STATUS_OK)
		return status;
	if (ctl->json)
		json_print(json_pack("{s:b, s:s, s:I}", "ok", 1, "socket", ctl->socket, "ms",
			(json_int_t)took_ms));
	else if (!ctl->quiet)
		printf("imd at %s answers\n", ctl->socket);
	return STATUS_OK;
}
