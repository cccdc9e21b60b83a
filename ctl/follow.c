/* The watch is asked for before the UPDATE, on the same connection, so that no event of the change
 * can pass unseen; it is a watch of everything in the group because graph-started is how one learns
 * at once that another graph took over. Where nothing is shown of the tasks, graphs are enough, and so
 * few events that imctl hardly falls behind.
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
	struct plan *plans;   /* of the UPDATE's graph and of those that superseded it, in this order */
	size_t plan_count;    /* the last one's graph is the one whose end is waited for */
	const char *group;
	bool sent;            /* the UPDATE may have reached imd */
	struct buf pending;   /* event lines that came before the reply to UPDATE */
	bool replied;
	bool begun;           /* the first event of the graph has come */
	uint64_t revision;    /* of the last graph */
};

static const char *head_of(const struct follow *follow)
{
	return follow->plans[follow->plan_count - 1].id;
}

static bool is_head(const struct follow *follow, const char *graph)
{
	return strcmp(head_of(follow), graph) == 0;
}

/* The plan of a graph that is followed, else NULL. */
static const struct plan *plan_of(const struct follow *follow, const char *graph)
{
	for (size_t i = follow->plan_count; i > 0; i--) {
		if (strcmp(follow->plans[i - 1].id, graph) == 0)
			return &follow->plans[i - 1];
	}
	return NULL;
}

static struct plan *add_plan(struct follow *follow)
{
	struct plan *plan;

	follow->plans = mem_realloc(follow->plans, follow->plan_count + 1, sizeof *follow->plans);
	plan = &follow->plans[follow->plan_count++];
	plan_init(plan, follow->ctl);
	return plan;
}

static void note_afterword(const struct follow *follow)
{
	snprintf(follow->ctl->afterword, sizeof follow->ctl->afterword,
		"; the rollout goes on: imctl graphs stream-tasks %.40s", head_of(follow));
}

static void take_revision(struct follow *follow, const struct line *line)
{
	const char *text = line_get(line, "revision");
	int64_t revision;

	if (text != NULL && text_is_number(text, &revision))
		follow->revision = (uint64_t)revision;
}

/* On a connection of its own, so that a long listing keeps no event waiting and the event that is
 * being handled stays as it is. Where there is no plan to be had, the events tell what they tell. */
static void fetch_plan(const struct follow *follow, struct plan *plan)
{
	struct reply_handler handler = {.record = plan_add, .arg = plan};
	const struct line *end = NULL;
	struct buf request = BUF_INIT;
	struct client client;
	int status;

	client_init(&client, follow->ctl->socket, follow->ctl->deadline_ms);
	request_begin(&request, VERB_graph);
	request_arg(&request, plan->id);
	request_end(&request);
	status = client_open(&client);
	if (status == STATUS_OK)
		status = client_send(&client, &request);
	if (status == STATUS_OK)
		status = client_await(&client, &handler, &end);
	if (status == STATUS_OK && end->kind == LINE_OK && plan->revision > 0)
		plan_print(plan);
	buf_fini(&request);
	client_close(&client);
}

static void announce_events(const struct follow *follow)
{
	if (!follow->ctl->quiet && !follow->ctl->json && follow->ctl->legend)
		puts("TASKS STREAM:");
}

static void follow_successor(struct follow *follow, const char *successor)
{
	struct plan *plan;

	if (plan_of(follow, successor) != NULL)
		return;
	say("superseded by %s; following it", successor);
	plan = add_plan(follow);
	plan->id = mem_strdup(successor);
	note_afterword(follow);
	if (follow->ctl->quiet)
		return;
	fetch_plan(follow, plan);
	announce_events(follow);
}

/* Says what went wrong, and decides. */
static int judge(const struct follow *follow, const char *state, const char *error)
{
	if (strcmp(state, graph_state_name(GRAPH_SUCCEEDED)) != 0) {
		say("graph %s %s%s%s", head_of(follow), state, error != NULL ? ": " : "",
			error != NULL ? error : "");
		return STATUS_FAILED;
	}
	if (follow->revision != follow->plans[0].revision) {
		say("revision %" PRIu64 " was superseded by revision %" PRIu64 ", which succeeded",
			follow->plans[0].revision, follow->revision);
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text != NULL)
		json_object_set_new(object, key, json_text(text));
}

static void set_revision(json_t *object, const char *key, uint64_t revision)
{
	if (revision > 0)
		json_object_set_new(object, key, json_integer((json_int_t)revision));
}

/* What is not known is left out. */
static void print_result(const struct follow *follow, bool succeeded, const char *state,
	const char *error)
{
	json_t *result = json_pack("{s:s, s:b}", "type", "result", "succeeded", succeeded);

	set_text(result, "state", state);
	set_text(result, "graph", head_of(follow));
	set_revision(result, "revision", follow->revision);
	set_revision(result, "declared", follow->plans[0].revision);
	set_text(result, "error", error);
	json_print(result);
}

/* The graph that is waited for has ended in this state. */
static void finish(struct follow *follow, const char *state, const char *error)
{
	follow->watch.status = judge(follow, state, error);
	if (follow->ctl->json)
		print_result(follow, follow->watch.status == STATUS_OK, state, error);
}

static const char *cut_text(int status)
{
	switch (status) {
	case STATUS_INTERRUPTED:
		return "interrupted";
	case STATUS_TIMED_OUT:
		return "timed out";
	case STATUS_UNREACHABLE:
		return "imd ended or closed the connection";
	default:
		return "imctl could not follow it to its end";
	}
}

/* The command ends, and the graph has not or is not known to have. An UPDATE that imd refused has
 * no result. Where stdout has failed nothing can be told. */
static void finish_cut(const struct follow *follow, int status)
{
	bool refused = head_of(follow) == NULL && status != STATUS_INTERRUPTED &&
		status != STATUS_TIMED_OUT && status != STATUS_UNREACHABLE;

	if (follow->ctl->json && follow->sent && follow->watch.status == WATCH_GOES_ON && !refused &&
	    !ferror(stdout))
		print_result(follow, false, NULL, cut_text(status));
}

static bool is_started(const struct line *event)
{
	return strcmp(event->name, event_type_name(EVENT_GRAPH_STARTED)) == 0;
}

static void show(const struct follow *follow, const struct line *event, const struct plan *plan)
{
	if (follow->ctl->quiet || (is_started(event) && !follow->ctl->json))
		return;
	event_print(follow->ctl, event, &plan->tasks.table, follow->plans[0].id);
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
	const struct plan *plan;

	if (follow->watch.status != WATCH_GOES_ON || graph == NULL || event_is_of(event, "node") ||
	    (group != NULL && strcmp(group, follow->group) != 0))
		return;
	follow->begun = follow->begun || is_head(follow, graph);
	if (!follow->begun)
		return;
	if (is_started(event))
		follow_successor(follow, graph);
	plan = plan_of(follow, graph);
	if (plan == NULL)
		return;
	show(follow, event, plan);
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

	plan_add(&follow->plans[0], record);
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

/* The event of its end, if it has ended, was lost: an event that told it would have made another
 * graph the one that is waited for, or have ended the watch. */
static void show_end(const struct graph_status *status, const struct line *record)
{
	const struct follow *follow = status->follow;

	if (status->ended && follow->watch.status == WATCH_GOES_ON && !follow->ctl->quiet &&
	    !follow->ctl->json)
		graph_end_print(follow->ctl, record);
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
	show_end(status, record);
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
		before = follow->plan_count;
		status = ask_head(follow);
	} while (status == STATUS_OK && follow->plan_count > before &&
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

	follow->sent = true;
	request_add(&request, ctl, VERB_update);
	request_end(&request);
	snprintf(ctl->afterword, sizeof ctl->afterword, "; imd may have taken the update all the same");
	status = client_send(&ctl->client, &request);
	if (status == STATUS_OK)
		status = client_reply(&ctl->client, &handler, &ok);
	buf_fini(&request);
	if (status != STATUS_OK)
		return status;
	plan_end(&follow->plans[0], ok);
	if (follow->plans[0].id == NULL) {
		say("imd at %s did not tell the graph", ctl->socket);
		return STATUS_FAILED;
	}
	follow->revision = follow->plans[0].revision;
	note_afterword(follow);
	plan_print(&follow->plans[0]);
	return out_flush();
}

static int follow_to_end(struct follow *follow)
{
	if (follow->plans[0].task_count == 0) {
		finish(follow, graph_state_name(GRAPH_SUCCEEDED), NULL);
		return follow->watch.status;
	}
	announce_events(follow);
	follow->replied = true;
	handle_pending(follow);
	return watch_run(&follow->watch);
}

int follow_update(struct ctl *ctl)
{
	const char *group = ctl->values[OPT_GROUP] != NULL ? ctl->values[OPT_GROUP] : "default";
	struct follow follow = {.ctl = ctl, .group = group};
	int status;

	follow.watch = (struct watch){.ctl = ctl, .what = ctl->quiet ? "GRAPHS" : "ALL",
		.group = group, .silent = ctl->quiet, .status = WATCH_GOES_ON,
		.lost = find_again, .handler = {NULL, take_event, &follow}};
	add_plan(&follow);
	interrupt_arm();
	status = ctl_connect(ctl);
	if (status == STATUS_OK)
		status = begin_watch(&follow);
	if (status == STATUS_OK)
		status = declare(&follow);
	if (status == STATUS_OK)
		status = follow_to_end(&follow);
	finish_cut(&follow, status);
	for (size_t i = 0; i < follow.plan_count; i++)
		plan_fini(&follow.plans[i]);
	free(follow.plans);
	buf_fini(&follow.pending);
	return status;
}
