/* An open database, as the parts of sqlite.h share it. */
#ifndef IMD_STORE_SQLITE_DB_H
#define IMD_STORE_SQLITE_DB_H

#include "sqlite.h"
#include "sqlite_layer.h"
#include "sqlite_log.h"

struct db {
	struct sqlite3 *sqlite;
	char *path;
	char *name; /* for messages */
	struct sqlite_log log;
	struct sqlite_watch watch;
	int (*committing)(void *arg, const struct db_sizes *sizes); /* of db_watch; NULL: none */
	void *committing_arg;
};

/* Says what SQLite said last: ERR_INTERNAL for a lack of memory, as NULL is, else ERR_STORAGE. Returns -1. */
int db_fail(struct sqlite3 *sqlite, struct error *error);

#endif
