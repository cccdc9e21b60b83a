/* Requests that read the state. */
#include <inttypes.h>
#include <strings.h>

#include "commands.h"
#include "proto/mem.h"
#include "records.h"

/* Begins a listing of one group or of all of them. */
static int list_groups(struct session *session, const struct request *request, unsigned parts,
	struct error *error)
{
	struct group *group;

	if (request_group(session, request, &group, error) < 0)
		return -1;
	listing_of_group(&session->listing, parts, group);
	session_list(session, FINISH_OK);
	return 0;
}

static int list_graph(struct session *session, const struct request *request, unsigned parts,
	struct error *error)
{
	struct graph *graph;

	if (request_graph(session, request, 0, &graph, error) < 0)
		return -1;
	return session_list_graph(session, parts, graph, FINISH_OK, error);
}

/* Made once for all who ask for the same: clients that poll do. */
static void add_spec(struct server *server, const struct group *group)
{
	struct spec_line *line = &server->spec_line;
	const struct spec *spec = &group->spec;

	if (line->text.len == 0 || line->group != group || line->revision != spec->revision) {
		line->group = group;
		line->revision = spec->revision;
		line->text.len = 0;
		records_spec(&line->text, group->name, spec);
	}
	buf_add(&server->out, line->text.data, line->text.len);
}

int cmd_spec(struct session *session, const struct request *request, struct error *error)
{
	struct group *group;

	if (request_group(session, request, &group, error) < 0)
		return -1;
	add_spec(session->server, group);
	reply_ok(session);
	return 0;
}

int cmd_specs(struct session *session, const struct request *request, struct error *error)
{
	return list_groups(session, request, PARTS(PART_SPECS), error);
}

int cmd_groups(struct session *session, const struct request *request, struct error *error)
{
	(void)request;
	(void)error;
	listing_of_group(&session->listing, PARTS(PART_GROUPS), NULL);
	session_list(session, FINISH_OK);
	return 0;
}

int cmd_nodes(struct session *session, const struct request *request, struct error *error)
{
	bool all;

	if (request_bool(request, OPT_ALL, false, &all, error) < 0)
		return -1;
	return list_groups(session, request, PARTS(PART_NODES) | (all ? PARTS(PART_ENDED) : 0),
		error);
}

int cmd_node(struct session *session, const struct request *request, struct error *error)
{
	const struct core *core = engine_core(session->server->engine);
	struct node *node;

	if (request_node(session, request, 0, &node, error) < 0)
		return -1;
	records_node(&session->server->out, core, node);
	reply_ok(session);
	return 0;
}

int cmd_graphs(struct session *session, const struct request *request, struct error *error)
{
	return list_groups(session, request, PARTS(PART_GRAPHS), error);
}

int cmd_graph(struct session *session, const struct request *request, struct error *error)
{
	return list_graph(session, request, PARTS(PART_GRAPH) | PARTS(PART_TASKS), error);
}

int cmd_tasks(struct session *session, const struct request *request, struct error *error)
{
	return list_graph(session, request, PARTS(PART_TASKS), error);
}

/* How many nodes a plan is about, at most. */
static uint64_t plan_nodes(const struct core *core, const struct core_event *event)
{
	const struct group *group = core_group_find(core, event->update.group);

	return event->update.size + (group ? group->live : 0);
}

/* The reserve of memory is for plans that are carried out. */
static int preview(struct core *core, const struct core_event *event, struct graph **ret_graph, struct error *error)
{
	bool bypassed = mem_reserve_bypass(true);
	int ret = core_preview(core, event, ret_graph, error);

	mem_reserve_bypass(bypassed);
	return ret;
}

int cmd_plan(struct session *session, const struct request *request, struct error *error)
{
	struct server *server = session->server;
	struct core_event event;
	struct graph *graph;
	bool quiet;

	if (request_bool(request, OPT_QUIET, false, &quiet, error) < 0 ||
		request_update(session, request, &event, error) < 0)
		return -1;
	if (previews_reserve(session, 0, error) < 0)
		return -1;
	if (!previews_turn(session, plan_nodes(engine_core(server->engine), &event)))
		return 0;
	event.now = engine_now(server->engine);
	if (preview(engine_core(server->engine), &event, &graph, error) < 0)
		return -1;
	server->pass_spent += (size_t)graph->task_count * PASS_TASK_COST;
	return session_list_own(session, PARTS(PART_GRAPH) | (quiet ? 0 : PARTS(PART_TASKS)), graph,
		event.update.group, FINISH_PLAN, error);
}

/* ---- WATCH --------------------------------------------------------------------------------- */

static const struct watch_row {
	const char *name;
	unsigned parts; /* what it begins with */
} watch_rows[WATCH_KIND_COUNT] = {
	[WATCH_NODES] = {"NODES", PARTS(PART_NODES)},
	[WATCH_GRAPHS] = {"GRAPHS", PARTS(PART_GRAPHS)},
	[WATCH_TASKS] = {"TASKS", PARTS(PART_OPEN_TASKS)},
	[WATCH_ALL] = {"ALL", PARTS(PART_NODES) | PARTS(PART_GRAPHS) | PARTS(PART_OPEN_TASKS)},
};

static int watch_kind(const char *name, enum watch_kind *ret_kind, struct error *error)
{
	for (int kind = 0; kind < WATCH_KIND_COUNT; kind++) {
		if (strcasecmp(name, watch_rows[kind].name) == 0) {
			*ret_kind = (enum watch_kind)kind;
			return 0;
		}
	}
	return error_set(error, ERR_BAD_ARGUMENT,
		"WATCH is for NODES, GRAPHS, TASKS or ALL, not for %.40s", name);
}

/* What of this kind is watched, and the graph if it is one, or else the listing of it as it is now. */
static int watch_target(struct session *session, const struct request *request, enum watch_kind kind,
	struct watch_filter *ret_filter, struct listing *ret_listing, struct graph **ret_graph,
	struct error *error)
{
	struct watch_filter filter = {.graph = WATCH_ANY_GRAPH, .group = WATCH_ANY_GROUP, .kind = kind};
	struct group *group;

	*ret_graph = NULL;
	if (request->arg_count == 1) {
		if (request_group(session, request, &group, error) < 0)
			return -1;
		if (group != NULL)
			filter.group = group->index;
		listing_of_group(ret_listing, watch_rows[filter.kind].parts, group);
	} else if (filter.kind == WATCH_TASKS) {
		if (request_graph(session, request, 1, ret_graph, error) < 0)
			return -1;
		filter.graph = (*ret_graph)->serial;
	} else {
		return error_set(error, ERR_BAD_ARGUMENT, "only WATCH TASKS takes a graph");
	}
	*ret_filter = filter;
	return 0;
}

/* Events of another incarnation have other numbers: those of a state that was restored, or is new. */
static int watch_other_incarnation(const struct server *server, const struct position *since, struct error *error)
{
	char incarnation[ID_TEXT_LEN + 1];

	id_format_z(&server->incarnation, incarnation);
	return error_set(error, ERR_GONE, "incarnation=%s is the current one; since=%" PRIu64 " belongs to another",
		incarnation, since->seq);
}

/* From which event on; ERR_GONE if it is not kept, has not been yet, or was one of another incarnation. */
static int watch_since(const struct server *server, const char *text, uint64_t *ret_seq,
	struct error *error)
{
	const struct ring *ring = &server->ring;
	struct position since;

	if (arg_position(text, "since", &since, error) < 0)
		return -1;
	if (position_has_incarnation(&since) && !id_equal(&since.incarnation, &server->incarnation))
		return watch_other_incarnation(server, &since, error);
	if (since.seq + 1 < ring->first || since.seq > ring->published)
		return error_set(error, ERR_GONE, "since=%" PRIu64 " is not kept; %" PRIu64
			" to %" PRIu64 " are", since.seq, ring->first - 1, ring->published);
	*ret_seq = since.seq;
	return 0;
}

static void watch_at_once(struct session *session, uint64_t seq)
{
	watch_add_ok(session->server, seq);
	watch_begin(session);
}

int cmd_watch(struct session *session, const struct request *request, struct error *error)
{
	const char *since = request->options[OPT_SINCE];
	uint64_t seq = session->server->ring.published;
	struct watch_filter filter;
	struct listing listing;
	enum watch_kind kind;
	struct graph *graph;
	bool initial;

	if (request_bool(request, OPT_INITIAL, since == NULL, &initial, error) < 0 ||
		watch_kind(request->args[0].text, &kind, error) < 0)
		return -1;
	if (since != NULL && initial)
		return error_set(error, ERR_BAD_ARGUMENT, "since has no initial records");
	/* Before what is watched: a client of another state learns that first, and then what there is no more. */
	if (since != NULL && watch_since(session->server, since, &seq, error) < 0)
		return -1;
	if (watch_target(session, request, kind, &filter, &listing, &graph, error) < 0)
		return -1;
	if (session->watch.state != WATCH_OFF)
		return error_set(error, ERR_CONFLICT,
			"this connection watches already; UNWATCH ends that");
	watch_prepare(session, &filter, seq);
	if (!initial) {
		session->watch.over = since == NULL && graph != NULL && graph_ended(graph);
		watch_at_once(session, seq);
	} else if (graph != NULL) {
		if (session_list_graph(session, PARTS(PART_TASKS), graph, FINISH_WATCH, error) < 0) {
			watch_end(session);
			return -1;
		}
	} else {
		session->listing = listing;
		session_list(session, FINISH_WATCH);
	}
	return 0;
}
