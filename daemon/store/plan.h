/* The plan of a graph as bytes: its tasks and edges as they were planned, and nothing of their
 * progress. A start in an empty group takes some 3 bytes. */
#ifndef IMD_STORE_PLAN_H
#define IMD_STORE_PLAN_H

#include "core/graph.h"
#include "proto/buf.h"
#include "proto/error.h"
#include "proto/limits.h"

/* No plan is larger: a group has at most 2 * LIMIT_SIZE live nodes, each of which has a task to stop it or to
 * wait for it, and as many starts; a task takes at most 64 bytes, and mostly 3 to 25. */
#define PLAN_BYTES_MAX (4 * LIMIT_SIZE * 64)

/* Appends the plan of a graph. */
void plan_encode(struct buf *buf, const struct graph *graph);
/* Fills tasks, prereqs, dependents, task_count and edge_count of a graph, whose id is set and which has
 * none of them. Every task is waiting. -1 with ERR_STORAGE where the bytes are no plan of
 * `task_count` tasks, or there is no memory; nothing is left allocated then. */
int plan_decode(struct graph *graph, uint32_t task_count, const void *data, size_t len,
	struct error *error);

#endif
