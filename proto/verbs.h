/* The requests of the protocol: one row each, from which HELP, usage errors, the daemon's
 * dispatch and imctl's usage are made. To add a request: add a row here, a function named as the row
 * says in daemon/server/, a section in proto.txt and in imd-protocol(7). */
#ifndef IMD_PROTO_VERBS_H
#define IMD_PROTO_VERBS_H

#include <stddef.h>

/* Options of requests; a row has the set of those that it takes.
 * OPTION(enumerator, key, what its value is, what it does). */
#define VERB_OPTIONS(OPTION)                                                                        \
	OPTION(OPT_GROUP, "group", "NAME", "the group; default where it is not given")                 \
	OPTION(OPT_MAX_SURGE, "max-surge", "N|P%", "nodes above the size while a change runs")         \
	OPTION(OPT_MAX_UNAVAILABLE, "max-unavailable", "N|P%", "nodes below the size while a change runs") \
	OPTION(OPT_MAX_PARALLEL, "max-parallel", "N", "tasks in flight at once, 0 for no limit")       \
	OPTION(OPT_MIN_READY, "min-ready", "DURATION", "how long a node must run to be available")     \
	OPTION(OPT_IF_REVISION, "if-revision", "N", "refuse unless this is the current revision")      \
	OPTION(OPT_NOTE, "note", "TEXT", "a remark kept with the revision")                            \
	OPTION(OPT_QUIET, "quiet", "yes|no", "leave the TASK lines out")                               \
	OPTION(OPT_ALL, "all", "yes|no", "ended nodes too, as far as they are kept")                   \
	OPTION(OPT_MARK, "mark", "yes|no", "no takes the mark away")                                   \
	OPTION(OPT_INITIAL, "initial", "yes|no", "no leaves the records out")                          \
	OPTION(OPT_SINCE, "since", "SEQ@INCARNATION", "begin after this event instead of now")

enum verb_option {
#define OPTION(enumerator, key, value, help) enumerator,
	VERB_OPTIONS(OPTION)
#undef OPTION
	VERB_OPTION_COUNT
};

#define OPT(option) (1u << (option))

enum {
	VERB_CHANGES = 1 << 0, /* changes something: an administrator's, and not to be repeated blindly */
	VERB_READS = 1 << 1,   /* reads the state, so it waits for a commit under way */
	VERB_ADMIN = 1 << 3,   /* changes nothing, and is an administrator's all the same */
	VERB_ANY_GROUP = 1 << 2, /* group=* stands for every group */
};

/* Those that only administrators may send. */
#define VERB_RESTRICTED (VERB_CHANGES | VERB_ADMIN)

#define POLICY_OPTIONS                                                                          \
	(OPT(OPT_GROUP) | OPT(OPT_MAX_SURGE) | OPT(OPT_MAX_UNAVAILABLE) | OPT(OPT_MAX_PARALLEL) | \
		OPT(OPT_MIN_READY) | OPT(OPT_IF_REVISION) | OPT(OPT_NOTE) | OPT(OPT_QUIET))

/* VERB(name, handler suffix, min and max arguments, flags, options, arguments as usage, help) */
#define VERBS(VERB)                                                                                  \
	VERB("PING", ping, 0, 0, 0, 0, "", "answers OK")                                                \
	VERB("HELP", help, 0, 1, 0, 0, "[verb]", "lists the requests, or one")                          \
	VERB("UPDATE", update, 2, 2, VERB_CHANGES, POLICY_OPTIONS, "size version",                      \
		"declares size nodes at version, and carries the plan out")                                \
	VERB("PLAN", plan, 2, 2, VERB_READS, POLICY_OPTIONS & ~OPT(OPT_NOTE), "size version",           \
		"answers as UPDATE would, and changes nothing")                                            \
	VERB("SPEC", spec, 0, 0, VERB_READS, OPT(OPT_GROUP), "", "the current spec")                    \
	VERB("SPECS", specs, 0, 0, VERB_READS, OPT(OPT_GROUP), "", "all kept revisions of the spec")    \
	VERB("NODES", nodes, 0, 0, VERB_READS | VERB_ANY_GROUP, OPT(OPT_GROUP) | OPT(OPT_ALL), "",      \
		"the live nodes")                                                                          \
	VERB("NODE", node, 1, 1, VERB_READS, OPT(OPT_GROUP), "node", "one node")                        \
	VERB("KILL", kill, 1, 1, VERB_CHANGES, OPT(OPT_GROUP), "node",                                  \
		"the node dies at once; the group then replaces it")                                       \
	VERB("MARK", mark, 1, 1, VERB_CHANGES, OPT(OPT_GROUP) | OPT(OPT_MARK), "node",                  \
		"the node is the first to go when nodes have to")                                          \
	VERB("GROUPS", groups, 0, 0, VERB_READS, 0, "", "the current spec of every group")              \
	VERB("GRAPHS", graphs, 0, 0, VERB_READS | VERB_ANY_GROUP, OPT(OPT_GROUP), "", "the task graphs") \
	VERB("GRAPH", graph, 1, 1, VERB_READS, OPT(OPT_GROUP), "graph", "one graph and its tasks")      \
	VERB("TASKS", tasks, 1, 1, VERB_READS, OPT(OPT_GROUP), "graph", "the tasks of a graph")         \
	VERB("CANCEL", cancel, 1, 1, VERB_CHANGES, OPT(OPT_GROUP), "graph",                             \
		"starts no more tasks of a graph; those that run end")                                     \
	VERB("WATCH", watch, 1, 2, VERB_READS | VERB_ANY_GROUP,                                         \
		OPT(OPT_GROUP) | OPT(OPT_INITIAL) | OPT(OPT_SINCE), "NODES|GRAPHS|TASKS|ALL [graph]",      \
		"the records as of now, then every event")                                                 \
	VERB("UNWATCH", unwatch, 0, 0, 0, 0, "", "ends the watch")                                      \
	VERB("BACKUP", backup, 0, 0, VERB_ADMIN, 0,  "", "sends a copy of the state file")             \
	VERB("STATS", stats, 0, 0, VERB_READS, 0, "", "figures of the daemon")                          \
	VERB("METRICS", metrics, 0, 0, VERB_READS, 0, "", "figures for a monitoring system")             \
	VERB("QUIT", quit, 0, 0, 0, 0, "", "the daemon closes the connection")

enum verb {
#define VERB(name, suffix, min, max, flags, options, args, help) VERB_##suffix,
	VERBS(VERB)
#undef VERB
	VERB_COUNT
};

struct verb_row {
	const char *name; /* in upper case */
	unsigned min_args;
	unsigned max_args;
	unsigned flags;
	unsigned options; /* a set of OPT() */
	const char *args; /* "size version" */
	const char *help; /* a phrase, no full stop */
};

struct option_row {
	const char *key;
	const char *value; /* "N|P%" */
	const char *help;
};

/* The row of a verb and of an option. */
const struct verb_row *verb_row(enum verb verb);
const struct option_row *verb_option_row(enum verb_option option);
/* Finds a verb by its name in any case, in O(1) or a few comparisons; -1 where there is none. */
int verb_find(const char *name);
/* Finds an option by its key; -1 where there is none. */
int verb_option_find(const char *key);
/* Writes the usage, "UPDATE size version [group=NAME] [max-surge=N|P%] …", and a NUL; cut at size. */
void verb_usage(enum verb verb, char *ret_text, size_t size);

#endif
