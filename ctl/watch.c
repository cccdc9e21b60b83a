#include "watch.h"

#include <inttypes.h>
#include <stdlib.h>

#include "out.h"
#include "request.h"
#include "text.h"

static int send_watch(struct watch *watch, bool since)
{
	struct buf request = BUF_INIT;
	int status;

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
	status = client_send(&watch->ctl->client, &request);
	buf_fini(&request);
	return status;
}

static void note_seq(struct watch *watch, const struct line *ok)
{
	const char *seq = line_get(ok, "seq");

	if (seq != NULL)
		watch->seq = strtoull(seq, NULL, 10);
}

int watch_try(struct watch *watch, const struct line **ret_end)
{
	int status = send_watch(watch, false);

	if (status == STATUS_OK)
		status = client_await(&watch->ctl->client, &watch->handler, ret_end);
	if (status == STATUS_OK && (*ret_end)->kind == LINE_OK)
		note_seq(watch, *ret_end);
	return status;
}

int watch_begin(struct watch *watch)
{
	const struct line *end = NULL;
	int status = watch_try(watch, &end);

	if (status == STATUS_OK && end->kind == LINE_ERR)
		return client_refused(end);
	return status != STATUS_OK ? status : out_flush();
}

/* What came between the last event seen and now is not kept any more. */
static int begin_anew(struct watch *watch)
{
	int status;

	if (!watch->silent)
		say("events behind %" PRIu64 " are lost; watching anew", watch->seq);
	status = watch_begin(watch);
	if (status == STATUS_OK && watch->lost != NULL)
		status = watch->lost(watch->handler.arg);
	return status;
}

/* A new connection that takes up behind the last event seen. Falling behind twice without an event
 * between would go on for ever. */
static int resume(struct watch *watch, const struct line *lagged)
{
	struct client *client = &watch->ctl->client;
	const struct line *end = NULL;
	int status;

	if (watch->lagged_at == watch->seq)
		return client_refused(lagged);
	watch->lagged_at = watch->seq;
	if (!watch->silent)
		say("lagged behind; going on behind event %" PRIu64, watch->seq);
	client_close(client);
	status = client_open(client);
	if (status == STATUS_OK)
		status = send_watch(watch, true);
	if (status == STATUS_OK)
		status = client_await(client, &watch->handler, &end);
	if (status != STATUS_OK || end->kind == LINE_OK)
		return status;
	return err_code_parse(end->name) == ERR_GONE ? begin_anew(watch) : client_refused(end);
}

int watch_run(struct watch *watch)
{
	struct client *client = &watch->ctl->client;
	int status = STATUS_OK;

	client->streams = true;
	watch->lagged_at = UINT64_MAX;
	while (watch->status == WATCH_GOES_ON && status == STATUS_OK) {
		const struct line *line = NULL;

		status = client_read(client, &line);
		if (status != STATUS_OK)
			break;
		if (line->kind == LINE_EVENT) {
			watch->seq = line->seq;
			watch->handler.event(watch->handler.arg, line);
			if (!client_has_line(client))
				status = out_flush();
		} else if (line->kind == LINE_ERR) {
			status = err_code_parse(line->name) == ERR_LAGGED ? resume(watch, line) :
				client_refused(line);
		}
	}
	return status != STATUS_OK ? status : watch->status;
}
