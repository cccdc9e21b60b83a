/* The tables of the state file as statements: rows go in. */
#ifndef IMD_STORE_TABLES_H
#define IMD_STORE_TABLES_H

#include "rows.h"
#include "sqlite.h"

enum table_statement {
	TABLE_BEGIN,
	TABLE_COMMIT,
	TABLE_ROLLBACK,
	TABLE_DAEMON,
	TABLE_GROUP,
	TABLE_SPEC,
	TABLE_SPEC_GONE,
	TABLE_GRAPH,
	TABLE_PLAN,
	TABLE_TASK,
	TABLE_NODE,
	TABLE_GRAPH_GONE,
	TABLE_PLAN_GONE,
	TABLE_TASKS_GONE,
	TABLE_NODE_GONE,
	TABLE_FREE_PAGES,
	TABLE_VACUUM,
	TABLE_STATEMENT_COUNT,
};

struct tables {
	struct db *db;
	struct db_statement *statements[TABLE_STATEMENT_COUNT];
};

/* Of a database that schema_accept has set up; to be ended before that is closed, also after a failure. */
int tables_init(struct tables *tables, struct db *db, struct error *error);
void tables_fini(struct tables *tables);

/* Writes all rows in one transaction. Where that fails, nothing of it is stored. */
int tables_write(struct tables *tables, const struct rows *rows, struct error *error);

#endif
