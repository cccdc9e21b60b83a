/* A task graph: the plan for one change of a group, and its execution.
 *
 *   waiting ─► running ─► succeeded          waiting ─► running ─► succeeded
 *                │  └──► running_errored        │          ├─────► failed
 *                │          └──► failed         └───────────┴─────► cancelled
 *                ├──► superseded                 a task
 *                └──► cancelled
 *   a graph
 *
 * A superseded or cancelled graph may still have tasks in flight; it has ended (finished_us != 0)
 * when the last of them has. Tasks and edges are plain arrays: a task costs sizeof(struct task) and 8
 * bytes an edge, and a graph has at most three edges a task. */
#ifndef IMD_CORE_GRAPH_H
#define IMD_CORE_GRAPH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/id.h"
#include "proto/names.h"
#include "spec.h"

#define TASK_NONE UINT32_MAX
#define GRAPH_NONE UINT32_MAX

/* What a task that has not ended waits for. A person may ask; see `waits` in proto.txt. */
enum task_gate {
	GATE_NONE,     /* nothing: the driver is at work, or it has ended */
	GATE_PREREQS,  /* tasks before it */
	GATE_READY,    /* its turn: in the queue of ready tasks (max-parallel) */
	GATE_FLOOR,    /* other nodes to be available, for it stops one that is */
	GATE_BACKOFF,  /* its slot's backoff after a death */
	GATE_RETRY,    /* the delay before its next attempt */
	GATE_MIN_READY, /* its node runs, and becomes available after min-ready */
	GATE_SETTLE,   /* the end of its node's task in an older graph */
};

struct task {
	struct id node;       /* all zero where the task has no node (a barrier) */
	uint64_t version;     /* of the node */
	int64_t started_us;   /* of the first attempt; wall time, 0 before it */
	int64_t finished_us;
	uint32_t slot;        /* of the node */
	uint32_t prereqs;     /* where its prerequisites begin in graph->prereqs */
	uint32_t dependents;  /* where its dependents begin in graph->dependents */
	uint32_t error;       /* 1 + its place in graph->errors, 0: none */
	union {               /* by gate: */
		uint32_t pending; /* GATE_PREREQS: how many have not succeeded */
		uint32_t next;    /* GATE_READY, GATE_FLOOR: the next in the queue */
		uint32_t timer;   /* GATE_BACKOFF, GATE_RETRY: a handle of core->timers */
	};
	uint8_t action;       /* enum task_action */
	uint8_t description;  /* enum task_description */
	uint8_t state;        /* enum task_state */
	uint8_t gate;         /* enum task_gate */
	uint16_t attempt;     /* 1 with the first; 0 before it */
	bool changed;         /* is in the changes of the batch that fills */
	bool replaces;        /* as its success is told: its node has replaced a lost one */
};

/* A queue of tasks linked through task.next. */
struct task_queue {
	uint32_t head;
	uint32_t tail;
};

struct graph {
	TAILQ_ENTRY(graph) entry; /* in group->graphs, oldest first */
	struct id id;
	uint64_t serial;       /* rises with every graph of the daemon; 0 before it is known to the core */
	uint32_t index;        /* in core->graphs */
	uint32_t group;        /* in core->groups */
	uint64_t revision;     /* of the spec it works towards */
	enum graph_state state;
	enum reason reason;
	struct origin origin;    /* who asked for it; nobody: imd planned it by itself */
	struct origin canceller; /* who cancelled it; nobody: it was not, or an imd of old did not keep it */
	uint32_t task_count;
	uint32_t edge_count;
	struct task *tasks;    /* task_count + 1: the last one only ends the edge lists. NULL: the graph
	                        * has ended, and its tasks, edges and errors are with the store alone */
	uint32_t *prereqs;     /* edge_count numbers of tasks, each lower than the task's own */
	uint32_t *dependents;  /* the same edges, by the task that is waited for */
	uint32_t counts[TASK_STATE_COUNT];
	struct task_queue ready;
	struct task_queue floor;
	uint32_t min_available; /* the bounds of the plan */
	uint32_t max_live;
	int64_t created_us;
	int64_t started_us;
	int64_t dropped_us;    /* when the tasks that waited were cancelled, 0: they were not */
	int64_t finished_us;   /* 0 until the last task has ended */
	struct id successor;   /* of a superseded graph; all zero otherwise */
	uint32_t failed_task;  /* the first that failed, TASK_NONE: none */
	char *error;           /* owned; which task, which node and why, NULL: none */
	char **errors;         /* owned texts of tasks */
	uint32_t error_count;
	bool changed;
};

TAILQ_HEAD(graph_list, graph);

/* The prerequisites of a task: *ret_count numbers of tasks. */
const uint32_t *graph_prereqs(const struct graph *graph, uint32_t task, uint32_t *ret_count);
const uint32_t *graph_dependents(const struct graph *graph, uint32_t task, uint32_t *ret_count);
/* Makes the dependents, which are NULL, from the prerequisites of all tasks, each of which has
 * dependents 0; ends both lists. -1 where there is no memory. */
int graph_link(struct graph *graph);
/* The last error of a task, or NULL. */
const char *graph_task_error(const struct graph *graph, uint32_t task);
/* Whether its tasks are in memory; and drops them from there. */
static inline bool graph_loaded(const struct graph *graph)
{
	return graph->tasks != NULL;
}
void graph_unload(struct graph *graph);
/* Whether every task of the graph has ended and its final state is known. */
bool graph_ended(const struct graph *graph);
/* The word for what a task waits for ("prereqs", "floor" …), NULL where it waits for nothing. */
const char *task_gate_name(const struct task *task);
void graph_free(struct graph *graph);

#endif
