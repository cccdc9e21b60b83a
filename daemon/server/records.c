#include "records.h"

#include "proto/record.h"

enum { USAGE_SIZE = 512 };

static const struct id no_id;

/* An id of zeros is none, and its key is left out. */
static void add_id(struct buf *buf, const char *key, const struct id *id)
{
	if (!id_equal(id, &no_id))
		record_id(buf, key, id);
}

static void add_amount(struct buf *buf, const char *key, const struct amount *amount)
{
	record_u64(buf, key, amount->value);
	if (amount->percent)
		buf_add_char(buf, '%');
}

/* Nobody is none, and the keys are left out. */
static void add_origin(struct buf *buf, const char *uid, const char *user,
	const struct origin *origin)
{
	if (!origin_known(origin))
		return;
	record_u64(buf, uid, origin->uid);
	record_str(buf, user, origin->user);
}

static void add_duration(struct buf *buf, const char *key, uint64_t ms)
{
	char text[24];

	duration_format(ms, text);
	record_word(buf, key, text);
}

void records_spec(struct buf *buf, const char *group, const struct spec *spec)
{
	record_open(buf, "SPEC");
	record_word(buf, "group", group);
	record_u64(buf, "revision", spec->revision);
	record_u64(buf, "size", spec->size);
	record_u64(buf, "version", spec->version);
	add_amount(buf, "max-surge", &spec->policy.max_surge);
	add_amount(buf, "max-unavailable", &spec->policy.max_unavailable);
	record_u64(buf, "max-parallel", spec->policy.max_parallel);
	add_duration(buf, "min-ready", spec->policy.min_ready_ms);
	if (spec->revision > 0) {
		record_time(buf, "created", spec->created_us);
		add_origin(buf, "uid", "user", &spec->origin);
		record_word(buf, "reason", reason_name(spec->reason));
		record_str(buf, "note", spec->note);
	}
	record_close(buf);
}

/* `marker` may be NULL. */
static void add_node(struct buf *buf, const char *group, const struct node *node, const struct origin *marker)
{
	record_id(buf, "id", &node->id);
	record_word(buf, "group", group);
	record_u64(buf, "slot", node->slot);
	record_u64(buf, "version", node->version);
	record_word(buf, "state", node_state_name(node->state));
	record_u64(buf, "revision", node->revision);
	record_time(buf, "created", node->created_us);
	record_time(buf, "started", node->started_us);
	record_time(buf, "finished", node_live(node) ? 0 : node->finished_us);
	if (node->marked)
		record_word(buf, "marked", "yes");
	if (marker)
		add_origin(buf, "marked-uid", "marked-by", marker);
	record_str(buf, "error", node->error);
}

void records_node(struct buf *buf, const struct core *core, const struct node *node)
{
	record_open(buf, "NODE");
	add_node(buf, core->groups[node->group]->name, node, node_marker(&core->nodes, node));
	record_close(buf);
}

void records_graph(struct buf *buf, const char *group, const struct graph *graph)
{
	record_open(buf, "GRAPH");
	record_id(buf, "id", &graph->id);
	record_word(buf, "group", group);
	record_u64(buf, "revision", graph->revision);
	record_word(buf, "state", graph_state_name(graph->state));
	record_u64(buf, "tasks", graph->task_count);
	record_u64(buf, "waiting", graph->counts[TASK_WAITING]);
	record_u64(buf, "running", graph->counts[TASK_RUNNING]);
	record_u64(buf, "succeeded", graph->counts[TASK_SUCCEEDED]);
	record_u64(buf, "failed", graph->counts[TASK_FAILED]);
	record_u64(buf, "cancelled", graph->counts[TASK_CANCELLED]);
	record_word(buf, "reason", reason_name(graph->reason));
	add_origin(buf, "uid", "user", &graph->origin);
	record_time(buf, "created", graph->created_us);
	record_time(buf, "started", graph->started_us);
	record_time(buf, "finished", graph->finished_us);
	add_id(buf, "successor", &graph->successor);
	add_origin(buf, "cancelled-uid", "cancelled-by", &graph->canceller);
	record_str(buf, "error", graph->error);
	record_close(buf);
}

/* Appends prerequisites from the one at *at on, until the buffer has `limit` bytes. Returns
 * whether they are through. */
static bool add_prereqs(struct buf *buf, const struct graph *graph, uint32_t task, uint32_t *at,
	size_t limit)
{
	uint32_t count;
	const uint32_t *prereqs = graph_prereqs(graph, task, &count);

	for (; *at < count && buf->len < limit; ++*at) {
		if (*at == 0)
			buf_add_str(buf, " prereqs=");
		else
			buf_add_char(buf, ',');
		buf_add_u64(buf, prereqs[*at]);
	}
	return *at == count;
}

static void add_attempt(struct buf *buf, const struct task *task)
{
	if (task->attempt > 0)
		record_u64(buf, "attempt", task->attempt);
}

static void add_task_head(struct buf *buf, const struct graph *graph, uint32_t number)
{
	const struct task *task = &graph->tasks[number];

	record_open(buf, "TASK");
	record_id(buf, "graph", &graph->id);
	record_u64(buf, "id", number);
	record_word(buf, "action", task_action_name(task->action));
	if (!id_equal(&task->node, &no_id)) {
		record_id(buf, "node", &task->node);
		record_u64(buf, "slot", task->slot);
		record_u64(buf, "version", task->version);
	}
	record_word(buf, "description", task_description_name(task->description));
}

static void add_task_tail(struct buf *buf, const struct graph *graph, uint32_t number)
{
	const struct task *task = &graph->tasks[number];

	record_word(buf, "state", task_state_name(task->state));
	add_attempt(buf, task);
	record_time(buf, "started", task->started_us);
	record_time(buf, "finished", task->finished_us);
	record_str(buf, "error", graph_task_error(graph, number));
	if (task->state == TASK_WAITING || task->state == TASK_RUNNING)
		record_word(buf, "waits", task_gate_name(task));
	record_close(buf);
}

bool records_task(struct buf *buf, const struct graph *graph, uint32_t number,
	struct record_place *place, size_t limit)
{
	if (!place->open)
		add_task_head(buf, graph, number);
	place->open = !add_prereqs(buf, graph, number, &place->prereq, limit);
	if (place->open)
		return false;
	place->prereq = 0;
	add_task_tail(buf, graph, number);
	return true;
}

void records_stat(struct buf *buf, const char *name, uint64_t value)
{
	record_open(buf, "STAT");
	record_word(buf, "name", name);
	record_u64(buf, "value", value);
	record_close(buf);
}

void records_stat_text(struct buf *buf, const char *name, const char *value)
{
	record_open(buf, "STAT");
	record_word(buf, "name", name);
	record_str(buf, "value", value);
	record_close(buf);
}

void records_command(struct buf *buf, enum verb verb)
{
	char usage[USAGE_SIZE];

	verb_usage(verb, usage, sizeof usage);
	record_open(buf, "COMMAND");
	record_word(buf, "name", verb_row(verb)->name);
	record_str(buf, "usage", usage);
	record_str(buf, "help", verb_row(verb)->help);
	record_close(buf);
}

/* ---- events -------------------------------------------------------------------------------- */

static void add_node_event(struct buf *buf, const struct notice *notice)
{
	const struct node *node = notice->node;

	if (notice->type == EVENT_NODE_STARTED) {
		add_node(buf, notice->group->name, node, NULL); /* it is new, and not marked */
		return;
	}
	record_id(buf, "node", &node->id);
	record_word(buf, "group", notice->group->name);
	record_u64(buf, "slot", node->slot);
	record_word(buf, "state", node_state_name(node->state));
	record_time(buf, "at", notice->at_us);
	record_str(buf, "error", node->error);
}

static void add_graph_event(struct buf *buf, const struct notice *notice)
{
	const struct graph *graph = notice->graph;

	record_id(buf, "graph", &graph->id);
	record_word(buf, "group", notice->group->name);
	if (notice->type == EVENT_GRAPH_STARTED) {
		record_u64(buf, "revision", graph->revision);
		record_u64(buf, "tasks", graph->task_count);
		record_word(buf, "reason", reason_name(graph->reason));
		add_origin(buf, "uid", "user", &graph->origin);
	}
	record_word(buf, "state", graph_state_name(graph->state));
	record_time(buf, "at", notice->at_us);
	if (notice->type != EVENT_GRAPH_STARTED) {
		add_id(buf, "successor", &graph->successor);
		add_origin(buf, "cancelled-uid", "cancelled-by", &graph->canceller);
		record_str(buf, "error", graph->error);
	}
}

static void add_task_event(struct buf *buf, const struct notice *notice)
{
	const struct graph *graph = notice->graph;
	const struct task *task = &graph->tasks[notice->task];

	record_id(buf, "graph", &graph->id);
	record_u64(buf, "task", notice->task);
	record_word(buf, "action", task_action_name(task->action));
	add_id(buf, "node", &task->node);
	record_word(buf, "group", notice->group->name);
	record_word(buf, "state", task_state_name(task->state));
	add_attempt(buf, task);
	record_time(buf, "at", notice->at_us);
	record_str(buf, "error", graph_task_error(graph, notice->task));
}

void records_event(struct buf *buf, uint64_t seq, const struct notice *notice)
{
	buf_add(buf, "EVENT ", 6);
	buf_add_u64(buf, seq);
	buf_add_char(buf, ' ');
	buf_add_str(buf, event_type_name(notice->type));
	if (notice->node != NULL)
		add_node_event(buf, notice);
	else if (notice->task == TASK_NONE)
		add_graph_event(buf, notice);
	else
		add_task_event(buf, notice);
	record_close(buf);
}
