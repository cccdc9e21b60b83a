/* However a connection ends, there is one way to continue: connect again, without limit, and ask for the events
 * after the last one seen. If imd does not have those, or has a different state with other events of the same
 * numbers, the watch restarts from a full listing.
 *
 *     events ──► ERR lagged, ERR shutting-down, end of file ──► pause ──► connect ──► WATCH since=
 *       ▲                                                         ▲          │          │    │
 *       │                                                         └── fails ─┴──────────┘    │
 *       └── settle ◄── OK, or ERR gone and then WATCH with records ◄─────────────────────────┘
 */
#include "watch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "request.h"
#include "text.h"

/* The first try is made at once. A connection that lasted longer than the longest delay was a good
 * one: after it the delays begin again. */
enum { DELAY_FIRST_MS = 100, DELAY_MAX_MS = 2000 };

/* A daemon that has just begun may be short of something for a while: that is as if it were not
 * there yet. */
int watch_ask(struct watch *watch, struct buf *request, const struct reply_handler *handler,
	const struct line **ret_end)
{
	struct client *client = &watch->ctl->client;
	int status = client_send(client, request);

	buf_fini(request);
	if (status == STATUS_OK)
		status = client_await(client, handler, ret_end);
	if (status == STATUS_OK && client->streams && (*ret_end)->kind == LINE_ERR &&
	    err_code_parse((*ret_end)->name) == ERR_TOO_MANY)
		status = client_lost(client, (*ret_end)->text);
	return status;
}

static int ask_watch(struct watch *watch, bool since, const struct line **ret_end)
{
	struct buf request = BUF_INIT;

	request_begin(&request, VERB_watch);
	request_arg(&request, watch->what);
	if (watch->graph != NULL)
		request_arg(&request, watch->graph);
	if (watch->group != NULL)
		request_option(&request, verb_option_row(OPT_GROUP)->key, watch->group);
	if (since) {
		buf_addf(&request, " %s=", verb_option_row(OPT_SINCE)->key);
		position_add(&request, &watch->seen);
	} else if (!watch->initial) {
		request_option(&request, verb_option_row(OPT_INITIAL)->key, "no");
	}
	request_end(&request);
	return watch_ask(watch, &request, &watch->handler, ret_end);
}

/* An imd of an earlier version tells none. */
static void note_incarnation(struct watch *watch, const struct line *ok)
{
	const char *text = line_get(ok, "incarnation");

	if (!text || id_parse(text, strlen(text), &watch->seen.incarnation) < 0)
		watch->seen.incarnation = (struct id){0};
}

static void note_position(struct watch *watch, const struct line *ok)
{
	const char *seq = line_get(ok, "seq");

	if (seq != NULL)
		watch->seen.seq = strtoull(seq, NULL, 10);
	note_incarnation(watch, ok);
}

static int watch_try(struct watch *watch, const struct line **ret_end)
{
	int status = ask_watch(watch, false, ret_end);

	if (status == STATUS_OK && (*ret_end)->kind == LINE_OK) {
		note_position(watch, *ret_end);
		watch->gap = GAP_RESTARTED;
		watch->connected_ms = client_clock_ms();
	}
	return status;
}

static int refuse(struct watch *watch, const struct line *err)
{
	if (watch->refused != NULL)
		return watch->refused(watch->handler.arg, err);
	return client_refused(err);
}

int watch_open(struct watch *watch, const struct line **ret_end)
{
	struct ctl *ctl = watch->ctl;
	int status = ctl_connect(ctl);
	int tries = 0;

	while (status == STATUS_OK) {
		ctl->client.resumes = true;
		status = watch_try(watch, ret_end);
		ctl->client.resumes = false;
		if (status == STATUS_OK)
			break;
		status = request_again(ctl, VERB_watch, status, &tries);
	}
	return status;
}

int watch_begin(struct watch *watch)
{
	const struct line *end = NULL;
	int status = watch_open(watch, &end);

	if (status == STATUS_OK && end->kind == LINE_ERR)
		return client_refused(end);
	return status != STATUS_OK ? status : out_flush();
}

static const char *reason_of(const struct watch *watch)
{
	return watch->away ? "connection lost" : "lagged behind";
}

/* ERR gone that begins with an incarnation, which is not the one that was asked for. */
static bool tells_replaced(const struct line *err)
{
	static const char key[] = "incarnation=";

	return strncmp(err->text, key, sizeof key - 1) == 0;
}

static void say_restart(const struct watch *watch)
{
	if (watch->silent)
		return;
	if (watch->replaced)
		say("%s; reconnected, but imd has a different state (restored or new); restarting from a full listing",
			reason_of(watch));
	else
		say("%s; reconnected, but events after %" PRIu64 " were lost; restarting from a full listing",
			reason_of(watch), watch->seen.seq);
}

/* What came between the last event seen and now is not kept any more, or imd has lost its state. */
static int restart_watch(struct watch *watch)
{
	const struct line *end = NULL;
	int status;

	say_restart(watch);
	status = watch_try(watch, &end);
	if (status == STATUS_OK && end->kind == LINE_ERR)
		return refuse(watch, end);
	return status != STATUS_OK ? status : out_flush();
}

static void resume(struct watch *watch, const struct line *ok)
{
	note_incarnation(watch, ok);
	if (!watch->silent)
		say("%s; reconnected, resuming after event %" PRIu64, reason_of(watch), watch->seen.seq);
	if (watch->gap == GAP_NONE)
		watch->gap = GAP_RESUMED;
}

/* An imd of an earlier version than the one before does not take an incarnation. */
static bool is_gone(const struct watch *watch, const struct line *err)
{
	enum err_code code = err_code_parse(err->name);

	return code == ERR_GONE || (code == ERR_BAD_ARGUMENT && position_has_incarnation(&watch->seen));
}

static int try_to_connect(struct watch *watch)
{
	const struct line *end = NULL;
	int status = client_open(&watch->ctl->client);

	if (status != STATUS_OK)
		return status;
	watch->connected_ms = client_clock_ms();
	status = ask_watch(watch, true, &end);
	if (status != STATUS_OK)
		return status;
	if (end->kind == LINE_OK) {
		resume(watch, end);
		return STATUS_OK;
	}
	if (!is_gone(watch, end))
		return refuse(watch, end);
	watch->replaced = watch->replaced || tells_replaced(end);
	return restart_watch(watch);
}

static void say_away(const struct watch *watch, const char *what)
{
	say("connection lost; imd %s: %s", what, watch->ctl->client.why);
}

/* Lets the delay pass and makes the next one longer. That imd stays away is said once, when it has
 * taken so long that a person wonders. */
static int pause_before_try(struct watch *watch)
{
	int delay_ms = watch->delay_ms;

	watch->delay_ms = delay_ms == 0 ? DELAY_FIRST_MS : delay_ms * 2;
	if (watch->delay_ms > DELAY_MAX_MS)
		watch->delay_ms = DELAY_MAX_MS;
	if (delay_ms < DELAY_MAX_MS && watch->delay_ms == DELAY_MAX_MS)
		say_away(watch, "cannot be reached; trying until it can");
	return client_pause(&watch->ctl->client, delay_ms);
}

/* Falling behind twice without an event between would go on for ever. */
static int note_end(struct watch *watch)
{
	const struct client *client = &watch->ctl->client;

	if (!client->lagged) {
		watch->away = true;
	} else if (watch->lagged_at == watch->seen.seq) {
		say("lagged behind event %" PRIu64 " twice", watch->seen.seq);
		return STATUS_FAILED;
	} else {
		watch->lagged_at = watch->seen.seq;
	}
	if (client->lagged || client_clock_ms() - watch->connected_ms > DELAY_MAX_MS)
		watch->delay_ms = 0;
	return STATUS_OK;
}

static int connect_again(struct watch *watch)
{
	int status = note_end(watch);

	if (status != STATUS_OK)
		return status;
	do {
		status = pause_before_try(watch);
		if (status == STATUS_OK)
			status = try_to_connect(watch);
		if (status == STATUS_UNREACHABLE)
			watch->away = true;
	} while (status == STATUS_UNREACHABLE);
	if (watch->away && (status == STATUS_INTERRUPTED || status == STATUS_TIMED_OUT))
		say_away(watch, "was not back yet");
	return status;
}

static int settle_gap(struct watch *watch)
{
	int status = watch->settle != NULL ? watch->settle(watch->handler.arg, watch->gap) : STATUS_OK;

	if (status != STATUS_OK)
		return status;
	watch->gap = GAP_NONE;
	watch->away = watch->replaced = false;
	return out_flush();
}

static int take_line(struct watch *watch)
{
	struct client *client = &watch->ctl->client;
	const struct line *line = NULL;
	int status = client_read(client, &line);

	if (status != STATUS_OK)
		return status;
	if (line->kind == LINE_ERR)
		return client_refused(line);
	if (line->kind != LINE_EVENT)
		return STATUS_OK;
	watch->seen.seq = line->seq;
	status = watch->handler.event(watch->handler.arg, line);
	if (status != STATUS_OK)
		return status;
	return client_has_line(client) ? STATUS_OK : out_flush();
}

int watch_run(struct watch *watch)
{
	struct client *client = &watch->ctl->client;
	int status = STATUS_OK;

	client->streams = true;
	client->resumes = true;
	watch->lagged_at = UINT64_MAX;
	while (watch->status == WATCH_GOES_ON && status == STATUS_OK) {
		status = watch->gap != GAP_NONE ? settle_gap(watch) : take_line(watch);
		if (status == STATUS_UNREACHABLE)
			status = connect_again(watch);
	}
	return status != STATUS_OK ? status : watch->status;
}
