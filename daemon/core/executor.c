/* Graphs run: tasks become ready as what they wait for succeeds, begin as the bounds allow, and end.
 *
 * Per event the work is constant, but for the ends of graphs, which touch every task once: ready tasks
 * are in a queue, tasks that wait for a time have a timer, and a stop that the floor holds back waits
 * in a queue of its own until a node becomes available. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"
#include "proto/mem.h"

static void queue_push(struct graph *graph, struct task_queue *queue, uint32_t task,
	enum task_gate gate)
{
	graph->tasks[task].gate = (uint8_t)gate;
	graph->tasks[task].next = TASK_NONE;
	if (queue->head == TASK_NONE)
		queue->head = task;
	else
		graph->tasks[queue->tail].next = task;
	queue->tail = task;
}

void graph_task_ready(struct graph *graph, uint32_t task)
{
	queue_push(graph, &graph->ready, task, GATE_READY);
}

static uint32_t queue_pop(struct graph *graph, struct task_queue *queue)
{
	uint32_t task = queue->head;

	queue->head = graph->tasks[task].next;
	graph->tasks[task].gate = GATE_NONE;
	return task;
}

static void task_set_state(struct core *core, struct graph *graph, uint32_t task,
	enum task_state state)
{
	struct task *t = &graph->tasks[task];

	graph->counts[t->state]--;
	t->state = (uint8_t)state;
	graph->counts[state]++;
	change_task(core, graph, task);
}

static void task_set_error(struct graph *graph, uint32_t task, const char *error)
{
	struct task *t = &graph->tasks[task];

	if (!error)
		return;
	if (t->error == 0) {
		graph->errors = mem_realloc(graph->errors, graph->error_count + 1, sizeof(char *));
		graph->errors[graph->error_count] = NULL;
		t->error = ++graph->error_count;
	}
	free(graph->errors[t->error - 1]);
	graph->errors[t->error - 1] = mem_strdup(error);
}

static void task_begin_state(struct core *core, struct graph *graph, uint32_t task)
{
	struct task *t = &graph->tasks[task];

	task_set_state(core, graph, task, TASK_RUNNING);
	t->gate = GATE_NONE;
	t->attempt = 1;
	t->started_us = core->now.wall_us;
	core->counters.tasks_started++;
	notice_task(core, EVENT_TASK_STARTED, graph, task);
}

/* Hands a node to a task: one task in flight a node. */
static void task_take_node(struct core *core, struct graph *graph, uint32_t task, uint32_t ref,
	enum node_op op)
{
	struct node *node = node_at(&core->nodes, ref);

	assert(node->graph == GRAPH_NONE && node->op == OP_NONE);
	node->graph = graph->index;
	node->task = task;
	node->op = (uint8_t)op;
	change_node(core, ref);
	graph_group(core, graph)->in_flight++;
	action_add(core, op == OP_START ? DO_START : DO_STOP, ref);
}

/* Whether stopping the task's node would leave too few available ones. */
static bool floor_holds(const struct core *core, const struct graph *graph, uint32_t task)
{
	const struct group *group = graph_group(core, graph);
	const struct node *node = core_node_find(core, &graph->tasks[task].node);

	return node->available && group->available <= graph->min_available;
}

/* What follows a task is begun when it has ended: its node's place is fetched meanwhile. */
static void fetch_dependent(const struct core *core, const struct graph *graph, uint32_t task)
{
	uint32_t count;
	const uint32_t *dependents = graph_dependents(graph, task, &count);

	if (count > 0)
		id_index_prefetch(&core->node_ids, &graph->tasks[dependents[0]].node);
}

static void task_begin(struct core *core, struct graph *graph, uint32_t task)
{
	struct task *t = &graph->tasks[task];
	struct group *group = graph_group(core, graph);
	uint32_t ref;

	fetch_dependent(core, graph, task);
	task_begin_state(core, graph, task);
	switch ((enum task_action)t->action) {
	case ACTION_START_NODE:
		ref = node_create(core, group, t, graph->revision);
		task_take_node(core, graph, task, ref, OP_START);
		break;
	case ACTION_SHUT_DOWN_NODE:
		ref = node_ref(core, &t->node);
		assert(ref != NODE_NONE && node_live(node_at(&core->nodes, ref)));
		assert(!floor_holds(core, graph, task));
		if (node_at(&core->nodes, ref)->state == NODE_UNHEALTHY)
			loss_begin(core, ref);
		node_set_state(core, ref, NODE_SHUTTING_DOWN, NULL);
		task_take_node(core, graph, task, ref, OP_STOP);
		break;
	case ACTION_DO_NOTHING:
		task_end(core, graph, task, TASK_SUCCEEDED, NULL);
		break;
	case TASK_ACTION_COUNT:
		assert(false);
	}
}

static void task_release_dependents(struct core *core, struct graph *graph, uint32_t task)
{
	uint32_t count;
	const uint32_t *dependents = graph_dependents(graph, task, &count);

	for (uint32_t i = 0; i < count; i++) {
		struct task *t = &graph->tasks[dependents[i]];

		if (t->state == TASK_WAITING && --t->pending == 0)
			graph_task_ready(graph, dependents[i]);
	}
	if (count > 0)
		core_group_runnable(core, graph_group(core, graph));
}

static void graph_fail(struct core *core, struct graph *graph, uint32_t task);

void task_end(struct core *core, struct graph *graph, uint32_t task, enum task_state state,
	const char *error)
{
	static const enum event_type types[TASK_STATE_COUNT] = {
		[TASK_FAILED] = EVENT_TASK_FAILED,
		[TASK_SUCCEEDED] = EVENT_TASK_SUCCEEDED,
		[TASK_CANCELLED] = EVENT_TASK_CANCELLED,
	};
	struct task *t = &graph->tasks[task];

	assert(t->state == TASK_WAITING || t->state == TASK_RUNNING);
	task_set_state(core, graph, task, state);
	t->gate = GATE_NONE;
	t->finished_us = core->now.wall_us;
	task_set_error(graph, task, error);
	notice_task(core, types[state], graph, task);
	switch (state) {
	case TASK_SUCCEEDED:
		core->counters.tasks_succeeded++;
		if (graph->state == GRAPH_RUNNING)
			task_release_dependents(core, graph, task);
		break;
	case TASK_FAILED:
		core->counters.tasks_failed++;
		if (graph->state == GRAPH_RUNNING)
			graph_fail(core, graph, task);
		break;
	default:
		core->counters.tasks_cancelled++;
	}
	graph_check_end(core, graph);
}

/* Retries. */

static uint64_t retry_delay_ms(struct core *core, uint32_t attempt)
{
	uint64_t delay = core->config.retry_delay_ms, max = core->config.retry_max_ms;

	for (uint32_t i = 1; i < attempt && delay < max; i++)
		delay *= 2;
	core->jitter = core->jitter * 6364136223846793005 + 1442695040888963407;
	delay += (core->jitter >> 33) % (delay / 4 + 1);
	return delay < max ? delay : max;
}

static void task_sleep(struct core *core, struct graph *graph, uint32_t task, enum task_gate gate,
	int64_t deadline_ms)
{
	struct task *t = &graph->tasks[task];

	t->gate = (uint8_t)gate;
	t->timer = timers_add(&core->timers, (struct timer){.deadline_ms = deadline_ms,
		.kind = TIMER_TASK, .a = graph->index, .b = task});
	change_task(core, graph, task);
}

/* Whether a task whose attempt failed has another one: while its graph runs, and then as long as the
 * graph that came after it waits for the node with a Settle. That has attempts of its own, and the one that
 * was in flight when it was planned is not one of them. */
static bool attempts_left(const struct core *core, const struct graph *graph, uint32_t task)
{
	const struct node *node = core_node_find(core, &graph->tasks[task].node);
	const struct graph *active = graph_group(core, graph)->active;

	if (graph->state == GRAPH_RUNNING)
		return graph->tasks[task].attempt <= core->config.retries;
	if (node->settle == TASK_NONE || active->state != GRAPH_RUNNING)
		return false;
	return active->tasks[node->settle].attempt <= core->config.retries + 1;
}

bool task_retry(struct core *core, struct graph *graph, uint32_t task, const char *error)
{
	struct task *t = &graph->tasks[task];

	if (!attempts_left(core, graph, task))
		return false;
	task_set_error(graph, task, error);
	core->counters.tasks_retried++;
	task_sleep(core, graph, task, GATE_RETRY,
		core->now.mono_ms + (int64_t)retry_delay_ms(core, t->attempt));
	notice_task(core, EVENT_TASK_RETRYING, graph, task);
	return true;
}

static void task_again(struct core *core, struct graph *graph, uint32_t task)
{
	struct task *t = &graph->tasks[task];
	uint32_t ref = node_ref(core, &t->node);
	struct node *node = node_at(&core->nodes, ref);
	struct graph *active = graph_group(core, graph)->active;
	bool start = t->action == ACTION_START_NODE;

	t->attempt++;
	if (node->settle != TASK_NONE) {
		active->tasks[node->settle].attempt++;
		change_task(core, active, node->settle);
	}
	node->op = start ? OP_START : OP_STOP;
	change_task(core, graph, task);
	change_node(core, ref);
	notice_task(core, EVENT_TASK_STARTED, graph, task);
	action_add(core, start ? DO_START : DO_STOP, ref);
}

void task_timer(struct core *core, struct graph *graph, uint32_t task)
{
	struct task *t = &graph->tasks[task];
	enum task_gate gate = t->gate;

	t->gate = GATE_NONE;
	switch (gate) {
	case GATE_BACKOFF:
		graph_task_ready(graph, task);
		core_group_runnable(core, graph_group(core, graph));
		break;
	case GATE_RETRY:
		task_again(core, graph, task);
		break;
	default:
		assert(false);
	}
}

/* Dispatch. */

static bool parallel_holds(const struct group *group)
{
	uint32_t limit = group->spec.policy.max_parallel;

	return limit && group->in_flight >= limit;
}

/* Whether a ready task may begin now; where not, it is put where it waits. */
static bool task_may_begin(struct core *core, struct graph *graph, uint32_t task)
{
	const struct task *t = &graph->tasks[task];
	struct group *group = graph_group(core, graph);

	if (t->action == ACTION_SHUT_DOWN_NODE && floor_holds(core, graph, task)) {
		queue_push(graph, &graph->floor, task, GATE_FLOOR);
		return false;
	}
	if (t->action == ACTION_START_NODE) {
		int64_t not_before_ms = group_slot(group, t->slot)->not_before_ms;

		if (not_before_ms > core->now.mono_ms) {
			task_sleep(core, graph, task, GATE_BACKOFF, not_before_ms);
			return false;
		}
	}
	return true;
}

/* The queue from which the next task can be taken, NULL where there is none. */
static struct task_queue *next_queue(const struct core *core, const struct group *group)
{
	struct graph *graph = group->active;
	bool full = parallel_holds(group);

	if (!graph || graph->state != GRAPH_RUNNING || group->inspections > 0)
		return NULL;
	if (graph->floor.head != TASK_NONE && !full && !floor_holds(core, graph, graph->floor.head))
		return &graph->floor;
	if (graph->ready.head != TASK_NONE &&
		(!full || graph->tasks[graph->ready.head].action == ACTION_DO_NOTHING))
		return &graph->ready;
	return NULL;
}

bool group_can_dispatch(const struct core *core, const struct group *group)
{
	return next_queue(core, group) != NULL;
}

uint32_t group_dispatch(struct core *core, struct group *group, uint32_t budget)
{
	struct task_queue *queue;
	uint32_t taken = 0;

	while (taken < budget && (queue = next_queue(core, group)) != NULL) {
		struct graph *graph = group->active;
		uint32_t task = queue_pop(graph, queue);

		if (queue->head != TASK_NONE)
			id_index_prefetch(&core->node_ids, &graph->tasks[queue->head].node);
		taken++;
		if (task_may_begin(core, graph, task))
			task_begin(core, graph, task);
	}
	return taken;
}

/* Graphs begin and end. */

static void graph_start_settles(struct core *core, struct graph *graph, uint32_t task)
{
	uint32_t ref = node_ref(core, &graph->tasks[task].node);

	task_begin_state(core, graph, task);
	graph->tasks[task].gate = GATE_SETTLE;
	node_at(&core->nodes, ref)->settle = task;
}

void graph_start(struct core *core, struct graph *graph)
{
	graph->state = GRAPH_RUNNING;
	graph->started_us = core->now.wall_us;
	graph->ready.head = graph->floor.head = TASK_NONE;
	graph->failed_task = TASK_NONE;
	change_graph(core, graph);
	notice_graph(core, EVENT_GRAPH_STARTED, graph);
	for (uint32_t t = 0; t < graph->task_count; t++) {
		struct task *task = &graph->tasks[t];

		if (task->description == DESCRIPTION_SETTLE)
			graph_start_settles(core, graph, t);
		else if (task->pending == 0)
			graph_task_ready(graph, t);
	}
	core_group_runnable(core, graph_group(core, graph));
	graph_check_end(core, graph);
}

static void graph_end(struct core *core, struct graph *graph, enum event_type type)
{
	struct group *group = graph_group(core, graph);

	graph->finished_us = core->now.wall_us;
	group->ended_graphs++;
	group->ended_tasks += graph->task_count;
	if (group->active == graph)
		group_set_active(core, group, NULL);
	if (!group->active)
		group_update_peak(core, group);
	if (graph->state == GRAPH_SUCCEEDED)
		losses_forget(group);
	change_graph(core, graph);
	notice_graph(core, type, graph);
	heal_graph_ended(core, group, graph);
	core_graph_prune(core, group);
}

void graph_check_end(struct core *core, struct graph *graph)
{
	struct group *group = graph_group(core, graph);

	if (graph->finished_us || graph->counts[TASK_WAITING] || graph->counts[TASK_RUNNING])
		return;
	if (group->active == graph && group->replan >= 0)
		return; /* it is about to be superseded: it has not reached its end */
	switch (graph->state) {
	case GRAPH_RUNNING:
		graph->state = GRAPH_SUCCEEDED;
		graph_end(core, graph, EVENT_GRAPH_SUCCEEDED);
		break;
	case GRAPH_RUNNING_ERRORED:
		graph->state = GRAPH_FAILED;
		graph_end(core, graph, EVENT_GRAPH_FAILED);
		break;
	case GRAPH_SUPERSEDED:
		graph_end(core, graph, EVENT_GRAPH_SUPERSEDED);
		break;
	case GRAPH_CANCELLED:
		graph_end(core, graph, EVENT_GRAPH_CANCELLED);
		break;
	default:
		assert(false);
	}
}

/* A node that was to be tried again will not be: its task ends in this state. */
static void node_give_up(struct core *core, uint32_t ref, enum task_state state)
{
	struct node *node = node_at(&core->nodes, ref);
	struct graph *graph = core->graphs[node->graph];
	struct task *t = &graph->tasks[node->task];
	const char *error = graph_task_error(graph, node->task);
	bool starting = node->state == NODE_STARTING;
	char text[LIMIT_ERROR_TEXT];

	assert(t->gate == GATE_RETRY);
	timers_cancel(&core->timers, t->timer);
	t->gate = GATE_NONE;
	snprintf(text, sizeof text, "%s", error ? error : "");
	if (starting)
		node_close(core, ref, NODE_FAILED, text);
	else
		node_set_state(core, ref, NODE_UNHEALTHY, text);
	node_task_end(core, ref, state, NULL);
	node_settled(core, ref, SETTLED_FAILED, text);
	if (starting)
		node_bury(core, ref);
}

static bool node_retries(const struct core *core, const struct node *node)
{
	return node->graph != GRAPH_NONE &&
		core->graphs[node->graph]->tasks[node->task].gate == GATE_RETRY;
}

void group_give_up_retries(struct core *core, struct group *group)
{
	for (uint32_t i = 0; i < group->slots_used; i++) {
		uint32_t ref = group->slots[i].node;

		if (ref != NODE_NONE && node_retries(core, node_at(&core->nodes, ref)))
			node_give_up(core, ref, TASK_CANCELLED);
	}
}

/* A graph that has failed still waits for what is in flight, but not for another attempt. */
static void settle_drop(struct core *core, struct graph *graph, uint32_t task, bool keep)
{
	uint32_t ref = node_ref(core, &graph->tasks[task].node);
	struct node *node = node_at(&core->nodes, ref);

	if (!keep) {
		node->settle = TASK_NONE;
		task_end(core, graph, task, TASK_CANCELLED, NULL);
	} else if (node_retries(core, node)) {
		node_give_up(core, ref, TASK_CANCELLED);
	}
}

/* Ends one task of a graph that goes on no further, unless it is in flight. */
static void task_drop(struct core *core, struct graph *graph, uint32_t task, bool keep_settles)
{
	struct task *t = &graph->tasks[task];
	bool errored = graph->state == GRAPH_RUNNING_ERRORED;

	if (t->state == TASK_WAITING) {
		if (t->gate == GATE_BACKOFF)
			timers_cancel(&core->timers, t->timer);
		task_end(core, graph, task, TASK_CANCELLED, NULL);
	} else if (t->state != TASK_RUNNING) {
		return;
	} else if (t->gate == GATE_RETRY) {
		node_give_up(core, node_ref(core, &t->node), errored ? TASK_FAILED : TASK_CANCELLED);
	} else if (t->gate == GATE_SETTLE) {
		settle_drop(core, graph, task, keep_settles);
	}
}

/* While the tasks are dropped the graph must not end under the loop, so one task more is counted. */
static void graph_drop_tasks(struct core *core, struct graph *graph, bool keep_settles)
{
	graph->ready.head = graph->floor.head = TASK_NONE;
	if (graph->dropped_us == 0)
		graph->dropped_us = core->now.wall_us;
	graph->counts[TASK_RUNNING]++;
	for (uint32_t t = 0; t < graph->task_count; t++)
		task_drop(core, graph, t, keep_settles);
	graph->counts[TASK_RUNNING]--;
}

void graph_stop(struct core *core, struct graph *graph, enum graph_state state)
{
	struct group *group = graph_group(core, graph);

	graph->state = state;
	change_graph(core, graph);
	if (group->active == graph)
		group_set_active(core, group, NULL);
	graph_drop_tasks(core, graph, false);
	graph_check_end(core, graph);
}

static void graph_fail(struct core *core, struct graph *graph, uint32_t task)
{
	const struct task *t = &graph->tasks[task];
	const char *why = graph_task_error(graph, task);
	const char *what = t->description == DESCRIPTION_SETTLE
		? task_description_name(t->description) : task_action_name(t->action);
	char text[LIMIT_ERROR_TEXT], id[ID_TEXT_LEN + 1];

	id_format_z(&t->node, id);
	snprintf(text, sizeof text, "task %u, %s %s in slot %u, failed at attempt %u: %s", task, what,
		id, t->slot, t->attempt, why ? why : "no reason given");
	graph->state = GRAPH_RUNNING_ERRORED;
	graph->failed_task = task;
	graph->error = mem_strdup(text);
	change_graph(core, graph);
	graph_drop_tasks(core, graph, true);
}
