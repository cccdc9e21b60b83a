#include "previews.h"

#include <inttypes.h>

#include "access.h"
#include "internal.h"

/* ---- turns --------------------------------------------------------------------------------- */

static void on_next_pass(evutil_socket_t fd, short what, void *arg)
{
	struct previews *previews = arg;
	struct session *session;

	(void)fd;
	(void)what;
	previews->made = false;
	if (link_empty(&previews->waiting))
		return;
	event_add(previews->next_pass, &(struct timeval){0, 0});
	session = LINK_OWNER(previews->waiting.next, struct session, preview.link);
	link_remove(&session->preview.link);
	session->wait = WAIT_NOTHING;
	session_go(session);
}

int previews_init(struct previews *previews, struct event_base *base)
{
	link_init(&previews->waiting);
	previews->next_pass = evtimer_new(base, on_next_pass, previews);
	return previews->next_pass ? 0 : -1;
}

void previews_fini(struct previews *previews)
{
	if (previews->next_pass)
		event_free(previews->next_pass);
	previews->next_pass = NULL;
}

bool previews_turn(struct session *session, uint64_t nodes)
{
	struct previews *previews = &session->server->previews;

	if (nodes < PREVIEW_LARGE)
		return true;
	if (!previews->made) {
		previews->made = true;
		event_add(previews->next_pass, &(struct timeval){0, 0});
		return true;
	}
	session->wait = WAIT_PASS;
	link_append(&previews->waiting, &session->preview.link);
	return false;
}

/* ---- memory -------------------------------------------------------------------------------- */

/* How `tasks` more, of a listing for whom the text says, are over a limit. */
static int too_many(struct error *error, const char *whose, uint64_t used, uint32_t tasks, uint64_t limit)
{
	if (tasks > limit)
		return error_set(error, ERR_TOO_MANY, "the plan has %" PRIu32 " tasks, and the limit for %s plans is %" PRIu64,
			tasks, whose, limit);
	return error_set(error, ERR_TOO_MANY, "%s plans that are being listed have %" PRIu64
		" tasks, and the limit is %" PRIu64 "; try again when one has been read", whose, used + tasks, limit);
}

/* Whether a number of tasks is within a limit; with none asked for, whether there is room for one. */
static bool fits(uint64_t used, uint32_t tasks, uint64_t limit)
{
	return tasks == 0 ? used < limit : used <= limit && tasks <= limit - used;
}

int previews_reserve(struct session *session, uint32_t tasks, struct error *error)
{
	struct previews *previews = &session->server->previews;
	struct user *user = users_find(&session->server->users, session->uid);
	bool reader = !(session_rights(session) & MAY_CHANGE);

	if (reader && !fits(user->preview_tasks, tasks, PREVIEW_TASKS_USER))
		return too_many(error, "this user's", user->preview_tasks, tasks, PREVIEW_TASKS_USER);
	if (reader && !fits(previews->readers_tasks, tasks, PREVIEW_TASKS_READERS))
		return too_many(error, "readers'", previews->readers_tasks, tasks, PREVIEW_TASKS_READERS);
	if (!fits(previews->tasks, tasks, PREVIEW_TASKS_MAX))
		return too_many(error, "all", previews->tasks, tasks, PREVIEW_TASKS_MAX);
	session->preview.tasks = tasks;
	session->preview.reader = reader;
	previews->tasks += tasks;
	if (reader)
		previews->readers_tasks += tasks;
	user->preview_tasks += tasks;
	return 0;
}

void previews_release(struct session *session)
{
	struct previews *previews = &session->server->previews;
	struct session_preview *preview = &session->preview;

	if (preview->tasks == 0)
		return;
	previews->tasks -= preview->tasks;
	if (preview->reader)
		previews->readers_tasks -= preview->tasks;
	users_find(&session->server->users, session->uid)->preview_tasks -= preview->tasks;
	preview->tasks = 0;
}
