/* However a connection ends, there is one way on: connect again, as often as it takes, and ask for the
 * events behind the last one seen. Where imd does not have those, the watch begins anew.
 *
 *     events ──► ERR lagged, ERR shutting-down, end of file ──► pause ──► connect ──► WATCH since=
 *       ▲                                                         ▲          │          │    │
 *       │                                                         └── fails ─┴──────────┘    │
 *       └── settle ◄── OK, or ERR gone and then WATCH with records ◄─────────────────────────┘
 */
#include "watch.h"

#include <inttypes.h>
#include <stdlib.h>

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
	if (since)
		buf_addf(&request, " %s=%" PRIu64, verb_option_row(OPT_SINCE)->key, watch->seq);
	else if (!watch->initial)
		request_option(&request, verb_option_row(OPT_INITIAL)->key, "no");
	request_end(&request);
	return watch_ask(watch, &request, &watch->handler, ret_end);
}

static void note_seq(struct watch *watch, const struct line *ok)
{
	const char *seq = line_get(ok, "seq");

	if (seq != NULL)
		watch->seq = strtoull(seq, NULL, 10);
}

static int watch_try(struct watch *watch, const struct line **ret_end)
{
	int status = ask_watch(watch, false, ret_end);

	if (status == STATUS_OK && (*ret_end)->kind == LINE_OK) {
		note_seq(watch, *ret_end);
		watch->gap = GAP_ANEW;
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
	return watch->away ? "imd went away" : "lagged behind";
}

/* What came between the last event seen and now is not kept any more, or imd has lost its state. */
static int begin_anew(struct watch *watch)
{
	const struct line *end = NULL;
	int status;

	if (!watch->silent)
		say("%s; connected again, but events behind %" PRIu64 " are lost: watching anew",
			reason_of(watch), watch->seq);
	status = watch_try(watch, &end);
	if (status == STATUS_OK && end->kind == LINE_ERR)
		return refuse(watch, end);
	return status != STATUS_OK ? status : out_flush();
}

static void resume(struct watch *watch)
{
	if (!watch->silent)
		say("%s; connected again, resuming behind event %" PRIu64, reason_of(watch), watch->seq);
	if (watch->gap == GAP_NONE)
		watch->gap = GAP_RESUMED;
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
	if (end->kind == LINE_OK)
		resume(watch);
	else if (err_code_parse(end->name) == ERR_GONE)
		status = begin_anew(watch);
	else
		status = refuse(watch, end);
	return status;
}

static void say_away(const struct watch *watch, const char *what)
{
	say("imd went away and %s: %s", what, watch->ctl->client.why);
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
	} else if (watch->lagged_at == watch->seq) {
		say("lagged behind event %" PRIu64 " twice", watch->seq);
		return STATUS_FAILED;
	} else {
		watch->lagged_at = watch->seq;
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
	watch->away = false;
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
	watch->seq = line->seq;
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
