/* What a step of the core asks of its surroundings: things to store, to tell and to do.
 *
 * Order: the changes are stored first; when they are durable the notices may be seen and the actions may
 * begin. */
#ifndef IMD_CORE_UPDATE_H
#define IMD_CORE_UPDATE_H

#include <stddef.h>
#include <stdint.h>

#include "graph.h"
#include "group.h"
#include "node.h"

/* A change names what differs from what is stored; the store reads the thing itself when it takes
 * the changes, at the end of the pass. A thing changed twice is named once. A ref whose thing is
 * gone by then (NULL, or a node place not used) is to be passed over: its _GONE follows. */
enum change_kind {
	CHANGE_GROUP,      /* a: group */
	CHANGE_SPEC,       /* a: group, number: revision; passed over where it is not kept any more */
	CHANGE_SPEC_GONE,  /* a: group, number: revision */
	CHANGE_GRAPH_NEW,  /* a: graph: as CHANGE_GRAPH, and with all its tasks and edges */
	CHANGE_GRAPH,      /* a: graph: its state, and its counts once it has ended */
	CHANGE_GRAPH_GONE, /* b: how many tasks it had, number: its serial, id */
	CHANGE_TASK,       /* a: graph, b: task */
	CHANGE_NODE,       /* a: node */
	CHANGE_NODE_GONE,  /* a: the place that it had, id */
};
struct change {
	enum change_kind kind;
	uint32_t a;
	uint32_t b;
	uint64_t number;
	struct id id;
};

/* Something to tell, told at once: the pointers are valid during the call only. */
struct notice {
	enum event_type type;
	int64_t at_us;
	const struct group *group;
	const struct graph *graph; /* NULL for node events */
	uint32_t task;             /* TASK_NONE for node and graph events */
	const struct node *node;   /* of node events */
};

/* Something for the driver, to be done once the changes are durable. */
enum action_kind { DO_START, DO_STOP, DO_CANCEL, DO_KILL, DO_INSPECT };
struct action {
	uint8_t kind;  /* enum action_kind */
	uint8_t call;  /* node->calls when it was made: another one since makes it void */
	uint32_t node; /* ref; valid only while the node there still has the id */
	struct id id;
};

struct update {
	struct change *changes;
	size_t change_count, change_capacity;
	struct action *actions;
	size_t action_count, action_capacity;
	void (*notice)(void *arg, const struct notice *notice);
	void *arg;
};

void update_init(struct update *update, void (*notice)(void *, const struct notice *), void *arg);
void update_fini(struct update *update);
void update_add_change(struct update *update, const struct change *change);
void update_add_action(struct update *update, const struct action *action);
/* Forgets changes and actions, and keeps the memory. */
void update_clear(struct update *update);

#endif
