/* A group: a named set of nodes under one spec, its slots, its graphs and what is kept of its past. */
#ifndef IMD_CORE_GROUP_H
#define IMD_CORE_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "graph.h"
#include "node.h"
#include "proto/limits.h"
#include "spec.h"

/* A slot: who lives in it, and how long it must wait after deaths. */
struct slot {
	uint32_t node;         /* the live node, NODE_NONE: free */
	uint32_t backoff_ms : 31; /* the delay after its next death, 0: none yet */
	uint32_t lost : 1;     /* a node was lost here, and who is started next replaces it */
	int64_t not_before_ms; /* monotonic: no start in this slot before it */
};

/* The kept past, oldest first: a ring that holds `count` items, the oldest numbered `first`. */
struct spec_ring {
	struct spec *items;
	uint32_t capacity;
	uint32_t count;
	uint64_t first;        /* revision of the oldest */
};
struct ended_ring {
	uint32_t *items;       /* refs of ended nodes */
	uint32_t capacity;
	uint32_t count;
	uint64_t first;        /* the oldest one's number; numbers rise by one with every death */
};

struct group {
	char name[LIMIT_GROUP_NAME + 1];
	uint32_t index;        /* in core->groups: stable */
	struct spec spec;      /* the current one; revision 0 before the first UPDATE */
	struct spec_ring specs; /* all kept ones, the current one last */
	struct slot *slots;
	uint32_t slot_count;   /* places in slots; those from slots_used on were never used */
	uint32_t slots_used;
	uint32_t live;
	uint32_t peak;         /* the most nodes that may live at once, by the spec and by what lives */
	uint32_t available;
	uint32_t in_flight;    /* nodes with a task in flight */
	uint32_t losses;       /* slots whose lost node nobody has been started for */
	uint32_t inspections;  /* nodes of which the driver has yet to say how they are */
	uint32_t states[NODE_STATE_COUNT]; /* live nodes by state */
	struct ended_ring ended;
	struct graph_list graphs; /* oldest first */
	uint32_t graph_count;
	uint32_t ended_graphs; /* of them */
	uint64_t ended_tasks;  /* tasks of ended graphs that are in memory */
	struct graph *active;  /* the graph that runs, NULL: none */
	struct id next_graph;  /* the id that the next graph will have, so that PLAN can tell it */
	uint64_t proven_revision; /* the last revision that a graph has reached */
	uint32_t heal_timer;   /* a handle, TIMER_NONE: none */
	uint64_t heal_delay_ms; /* the delay after the next failed heal, 0: the first */
	int replan;            /* enum reason of a plan that is due at the end of the step, -1: none */
	struct origin replan_origin; /* who made it due, nobody: imd */
	bool unplanned;        /* there was no memory for the last plan */
	bool runnable;         /* is in core->runnable */
	bool changed;
};

struct group *group_new(const char *name);
void group_free(struct group *group);

/* Makes the slot table long enough for `slot`. */
struct slot *group_slot(struct group *group, uint32_t slot);
/* Keeps a spec as the current one; the ring owns its note. `keep` is how many there will be. */
void group_keep_spec(struct group *group, const struct spec *spec, uint32_t keep);
/* Where there are more than `keep`, drops the oldest and returns its revision; else 0. */
uint64_t group_drop_spec(struct group *group, uint32_t keep);
/* The same for an ended node; its ref is returned, NODE_NONE where none has to go. */
void group_keep_ended(struct group *group, uint32_t node, uint32_t keep);
uint32_t group_drop_ended(struct group *group, uint32_t keep);

/* The live node in a slot, NODE_NONE where there is none (any slot number may be asked for). */
uint32_t group_slot_node(const struct group *group, uint32_t slot);
/* The kept spec of a revision, NULL where it is not kept; the first kept from it on. */
const struct spec *group_spec_from(const struct group *group, uint64_t revision);
/* The first kept ended node numbered `number` or later; its number comes back in *number.
 * NODE_NONE at the end. */
uint32_t group_ended_from(const struct group *group, uint64_t *number);
/* The first kept graph with this serial or a later one, NULL at the end. */
struct graph *group_graph_from(const struct group *group, uint64_t serial);

#endif
