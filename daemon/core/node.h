/* A node: one instance.
 *
 *   starting ─► running ◄─► unhealthy ◄─┐
 *     │ │          │            │       │ (its stop failed)
 *     │ │          └─────┬──────┘       │
 *     │ │                ▼              │
 *     │ └────────► shutting_down ───────┘
 *     │                  │
 *     └─► shut_down ◄────┘   failed: from every live state (killed, died, could not start)
 *
 * Live nodes and the ended ones that are kept stand in one pool, which gives each a ref that is
 * stable while it is there; a slot of the group refers to its live node. */
#ifndef IMD_CORE_NODE_H
#define IMD_CORE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/id.h"
#include "proto/names.h"
#include "spec.h"

#define NODE_NONE UINT32_MAX

/* What the driver was asked to do with a node and has not answered. */
enum node_op { OP_NONE, OP_START, OP_CANCEL, OP_STOP, OP_KILL };

struct node {
	struct id id;
	uint64_t version;
	uint64_t revision;     /* of the spec it was started for */
	int64_t created_us;    /* when its start began; wall times */
	int64_t started_us;    /* when it ran, 0: not yet */
	union {
		int64_t finished_us; /* of an ended node: when it ended */
		int64_t running_ms;  /* of a live one: monotonic, since when it runs and is healthy */
	};
	char *error;           /* owned; why it failed or is unhealthy, NULL: nothing to say */
	uint32_t group;
	uint32_t slot;
	uint32_t graph;        /* of its task in flight, GRAPH_NONE: no task */
	uint32_t task;
	uint32_t settle;       /* the Settle task that waits for it in the group's active graph, or TASK_NONE */
	uint32_t ready_timer;  /* a handle of core->timers: it runs, and is available when this is due */
	uint32_t marker;       /* 1 + a place in pool->markers; 0: it is not marked, or nobody knows by whom */
	uint8_t state;         /* enum node_state */
	uint8_t op;            /* enum node_op */
	uint8_t calls;         /* of the driver, all but inspections, modulo 256 */
	bool available : 1;    /* running for at least min-ready */
	bool marked : 1;       /* by a user, to go first */
	bool used : 1;         /* this place of the pool is taken */
	bool changed : 1;      /* is in the changes of the batch that fills */
	bool inspecting : 1;   /* the last that the driver was asked is to inspect it */
	bool heir : 1;         /* it replaces a lost one, once its start has succeeded */
	bool lost : 1;         /* or about to be: its slot got a loss for it. Stays if it could not be stopped, but has
	                        * a successor in another slot */
	bool died : 1;         /* or was killed: that it has ended is a death */
};

static inline bool node_live(const struct node *node)
{
	return node->state <= NODE_SHUTTING_DOWN;
}

enum { NODE_CHUNK_BITS = 10, NODE_CHUNK = 1 << NODE_CHUNK_BITS };

/* A user who has marked nodes: one place, however many they are. */
struct marker {
	struct origin origin;
	uint32_t nodes; /* 0: the place is free */
};

struct node_pool {
	struct node **chunks; /* NODE_CHUNK nodes each; a node never moves */
	uint32_t chunk_count;
	uint32_t used;        /* places ever taken */
	uint32_t free;        /* head of the free places, linked through node.slot */
	struct marker *markers;
	uint32_t marker_count; /* places in markers */
};

static inline struct node *node_at(const struct node_pool *pool, uint32_t ref)
{
	return &pool->chunks[ref >> NODE_CHUNK_BITS][ref & (NODE_CHUNK - 1)];
}

void node_pool_init(struct node_pool *pool);
void node_pool_fini(struct node_pool *pool);
/* Returns a zeroed place; *ret_ref is its ref. */
struct node *node_pool_take(struct node_pool *pool, uint32_t *ret_ref);
void node_pool_give(struct node_pool *pool, uint32_t ref);

/* Marks a node, which may be marked already. The marker may be unknown. */
void node_mark(struct node_pool *pool, struct node *node, const struct origin *marker);
void node_unmark(struct node_pool *pool, struct node *node);
/* Who marked it; NULL: it is not marked, or nobody knows by whom. Good until the next node is marked or given back. */
const struct origin *node_marker(const struct node_pool *pool, const struct node *node);

#endif
