#include "graph_check.h"

static bool edges_are_valid(const struct graph *graph)
{
	if (graph->tasks[graph->task_count].prereqs != graph->edge_count)
		return false;
	for (uint32_t t = 0; t < graph->task_count; t++) {
		uint32_t count;
		const uint32_t *prereqs;

		if (graph->tasks[t].prereqs > graph->tasks[t + 1].prereqs)
			return false;
		prereqs = graph_prereqs(graph, t, &count);
		for (uint32_t i = 0; i < count; i++)
			if (prereqs[i] >= t)
				return false;
	}
	return true;
}

/* Of a graph whose tasks are not loaded: whether it has ended as its counts say. */
static bool counts_are_final(const struct graph *graph)
{
	uint64_t ended = (uint64_t)graph->counts[TASK_FAILED] + graph->counts[TASK_SUCCEEDED] +
		graph->counts[TASK_CANCELLED];

	return graph_ended(graph) && ended == graph->task_count && graph->counts[TASK_WAITING] == 0 &&
		graph->counts[TASK_RUNNING] == 0;
}

/* What every graph that was planned is like, by its state: see graph_start, graph_fail and graph_stop. */
static const struct {
	bool runs;         /* it has not ended */
	bool over;         /* it has ended */
	bool dropped;      /* its tasks that waited were cancelled */
	bool no_failure;   /* no task has failed, */
	bool failure;      /* or one has, for good */
	bool stored;       /* a store may have it */
} graph_traits[GRAPH_STATE_COUNT] = {
	[GRAPH_RUNNING] = {.stored = true, .runs = true, .no_failure = true},
	[GRAPH_RUNNING_ERRORED] = {.stored = true, .runs = true, .dropped = true, .failure = true},
	[GRAPH_FAILED] = {.stored = true, .over = true, .dropped = true, .failure = true},
	[GRAPH_SUCCEEDED] = {.stored = true, .over = true, .no_failure = true},
	[GRAPH_SUPERSEDED] = {.stored = true, .dropped = true},
	[GRAPH_CANCELLED] = {.stored = true, .dropped = true},
};

/* What contradicts the state of a graph, NULL: nothing. */
const char *graph_state_wrong(const struct graph *graph)
{
	static const struct id no_id;

	if (!graph_traits[graph->state].stored)
		return "a graph waits to begin";
	if (graph_traits[graph->state].runs && graph_ended(graph))
		return "a graph runs that has ended";
	if (graph_traits[graph->state].over && !graph_ended(graph))
		return "a graph is over and has not ended";
	if (graph_traits[graph->state].dropped != (graph->dropped_us != 0))
		return graph->dropped_us ? "a graph goes on whose tasks were cancelled"
					 : "a graph does not go on, and its tasks were not cancelled";
	if (graph_traits[graph->state].failure && graph->failed_task == TASK_NONE)
		return "a graph failed without a task that did";
	if (graph_traits[graph->state].no_failure && graph->failed_task != TASK_NONE)
		return "a task failed of a graph that did not";
	if ((graph->state == GRAPH_SUPERSEDED) == id_equal(&graph->successor, &no_id))
		return "a graph is superseded, or has a successor, but not both";
	return NULL;
}

bool graph_shape_is_valid(const struct graph *graph)
{
	return graph_loaded(graph) ? edges_are_valid(graph) : counts_are_final(graph);
}
