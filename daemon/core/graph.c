#include "graph.h"

#include <stdlib.h>

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

void graph_free(struct graph *graph)
{
	if (!graph)
		return;
	for (uint32_t i = 0; i < graph->error_count; i++)
		free(graph->errors[i]);
	free(graph->errors);
	free(graph->error);
	free(graph->tasks);
	free(graph->prereqs);
	free(graph->dependents);
	free(graph);
}
