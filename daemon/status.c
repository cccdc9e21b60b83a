#include <config.h>

#include "status.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>

#include "notify.h"

enum { STATUS_EVERY_S = 1 };

static void status_tell(const struct status *status)
{
	const struct core *core = engine_core(status->engine);
	struct core_totals totals = core_totals(core);
	char text[NOTIFY_STATUS_SIZE], rollout[NOTIFY_STATUS_SIZE / 2] = "";

	if (totals.active == 1) {
		const struct graph *graph = totals.rolling->active;

		snprintf(rollout, sizeof rollout, "; %s to revision %" PRIu64 ": %" PRIu32 " of %" PRIu32
			" tasks done", totals.rolling->name, graph->revision,
			graph->counts[TASK_SUCCEEDED], graph->task_count);
	} else if (totals.active > 1) {
		snprintf(rollout, sizeof rollout, "; %" PRIu64 " rollouts", totals.active);
	}
	snprintf(text, sizeof text,
		"%sgroups: %" PRIu32 ", nodes: %" PRIu64 ", available: %" PRIu64 "%s",
		status->storage_failed ? "Cannot store changes; " : "", core->group_count, totals.live,
		totals.available, rollout);
	notify_status(text);
}

/* The state may be read only while it is what is stored. */
static void on_clean(struct engine_request *request, const struct error *failed)
{
	struct status *status = (struct status *)request; /* its first member */

	status->waits = false;
	if (failed != NULL)
		notify_status("Cannot store changes; cannot read the state");
	else
		status_tell(status);
}

/* In a rollout such a moment may not come by itself. */
static void on_status(evutil_socket_t fd, short what, void *arg)
{
	struct status *status = arg;

	(void)fd;
	(void)what;
	status->waits = true;
	status->request.done = on_clean;
	engine_wait(status->engine, &status->request);
}

int status_init(struct status *status, struct event_base *base)
{
	*status = (struct status){.wanted = notify_wanted()};
	status->timer = evtimer_new(base, on_status, status);
	return status->timer != NULL ? 0 : -1;
}

void status_fini(struct status *status)
{
	if (status->waits)
		engine_forget(status->engine, &status->request);
	status->waits = false;
	if (status->timer != NULL)
		event_free(status->timer);
	status->timer = NULL;
}

void status_start(struct status *status, struct engine *engine)
{
	status->engine = engine;
	if (status->wanted)
		status_tell(status);
}

void status_soon(struct status *status)
{
	if (status->wanted && !status->waits && !evtimer_pending(status->timer, NULL))
		event_add(status->timer, &(struct timeval){STATUS_EVERY_S, 0});
}
