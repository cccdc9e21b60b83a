/* The core: every decision of imd, as a function of its state and an event. No clock, no input or
 * output, no randomness, no library but libc. */
#ifndef IMD_CORE_CORE_H
#define IMD_CORE_CORE_H

#include "group.h"
#include "id_index.h"
#include "planner.h"
#include "timers.h"
#include "update.h"

#define GROUP_NONE UINT32_MAX

/* A point in time as every event brings it: monotonic to decide by, wall time to show. */
struct now {
	int64_t mono_ms;
	int64_t wall_us;
};

/* The policy of one group whose UPDATE does not say otherwise. */
struct group_policy {
	const char *group;
	struct policy policy;
};

struct core_config {
	struct policy policy;      /* of a group whose UPDATE does not say otherwise, */
	struct group_policy *policies; /* but for these, by the names of their groups. They are the
	                            * caller's, and outlive the core or the next core_configure */
	size_t policy_count;
	uint32_t max_groups;
	uint32_t keep_graphs;      /* ended graphs kept for a group, */
	uint64_t keep_tasks;       /* and their tasks in memory; the latest ended graph always is */
	bool tasks_stored;         /* beyond keep_tasks only tasks go from memory, for the store has them
	                            * still; otherwise the graphs go with them */
	uint32_t keep_specs;       /* specs kept for a group, the current one among them */
	uint32_t keep_nodes;       /* ended nodes kept for a group */
	uint32_t retries;          /* attempts after the first */
	uint64_t retry_delay_ms;   /* before the first of them, doubled each time */
	uint64_t retry_max_ms;
	uint64_t heal_delay_ms;    /* of a slot before its second replacement, doubled each time */
	uint64_t heal_max_ms;
	uint64_t heal_reset_ms;    /* a node that was available this long forgets its slot's backoff */
	uint64_t seed;             /* of the jitter of retries */
	void (*new_id)(void *arg, struct id *ret_id); /* ids of graphs: random, handed in */
	void *new_id_arg;
};

/* The policy of a group, which need not exist, as far as its UPDATE does not say otherwise. */
const struct policy *core_policy(const struct core_config *config, const char *group);

/* The defaults of every number above (ids and seed are the caller's). */
void core_config_default(struct core_config *config);

struct core {
	struct core_config config;
	struct group **groups;     /* by index: in the order they came into being; [0] is default */
	uint32_t group_count;
	struct group **by_name;    /* the same, sorted by name */
	struct graph **graphs;     /* by index; NULL where free */
	uint32_t graph_capacity;
	uint32_t *graph_free;      /* the free places, the next one to be taken last */
	uint32_t graph_free_count;
	uint64_t next_serial;
	struct id next_graph;      /* the id of the first graph of the next new group */
	struct id_index graph_ids;
	struct node_pool nodes;
	struct id_index node_ids;
	struct timers timers;
	uint64_t live;             /* of all groups together: nodes that live, */
	uint64_t peak;             /* that may live at once, */
	uint64_t active_tasks;     /* and tasks of the graphs that run */
	uint64_t jitter;           /* state of the seeded generator */
	bool unload_due;           /* there may be tasks to drop from memory */
	uint32_t *runnable;        /* groups with tasks to start, a ring */
	uint32_t runnable_head, runnable_count, runnable_capacity;
	struct core_counters {     /* since the start of the daemon */
		uint64_t tasks_started, tasks_succeeded, tasks_failed, tasks_retried,
			tasks_cancelled, nodes_started, nodes_died, nodes_replaced;
		uint64_t plans[REASON_COUNT];
	} counters;
	struct update *update;     /* of the step under way */
	struct now now;            /* of the step under way */
};

enum core_event_kind {
	CORE_UPDATE,    /* a user declares a spec */
	CORE_KILL,      /* a user kills a node */
	CORE_MARK,      /* a user marks or unmarks a node */
	CORE_CANCEL,    /* a user cancels a graph */
	CORE_DONE,      /* the driver has done, or failed to do, what it was asked */
	CORE_HEALTH,    /* a running node is healthy, or not */
	CORE_EXITED,    /* a node is gone, without being asked to */
	CORE_INSPECTED, /* the driver's answer to DO_INSPECT */
	CORE_TICK,      /* time has passed */
};

enum core_result { RESULT_OK, RESULT_FAILED, RESULT_CANCELLED };
enum core_found { FOUND_ABSENT, FOUND_RUNNING, FOUND_UNHEALTHY, FOUND_BUSY };

struct core_event {
	enum core_event_kind kind;
	struct now now;
	struct id id;            /* KILL, MARK, CANCEL and all that the driver says: whose */
	union {
		struct {
			const char *group;   /* a valid name */
			uint32_t size;
			uint64_t version;
			struct policy policy;
			bool has_if_revision;
			uint64_t if_revision;
			const char *note;    /* NULL: none */
		} update;
		bool mark;               /* MARK */
		struct {
			enum node_op op;     /* what was asked; OP_CANCEL is answered as OP_START */
			enum core_result result;
		} done;
		bool healthy;            /* HEALTH */
		enum core_found found;   /* INSPECTED */
	};
	struct origin origin;    /* UPDATE, KILL, MARK, CANCEL: who asked */
	const char *text;        /* DONE, HEALTH, EXITED: why; NULL: nothing to say */
	struct id ret_graph;     /* UPDATE: the graph it made */
};

/* Takes one event in: changes the state, and appends to *update. -1 with an error where a request
 * cannot be done; the state is as it was then. What the driver says of a node that is unknown, or that
 * was asked something else since, is ignored. */
int core_step(struct core *core, struct core_event *event, struct update *update,
	struct error *error);

/* Makes the plans that are due and starts tasks that are ready, `budget` of them at most. Call it at the
 * end of a pass, after the pass's events. Returns whether there is more to start at once. */
bool core_run(struct core *core, const struct now *now, uint32_t budget, struct update *update);

/* Says of which node an event will come soon. */
void core_prefetch(const struct core *core, const struct id *node);

/* The changes of the update were handed to the store: what changes from here on is named anew. */
void core_changes_taken(struct core *core, const struct update *update);

/* The most nodes that a group may have at once if it has `live` nodes and is planned for this size and policy. */
uint32_t core_peak(uint32_t live, uint32_t size, const struct policy *policy);

/* When CORE_TICK is due, monotonic milliseconds; INT64_MAX: never. */
int64_t core_deadline(const struct core *core);

/* Tells what CORE_UPDATE would do: *ret_graph is a graph in no list, to be freed with graph_free. The group
 * need not exist: graph->group is GROUP_NONE then. */
int core_preview(struct core *core, const struct core_event *event, struct graph **ret_graph,
	struct error *error);

void core_init(struct core *core, const struct core_config *config);
void core_fini(struct core *core);
/* Goes by another config from here on; seed, ids and tasks_stored stay as they are. Nothing changes at once:
 * what is beyond a lowered limit goes when its like is added to, and delays that run run on. */
void core_configure(struct core *core, const struct core_config *config);

/* Readers. NULL or *_NONE where there is none. */
struct group *core_group_find(const struct core *core, const char *name);
struct graph *core_graph_find(const struct core *core, const struct id *id);
struct node *core_node_find(const struct core *core, const struct id *id);
/* By a whole id or an unambiguous prefix, ended ones too. ERR_NOT_FOUND, or ERR_BAD_ARGUMENT
 * where more than one fits. */
int core_graph_lookup(const struct core *core, const struct id_prefix *prefix,
	struct graph **ret_graph, struct error *error);
int core_node_lookup(const struct core *core, const struct id_prefix *prefix,
	struct node **ret_node, struct error *error);

/* What all groups have together, counted in time linear in their number. */
struct core_totals {
	uint64_t live, available, in_flight;
	uint64_t nodes[NODE_STATE_COUNT];   /* the live ones by state */
	uint64_t active;                    /* graphs that are being carried out, */
	uint64_t graphs[GRAPH_STATE_COUNT]; /* the same by state, */
	const struct group *rolling;        /* and the group of one of them, NULL: there is none */
};
struct core_totals core_totals(const struct core *core);

/* Loading what a store has kept, into a core fresh from core_init: groups, their specs (oldest first; the last is the
 * current one), graphs (oldest first) with tasks and edges, nodes in any order; then the end, which
 * rebuilds all that is derived and asks the driver for the truth about every live node. Things are
 * handed over: the core owns what they point to. A graph that has ended has its counts. -1 with ERR_STORAGE if the
 * parts contradict each other or no daemon can have left them so: what is loaded can be worked on to its end. */
int core_load_group(struct core *core, const char *name, const struct id *next_graph,
	uint64_t proven_revision, struct error *error);
int core_load_spec(struct core *core, const char *group, struct spec *spec, struct error *error);
int core_load_graph(struct core *core, const char *group, struct graph *graph, struct error *error);
int core_load_node(struct core *core, const char *group, const struct node *node,
	uint32_t *ret_ref, struct error *error);
/* Who marked a node that was loaded as marked; a mark without that is one of which nobody knows. */
int core_load_marker(struct core *core, uint32_t node, const struct origin *marker, struct error *error);
int core_load_end(struct core *core, const struct now *now, struct update *update,
	struct error *error);

/* Checks every invariant of the model, in time linear in the state. -1 with what is wrong. */
int core_check(const struct core *core, struct error *error);

#endif
