/* What the two halves of the planner share: planner.c decides who is kept, plan_tasks.c lays out the
 * tasks. */
#ifndef IMD_CORE_PLAN_TASKS_H
#define IMD_CORE_PLAN_TASKS_H

#include "planner.h"

#define NO_TASK TASK_NONE

struct planner {
	struct graph *graph;
	struct plan_node *nodes;  /* by slot */
	uint32_t count;
	const struct plan_target *target;
	uint8_t *kept;            /* by node: whether it is kept */
	uint32_t *victims;        /* nodes, in the order of victims */
	uint32_t *going;          /* Settle tasks of going nodes, by slot */
	uint32_t *risers;         /* tasks that will make a node available, in the order of use */
	uint32_t *lane_tail;      /* by lane: its last task, NO_TASK: none */
	uint32_t *lane_slot;      /* by lane: the slot its last stop freed */
	uint32_t kept_count, kept_available, kept_pending;
	uint32_t victim_count, going_count, riser_count;
	uint32_t going_used, risers_used;
	uint32_t grow, shrink;
	uint32_t available;       /* A0 */
	uint32_t task_capacity, edge_capacity;
	uint32_t next_free_slot, next_taken; /* where the search for free slots stands */
	uint32_t barrier;         /* StartNodes or KillSome, NO_TASK: neither */
	uint32_t broken_barrier;  /* ReplaceBroken */
	uint32_t proof;           /* victim that is the proof's pair, NO_TASK: none */
	bool broken_done;         /* the broken pairs have been added */
};

static inline bool plan_node_broken(const struct plan_node *node)
{
	return node->health == PLAN_BROKEN || node->health == PLAN_READYING;
}

/* Whether something in flight will end the node. */
static inline bool plan_node_goes(const struct planner *p, uint32_t i)
{
	uint8_t health = p->nodes[i].health;

	return health == PLAN_STOPPING || (health == PLAN_STARTING && !p->kept[i]);
}

static inline uint32_t plan_minimum(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The steps of the plan, to be taken in this order. add_broken does nothing the second time. */
void plan_add_settles(struct planner *p);
void plan_add_grow(struct planner *p);
void plan_add_shrink(struct planner *p);
void plan_add_broken_pairs(struct planner *p);
void plan_add_lanes(struct planner *p);

#endif
