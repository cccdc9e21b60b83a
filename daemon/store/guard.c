#include "guard.h"

#include <sqlite3.h>
#include <stddef.h>

#include "plan.h"

enum { SCHEMA_STEPS = 20000 }; /* instructions of a statement; imd's schema takes a few hundred */

static const struct {
	int option, value;
} options[] = {
	{SQLITE_DBCONFIG_DEFENSIVE, 1},
	{SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
	{SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0},
	{SQLITE_DBCONFIG_RESET_DATABASE, 0},
	{SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
	{SQLITE_DBCONFIG_ENABLE_VIEW, 0},
	{SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
	{SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
	{SQLITE_DBCONFIG_DQS_DDL, 0},
	{SQLITE_DBCONFIG_DQS_DML, 0},
};

static const struct {
	int limit, value;
} limits[] = {
	{SQLITE_LIMIT_LENGTH, PLAN_BYTES_MAX},  /* the largest value, and with that the largest row */
	{SQLITE_LIMIT_SQL_LENGTH, 16384},       /* the longest migration has some 4,000 bytes */
	{SQLITE_LIMIT_COLUMN, 64},              /* graphs has 23 */
	{SQLITE_LIMIT_EXPR_DEPTH, 64},
	{SQLITE_LIMIT_COMPOUND_SELECT, 4},
	{SQLITE_LIMIT_VDBE_OP, 25000},
	{SQLITE_LIMIT_FUNCTION_ARG, 16},
	{SQLITE_LIMIT_ATTACHED, 0},
	{SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 128},
	{SQLITE_LIMIT_VARIABLE_NUMBER, 64},     /* a graph has 23 */
	{SQLITE_LIMIT_TRIGGER_DEPTH, 1},
	{SQLITE_LIMIT_WORKER_THREADS, 0},
};

static int interrupt(void *arg)
{
	(void)arg;
	return 1;
}

int guard_apply(struct sqlite3 *sqlite)
{
	int code = SQLITE_OK, is;

	for (size_t i = 0; i < sizeof options / sizeof options[0] && code == SQLITE_OK; i++) {
		code = sqlite3_db_config(sqlite, options[i].option, options[i].value, &is);
		if (code == SQLITE_OK && is != options[i].value)
			code = SQLITE_ERROR;
	}
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
		sqlite3_limit(sqlite, limits[i].limit, limits[i].value);
	sqlite3_progress_handler(sqlite, SCHEMA_STEPS, interrupt, NULL);
	return code;
}

void guard_release(struct sqlite3 *sqlite)
{
	sqlite3_progress_handler(sqlite, 0, NULL, NULL);
}
