/* The columns of the tables in which records are shown. */
#ifndef IMD_CTL_COLUMNS_H
#define IMD_CTL_COLUMNS_H

#include "table.h"

extern const struct column spec_columns[];
extern const size_t spec_column_count;
extern const struct column group_columns[];
extern const size_t group_column_count;
extern const struct column node_columns[];
extern const size_t node_column_count;
extern const struct column graph_columns[];
extern const size_t graph_column_count;
/* A plan: ID, PREREQS, ACTION. */
enum { PLAN_ID, PLAN_PREREQS, PLAN_ACTION, PLAN_COLUMN_COUNT };
extern const struct column plan_columns[PLAN_COLUMN_COUNT];
/* Tasks as they are. */
extern const struct column task_columns[];
extern const size_t task_column_count;
extern const struct column stat_columns[];
extern const size_t stat_column_count;

#endif
