/* Commands that make one request and show what it answers. */

#include <stdio.h>
#include <string.h>

#include "proto/limits.h"

#include "columns.h"
#include "command.h"
#include "json.h"
#include "listing.h"
#include "out.h"
#include "request.h"
#include "text.h"

/* records_max: as in struct reply_handler. */
static int list(struct ctl *ctl, const struct column *columns, size_t column_count, size_t records_max)
{
	struct listing listing;
	struct reply_handler handler = {.record = listing_add, .arg = &listing, .records_max = records_max};
	const struct line *ok = NULL;
	int status;

	listing_init(&listing, ctl, columns, column_count);
	listing.first = ctl->quiet;
	status = request_run(ctl, (enum verb)ctl->command->verb, &handler, &ok);
	if (status == STATUS_OK)
		status = listing_end(&listing, "]\n");
	listing_fini(&listing);
	return status;
}

int command_specs_ls(struct ctl *ctl)
{
	return list(ctl, spec_columns, spec_column_count, 0);
}

int command_nodes_ls(struct ctl *ctl)
{
	return list(ctl, node_columns, node_column_count, 0);
}

int command_graphs_ls(struct ctl *ctl)
{
	return list(ctl, graph_columns, graph_column_count, 0);
}

int command_groups_ls(struct ctl *ctl)
{
	return list(ctl, group_columns, group_column_count, 0);
}

static int show_record(void *arg, const struct line *record)
{
	record_print(arg, record);
	return out_check();
}

/* The daemon answers with one record, or with some 50 figures. A later one may have something to add. */
enum { FEW_RECORDS = 1000 };

static int show(struct ctl *ctl)
{
	struct reply_handler handler = {.record = show_record, .arg = ctl, .records_max = FEW_RECORDS};
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
		json_print_line(ok);
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
	bool seen; /* the graph */
	bool any;  /* a task */
};

static void take_graph(struct graph_view *view, const struct line *record)
{
	struct buf *opening = &view->tasks.opening;

	if (!view->ctl->json) {
		record_print(view->ctl, record);
		return;
	}
	if (view->seen)
		return;
	view->seen = true;
	opening->len = 0;
	buf_add_str(opening, "{\"graph\":");
	json_add_keys(opening, record);
	buf_add_str(opening, ",\"tasks\":[");
}

static int graph_view_add(void *arg, const struct line *record)
{
	struct graph_view *view = arg;

	if (strcmp(record->name, "TASK") == 0) {
		view->any = true;
		return listing_add(&view->tasks, record);
	}
	if (strcmp(record->name, "GRAPH") == 0)
		take_graph(view, record);
	return out_check();
}

int command_graphs_get(struct ctl *ctl)
{
	struct graph_view view = {.ctl = ctl};
	struct reply_handler handler = {.record = graph_view_add, .arg = &view,
		.records_max = 1 + LIMIT_TASKS};
	const struct line *ok = NULL;
	int status;

	listing_init(&view.tasks, ctl, task_columns, task_column_count);
	view.tasks.table.title = "";
	view.tasks.opening.len = 0;
	buf_add_str(&view.tasks.opening, "{\"graph\":null,\"tasks\":[");
	status = request_run(ctl, VERB_graph, &handler, &ok);
	if (status == STATUS_OK && (ctl->json || view.any))
		status = listing_end(&view.tasks, "]}\n");
	listing_fini(&view.tasks);
	return status;
}

static int add_stat(void *arg, const struct line *record)
{
	const char *name = line_get(record, "name");
	const char *value = line_get(record, "value");

	if (name != NULL && value != NULL)
		json_object_set_new(arg, name, json_value(value));
	return STATUS_OK;
}

int command_stats(struct ctl *ctl)
{
	json_t *stats;
	struct reply_handler handler = {.record = add_stat, .records_max = FEW_RECORDS};
	const struct line *ok = NULL;
	int status;

	if (!ctl->json) {
		ctl->quiet = false; /* the names alone would tell nothing */
		return list(ctl, stat_columns, stat_column_count, FEW_RECORDS);
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
