/* Commands that watch until they are interrupted, or until a graph ends. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mem.h"
#include "proto/names.h"

#include "columns.h"
#include "command.h"
#include "event.h"
#include "out.h"
#include "request.h"
#include "text.h"
#include "watch.h"

static int print_record(void *arg, const struct line *record)
{
	record_line_print(arg, record);
	return out_check();
}

static int print_event(void *arg, const struct line *event)
{
	event_print(arg, event, NULL, NULL);
	return out_check();
}

static int stream_all(struct ctl *ctl, const char *what)
{
	struct watch watch = {.ctl = ctl, .what = what, .group = ctl->values[OPT_GROUP],
		.initial = !ctl->quiet, .status = WATCH_GOES_ON,
		.handler = {.record = print_record, .event = print_event, .arg = ctl}};
	int status;

	interrupt_arm();
	status = watch_begin(&watch);
	return status == STATUS_OK ? watch_run(&watch) : status;
}

int command_nodes_stream(struct ctl *ctl)
{
	return stream_all(ctl, "NODES");
}

int command_graphs_stream(struct ctl *ctl)
{
	return stream_all(ctl, "GRAPHS");
}

/* The tasks of one graph, up to its end. */
struct task_stream {
	struct ctl *ctl;
	struct watch watch;
	struct table plan; /* of the tasks that were there at the beginning */
	char *graph;       /* its whole id, once it is known */
};

/* From here on the whole id is asked for: an imd that has lost its state may know another graph that
 * begins with what the user gave. */
static void note_graph(struct task_stream *stream, const char *graph)
{
	if (stream->graph != NULL || graph == NULL)
		return;
	stream->graph = mem_strdup(graph);
	stream->watch.graph = stream->graph;
}

/* Not to be printed: events are shown with what it says of their tasks. */
static void init_plan(struct task_stream *stream)
{
	table_fini(&stream->plan);
	table_init(&stream->plan, plan_columns, PLAN_COLUMN_COUNT);
	stream->plan.remembers = stream->plan.silent = true;
}

/* The records come once more where events were lost; the plan is the same then. */
static int take_task(void *arg, const struct line *task)
{
	struct task_stream *stream = arg;
	const char *id = line_get(task, "id");

	note_graph(stream, line_get(task, "graph"));
	if (id != NULL && strcmp(id, "0") == 0)
		init_plan(stream);
	if (!stream->ctl->json)
		table_add(&stream->plan, task);
	if (!stream->ctl->quiet)
		record_line_print(stream->ctl, task);
	return out_check();
}

static int judge(const char *graph, const char *state, const char *successor, const char *error)
{
	if (strcmp(state, graph_state_name(GRAPH_SUCCEEDED)) == 0)
		return STATUS_OK;
	say("graph %s %s%s%s%s%s", graph, state, successor != NULL ? " by " : "",
		successor != NULL ? successor : "", error != NULL ? ": " : "",
		error != NULL ? error : "");
	return STATUS_FAILED;
}

static int take_event(void *arg, const struct line *event)
{
	struct task_stream *stream = arg;
	const char *graph = line_get(event, "graph");

	if (stream->watch.status != WATCH_GOES_ON)
		return STATUS_OK;
	event_print(stream->ctl, event, &stream->plan, stream->graph);
	if (event_is_of(event, "graph") && graph != NULL &&
	    strcmp(event->name, event_type_name(EVENT_GRAPH_STARTED)) != 0)
		stream->watch.status = judge(graph, event_verb(event), line_get(event, "successor"),
			line_get(event, "error"));
	return out_check();
}

static int take_graph(void *arg, const struct line *record)
{
	struct task_stream *stream = arg;
	const char *id = line_get(record, "id");
	const char *state = line_get(record, "state");

	if (strcmp(record->name, "GRAPH") != 0 || id == NULL || state == NULL)
		return STATUS_OK;
	if (stream->graph != NULL && strcmp(stream->graph, id) != 0)
		return STATUS_OK;
	if (line_get(record, "finished") != NULL && stream->watch.status == WATCH_GOES_ON)
		stream->watch.status = judge(id, state, line_get(record, "successor"),
			line_get(record, "error"));
	return STATUS_OK;
}

/* The graph may have ended before the watch began: then no event will tell. Its record does, and
 * the list of graphs has it without all the tasks. A graph without tasks is asked for itself. */
static int ask_whether_ended(void *arg, enum watch_gap gap)
{
	struct task_stream *stream = arg;
	struct reply_handler handler = {.record = take_graph, .event = take_event, .arg = stream};
	const char *group = stream->ctl->values[OPT_GROUP];
	const struct line *end = NULL;
	struct buf request = BUF_INIT;
	int status;

	if (gap != GAP_RESTARTED)
		return STATUS_OK;
	if (stream->graph != NULL) {
		request_begin(&request, VERB_graphs);
		request_option(&request, verb_option_row(OPT_GROUP)->key, group != NULL ? group : "*");
	} else {
		request_begin(&request, VERB_graph);
		request_arg(&request, stream->watch.graph);
	}
	request_end(&request);
	status = watch_ask(&stream->watch, &request, &handler, &end);
	return status == STATUS_OK && end->kind == LINE_ERR ? client_refused(end) : status;
}

int command_graphs_stream_tasks(struct ctl *ctl)
{
	struct task_stream stream = {.ctl = ctl};
	int status;

	stream.watch = (struct watch){.ctl = ctl, .what = "TASKS", .graph = ctl->args[0],
		.group = ctl->values[OPT_GROUP], .initial = true, .status = WATCH_GOES_ON,
		.settle = ask_whether_ended, .handler = {.record = take_task, .event = take_event, .arg = &stream}};
	init_plan(&stream);
	interrupt_arm();
	snprintf(ctl->afterword, sizeof ctl->afterword, "; the rollout goes on");
	status = watch_begin(&stream.watch);
	if (status == STATUS_OK)
		status = watch_run(&stream.watch);
	table_fini(&stream.plan);
	free(stream.graph);
	return status;
}
