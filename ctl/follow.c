/* The watch is asked for before the UPDATE, on the same connection, so that no event of the change
 * can pass unseen; it is a watch of everything in the group because graph-started is how one learns
 * at once that another graph took over.
 *
 *     WATCH ALL ──► UPDATE ──► events of others ──► first event of the graph ──► … ──► its end
 *                    (kept until the reply is here)        │                            ▲
 *                                                          └─ graph-started of another ─┘
 *                                                             becomes the one followed
 */
#include "follow.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mem.h"
#include "proto/names.h"

#include "event.h"
#include "json.h"
#include "out.h"
#include "plan.h"
#include "request.h"
#include "text.h"
#include "watch.h"

struct follow {
	struct ctl *ctl;
	struct watch watch;
	struct plan plan;
	const char *group;
	struct buf pending;   /* event lines that came before the reply to UPDATE */
	bool replied;
	bool begun;           /* the first event of the graph has come */
	char **graphs;        /* the graph of the UPDATE and those that superseded it, in this order */
	size_t graph_count;   /* the last of them is the one whose end is waited for */
	uint64_t revision;    /* of the last one */
};

static const char *head_of(const struct follow *follow)
{
	return follow->graphs[follow->graph_count - 1];
}

static bool is_head(const struct follow *follow, const char *graph)
{
	return strcmp(head_of(follow), graph) == 0;
}

static bool is_followed(const struct follow *follow, const char *graph)
{
	for (size_t i = follow->graph_count; i > 0; i--) {
		if (strcmp(follow->graphs[i - 1], graph) == 0)
			return true;
	}
	return false;
}

static void follow_graph(struct follow *follow, const char *graph)
{
	follow->graphs = mem_realloc(follow->graphs, follow->graph_count + 1, sizeof *follow->graphs);
	follow->graphs[follow->graph_count++] = mem_strdup(graph);
	snprintf(follow->ctl->afterword, sizeof follow->ctl->afterword,
		"; the rollout goes on: imctl graphs stream-tasks %.40s", graph);
}

static void take_revision(struct follow *follow, const struct line *line)
{
	const char *text = line_get(line, "revision");
	int64_t revision;

	if (text != NULL && text_is_number(text, &revision))
		follow->revision = (uint64_t)revision;
}

static void follow_successor(struct follow *follow, const char *successor)
{
	if (is_followed(follow, successor))
		return;
	say("superseded by %s; following it", successor);
	follow_graph(follow, successor);
}

/* Says what went wrong, and decides. */
static int judge(const struct follow *follow, const char *state, const char *error)
{
	if (strcmp(state, graph_state_name(GRAPH_SUCCEEDED)) != 0) {
		say("graph %s %s%s%s", head_of(follow), state, error != NULL ? ": " : "",
			error != NULL ? error : "");
		return STATUS_FAILED;
	}
	if (follow->revision != follow->plan.revision) {
		say("revision %" PRIu64 " was superseded by revision %" PRIu64 ", which succeeded",
			follow->plan.revision, follow->revision);
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

/* The graph that is waited for has ended in this state. */
static void finish(struct follow *follow, const char *state, const char *error)
{
	json_t *result;

	follow->watch.status = judge(follow, state, error);
	if (!follow->ctl->json)
		return;
	result = json_pack("{s:s, s:b, s:o, s:o, s:I, s:I}", "type", "result", "succeeded",
		follow->watch.status == STATUS_OK, "state", json_text(state), "graph",
		json_text(head_of(follow)), "revision", (json_int_t)follow->revision, "declared",
		(json_int_t)follow->plan.revision);
	if (error != NULL)
		json_object_set_new(result, "error", json_text(error));
	json_print(result);
}

static bool is_started(const struct line *event)
{
	return strcmp(event->name, event_type_name(EVENT_GRAPH_STARTED)) == 0;
}

static void show(const struct follow *follow, const struct line *event)
{
	if (follow->ctl->quiet || (is_started(event) && !follow->ctl->json))
		return;
	event_print(follow->ctl, event, &follow->plan.tasks.table, follow->graphs[0]);
}

static void head_event(struct follow *follow, const struct line *event)
{
	const char *successor = line_get(event, "successor");

	if (!event_is_of(event, "graph"))
		return;
	if (is_started(event))
		take_revision(follow, event);
	else if (strcmp(event->name, event_type_name(EVENT_GRAPH_SUPERSEDED)) == 0 && successor != NULL)
		follow_successor(follow, successor);
	else
		finish(follow, event_verb(event), line_get(event, "error"));
}

/* An event after the reply to UPDATE, or one that was kept until then. */
static void handle_event(struct follow *follow, const struct line *event)
{
	const char *graph = line_get(event, "graph");
	const char *group = line_get(event, "group");

	if (follow->watch.status != WATCH_GOES_ON || graph == NULL || event_is_of(event, "node") ||
	    (group != NULL && strcmp(group, follow->group) != 0))
		return;
	follow->begun = follow->begun || is_head(follow, graph);
	if (!follow->begun)
		return;
	if (is_started(event))
		follow_successor(follow, graph);
	if (!is_followed(follow, graph))
		return;
	show(follow, event);
	if (is_head(follow, graph))
		head_event(follow, event);
}

static void take_event(void *arg, const struct line *event)
{
	struct follow *follow = arg;

	follow->watch.seq = event->seq;
	if (follow->replied) {
		handle_event(follow, event);
		return;
	}
	client_add_text(&follow->ctl->client, &follow->pending);
	buf_add_char(&follow->pending, '\n');
}

static void take_record(void *arg, const struct line *record)
{
	struct follow *follow = arg;

	plan_add(&follow->plan, record);
}

static void handle_pending(struct follow *follow)
{
	struct words words;
	size_t at = 0;

	words_init(&words);
	while (at < follow->pending.len) {
		const char *text = follow->pending.data + at;
		const char *end = memchr(text, '\n', follow->pending.len - at);
		struct error error;
		struct line line;

		assert(end != NULL);
		if (line_parse(&line, &words, text, (size_t)(end - text), &error) == 0)
			handle_event(follow, &line);
		at += (size_t)(end - text) + 1;
	}
	words_fini(&words);
	buf_fini(&follow->pending);
}

/* What a GRAPHS reply says of the graph that is waited for. */
struct graph_status {
	struct follow *follow;
	char *state;
	char *error;
	char *successor;
	bool ended;
	bool found;
};

static char *copy_or_null(const char *text)
{
	return text != NULL ? mem_strdup(text) : NULL;
}

static void graph_status_fini(struct graph_status *status)
{
	free(status->state);
	free(status->error);
	free(status->successor);
}

static void take_graph_status(void *arg, const struct line *record)
{
	struct graph_status *status = arg;
	const char *id = line_get(record, "id");
	const char *state = line_get(record, "state");

	if (id == NULL || state == NULL || !is_head(status->follow, id))
		return;
	graph_status_fini(status);
	status->state = mem_strdup(state);
	status->error = copy_or_null(line_get(record, "error"));
	status->successor = copy_or_null(line_get(record, "successor"));
	status->ended = line_get(record, "finished") != NULL;
	status->found = true;
	take_revision(status->follow, record);
}

static void take_event_between(void *arg, const struct line *event)
{
	struct graph_status *status = arg;

	take_event(status->follow, event);
}

/* Asks how the graph is. A successor found this way is asked for next. */
static int ask_head(struct follow *follow)
{
	struct graph_status status = {.follow = follow};
	struct reply_handler handler = {take_graph_status, take_event_between, &status};
	const struct line *ok = NULL;
	struct buf request = BUF_INIT;
	int result;

	request_begin(&request, VERB_graphs);
	request_option(&request, verb_option_row(OPT_GROUP)->key, follow->group);
	request_end(&request);
	result = client_send(&follow->ctl->client, &request);
	if (result == STATUS_OK)
		result = client_reply(&follow->ctl->client, &handler, &ok);
	buf_fini(&request);
	if (result == STATUS_OK && follow->watch.status == WATCH_GOES_ON) {
		if (!status.found)
			finish(follow, "is not known any more", NULL);
		else if (status.successor != NULL)
			follow_successor(follow, status.successor);
		else if (status.ended)
			finish(follow, status.state, status.error);
	}
	graph_status_fini(&status);
	return result;
}

/* After events were lost: the graph may have ended or been superseded unseen. */
static int find_again(void *arg)
{
	struct follow *follow = arg;
	size_t before;
	int status;

	do {
		before = follow->graph_count;
		status = ask_head(follow);
	} while (status == STATUS_OK && follow->graph_count > before &&
		follow->watch.status == WATCH_GOES_ON);
	return status;
}

/* A group that does not exist before its first UPDATE cannot be watched by name. */
static int begin_watch(struct follow *follow)
{
	const struct line *end = NULL;
	int status = watch_try(&follow->watch, &end);
	if (status != STATUS_OK || end->kind == LINE_OK)
		return status;
	if (err_code_parse(end->name) != ERR_NOT_FOUND)
		return client_refused(end);
	follow->watch.group = "*";
	return watch_begin(&follow->watch);
}

static int declare(struct follow *follow)
{
	struct ctl *ctl = follow->ctl;
	struct reply_handler handler = {take_record, take_event, follow};
	const struct line *ok = NULL;
	struct buf request = BUF_INIT;
	int status;

	request_add(&request, ctl, VERB_update);
	request_end(&request);
	snprintf(ctl->afterword, sizeof ctl->afterword, "; imd may have taken the update all the same");
	status = client_send(&ctl->client, &request);
	if (status == STATUS_OK)
		status = client_reply(&ctl->client, &handler, &ok);
	buf_fini(&request);
	if (status != STATUS_OK)
		return status;
	plan_end(&follow->plan, ok);
	if (follow->plan.id == NULL) {
		say("imd at %s did not tell the graph", ctl->socket);
		return STATUS_FAILED;
	}
	follow->revision = follow->plan.revision;
	follow_graph(follow, follow->plan.id);
	plan_print(&follow->plan);
	return out_flush();
}

static int follow_to_end(struct follow *follow)
{
	if (follow->plan.task_count == 0) {
		finish(follow, graph_state_name(GRAPH_SUCCEEDED), NULL);
		return follow->watch.status;
	}
	if (!follow->ctl->quiet && !follow->ctl->json && follow->ctl->legend)
		puts("TASKS STREAM:");
	follow->replied = true;
	handle_pending(follow);
	return watch_run(&follow->watch);
}

int follow_update(struct ctl *ctl)
{
	const char *group = ctl->values[OPT_GROUP] != NULL ? ctl->values[OPT_GROUP] : "default";
	struct follow follow = {.ctl = ctl, .group = group};
	int status;

	follow.watch = (struct watch){.ctl = ctl, .what = "ALL", .group = group,
		.status = WATCH_GOES_ON, .lost = find_again, .handler = {NULL, take_event, &follow}};
	plan_init(&follow.plan, ctl);
	interrupt_arm();
	status = ctl_connect(ctl);
	if (status == STATUS_OK)
		status = begin_watch(&follow);
	if (status == STATUS_OK)
		status = declare(&follow);
	if (status == STATUS_OK)
		status = follow_to_end(&follow);
	for (size_t i = 0; i < follow.graph_count; i++)
		free(follow.graphs[i]);
	free(follow.graphs);
	buf_fini(&follow.pending);
	plan_fini(&follow.plan);
	return status;
}
