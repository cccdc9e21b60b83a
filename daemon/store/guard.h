/* What a database may make SQLite do. A state file may have been written by somebody else: a connection of imd
 * runs no trigger, view or function of the file, writes no schema but by statements of its own, and has limits
 * that are just above what imd needs (see "Defense against the dark arts" in SQLite's documentation). */
#ifndef IMD_STORE_GUARD_H
#define IMD_STORE_GUARD_H

struct sqlite3;

/* For a connection that has run nothing yet. Returns a result code of SQLite. Until guard_release each
 * statement may do as much work as it takes to read imd's schema; one that does more is interrupted. */
int guard_apply(struct sqlite3 *sqlite);
/* Lifts the limit on work, after the schema was found to be imd's. */
void guard_release(struct sqlite3 *sqlite);

#endif
