/* What a watcher of everything would believe: built from the published events alone. Every event must
 * fit the state diagrams, and whenever the engine is clean the model must be as the core is. */
#include <stdlib.h>

#include "proto/mem.h"
#include "sim.h"

static void *list_grow(void *items, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return items;
	*capacity = *capacity ? *capacity * 2 : 16;
	return mem_realloc(items, *capacity, size);
}

void model_notice(struct sim *sim, const struct notice *notice)
{
	const struct id none = {{0}};
	struct event_list *list = &sim->noticed;
	struct sim_event *event;

	list->items = list_grow(list->items, list->count, &list->capacity, sizeof *list->items);
	event = &list->items[list->count++];
	*event = (struct sim_event){.seq = ++sim->event_seq, .type = notice->type,
		.group = notice->group->index};
	if (notice->node) {
		event->node = notice->node->id;
		event->node_state = notice->node->state;
	}
	if (notice->graph) {
		event->graph = notice->graph->id;
		event->revision = notice->graph->revision;
		event->task_count = notice->graph->task_count;
		event->graph_state = (uint8_t)notice->graph->state;
		event->has_successor = !id_equal(&notice->graph->successor, &none);
	}
	if (notice->task != TASK_NONE) {
		event->task = notice->task;
		event->node = notice->graph->tasks[notice->task].node;
		event->task_state = notice->graph->tasks[notice->task].state;
		event->attempt = notice->graph->tasks[notice->task].attempt;
	}
	losses_notice(event, notice);
	if (notice->type == EVENT_TASK_STARTED)
		check_task_started(sim, notice);
	sim_trace(sim, &event->type, sizeof event->type);
	sim_trace(sim, &event->node, sizeof event->node);
	sim_trace(sim, &event->task, sizeof event->task);
	sim_trace(sim, &sim->mono_ms, sizeof sim->mono_ms);
}

struct model_graph *model_graph(const struct model *model, const struct id *id)
{
	for (size_t i = model->graph_count; i-- > 0;)
		if (id_equal(&model->graphs[i].id, id))
			return &model->graphs[i];
	return NULL;
}

struct model_node *model_node(const struct model *model, const struct id *id)
{
	for (size_t i = model->node_count; i-- > 0;)
		if (id_equal(&model->nodes[i].id, id))
			return &model->nodes[i];
	return NULL;
}

static void wrong(const struct sim *sim, const struct sim_event *event, const char *what)
{
	sim_fail(sim, "event %llu %s (node %s, graph %s, task %u): %s",
		(unsigned long long)event->seq, event_type_name(event->type), sim_id(&event->node),
		sim_id(&event->graph), event->task, what);
}

/* Nodes. */

static bool node_may_become(enum node_state from, enum node_state to)
{
	switch (from) {
	case NODE_STARTING:
		return to == NODE_RUNNING || to == NODE_SHUTTING_DOWN || to == NODE_SHUT_DOWN ||
			to == NODE_FAILED;
	case NODE_RUNNING:
		return to == NODE_UNHEALTHY || to == NODE_SHUTTING_DOWN || to == NODE_FAILED;
	case NODE_UNHEALTHY:
		return to == NODE_RUNNING || to == NODE_SHUTTING_DOWN || to == NODE_FAILED;
	case NODE_SHUTTING_DOWN:
		return to == NODE_UNHEALTHY || to == NODE_SHUT_DOWN || to == NODE_FAILED;
	default:
		return false;
	}
}

static void apply_node(struct sim *sim, const struct sim_event *event)
{
	struct model *model = &sim->model;
	struct model_node *node = model_node(model, &event->node);

	if (event->type == EVENT_NODE_STARTED) {
		if (node || event->node_state != NODE_STARTING)
			wrong(sim, event, "the node is there already, or does not begin as starting");
		model->nodes = list_grow(model->nodes, model->node_count, &model->node_capacity,
			sizeof *model->nodes);
		model->nodes[model->node_count++] = (struct model_node){event->node, NODE_STARTING, false};
		return;
	}
	if (!node || !node_may_become(node->state, event->node_state))
		wrong(sim, event, "the node is not known, or cannot become that");
	losses_tell_node(sim, node, event);
	node->state = event->node_state;
	floor_node_state(sim, &event->node);
}

/* Graphs. */

static void apply_graph_started(struct sim *sim, const struct sim_event *event)
{
	struct model *model = &sim->model;
	struct model_graph *graph;

	if (model_graph(model, &event->graph) || event->graph_state != GRAPH_RUNNING)
		wrong(sim, event, "the graph is there already, or does not begin as running");
	model->graphs = list_grow(model->graphs, model->graph_count, &model->graph_capacity,
		sizeof *model->graphs);
	graph = &model->graphs[model->graph_count++];
	*graph = (struct model_graph){.id = event->graph, .revision = event->revision,
		.group = event->group, .task_count = event->task_count, .state = GRAPH_RUNNING};
	graph->tasks = mem_zalloc(event->task_count + 1, 1);
	graph->retrying = mem_zalloc(event->task_count + 1, sizeof(bool));
}

static void apply_graph_end(struct sim *sim, const struct sim_event *event)
{
	struct model_graph *graph = model_graph(&sim->model, &event->graph);
	bool failed = false, succeeded = true;

	if (!graph || graph->ended)
		wrong(sim, event, "the graph is not known, or has ended already");
	for (uint32_t t = 0; t < graph->task_count; t++) {
		if (graph->tasks[t] == TASK_WAITING || graph->tasks[t] == TASK_RUNNING)
			wrong(sim, event, "a task of it has not ended");
		failed = failed || graph->tasks[t] == TASK_FAILED;
		succeeded = succeeded && graph->tasks[t] == TASK_SUCCEEDED;
	}
	if (event->type == EVENT_GRAPH_SUCCEEDED && !succeeded)
		wrong(sim, event, "not all of its tasks have succeeded");
	if (event->type == EVENT_GRAPH_FAILED && !failed)
		wrong(sim, event, "none of its tasks has failed");
	if ((event->type == EVENT_GRAPH_SUPERSEDED) != event->has_successor)
		wrong(sim, event, "a successor is told where there is none, or not where there is");
	graph->ended = true;
	graph->state = event->graph_state;
}

/* Tasks. */

static void apply_task(struct sim *sim, const struct sim_event *event)
{
	struct model_graph *graph = model_graph(&sim->model, &event->graph);
	uint8_t *state;
	bool *retrying;

	if (!graph || graph->ended || event->task >= graph->task_count)
		wrong(sim, event, "its graph is not known, or has ended");
	state = &graph->tasks[event->task];
	retrying = &graph->retrying[event->task];
	switch (event->type) {
	case EVENT_TASK_STARTED:
		if (*state == TASK_WAITING ? event->attempt != 1 : *state != TASK_RUNNING || !*retrying)
			wrong(sim, event, "the task cannot start");
		*state = TASK_RUNNING;
		*retrying = false;
		break;
	case EVENT_TASK_RETRYING:
		if (*state != TASK_RUNNING || *retrying)
			wrong(sim, event, "the task cannot be retried");
		*retrying = true;
		break;
	case EVENT_TASK_CANCELLED:
		if (*state != TASK_WAITING && *state != TASK_RUNNING)
			wrong(sim, event, "the task has ended already");
		*state = TASK_CANCELLED;
		break;
	default:
		if (*state != TASK_RUNNING)
			wrong(sim, event, "the task does not run");
		*state = event->type == EVENT_TASK_FAILED ? TASK_FAILED : TASK_SUCCEEDED;
		if (*state == TASK_FAILED && graph->state == GRAPH_RUNNING)
			graph->state = GRAPH_RUNNING_ERRORED;
	}
	losses_tell_task(sim, event);
	if (event->task_state != *state)
		wrong(sim, event, "the state told is not the one it leads to");
}

static void apply(struct sim *sim, const struct sim_event *event)
{
	sim_say(sim, "event %llu %s node %s graph %s task %u", (unsigned long long)event->seq,
		event_type_name(event->type), sim_id(&event->node), sim_id(&event->graph),
		event->task);
	if (event->seq != sim->model.seq + 1)
		wrong(sim, event, "its number does not follow the one before");
	sim->model.seq = event->seq;
	switch (event->type) {
	case EVENT_NODE_STARTED:
	case EVENT_NODE_STATE:
		apply_node(sim, event);
		break;
	case EVENT_GRAPH_STARTED:
		apply_graph_started(sim, event);
		break;
	case EVENT_GRAPH_SUCCEEDED:
	case EVENT_GRAPH_FAILED:
	case EVENT_GRAPH_SUPERSEDED:
	case EVENT_GRAPH_CANCELLED:
		apply_graph_end(sim, event);
		break;
	default:
		apply_task(sim, event);
	}
}

void model_publish(struct sim *sim, uint64_t seq)
{
	struct event_list *list = &sim->noticed;
	size_t count = 0;

	while (count < list->count && list->items[count].seq <= seq)
		apply(sim, &list->items[count++]);
	if (count > 0)
		memmove(list->items, list->items + count,
			(list->count - count) * sizeof *list->items);
	list->count -= count;
	sim->published = seq;
}

void model_retract(struct sim *sim, uint64_t seq)
{
	struct event_list *list = &sim->noticed;

	while (list->count > 0 && list->items[list->count - 1].seq > seq)
		list->count--;
	sim->event_seq = seq;
}

/* Comparing. What the core has pruned the model may forget. */

static bool graph_state_same(const struct model_graph *told, const struct graph *graph)
{
	if (told->ended != graph_ended(graph))
		return false;
	if (!told->ended && (graph->state == GRAPH_SUPERSEDED || graph->state == GRAPH_CANCELLED))
		return true; /* which is told when its last task has ended */
	return told->state == graph->state;
}

static void compare_graph(struct sim *sim, struct model_graph *told, const struct graph *graph)
{
	if (!graph_state_same(told, graph))
		sim_fail(sim, "graph %s is %s, events told %s", sim_id(&told->id),
			graph_state_name(graph->state), graph_state_name(told->state));
	for (uint32_t t = 0; graph_loaded(graph) && t < told->task_count; t++)
		if (told->tasks[t] != graph->tasks[t].state)
			sim_fail(sim, "task %u of graph %s is %s, events told %s", t,
				sim_id(&told->id), task_state_name(graph->tasks[t].state),
				task_state_name(told->tasks[t]));
}

static void graph_forget(struct model *model, size_t place)
{
	free(model->graphs[place].tasks);
	free(model->graphs[place].retrying);
	memmove(&model->graphs[place], &model->graphs[place + 1],
		(--model->graph_count - place) * sizeof *model->graphs);
}

static void compare_graphs(struct sim *sim, const struct core *core)
{
	struct model *model = &sim->model;
	uint32_t kept = 0;

	for (size_t i = model->graph_count; i-- > 0;) {
		struct model_graph *told = &model->graphs[i];
		const struct graph *graph = core_graph_find(core, &told->id);

		if (!graph && !told->ended)
			sim_fail(sim, "graph %s is gone, and no event told its end",
				sim_id(&told->id));
		if (graph)
			compare_graph(sim, told, graph);
		else
			graph_forget(model, i);
	}
	for (uint32_t i = 0; i < core->group_count; i++)
		kept += core->groups[i]->graph_count;
	if (kept != model->graph_count)
		sim_fail(sim, "%u graphs are kept, events told of %zu", kept, model->graph_count);
}

static void compare_nodes(struct sim *sim, const struct core *core)
{
	struct model *model = &sim->model;

	for (size_t i = model->node_count; i-- > 0;) {
		struct model_node *told = &model->nodes[i];
		const struct node *node = core_node_find(core, &told->id);

		if (!node && told->state <= NODE_SHUTTING_DOWN)
			sim_fail(sim, "node %s is gone, and no event told its end",
				sim_id(&told->id));
		if (node && node->state != told->state)
			sim_fail(sim, "node %s is %s, events told %s", sim_id(&told->id),
				node_state_name(node->state), node_state_name(told->state));
		if (!node)
			*told = model->nodes[--model->node_count];
	}
	if (model->node_count != core->node_ids.count)
		sim_fail(sim, "%u nodes are kept, events told of %zu", core->node_ids.count,
			model->node_count);
}

void model_compare(struct sim *sim, const struct core *core)
{
	if (sim->noticed.count > 0 || sim->model.seq != sim->event_seq)
		sim_fail(sim, "clean, but events after %llu have not been published",
			(unsigned long long)sim->model.seq);
	compare_graphs(sim, core);
	compare_nodes(sim, core);
	losses_compare(sim, core);
}

void model_fini(struct model *model)
{
	while (model->graph_count > 0)
		graph_forget(model, model->graph_count - 1);
	free(model->graphs);
	free(model->nodes);
}
