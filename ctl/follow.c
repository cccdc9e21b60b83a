/* The watch is asked for before the UPDATE, on the same connection, so that no event of the change
 * can pass unseen; it is a watch of everything in the group because graph-started is how one learns
 * at once that another graph took over. Where nothing is shown of the tasks, graphs are enough, and so
 * few events that imctl hardly falls behind.
 *
 *     WATCH ALL ──► UPDATE ──► events of others ──► first event of the graph ──► … ──► its end
 *                    (kept until the reply is here)        │                            ▲
 *                                                          └─ graph-started of another ─┘
 *                                                             becomes the one followed
 *
 * Where events are lost, GRAPHS and TASKS tell what they would have told, and events are kept until that
 * is shown. The UPDATE is sent once, whatever happens. */
#include "follow.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "json.h"
#include "out.h"
#include "plan.h"
#include "progress.h"
#include "proto/limits.h"
#include "proto/mem.h"
#include "proto/names.h"
#include "request.h"
#include "text.h"
#include "watch.h"

enum {
	PENDING_MAX = 64 << 20, /* bytes of events that wait for a reply */
	GRAPHS_MAX = 1000,      /* that are followed in one run */
};

struct followed {
	struct plan plan;
	struct progress progress;
};

struct follow {
	struct ctl *ctl;
	struct watch watch;
	struct followed *graphs; /* the UPDATE's, and those that superseded it, in this order */
	size_t graph_count;      /* the last one is the one whose end is waited for */
	const char *group;
	bool sent;            /* the UPDATE may have reached imd */
	bool unknown;         /* the connection was lost before imd answered that */
	struct buf pending;   /* event lines that wait for a reply that is to be shown before them */
	bool holds;           /* events are added to these */
	bool begun;           /* the first event of the graph has come */
	uint64_t revision;    /* of the last graph */
};

static const char *head_of(const struct follow *follow)
{
	return follow->graphs[follow->graph_count - 1].plan.id;
}

static bool is_head(const struct follow *follow, const char *graph)
{
	return strcmp(head_of(follow), graph) == 0;
}

/* NULL where the graph is none of those that are followed. */
static struct followed *find_graph(const struct follow *follow, const char *graph)
{
	for (size_t i = follow->graph_count; i > 0; i--) {
		if (strcmp(follow->graphs[i - 1].plan.id, graph) == 0)
			return &follow->graphs[i - 1];
	}
	return NULL;
}

static struct plan *add_graph(struct follow *follow)
{
	struct followed *graph;

	follow->graphs = mem_realloc(follow->graphs, follow->graph_count + 1, sizeof *follow->graphs);
	graph = &follow->graphs[follow->graph_count++];
	*graph = (struct followed){.progress = {.tasks = NULL}};
	plan_init(&graph->plan, follow->ctl);
	return &graph->plan;
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
	struct reply_handler handler = {.record = plan_add, .arg = plan, .records_max = 1 + LIMIT_TASKS};
	const struct line *end = NULL;
	struct buf request = BUF_INIT;
	struct client client;
	int status;

	client_init(&client, follow->ctl->socket, follow->ctl->deadline_ms);
	client.resumes = true;
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
	else
		plan_cut(plan);
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

	if (find_graph(follow, successor) != NULL)
		return;
	if (follow->graph_count == GRAPHS_MAX) {
		say("more than %d graphs superseded one another", GRAPHS_MAX);
		follow->watch.status = STATUS_FAILED;
		return;
	}
	if (!follow->ctl->quiet)
		say("superseded by %s; following it", successor);
	plan = add_graph(follow);
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
	if (follow->revision != follow->graphs[0].plan.revision) {
		say("revision %" PRIu64 " was superseded by revision %" PRIu64 ", which succeeded",
			follow->graphs[0].plan.revision, follow->revision);
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
	set_revision(result, "declared", follow->graphs[0].plan.revision);
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

static const char *cut_text(const struct follow *follow, int status)
{
	if (follow->unknown && status == STATUS_FAILED)
		return "imd did not answer; it is unknown whether it took the update";
	if (status == STATUS_INTERRUPTED)
		return "interrupted";
	return status == STATUS_TIMED_OUT ? "timed out" : "imctl could not follow it to its end";
}

/* The command ends, and the graph has not or is not known to have. An UPDATE that imd refused has
 * no result. Where stdout has failed nothing can be told. */
static void finish_cut(const struct follow *follow, int status)
{
	bool refused = head_of(follow) == NULL && status != STATUS_INTERRUPTED &&
		status != STATUS_TIMED_OUT && !follow->unknown;

	if (follow->ctl->json && follow->sent && follow->watch.status == WATCH_GOES_ON && !refused &&
	    !ferror(stdout))
		print_result(follow, false, NULL, cut_text(follow, status));
}

static bool is_started(const struct line *event)
{
	return strcmp(event->name, event_type_name(EVENT_GRAPH_STARTED)) == 0;
}

static void show(const struct follow *follow, const struct line *event, const struct plan *plan)
{
	if (follow->ctl->quiet || (is_started(event) && !follow->ctl->json))
		return;
	event_print(follow->ctl, event, &plan->tasks.table, follow->graphs[0].plan.id);
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

/* An event that nothing has to be shown before any more. */
static void handle_event(struct follow *follow, const struct line *event)
{
	const char *id = line_get(event, "graph");
	const char *group = line_get(event, "group");
	struct followed *graph;

	if (follow->watch.status != WATCH_GOES_ON || id == NULL || event_is_of(event, "node") ||
	    (group != NULL && strcmp(group, follow->group) != 0))
		return;
	follow->begun = follow->begun || is_head(follow, id);
	if (!follow->begun)
		return;
	if (is_started(event))
		follow_successor(follow, id);
	graph = find_graph(follow, id);
	if (graph == NULL || !progress_advance(&graph->progress, event))
		return;
	show(follow, event, &graph->plan);
	if (is_head(follow, id))
		head_event(follow, event);
}

static int take_event(void *arg, const struct line *event)
{
	struct follow *follow = arg;

	follow->watch.seen.seq = event->seq;
	if (!follow->holds) {
		handle_event(follow, event);
		return STATUS_OK;
	}
	client_add_text(&follow->ctl->client, &follow->pending);
	buf_add_char(&follow->pending, '\n');
	if (follow->pending.len <= PENDING_MAX)
		return STATUS_OK;
	say("imd at %s sent more than %d bytes of events before its reply", follow->ctl->socket, PENDING_MAX);
	return STATUS_FAILED;
}

static int take_record(void *arg, const struct line *record)
{
	struct follow *follow = arg;

	return plan_add(&follow->graphs[0].plan, record);
}

static void handle_pending(struct follow *follow)
{
	struct words words;
	size_t at = 0;

	follow->holds = false;
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

/* What GRAPHS and TASKS say of one of the graphs after events were lost. */
struct look {
	struct follow *follow;
	size_t at;       /* which one */
	struct buf line; /* its GRAPH record; empty where imd has none */
};

static struct followed *looked_at(const struct look *look)
{
	return &look->follow->graphs[look->at];
}

static int look_at_graph(void *arg, const struct line *record)
{
	struct look *look = arg;
	const char *id = line_get(record, "id");

	if (id != NULL && strcmp(id, looked_at(look)->plan.id) == 0 && look->line.len == 0)
		client_add_text(&look->follow->ctl->client, &look->line);
	return STATUS_OK;
}

static int look_at_task(void *arg, const struct line *record)
{
	struct look *look = arg;

	progress_catch_up(&looked_at(look)->progress, look->follow->ctl, record,
		look->follow->graphs[0].plan.id);
	return out_check();
}

static int take_event_between(void *arg, const struct line *event)
{
	struct look *look = arg;

	return take_event(look->follow, event);
}

static int ask_graph(struct look *look)
{
	struct follow *follow = look->follow;
	struct reply_handler handler = {.record = look_at_graph, .event = take_event_between, .arg = look};
	const struct line *end = NULL;
	struct buf request = BUF_INIT;
	int status;

	request_begin(&request, VERB_graphs);
	request_option(&request, verb_option_row(OPT_GROUP)->key, follow->group);
	request_end(&request);
	status = watch_ask(&follow->watch, &request, &handler, &end);
	if (status != STATUS_OK || end->kind == LINE_OK || err_code_parse(end->name) == ERR_NOT_FOUND)
		return status;
	return client_refused(end);
}

/* A graph that is not kept any more has nothing to show. */
static int ask_tasks(struct look *look)
{
	struct follow *follow = look->follow;
	struct reply_handler handler = {.record = look_at_task, .event = take_event_between, .arg = look};
	const struct line *end = NULL;
	struct buf request = BUF_INIT;

	request_begin(&request, VERB_tasks);
	request_arg(&request, looked_at(look)->plan.id);
	request_end(&request);
	return watch_ask(&follow->watch, &request, &handler, &end);
}

/* An imd that has lost its state, or a graph that was one too many to be kept. */
static int finish_lost(struct follow *follow)
{
	if (follow->watch.replaced)
		say("imd has a different state without graph %s; its outcome is unknown", head_of(follow));
	else if (follow->watch.away)
		say("imd came back without graph %s", head_of(follow));
	else
		say("imd does not keep graph %s any more", head_of(follow));
	follow->watch.status = STATUS_FAILED;
	if (follow->ctl->json)
		print_result(follow, false, NULL, "imd does not know the graph any more");
	return STATUS_OK;
}

/* Shows the end of the graph if it has ended and no event told. Of the one that is waited for it is
 * the end of all, or another has taken its place. */
static void conclude(struct look *look, const struct line *record)
{
	struct follow *follow = look->follow;
	const char *successor = line_get(record, "successor");
	const char *state = line_get(record, "state");
	bool head = look->at + 1 == follow->graph_count;
	bool ended = line_get(record, "finished") != NULL && state != NULL;

	if (head)
		take_revision(follow, record);
	if (ended && progress_end(&looked_at(look)->progress) && !follow->ctl->quiet &&
	    !follow->ctl->json)
		graph_end_print(follow->ctl, record);
	if (head && successor != NULL)
		follow_successor(follow, successor);
	else if (head && ended)
		finish(follow, state, line_get(record, "error"));
}

static void conclude_line(struct look *look)
{
	struct words words;
	struct error error;
	struct line line;

	words_init(&words);
	if (line_parse(&line, &words, look->line.data, look->line.len, &error) == 0)
		conclude(look, &line);
	words_fini(&words);
}

/* The graph is asked for before its tasks: where it has ended, they tell all that they ever will.
 * What the tasks tell is printed before the end of the graph. */
static int look_again(struct follow *follow, size_t at, bool restarted)
{
	struct look look = {.follow = follow, .at = at};
	bool head = at + 1 == follow->graph_count;
	int status = ask_graph(&look);

	if (status == STATUS_OK && look.line.len == 0 && head)
		status = finish_lost(follow);
	else if (status == STATUS_OK && look.line.len > 0 && restarted && !follow->ctl->quiet)
		status = ask_tasks(&look);
	if (status == STATUS_OK && look.line.len > 0 && restarted)
		conclude_line(&look);
	buf_fini(&look.line);
	return status;
}

/* Events that go on after the last one seen tell everything, unless imd tells no incarnation and has lost its
 * state: then it does not know the graph. If events were lost, the records tell what happened to each of the
 * graphs. A successor found this way is looked at next. */
static int find_again(void *arg, enum watch_gap gap)
{
	struct follow *follow = arg;
	bool restarted = gap == GAP_RESTARTED;
	int status = STATUS_OK;

	if (!restarted && !follow->watch.away)
		return STATUS_OK;
	follow->holds = true;
	for (size_t i = restarted ? 0 : follow->graph_count - 1; i < follow->graph_count; i++) {
		if (follow->watch.status == WATCH_GOES_ON && !follow->graphs[i].progress.ended)
			status = look_again(follow, i, restarted);
		if (status != STATUS_OK)
			return status;
	}
	follow->begun = follow->begun || restarted;
	handle_pending(follow);
	return STATUS_OK;
}

/* Without its state imd may not even know the group. */
static int take_refusal(void *arg, const struct line *err)
{
	return err_code_parse(err->name) == ERR_NOT_FOUND ? finish_lost(arg) : client_refused(err);
}

static int declare(struct follow *follow)
{
	struct ctl *ctl = follow->ctl;
	struct plan *plan = &follow->graphs[0].plan;
	struct reply_handler handler = {.record = take_record, .event = take_event, .arg = follow,
		.records_max = 1 + LIMIT_TASKS};
	const struct line *ok = NULL;
	int status;

	follow->sent = true;
	status = request_update(ctl, &handler, &ok, &follow->unknown);
	follow->sent = status != STATUS_UNREACHABLE;
	if (status != STATUS_OK) {
		plan_cut(plan);
		return status;
	}
	plan_end(plan, ok);
	if (plan->id == NULL) {
		say("imd at %s did not tell the graph", ctl->socket);
		return STATUS_FAILED;
	}
	follow->revision = plan->revision;
	note_afterword(follow);
	status = plan_print(plan);
	return status != STATUS_OK ? status : out_flush();
}

/* A group that does not exist before its first UPDATE cannot be watched by name. */
static int begin_watch(struct follow *follow)
{
	const struct line *end = NULL;
	int status = watch_open(&follow->watch, &end);

	if (status != STATUS_OK || end->kind == LINE_OK)
		return status;
	if (err_code_parse(end->name) == ERR_DENIED) { /* so is the update, and that is what to report and to log */
		status = declare(follow);
		if (status != STATUS_OK)
			return status;
		say("the update was accepted, but may not be watched");
		return STATUS_FAILED;
	}
	if (err_code_parse(end->name) != ERR_NOT_FOUND)
		return client_refused(end);
	follow->watch.group = "*";
	return watch_begin(&follow->watch);
}

/* An imd that ends before it takes the update is asked again when it is back; what its events told of
 * others is in the way then. */
static int begin(struct follow *follow)
{
	struct client *client = &follow->ctl->client;

	for (int tries = 1;; tries++) {
		int status = begin_watch(follow);

		if (status != STATUS_OK)
			return status;
		status = declare(follow);
		if (status != STATUS_UNREACHABLE)
			return status;
		if (tries == REQUEST_TRIES)
			return client_say_lost(client);
		client_close(client);
		follow->pending.len = 0;
	}
}

static int follow_to_end(struct follow *follow)
{
	if (follow->graphs[0].plan.task_count == 0) {
		finish(follow, graph_state_name(GRAPH_SUCCEEDED), NULL);
		return follow->watch.status;
	}
	announce_events(follow);
	handle_pending(follow);
	follow->watch.gap = GAP_NONE;
	return watch_run(&follow->watch);
}

static void follow_fini(struct follow *follow)
{
	for (size_t i = 0; i < follow->graph_count; i++) {
		plan_fini(&follow->graphs[i].plan);
		progress_fini(&follow->graphs[i].progress);
	}
	free(follow->graphs);
	buf_fini(&follow->pending);
}

int follow_update(struct ctl *ctl)
{
	const char *group = ctl->values[OPT_GROUP] != NULL ? ctl->values[OPT_GROUP] : "default";
	struct follow follow = {.ctl = ctl, .group = group, .holds = true};
	int status;

	follow.watch = (struct watch){.ctl = ctl, .what = ctl->quiet ? "GRAPHS" : "ALL",
		.group = group, .silent = ctl->quiet, .status = WATCH_GOES_ON, .settle = find_again,
		.refused = take_refusal, .handler = {.event = take_event, .arg = &follow}};
	add_graph(&follow);
	interrupt_arm();
	status = begin(&follow);
	if (status == STATUS_OK)
		status = follow_to_end(&follow);
	finish_cut(&follow, status);
	follow_fini(&follow);
	return status;
}
