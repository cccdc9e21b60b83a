/* STATS and METRICS: figures of the daemon. */
#include <config.h>

#include "commands.h"
#include "metrics.h"
#include "records.h"

static uint64_t all_plans(const struct core_counters *counters)
{
	uint64_t plans = 0;

	for (int reason = 0; reason < REASON_COUNT; reason++)
		plans += counters->plans[reason];
	return plans;
}

static void stats_server(struct buf *out, const struct server *server)
{
	char incarnation[ID_TEXT_LEN + 1];

	records_stat_text(out, "version", PACKAGE_VERSION);
	records_stat_text(out, "driver", server->config.driver);
	records_stat_text(out, "store", server->config.store);
	id_format_z(&server->incarnation, incarnation);
	records_stat_text(out, "incarnation", incarnation);
	records_stat(out, "uptime-ms", (uint64_t)(engine_now(server->engine).mono_ms - server->started_ms));
	records_stat(out, "clients", server->clients);
	records_stat(out, "watchers", server->watchers.count);
	records_stat(out, "requests", server->requests);
	records_stat(out, "errors", server_errors(server));
	records_stat(out, "events", server->ring.published);
	records_stat(out, "ring-events", ring_events(&server->ring));
	records_stat(out, "ring-bytes", ring_bytes(&server->ring));
}

static void stats_core(struct buf *out, const struct core *core)
{
	const struct core_counters *counters = &core->counters;
	struct core_totals totals = core_totals(core);

	records_stat(out, "groups", core->group_count);
	records_stat(out, "nodes-starting", totals.nodes[NODE_STARTING]);
	records_stat(out, "nodes-running", totals.nodes[NODE_RUNNING]);
	records_stat(out, "nodes-unhealthy", totals.nodes[NODE_UNHEALTHY]);
	records_stat(out, "nodes-shutting-down", totals.nodes[NODE_SHUTTING_DOWN]);
	records_stat(out, "graphs-active", totals.active);
	records_stat(out, "tasks-in-flight", totals.in_flight);
	records_stat(out, "plans", all_plans(counters));
	records_stat(out, "tasks-started", counters->tasks_started);
	records_stat(out, "tasks-succeeded", counters->tasks_succeeded);
	records_stat(out, "tasks-failed", counters->tasks_failed);
	records_stat(out, "tasks-retried", counters->tasks_retried);
	records_stat(out, "tasks-cancelled", counters->tasks_cancelled);
	records_stat(out, "nodes-started", counters->nodes_started);
	records_stat(out, "nodes-died", counters->nodes_died);
	records_stat(out, "nodes-replaced", counters->nodes_replaced);
}

int cmd_stats(struct session *session, const struct request *request, struct error *error)
{
	struct server *server = session->server;
	struct buf *out = &server->out;
	const struct engine_stats *stats = engine_stats(server->engine);

	(void)request;
	(void)error;
	stats_server(out, server);
	stats_core(out, engine_core(server->engine));
	records_stat(out, "commits", stats->commits);
	records_stat(out, "commits-failed", stats->commits_failed);
	reply_ok(session);
	return 0;
}

/* What is about the daemon is made at once; what is about the groups, as a listing. */
int cmd_metrics(struct session *session, const struct request *request, struct error *error)
{
	(void)request;
	(void)error;
	metrics_daemon(&session->server->out, session->server);
	listing_of_group(&session->listing, PARTS(PART_METRICS), NULL);
	session_list(session, FINISH_METRICS);
	return 0;
}
