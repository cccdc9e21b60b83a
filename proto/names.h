/* The words of states, actions, events and reasons: one table each, for both ends of the wire. */
#ifndef IMD_PROTO_NAMES_H
#define IMD_PROTO_NAMES_H

#define NODE_STATES(NAME)                        \
	NAME(NODE_STARTING, "starting")             \
	NAME(NODE_RUNNING, "running")               \
	NAME(NODE_UNHEALTHY, "unhealthy")           \
	NAME(NODE_SHUTTING_DOWN, "shutting_down")   \
	NAME(NODE_SHUT_DOWN, "shut_down")           \
	NAME(NODE_FAILED, "failed")

#define GRAPH_STATES(NAME)                         \
	NAME(GRAPH_WAITING, "waiting")                \
	NAME(GRAPH_RUNNING, "running")                \
	NAME(GRAPH_RUNNING_ERRORED, "running_errored") \
	NAME(GRAPH_FAILED, "failed")                  \
	NAME(GRAPH_SUCCEEDED, "succeeded")            \
	NAME(GRAPH_SUPERSEDED, "superseded")          \
	NAME(GRAPH_CANCELLED, "cancelled")

#define TASK_STATES(NAME)                \
	NAME(TASK_WAITING, "waiting")       \
	NAME(TASK_RUNNING, "running")       \
	NAME(TASK_FAILED, "failed")         \
	NAME(TASK_SUCCEEDED, "succeeded")   \
	NAME(TASK_CANCELLED, "cancelled")

#define TASK_ACTIONS(NAME)                          \
	NAME(ACTION_START_NODE, "start_node")          \
	NAME(ACTION_SHUT_DOWN_NODE, "shut_down_node")  \
	NAME(ACTION_DO_NOTHING, "do_nothing")

/* The descriptions of do_nothing tasks; the first is no description. */
#define TASK_DESCRIPTIONS(NAME)                       \
	NAME(DESCRIPTION_NONE, "")                       \
	NAME(DESCRIPTION_START_NODES, "StartNodes")      \
	NAME(DESCRIPTION_KILL_SOME, "KillSome")          \
	NAME(DESCRIPTION_REPLACE_BROKEN, "ReplaceBroken") \
	NAME(DESCRIPTION_SETTLE, "Settle")

/* Why a graph was planned, or a spec written. */
#define REASONS(NAME)              \
	NAME(REASON_UPDATE, "update") /* a user declared a spec */                         \
	NAME(REASON_KILL, "kill")     /* a user killed a node */                           \
	NAME(REASON_HEAL, "heal")     /* a node died or is unhealthy, or a heal failed */  \
	NAME(REASON_SETTLE, "settle") /* a task of a superseded graph ended otherwise than planned */

#define EVENT_TYPES(NAME)                            \
	NAME(EVENT_NODE_STARTED, "node-started")        \
	NAME(EVENT_NODE_STATE, "node-state")            \
	NAME(EVENT_GRAPH_STARTED, "graph-started")      \
	NAME(EVENT_GRAPH_SUCCEEDED, "graph-succeeded")  \
	NAME(EVENT_GRAPH_FAILED, "graph-failed")        \
	NAME(EVENT_GRAPH_SUPERSEDED, "graph-superseded") \
	NAME(EVENT_GRAPH_CANCELLED, "graph-cancelled")  \
	NAME(EVENT_TASK_STARTED, "task-started")        \
	NAME(EVENT_TASK_RETRYING, "task-retrying")      \
	NAME(EVENT_TASK_SUCCEEDED, "task-succeeded")    \
	NAME(EVENT_TASK_FAILED, "task-failed")          \
	NAME(EVENT_TASK_CANCELLED, "task-cancelled")

#define NAME(enumerator, word) enumerator,
enum node_state { NODE_STATES(NAME) NODE_STATE_COUNT };
enum graph_state { GRAPH_STATES(NAME) GRAPH_STATE_COUNT };
enum task_state { TASK_STATES(NAME) TASK_STATE_COUNT };
enum task_action { TASK_ACTIONS(NAME) TASK_ACTION_COUNT };
enum task_description { TASK_DESCRIPTIONS(NAME) TASK_DESCRIPTION_COUNT };
enum reason { REASONS(NAME) REASON_COUNT };
enum event_type { EVENT_TYPES(NAME) EVENT_TYPE_COUNT };
#undef NAME

/* The word of a value; the value must be one of the enumerators. */
const char *node_state_name(enum node_state state);
const char *graph_state_name(enum graph_state state);
const char *task_state_name(enum task_state state);
const char *task_action_name(enum task_action action);
const char *task_description_name(enum task_description description);
const char *reason_name(enum reason reason);
const char *event_type_name(enum event_type type);

/* The value of a word, -1 where there is none. */
int node_state_parse(const char *word);
int graph_state_parse(const char *word);
int task_state_parse(const char *word);
int task_action_parse(const char *word);
int reason_parse(const char *word);
int event_type_parse(const char *word);

#endif
