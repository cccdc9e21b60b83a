#include <config.h>

#include "metrics.h"

#include <stddef.h>

#include "internal.h"

/* What the samples are made from, gathered in time linear in the number of groups. */
struct figures {
	const struct server *server;
	struct engine_stats stats;
	struct core_counters counters;
	uint64_t start_us, uptime_us;
	uint64_t clients, watchers, requests;
	uint64_t events, ring_events, ring_bytes;
	uint64_t groups;
	struct core_totals totals;
};

enum metric_type { GAUGE, COUNTER, HISTOGRAM };

static const char *const type_names[] = {"gauge", "counter", "histogram"};

/* The metrics of groups. */
enum { OF_NODES, OF_AVAILABLE, OF_DECLARED };
_Static_assert(OF_DECLARED + 1 == METRICS_OF_GROUPS, "each has its row");

struct metric {
	const char *name; /* without the suffix of its samples; it ends in the unit, where it has one */
	enum metric_type type;
	const char *unit; /* NULL: none */
	const char *help; /* a sentence; it needs no escapes */
	size_t figure;    /* where struct figures has the number, if one it is */
	void (*add)(struct buf *buf, const struct metric *metric, const struct figures *figures);
};

/* ---- samples ------------------------------------------------------------------------------- */

static void add_head(struct buf *buf, const struct metric *metric)
{
	buf_addf(buf, "# TYPE %s %s\n", metric->name, type_names[metric->type]);
	if (metric->unit != NULL)
		buf_addf(buf, "# UNIT %s %s\n", metric->name, metric->unit);
	buf_addf(buf, "# HELP %s %s\n", metric->name, metric->help);
}

/* A quote or a backslash in a value is escaped; no value has a line's end. */
static void add_label(struct buf *buf, char before, const char *label, const char *value)
{
	buf_addf(buf, "%c%s=\"", before, label);
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\')
			buf_add_char(buf, '\\');
		buf_add_char(buf, *value);
	}
	buf_add_char(buf, '"');
}

static void add_u64(struct buf *buf, uint64_t value)
{
	buf_add_char(buf, ' ');
	buf_add_u64(buf, value);
	buf_add_char(buf, '\n');
}

/* A sample with one label. */
static void add_labelled(struct buf *buf, const struct metric *metric, const char *label,
	const char *value, uint64_t number)
{
	buf_add_str(buf, metric->name);
	if (metric->type == COUNTER)
		buf_add_str(buf, "_total");
	add_label(buf, '{', label, value);
	buf_add_char(buf, '}');
	add_u64(buf, number);
}

static uint64_t figure_of(const struct metric *metric, const struct figures *figures)
{
	return *(const uint64_t *)(const void *)((const char *)figures + metric->figure);
}

/* Most metrics are one number. */
static void add_number(struct buf *buf, const struct metric *metric, const struct figures *figures)
{
	buf_add_str(buf, metric->name);
	if (metric->type == COUNTER)
		buf_add_str(buf, "_total");
	add_u64(buf, figure_of(metric, figures));
}

/* Microseconds as seconds, with no more digits than it takes, but one behind the point. */
static void add_seconds(struct buf *buf, uint64_t us)
{
	buf_addf(buf, "%llu.%06u", (unsigned long long)(us / 1000000), (unsigned)(us % 1000000));
	while (buf->data[buf->len - 1] == '0' && buf->data[buf->len - 2] != '.')
		buf->len--;
}

static void add_time(struct buf *buf, const struct metric *metric, const struct figures *figures)
{
	buf_addf(buf, "%s ", metric->name);
	add_seconds(buf, figure_of(metric, figures));
	buf_add_char(buf, '\n');
}

static void add_build(struct buf *buf, const struct metric *metric, const struct figures *figures)
{
	buf_add_str(buf, metric->name);
	add_label(buf, '{', "version", PACKAGE_VERSION);
	add_label(buf, ',', "driver", figures->server->config.driver);
	add_label(buf, ',', "store", figures->server->config.store);
	buf_add_char(buf, '}');
	add_u64(buf, 1);
}

static void add_errors(struct buf *buf, const struct metric *metric, const struct figures *figures)
{
	for (int code = 0; code < ERR_CODE_COUNT; code++)
		add_labelled(buf, metric, "code", err_code_name((enum err_code)code),
			figures->server->errors[code]);
}

static void add_plans(struct buf *buf, const struct metric *metric, const struct figures *figures)
{
	for (int reason = 0; reason < REASON_COUNT; reason++)
		add_labelled(buf, metric, "reason", reason_name((enum reason)reason),
			figures->counters.plans[reason]);
}

/* The states of a graph that is carried out. */
static void add_graphs(struct buf *buf, const struct metric *metric, const struct figures *figures)
{
	for (int state = GRAPH_RUNNING; state <= GRAPH_RUNNING_ERRORED; state++)
		add_labelled(buf, metric, "state", graph_state_name((enum graph_state)state),
			figures->totals.graphs[state]);
}

/* Buckets are cumulative here. */
static void add_latency(struct buf *buf, const struct metric *metric, const struct figures *figures)
{
	const struct latency *latency = &figures->stats.latency;
	uint64_t count = 0;

	for (int i = 0; i < LATENCY_BOUNDS; i++) {
		count += latency->counts[i];
		buf_addf(buf, "%s_bucket{le=\"", metric->name);
		add_seconds(buf, (uint64_t)latency_bounds_us[i]);
		buf_add_str(buf, "\"}");
		add_u64(buf, count);
	}
	count += latency->counts[LATENCY_BOUNDS];
	buf_addf(buf, "%s_bucket{le=\"+Inf\"}", metric->name);
	add_u64(buf, count);
	buf_addf(buf, "%s_sum ", metric->name);
	add_seconds(buf, latency->sum_us);
	buf_addf(buf, "\n%s_count", metric->name);
	add_u64(buf, count);
}

/* ---- the metrics --------------------------------------------------------------------------- */

#define FIGURE(name) offsetof(struct figures, name)

/* The type info would be right for the build, but the older text format does not know it. */
static const struct metric daemon_metrics[] = {
	{"imd_build_info", GAUGE, NULL, "What this daemon is, by its labels.", 0, add_build},
	{"imd_start_time_seconds", GAUGE, "seconds", "When the daemon began to listen, as Unix time.",
		FIGURE(start_us), add_time},
	{"imd_uptime_seconds", GAUGE, "seconds", "How long the daemon has been listening.",
		FIGURE(uptime_us), add_time},
	{"imd_clients", GAUGE, NULL, "Connections.", FIGURE(clients), add_number},
	{"imd_watchers", GAUGE, NULL, "Connections that watch.", FIGURE(watchers), add_number},
	{"imd_requests", COUNTER, NULL, "Requests, bad ones too.", FIGURE(requests), add_number},
	{"imd_errors", COUNTER, NULL, "Errors that clients were told, by code.", 0, add_errors},
	{"imd_events", COUNTER, NULL, "Events, also those before a restart that kept the state.",
		FIGURE(events), add_number},
	{"imd_ring_events", GAUGE, NULL, "Events that are kept for watchers.", FIGURE(ring_events),
		add_number},
	{"imd_ring_bytes", GAUGE, "bytes", "Memory of the events that are kept for watchers.",
		FIGURE(ring_bytes), add_number},
	{"imd_commits", COUNTER, NULL, "Commits that the store has made durable.",
		FIGURE(stats.commits), add_number},
	{"imd_commit_failures", COUNTER, NULL, "Commits that the store has failed to make.",
		FIGURE(stats.commits_failed), add_number},
	{"imd_commit_duration_seconds", HISTOGRAM, "seconds",
		"How long the store took until a commit was durable.", 0, add_latency},
	{"imd_groups", GAUGE, NULL, "Groups.", FIGURE(groups), add_number},
	{"imd_graphs", GAUGE, NULL, "Task graphs that are being carried out, by state.", 0,
		add_graphs},
	{"imd_tasks_in_flight", GAUGE, NULL, "Tasks that are in flight.", FIGURE(totals.in_flight),
		add_number},
	{"imd_plans", COUNTER, NULL,
		"Graphs that were planned and begun, by reason; kill and heal replace nodes.", 0,
		add_plans},
	{"imd_tasks_started", COUNTER, NULL, "Tasks that began.", FIGURE(counters.tasks_started),
		add_number},
	{"imd_tasks_succeeded", COUNTER, NULL, "Tasks that succeeded.",
		FIGURE(counters.tasks_succeeded), add_number},
	{"imd_tasks_failed", COUNTER, NULL, "Tasks that failed for good.",
		FIGURE(counters.tasks_failed), add_number},
	{"imd_tasks_retried", COUNTER, NULL, "Attempts at tasks that failed and were followed by others.",
		FIGURE(counters.tasks_retried), add_number},
	{"imd_tasks_cancelled", COUNTER, NULL, "Tasks that were cancelled, begun or not.",
		FIGURE(counters.tasks_cancelled), add_number},
	{"imd_nodes_started", COUNTER, NULL, "Nodes that came into being.",
		FIGURE(counters.nodes_started), add_number},
	{"imd_nodes_died", COUNTER, NULL,
		"Nodes that died or were killed; a start that failed is a failed task.",
		FIGURE(counters.nodes_died), add_number},
	{"imd_nodes_replaced", COUNTER, NULL,
		"Nodes that took the place of one that died, was killed or was stopped as unhealthy.",
		FIGURE(counters.nodes_replaced), add_number},
};

static const struct metric group_metrics[METRICS_OF_GROUPS] = {
	{.name = "imd_nodes", .type = GAUGE, .help = "Live nodes, by group and state."},
	{.name = "imd_nodes_available", .type = GAUGE,
		.help = "Nodes that have been running for min-ready, by group."},
	{.name = "imd_nodes_declared", .type = GAUGE,
		.help = "Nodes that the spec declares, by group."},
};

void metrics_daemon(struct buf *buf, const struct server *server)
{
	const struct core *core = engine_core(server->engine);
	struct figures figures = {
		.server = server,
		.stats = *engine_stats(server->engine),
		.start_us = (uint64_t)server->started_us,
		.uptime_us = (uint64_t)(engine_now(server->engine).mono_ms - server->started_ms) * 1000,
		.clients = server->clients,
		.watchers = server->watchers.count,
		.requests = server->requests,
		.events = server->ring.published,
		.ring_events = ring_events(&server->ring),
		.ring_bytes = ring_bytes(&server->ring),
		.groups = core->group_count,
		.counters = core->counters,
		.totals = core_totals(core),
	};

	for (size_t i = 0; i < sizeof daemon_metrics / sizeof daemon_metrics[0]; i++) {
		add_head(buf, &daemon_metrics[i]);
		daemon_metrics[i].add(buf, &daemon_metrics[i], &figures);
	}
}

void metrics_group_head(struct buf *buf, unsigned number)
{
	add_head(buf, &group_metrics[number]);
}

static void add_nodes(struct buf *buf, const struct metric *metric, const struct group *group)
{
	for (int state = NODE_STARTING; state <= NODE_SHUTTING_DOWN; state++) {
		buf_add_str(buf, metric->name);
		add_label(buf, '{', "group", group->name);
		add_label(buf, ',', "state", node_state_name((enum node_state)state));
		buf_add_char(buf, '}');
		add_u64(buf, group->states[state]);
	}
}

void metrics_group(struct buf *buf, unsigned number, const struct group *group)
{
	const struct metric *metric = &group_metrics[number];

	if (number == OF_NODES)
		add_nodes(buf, metric, group);
	else
		add_labelled(buf, metric, "group", group->name,
			number == OF_AVAILABLE ? group->available : group->spec.size);
}

void metrics_end(struct buf *buf)
{
	buf_add_str(buf, "# EOF\n");
}
