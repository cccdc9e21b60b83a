/* What the driver tells: that it has done what it was asked, or not; how nodes are; that one is gone.
 *
 * A report that does not answer what the node was asked last is ignored: the node may have been killed,
 * or may be gone, since. */
#include <assert.h>
#include <stdio.h>

#include "internal.h"

void node_task_end(struct core *core, uint32_t ref, enum task_state state, const char *error)
{
	struct node *node = node_at(&core->nodes, ref);
	struct graph *graph;
	uint32_t task = node->task;

	if (node->graph == GRAPH_NONE)
		return;
	graph = core->graphs[node->graph];
	if (state == TASK_SUCCEEDED && graph->tasks[task].action == ACTION_START_NODE)
		graph->tasks[task].replaces = loss_made_up(core, ref);
	node->graph = GRAPH_NONE;
	node->task = TASK_NONE;
	graph_group(core, graph)->in_flight--;
	core_group_runnable(core, graph_group(core, graph)); /* max-parallel may have held others */
	change_node(core, ref);
	task_end(core, graph, task, state, error);
}

void node_settled(struct core *core, uint32_t ref, enum settled settled, const char *error)
{
	static const enum task_state states[] = {
		[SETTLED_AS_PLANNED] = TASK_SUCCEEDED,
		[SETTLED_OTHERWISE] = TASK_CANCELLED,
		[SETTLED_FAILED] = TASK_FAILED,
	};
	struct node *node = node_at(&core->nodes, ref);
	struct group *group = core->groups[node->group];
	uint32_t settle = node->settle;

	if (settle == TASK_NONE)
		return;
	if (settled == SETTLED_OTHERWISE)
		group_replan_due(core, group, REASON_SETTLE, NULL);
	node->settle = TASK_NONE;
	task_end(core, group->active, settle, states[settled],
		settled == SETTLED_FAILED ? error : NULL);
}

void node_over(struct core *core, uint32_t ref, const struct node_outcome *outcome)
{
	node_close(core, ref, outcome->state, outcome->error);
	node_task_end(core, ref, outcome->task_state, outcome->task_error);
	node_settled(core, ref, outcome->settled, outcome->error);
	node_bury(core, ref);
}

static struct graph *node_graph(const struct core *core, const struct node *node)
{
	return node->graph == GRAPH_NONE ? NULL : core->graphs[node->graph];
}

static int64_t node_ready_ms(const struct core *core, const struct node *node)
{
	return node->running_ms + (int64_t)core->groups[node->group]->spec.policy.min_ready_ms;
}

void node_becomes_available(struct core *core, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);

	assert(node->state == NODE_RUNNING && node_ready_ms(core, node) <= core->now.mono_ms);
	node_disarm_ready(core, node);
	node_set_available(core, ref, true);
	node_task_end(core, ref, TASK_SUCCEEDED, NULL);
	node_settled(core, ref, SETTLED_AS_PLANNED, NULL);
}

static void start_succeeded(struct core *core, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);
	bool wanted = node->op == OP_START;

	node->op = OP_NONE;
	node_set_state(core, ref, NODE_RUNNING, NULL);
	if (!wanted) { /* it was to be cancelled, but was quicker */
		node_task_end(core, ref, TASK_SUCCEEDED, NULL);
		node_settled(core, ref, SETTLED_OTHERWISE, NULL);
	} else {
		node_graph(core, node)->tasks[node->task].gate = GATE_MIN_READY;
		change_task(core, node_graph(core, node), node->task);
	}
	node_watch_ready(core, ref);
}

static void start_failed(struct core *core, uint32_t ref, const char *text)
{
	struct node *node = node_at(&core->nodes, ref);
	bool wanted = node->op == OP_START;

	node->op = OP_NONE;
	change_node(core, ref);
	if (wanted && task_retry(core, node_graph(core, node), node->task, text))
		return;
	node_over(core, ref, &(struct node_outcome){.state = NODE_FAILED, .error = text,
		.settled = wanted ? SETTLED_FAILED : SETTLED_AS_PLANNED, .task_state = TASK_FAILED, .task_error = text});
}

static void start_cancelled(struct core *core, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);

	if (node->op != OP_CANCEL) {
		start_failed(core, ref, "the driver cancelled it");
		return;
	}
	node_over(core, ref, &(struct node_outcome){.state = NODE_SHUT_DOWN,
		.settled = SETTLED_AS_PLANNED, .task_state = TASK_CANCELLED});
}

/* The node was to end, and did not. */
static void end_failed(struct core *core, uint32_t ref, enum settled settled, const char *text)
{
	node_set_state(core, ref, NODE_UNHEALTHY, text);
	node_task_end(core, ref, TASK_FAILED, text);
	node_settled(core, ref, settled, text);
}

static void stop_done(struct core *core, uint32_t ref, bool ok, const char *text)
{
	struct node *node = node_at(&core->nodes, ref);

	node->op = OP_NONE;
	change_node(core, ref);
	if (!ok && task_retry(core, node_graph(core, node), node->task, text))
		return;
	if (ok)
		node_over(core, ref, &(struct node_outcome){.state = NODE_SHUT_DOWN,
			.settled = SETTLED_AS_PLANNED, .task_state = TASK_SUCCEEDED});
	else
		end_failed(core, ref, SETTLED_FAILED, text);
}

static void kill_done(struct core *core, uint32_t ref, bool ok, const char *text)
{
	struct node *node = node_at(&core->nodes, ref);

	node->op = OP_NONE;
	change_node(core, ref);
	if (!ok) { /* it is left to a new plan to stop it in the usual way */
		end_failed(core, ref, SETTLED_OTHERWISE, text);
		return;
	}
	heal_count_loss(core, ref);
	loss_count_death(core, ref);
	node_over(core, ref, &(struct node_outcome){.state = NODE_FAILED, .error = node->error,
		.settled = SETTLED_AS_PLANNED, .task_state = TASK_SUCCEEDED});
}

/* A node that runs, but whose start task still waits for min-ready, has not proven itself. */
static void drop_min_ready(struct core *core, uint32_t ref, const char *text)
{
	char why[LIMIT_ERROR_TEXT];

	snprintf(why, sizeof why, "not available after min-ready: %s", text ? text : "it ended");
	node_task_end(core, ref, TASK_FAILED, why);
	node_settled(core, ref, SETTLED_FAILED, why);
}

void node_watch_ready(struct core *core, uint32_t ref)
{
	int64_t ready_ms = node_ready_ms(core, node_at(&core->nodes, ref));

	if (ready_ms <= core->now.mono_ms)
		node_becomes_available(core, ref);
	else
		node_arm_ready(core, ref, ready_ms);
}

static void node_recovered(struct core *core, uint32_t ref)
{
	node_set_state(core, ref, NODE_RUNNING, NULL);
	node_watch_ready(core, ref);
}

int step_health(struct core *core, struct core_event *event, struct error *error)
{
	uint32_t ref = node_ref(core, &event->id);
	struct node *node;

	(void)error;
	if (ref == NODE_NONE)
		return 0;
	node = node_at(&core->nodes, ref);
	if (node->op != OP_NONE)
		return 0;
	if (event->healthy && node->state == NODE_UNHEALTHY) {
		node_recovered(core, ref);
	} else if (!event->healthy && node->state == NODE_RUNNING) {
		node_set_state(core, ref, NODE_UNHEALTHY, event->text);
		if (node->graph != GRAPH_NONE) {
			drop_min_ready(core, ref, event->text);
		} else {
			node_settled(core, ref, SETTLED_OTHERWISE, NULL);
			heal_unhealthy(core, ref);
		}
	}
	return 0;
}

/* Between two attempts to stop it: that is what was wanted. */
static void stopped_by_itself(struct core *core, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);
	struct task *task = &node_graph(core, node)->tasks[node->task];

	timers_cancel(&core->timers, task->timer);
	task->gate = GATE_NONE;
	stop_done(core, ref, true, NULL);
}

int step_exited(struct core *core, struct core_event *event, struct error *error)
{
	uint32_t ref = node_ref(core, &event->id);
	const char *text = event->text ? event->text : "it exited";
	struct node *node;

	(void)error;
	if (ref == NODE_NONE)
		return 0;
	node = node_at(&core->nodes, ref);
	if (node->op == OP_NONE && node->state == NODE_SHUTTING_DOWN) {
		stopped_by_itself(core, ref);
		return 0;
	}
	if (node->op != OP_NONE || (node->state != NODE_RUNNING && node->state != NODE_UNHEALTHY))
		return 0;
	loss_begin(core, ref);
	loss_count_death(core, ref);
	if (node->graph == GRAPH_NONE) {
		heal_count_loss(core, ref);
		group_replan_due(core, core->groups[node->group], REASON_HEAL, NULL);
	}
	node_close(core, ref, NODE_FAILED, text);
	if (node->graph != GRAPH_NONE)
		drop_min_ready(core, ref, text);
	else
		node_settled(core, ref, SETTLED_OTHERWISE, NULL);
	node_bury(core, ref);
	return 0;
}

int step_done(struct core *core, struct core_event *event, struct error *error)
{
	uint32_t ref = node_ref(core, &event->id);
	struct node *node;
	bool ok = event->done.result == RESULT_OK;

	(void)error;
	if (ref == NODE_NONE)
		return 0;
	node = node_at(&core->nodes, ref);
	if (event->done.op == OP_START && (node->op == OP_START || node->op == OP_CANCEL)) {
		if (ok)
			start_succeeded(core, ref);
		else if (event->done.result == RESULT_CANCELLED)
			start_cancelled(core, ref);
		else
			start_failed(core, ref, event->text);
	} else if (event->done.op == OP_STOP && node->op == OP_STOP) {
		stop_done(core, ref, ok, event->text);
	} else if (event->done.op == OP_KILL && node->op == OP_KILL) {
		kill_done(core, ref, ok, event->text);
	} else if (event->done.op != OP_START && ok) {
		/* Nobody waits for it, as when a kill failed that had been called once more meanwhile; but it is gone. */
		return step_exited(core, &(struct core_event){.id = event->id, .text = "it has ended"}, error);
	}
	return 0;
}

/* The driver's answer after a restart, to what is stored of the node. */

static void inspected_absent(struct core *core, uint32_t ref)
{
	struct node *node = node_at(&core->nodes, ref);
	struct core_event gone = {.kind = CORE_EXITED, .id = node->id,
		.text = "it was gone when imd came back"};

	switch ((enum node_op)node->op) {
	case OP_START:
		action_add(core, DO_START, ref);
		break;
	case OP_CANCEL:
		start_cancelled(core, ref);
		break;
	case OP_STOP:
		stop_done(core, ref, true, NULL);
		break;
	case OP_KILL:
		kill_done(core, ref, true, NULL);
		break;
	case OP_NONE:
		step_exited(core, &gone, NULL);
		break;
	}
}

static void inspected_running(struct core *core, uint32_t ref, bool healthy)
{
	struct node *node = node_at(&core->nodes, ref);
	struct core_event health = {.kind = CORE_HEALTH, .id = node->id, .healthy = healthy,
		.text = healthy ? NULL : "it was unhealthy when imd came back"};

	switch ((enum node_op)node->op) {
	case OP_START:
	case OP_CANCEL:
		start_succeeded(core, ref);
		break;
	case OP_STOP:
		action_add(core, DO_STOP, ref);
		return;
	case OP_KILL:
		action_add(core, DO_KILL, ref);
		return;
	case OP_NONE:
		break;
	}
	step_health(core, &health, NULL);
}

/* What is under way will be answered, but it may be what was asked before this. A start or a stop is what was asked
 * last, and is not asked again: its answer may be on its way, and would be taken for that of the second call. */
static void inspected_busy(struct core *core, uint32_t ref)
{
	enum node_op op = node_at(&core->nodes, ref)->op;

	if (op == OP_CANCEL)
		action_add(core, DO_CANCEL, ref);
	else if (op == OP_KILL)
		action_add(core, DO_KILL, ref);
}

int step_inspected(struct core *core, struct core_event *event, struct error *error)
{
	uint32_t ref = node_ref(core, &event->id);
	struct node *node;

	(void)error;
	if (ref == NODE_NONE)
		return 0;
	node = node_at(&core->nodes, ref);
	if (!node->inspecting || !node_live(node))
		return 0; /* overtaken by something else that was asked: that is answered too */
	node_inspected(core, node);
	if (event->found == FOUND_ABSENT)
		inspected_absent(core, ref);
	else if (event->found == FOUND_BUSY)
		inspected_busy(core, ref);
	else
		inspected_running(core, ref, event->found == FOUND_RUNNING);
	return 0;
}
