/* What the files of the core share among themselves. Every function works within a step:
 * core->now and core->update are set. */
#ifndef IMD_CORE_INTERNAL_H
#define IMD_CORE_INTERNAL_H

#include "core.h"

/* Kinds of timers. */
enum {
	TIMER_TASK,  /* a: graph, b: task; what for tells its gate */
	TIMER_HEAL,  /* a: group: plan again */
	TIMER_READY, /* a: node: it may have become available; node->ready_timer */
};

static inline struct group *graph_group(const struct core *core, const struct graph *graph)
{
	return core->groups[graph->group];
}

static inline uint32_t graph_task_number(const struct graph *graph, const struct task *task)
{
	return (uint32_t)(task - graph->tasks);
}

/* changes.c: naming what changed, and telling it. While the driver has not said how the nodes of a
 * group are, that group starts no tasks: not knowing is no reason to stop a node. */
void change_group(struct core *core, struct group *group);
void change_graph(struct core *core, struct graph *graph);
void change_graph_new(struct core *core, struct graph *graph);
void change_task(struct core *core, struct graph *graph, uint32_t task);
void change_node(struct core *core, uint32_t ref);
void change_add(struct core *core, struct change change);
void action_add(struct core *core, enum action_kind kind, uint32_t node);
void node_inspected(struct core *core, struct node *node);
void notice_node(struct core *core, enum event_type type, uint32_t ref);
void notice_graph(struct core *core, enum event_type type, const struct graph *graph);
void notice_task(struct core *core, enum event_type type, const struct graph *graph, uint32_t task);

/* groups.c: the group and graph tables of the core. */
struct group *core_group_create(struct core *core, const char *name);
void core_graph_add(struct core *core, struct graph *graph);
void core_graph_prune(struct core *core, struct group *group);
/* Drops tasks from memory that the store has, if some are due to be. */
void core_graphs_unload(struct core *core);
void core_group_runnable(struct core *core, struct group *group);
/* The graph that runs, NULL: none. */
void group_set_active(struct core *core, struct group *group, struct graph *graph);
/* The spec or what lives has changed in a way that may change group->peak. */
void group_update_peak(struct core *core, struct group *group);

/* lifecycle.c: nodes come, change and go. */
uint32_t node_create(struct core *core, struct group *group, const struct task *task,
	uint64_t revision);
void node_set_state(struct core *core, uint32_t ref, enum node_state state, const char *error);
void node_set_available(struct core *core, uint32_t ref, bool available);
/* When a running node that is not available will be. Every such node is armed. */
void node_arm_ready(struct core *core, uint32_t ref, int64_t ready_ms);
void node_disarm_ready(struct core *core, struct node *node);
/* The node ends in this state, and its slot is free; what waits for it is then told (below), and
 * last it is buried among the ended ones that are kept: its place may be given away by that. */
void node_close(struct core *core, uint32_t ref, enum node_state state, const char *error);
void node_bury(struct core *core, uint32_t ref);
uint32_t node_ref(const struct core *core, const struct id *id);

/* executor.c: graphs run, tasks begin and end. */
void graph_task_ready(struct graph *graph, uint32_t task);
void graph_start(struct core *core, struct graph *graph);
void graph_check_end(struct core *core, struct graph *graph);
/* Cancels what waits, and lets go of nodes before a retry; what is in flight goes on. The graph is
 * then superseded or cancelled. */
void graph_stop(struct core *core, struct graph *graph, enum graph_state state);
uint32_t group_dispatch(struct core *core, struct group *group, uint32_t budget);
bool group_can_dispatch(const struct core *core, const struct group *group);
void task_end(struct core *core, struct graph *graph, uint32_t task, enum task_state state,
	const char *error);
/* An attempt of the node's task failed: another one follows (true), or not. One does as long as the
 * graph runs, or one that does has a Settle that waits for the node. */
bool task_retry(struct core *core, struct graph *graph, uint32_t task, const char *error);
/* Lets go of the nodes that wait for another attempt in graphs that run no more: a new plan does
 * not see them. */
void group_give_up_retries(struct core *core, struct group *group);
void task_timer(struct core *core, struct graph *graph, uint32_t task);

/* outcome.c: what the driver tells. */
int step_done(struct core *core, struct core_event *event, struct error *error);
int step_health(struct core *core, struct core_event *event, struct error *error);
int step_exited(struct core *core, struct core_event *event, struct error *error);
int step_inspected(struct core *core, struct core_event *event, struct error *error);
/* The node's task is over: cuts the tie, and ends the task. */
void node_task_end(struct core *core, uint32_t node, enum task_state state, const char *error);
/* The Settle task that waits for the node, if any, ends. Where something was otherwise than planned
 * the group is planned anew; where it failed for good, so does the graph, as if it had been a task of
 * its own: a release that fails is not tried for ever. `error` is of that alone. */
enum settled { SETTLED_AS_PLANNED, SETTLED_OTHERWISE, SETTLED_FAILED };
void node_settled(struct core *core, uint32_t node, enum settled settled, const char *error);
void node_becomes_available(struct core *core, uint32_t node);
/* The node runs: it is available, or a timer will tell, by the min-ready of the group's spec. */
void node_watch_ready(struct core *core, uint32_t node);
/* The node's end, and that of the tasks that are about it. */
struct node_outcome {
	enum node_state state;
	const char *error;
	enum settled settled;     /* for a Settle task */
	enum task_state task_state;
	const char *task_error;
};
void node_over(struct core *core, uint32_t node, const struct node_outcome *outcome);

/* replan.c: plan from the live state. A plan has one reason and one origin (NULL: nobody), however
 * much has made it due: those of the first thing that a user asked for, and where nobody asked for
 * anything, of the first thing that imd found. */
int group_plan(struct core *core, const struct group *group, const struct spec *spec,
	struct graph **ret_graph, struct plan_node **ret_nodes, size_t *ret_count,
	struct error *error);
void group_adopt(struct core *core, struct group *group, struct graph *graph,
	const struct plan_node *nodes, size_t count, enum reason reason);
void group_replan_due(struct core *core, struct group *group, enum reason reason,
	const struct origin *origin);
void group_replan(struct core *core, struct group *group);

/* heal.c: how soon. */
void heal_count_loss(struct core *core, uint32_t node);
void heal_unhealthy(struct core *core, uint32_t node);
void heal_graph_ended(struct core *core, struct group *group, const struct graph *graph);
void heal_forget(struct core *core, struct group *group);
/* Whether there still is something to make up for when its time has come. */
bool heal_needed(const struct group *group);
void heal_later(struct core *core, struct group *group, int64_t at_ms);

/* loss.c: which nodes were lost, and which ones replace them. */
/* The node is lost, or about to be: it dies, is killed, or is stopped while it is unhealthy. */
void loss_begin(struct core *core, uint32_t node);
/* It could not be killed or stopped, and is there; it is healthy again. */
void loss_averted(struct core *core, uint32_t node);
void loss_recovered(struct core *core, uint32_t node);
/* It has died or was killed: its end, which follows, is told as that. */
void loss_count_death(struct core *core, uint32_t node);
/* It is new in its slot, and makes up for what was lost there; it ends without having done so; its start
 * has succeeded, and whether it has. */
void loss_inherit(struct core *core, uint32_t node);
void loss_leave(struct core *core, uint32_t node);
bool loss_made_up(struct core *core, uint32_t node);
/* A graph begins: it tells where what was lost is made up for, if at all. */
void losses_place(const struct core *core, struct group *group, const struct graph *graph);
void losses_forget(struct group *group);
/* Once graphs and nodes are loaded and tied together. */
void losses_load(struct core *core, struct group *group);

/* request.c: what users ask. */
int step_update(struct core *core, struct core_event *event, struct error *error);
int step_kill(struct core *core, struct core_event *event, struct error *error);
int step_mark(struct core *core, struct core_event *event, struct error *error);
int step_cancel(struct core *core, struct core_event *event, struct error *error);

#endif
