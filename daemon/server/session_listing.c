/* The listings of a session: whatever is told in records, and how the reply ends. */
#include "session_listing.h"

#include "internal.h"
#include "metrics.h"
#include "proto/record.h"

void session_listing_drop(struct session *session)
{
	if (session->preview.tasks > 0)
		session_set_deadline(session, false);
	previews_release(session);
	listing_fini(&session->listing);
	session->listing_on = false;
}

static void session_add_ok(const struct session *session)
{
	struct buf *out = &session->server->out;

	buf_add(out, "OK", 2);
	if (session->finish == FINISH_PLAN) {
		record_id(out, "graph", &session->listing.graph);
		record_u64(out, "revision", session->plan.revision);
		record_u64(out, "tasks", session->plan.tasks);
		record_u64(out, "min-available", session->plan.min_available);
		record_u64(out, "max-live", session->plan.max_live);
	}
	buf_add_char(out, '\n');
}

/* The last line of the reply. */
static void session_listing_finish(struct session *session)
{
	struct buf *out = &session->server->out;

	if (session->finish == FINISH_METRICS)
		metrics_end(out);
	if (session->finish == FINISH_WATCH)
		watch_add_ok(session->server, session->watch.cursor);
	else
		session_add_ok(session);
	session_listing_drop(session);
	if (session->finish == FINISH_WATCH)
		watch_begin(session);
}

/* A listing begins: what it shows from its first record on is the state of this moment. */
static void session_listing_begin(struct session *session, const struct core *core)
{
	const struct graph *graph;

	session->listing_begun = true;
	graph = listing_graph(&session->listing, core);
	if (session->finish == FINISH_WATCH) {
		session->watch.cursor = session->server->ring.published;
		session->watch.over = graph != NULL && graph_ended(graph);
	}
	if (session->finish == FINISH_PLAN && graph != NULL) {
		session->plan = (struct session_plan){
			.revision = graph->revision,
			.tasks = graph->task_count,
			.min_available = graph->min_available,
			.max_live = graph->max_live,
		};
	}
}

static void session_listing_fail(struct session *session, const struct error *error)
{
	session_error(session, error);
	session_listing_drop(session);
	if (session->finish == FINISH_WATCH)
		watch_end(session);
}

/* The state cannot be read any more. What an UPDATE has changed stands all the same, and it says so. */
static void session_listing_lost(struct session *session, const struct error *lost)
{
	bool updated = session->finish == FINISH_PLAN && session->listing.preview == NULL;
	struct error error = *lost;

	if (updated)
		error_set(&error, lost->code, "the change is made, but %s", lost->text);
	listing_end_line(&session->listing, &session->server->out);
	session_listing_fail(session, &error);
}

/* Makes what there is room for. Returns whether the listing is through, or waits. */
static bool session_listing_step(struct session *session)
{
	struct server *server = session->server;
	const struct core *core = engine_core(server->engine);
	struct error error;
	size_t visits;
	bool failed;

	if (session->mute) {
		session_listing_drop(session);
		return true;
	}
	if (session->dead || session_waiting(session) > 0)
		return true;
	if (server->pass_spent >= PASS_MAX) {
		turns_defer(session);
		return true;
	}
	if (engine_lost(server->engine) != NULL) {
		session_listing_lost(session, engine_lost(server->engine));
		return true;
	}
	if (!engine_clean(server->engine)) {
		session->wait = WAIT_LISTING;
		engine_wait(server->engine, &session->request);
		return true;
	}
	if (!session->listing_begun)
		session_listing_begin(session, core);
	failed = listing_go(&session->listing, core, &server->out, LIMIT_WAITING, &visits, &error) < 0;
	server->pass_spent += visits * PASS_VISIT_COST;
	if (failed) {
		session_listing_fail(session, &error);
		return true;
	}
	if (!listing_over(&session->listing))
		return false;
	session_listing_finish(session);
	return true;
}

/* A listing goes on only when all before has been written, so no more than one go of it waits. */
void session_listing_go(struct session *session)
{
	do {
		session_flush(session);
	} while (!session_listing_step(session));
}

/* A graph that is listed from memory of its own counts among the previews, and is to be read. */
static int session_reserve(struct session *session, uint32_t tasks, struct error *error)
{
	if (previews_reserve(session, tasks, error) < 0)
		return -1;
	if (tasks > 0)
		session_set_deadline(session, true);
	return 0;
}

int session_list_own(struct session *session, unsigned parts, struct graph *graph, const char *group,
	enum session_finish finish, struct error *error)
{
	if (session_reserve(session, graph->task_count, error) < 0) {
		graph_free(graph);
		return -1;
	}
	listing_of_preview(&session->listing, parts, graph, group);
	session_list(session, finish);
	return 0;
}

void session_list(struct session *session, enum session_finish finish)
{
	session->finish = finish;
	session->listing_on = true;
	session->listing_begun = false;
	session_listing_go(session);
}

int session_list_graph(struct session *session, unsigned parts, const struct graph *graph,
	enum session_finish finish, struct error *error)
{
	if (graph_loaded(graph) || (parts & PARTS(PART_TASKS)) == 0) {
		listing_of_graph(&session->listing, parts, &graph->id);
		session_list(session, finish);
		return 0;
	}
	if (session_reserve(session, graph->task_count, error) < 0)
		return -1;
	session->parts = parts;
	session->finish = finish;
	session->wait = WAIT_FETCH;
	engine_fetch(session->server->engine, graph, &session->request);
	return 0;
}
