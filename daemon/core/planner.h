/* The planner: live nodes and a target in, a task graph and its bounds out. A pure function.
 * The rules are in the comment above planner.c, from section "The planner" of the design. */
#ifndef IMD_CORE_PLANNER_H
#define IMD_CORE_PLANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graph.h"
#include "proto/error.h"
#include "spec.h"

/* How a live node stands with regard to a plan. */
enum plan_health {
	PLAN_AVAILABLE, /* running, for at least min-ready */
	PLAN_READYING,  /* running, and min-ready has yet to pass */
	PLAN_STARTING,  /* its start is in flight */
	PLAN_BROKEN,    /* unhealthy, and nothing in flight */
	PLAN_STOPPING,  /* it is being stopped or killed */
};

struct plan_node {
	struct id id;
	uint64_t version;
	uint32_t slot;  /* no two nodes have the same */
	uint8_t health; /* enum plan_health */
	bool marked;    /* by a user, to go first */
	bool release;   /* set by plan_make: its task in flight is no longer wanted (STARTING: to be
	                 * cancelled; READYING: its task has no more to wait for) */
};

struct plan_target {
	uint32_t size;
	uint64_t version;
	uint32_t surge;       /* S, absolute */
	uint32_t unavailable; /* U, absolute; not both 0 */
};

/* Percentages made absolute for a size: surge rounded up, unavailability down; both 0 makes U 1. */
struct plan_target plan_target(uint32_t size, uint64_t version, const struct policy *policy);

/* Plans. `nodes` are the live nodes of the group, best by rising slot (the array is sorted if it
 * is not), and are marked.
 * Fills tasks, prereqs, dependents, counts, min_available and max_live of *graph, whose id is set
 * (the ids of new nodes are derived from it) and whose arrays are NULL. Every task begins in
 * GATE_PREREQS with its pending count, in-flight ones as Settle. -1 (ERR_INTERNAL) where there is
 * no memory; nothing is left allocated then. */
int plan_make(struct graph *graph, struct plan_node *nodes, size_t count,
	const struct plan_target *target, struct error *error);

/* The id of the node that task number `task` of a graph starts: derived from the graph's id, so
 * that a preview tells the ids that will be. A UUID of version 8. */
struct id plan_node_id(const struct id *graph, uint32_t task);

#endif
