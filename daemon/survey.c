#include <config.h>

#include "survey.h"

#include "log.h"

/* So many groups have lines of their own; more would hide what else the log says. */
enum { GROUPS_MAX = 100 };

static void survey_daemon(const struct survey *survey)
{
	const struct engine_stats *stats = engine_stats(survey->engine);
	struct server_load load;

	server_load(survey->server, &load);
	log_event(LEVEL_NOTICE, "state", LOG_STR("version", PACKAGE_VERSION),
		LOG_U64("groups", engine_core(survey->engine)->group_count),
		LOG_U64("clients", load.clients), LOG_U64("watchers", load.watchers),
		LOG_U64("requests", load.requests), LOG_U64("last-event", load.last_seq),
		LOG_U64("ring-events", load.ring_events), LOG_U64("ring-bytes", load.ring_bytes),
		LOG_STR("store", load.store), LOG_U64("commits", stats->commits),
		LOG_U64("commits-failed", stats->commits_failed));
}

static void survey_graph(const struct group *group, const struct graph *graph)
{
	char id[ID_TEXT_LEN + 1] = "";

	id_format(&graph->id, id);
	log_event(LEVEL_NOTICE, "state-graph", LOG_STR("group", group->name), LOG_STR("graph", id),
		LOG_U64("revision", graph->revision), LOG_STR("reason", reason_name(graph->reason)),
		LOG_STR("state", graph_state_name(graph->state)), LOG_U64("tasks", graph->task_count),
		LOG_U64("waiting", graph->counts[TASK_WAITING]),
		LOG_U64("running", graph->counts[TASK_RUNNING]),
		LOG_U64("succeeded", graph->counts[TASK_SUCCEEDED]),
		LOG_U64("failed", graph->counts[TASK_FAILED]),
		LOG_U64("cancelled", graph->counts[TASK_CANCELLED]));
}

static void survey_group(const struct group *group)
{
	const struct graph *graph;

	log_event(LEVEL_NOTICE, "state-group", LOG_STR("group", group->name),
		LOG_U64("revision", group->spec.revision), LOG_U64("size", group->spec.size),
		LOG_U64("version", group->spec.version), LOG_U64("available", group->available),
		LOG_U64("starting", group->states[NODE_STARTING]),
		LOG_U64("running", group->states[NODE_RUNNING]),
		LOG_U64("unhealthy", group->states[NODE_UNHEALTHY]),
		LOG_U64("shutting-down", group->states[NODE_SHUTTING_DOWN]),
		LOG_U64("in-flight", group->in_flight), LOG_U64("graphs", group->graph_count));
	TAILQ_FOREACH(graph, &group->graphs, entry) {
		if (!graph_ended(graph))
			survey_graph(group, graph);
	}
}

static void on_clean(struct engine_request *request, const struct error *failed)
{
	struct survey *survey = (struct survey *)request; /* its first member */
	const struct core *core;

	survey->waits = false;
	if (failed != NULL) {
		log_event(LEVEL_NOTICE, "state-unknown", LOG_STR("error", failed->text));
		return;
	}
	core = engine_core(survey->engine);
	survey_daemon(survey);
	for (uint32_t i = 0; i < core->group_count && i < GROUPS_MAX; i++)
		survey_group(core->groups[i]);
	if (core->group_count > GROUPS_MAX)
		log_event(LEVEL_NOTICE, "state-more", LOG_U64("groups", core->group_count - GROUPS_MAX));
}

void survey_begin(struct survey *survey, struct engine *engine, const struct server *server)
{
	if (survey->waits)
		return;
	*survey = (struct survey){.request.done = on_clean, .engine = engine, .server = server,
		.waits = true};
	engine_wait(engine, &survey->request);
}

void survey_end(struct survey *survey)
{
	if (survey->waits)
		engine_forget(survey->engine, &survey->request);
	survey->waits = false;
}
