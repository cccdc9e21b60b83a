/* The files of a state that are open for reading, without SQLite: it may write to what it opens. */
#ifndef IMD_STORE_SOURCE_H
#define IMD_STORE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "files.h"

struct source {
	const char *path;            /* of the database */
	int directory;
	int files[STATE_FILE_COUNT]; /* -1: there is none */
	uid_t owner;                 /* of all of them; by default, of the database */
	uint32_t page_size;          /* by the header of the database; 0: it has none, or was not read */
	bool asks_for_log;           /* by its header; one that does not never had a log */
};

enum source_flag {
	SOURCE_MAY_BE_MISSING = 1 << 0, /* the database, and its log; by default a database must exist, or its log */
	SOURCE_EXCLUSIVE = 1 << 1,      /* no other process may open it; by default, none may write */
	SOURCE_ANY_CONTENT = 1 << 2,    /* also what is no database; the header is not read */
	SOURCE_ANY_OWNER = 1 << 3,      /* also for root; by default, root opens root's files alone */
};

/* Opens a database, its log and its journal as far as they exist, and locks it as SQLite does: it must not be in use
 * by a daemon or another program, and cannot be until source_close. Nothing is created or written. Each must be
 * a regular file that others cannot write to, with one name, of one owner, and the database must have a header of
 * SQLite's unless it is shorter than that. The path must outlive the source. -1 with ERR_STORAGE; then there is
 * nothing to close. */
int source_open(const char *path, unsigned flags, struct source *ret_source, struct error *error);
/* Closing a database drops the locks that SQLite has on it in this process (fcntl(2)). */
void source_close(struct source *source);

#endif
