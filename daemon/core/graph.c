#include "graph.h"

#include <stdlib.h>

#include "proto/mem.h"

const uint32_t *graph_prereqs(const struct graph *graph, uint32_t task, uint32_t *ret_count)
{
	uint32_t begin = graph->tasks[task].prereqs;

	*ret_count = graph->tasks[task + 1].prereqs - begin;
	return graph->prereqs + begin;
}

const uint32_t *graph_dependents(const struct graph *graph, uint32_t task, uint32_t *ret_count)
{
	uint32_t begin = graph->tasks[task].dependents;

	*ret_count = graph->tasks[task + 1].dependents - begin;
	return graph->dependents + begin;
}

int graph_link(struct graph *graph)
{
	uint32_t at = 0;

	graph->dependents = mem_large_alloc((size_t)graph->edge_count + 1, sizeof *graph->dependents);
	if (!graph->dependents)
		return -1;
	graph->tasks[graph->task_count] = (struct task){.prereqs = graph->edge_count};
	for (uint32_t e = 0; e < graph->edge_count; e++)
		graph->tasks[graph->prereqs[e]].dependents++;
	for (uint32_t t = 0; t <= graph->task_count; t++) {
		at += graph->tasks[t].dependents;
		graph->tasks[t].dependents = at;
	}
	/* Each list is filled from its end, which leaves the offset at its beginning. */
	for (uint32_t t = graph->task_count; t-- > 0;) {
		uint32_t count;
		const uint32_t *prereqs = graph_prereqs(graph, t, &count);

		for (uint32_t i = count; i-- > 0;)
			graph->dependents[--graph->tasks[prereqs[i]].dependents] = t;
	}
	return 0;
}

const char *graph_task_error(const struct graph *graph, uint32_t task)
{
	uint32_t error = graph->tasks[task].error;

	return error ? graph->errors[error - 1] : NULL;
}

bool graph_ended(const struct graph *graph)
{
	return graph->finished_us != 0;
}

const char *task_gate_name(const struct task *task)
{
	static const char *const names[] = {
		[GATE_PREREQS] = "prereqs",
		[GATE_READY] = "parallel",
		[GATE_FLOOR] = "floor",
		[GATE_BACKOFF] = "backoff",
		[GATE_RETRY] = "retry",
		[GATE_MIN_READY] = "min-ready",
		[GATE_SETTLE] = "settle",
	};

	if (task->state != TASK_WAITING && task->state != TASK_RUNNING)
		return NULL;
	return names[task->gate];
}

void graph_unload(struct graph *graph)
{
	for (uint32_t i = 0; i < graph->error_count; i++)
		free(graph->errors[i]);
	free(graph->errors);
	free(graph->tasks);
	free(graph->prereqs);
	free(graph->dependents);
	graph->errors = NULL;
	graph->error_count = 0;
	graph->tasks = NULL;
	graph->prereqs = graph->dependents = NULL;
}

void graph_free(struct graph *graph)
{
	if (!graph)
		return;
	graph_unload(graph);
	free(graph->error);
	free(graph);
}
