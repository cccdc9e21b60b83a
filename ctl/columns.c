#include "columns.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* What the spec of a group and each of its revisions have in common. */
#define SPEC_COLUMNS                                                \
	{"SIZE", "size", COLUMN_NUMBER, false},                         \
	{"VERSION", "version", COLUMN_NUMBER, false},                   \
	{"MAX-SURGE", "max-surge", COLUMN_NUMBER, false},               \
	{"MAX-UNAVAILABLE", "max-unavailable", COLUMN_NUMBER, false},   \
	{"MAX-PARALLEL", "max-parallel", COLUMN_NUMBER, false},         \
	{"MIN-READY", "min-ready", COLUMN_NUMBER, false},               \
	{"CREATED", "created", COLUMN_TIME, true},                      \
	{"USER", "user", COLUMN_TEXT, true},                            \
	{"NOTE", "note", COLUMN_TEXT, true}

const struct column spec_columns[] = {
	{"REVISION", "revision", COLUMN_NUMBER, false},
	SPEC_COLUMNS,
};
const size_t spec_column_count = COUNT_OF(spec_columns);

const struct column group_columns[] = {
	{"GROUP", "group", COLUMN_NAME, false},
	{"REVISION", "revision", COLUMN_NUMBER, false},
	SPEC_COLUMNS,
};
const size_t group_column_count = COUNT_OF(group_columns);

const struct column node_columns[] = {
	{"ID", "id", COLUMN_ID, false},
	{"GROUP", "group", COLUMN_GROUP, false},
	{"SLOT", "slot", COLUMN_NUMBER, false},
	{"VERSION", "version", COLUMN_NUMBER, false},
	{"STATE", "state", COLUMN_STATE, false},
	{"REVISION", "revision", COLUMN_NUMBER, false},
	{"CREATED", "created", COLUMN_TIME, false},
	{"STARTED", "started", COLUMN_TIME, true},
	{"FINISHED", "finished", COLUMN_TIME, true},
	{"MARKED", "marked", COLUMN_TEXT, true},
	{"MARKED-BY", "marked-by", COLUMN_TEXT, true},
	{"ERROR", "error", COLUMN_TEXT, true},
};
const size_t node_column_count = COUNT_OF(node_columns);

const struct column graph_columns[] = {
	{"ID", "id", COLUMN_ID, false},
	{"GROUP", "group", COLUMN_GROUP, false},
	{"REVISION", "revision", COLUMN_NUMBER, false},
	{"STATE", "state", COLUMN_STATE, false},
	{"REASON", "reason", COLUMN_TEXT, false},
	{"USER", "user", COLUMN_TEXT, true},
	{"TASKS", "tasks", COLUMN_NUMBER, false},
	{"WAITING", "waiting", COLUMN_NUMBER, false},
	{"RUNNING", "running", COLUMN_NUMBER, false},
	{"SUCCEEDED", "succeeded", COLUMN_NUMBER, false},
	{"FAILED", "failed", COLUMN_NUMBER, false},
	{"CANCELLED", "cancelled", COLUMN_NUMBER, false},
	{"STARTED", "started", COLUMN_TIME, false},
	{"FINISHED", "finished", COLUMN_TIME, true},
	{"SUCCESSOR", "successor", COLUMN_TEXT, true},
	{"CANCELLED-BY", "cancelled-by", COLUMN_TEXT, true},
	{"ERROR", "error", COLUMN_TEXT, true},
};
const size_t graph_column_count = COUNT_OF(graph_columns);

#define PLAN_COLUMNS                              \
	{"ID", "id", COLUMN_NUMBER, false},           \
	{"PREREQS", "prereqs", COLUMN_PREREQS, false}, \
	{"ACTION", "action", COLUMN_ACTION, false}

const struct column plan_columns[PLAN_COLUMN_COUNT] = {PLAN_COLUMNS};

const struct column task_columns[] = {
	PLAN_COLUMNS,
	{"STATE", "state", COLUMN_STATE, false},
	{"WAITS", "waits", COLUMN_TEXT, true},
	{"ATTEMPT", "attempt", COLUMN_NUMBER, true},
	{"STARTED", "started", COLUMN_TIME, true},
	{"FINISHED", "finished", COLUMN_TIME, true},
	{"ERROR", "error", COLUMN_TEXT, true},
};
const size_t task_column_count = COUNT_OF(task_columns);

const struct column stat_columns[] = {
	{"NAME", "name", COLUMN_TEXT, false},
	{"VALUE", "value", COLUMN_TEXT, false},
};
const size_t stat_column_count = COUNT_OF(stat_columns);
