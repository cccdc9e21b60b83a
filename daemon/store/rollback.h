/* Rollback journals beside a state. SQLite plays one back into the database whoever wrote it, and whatever has become
 * of the database since. imd uses a write-ahead log, so its own journals can only be of two transactions: the one
 * that creates a database, and the one that has a database without a log use one, which changes the header alone. */
#ifndef IMD_STORE_ROLLBACK_H
#define IMD_STORE_ROLLBACK_H

#include "proto/error.h"

/* Refuses a journal that would change more of the database than imd's own can, or names a super-journal, which SQLite
 * then removes. Both are open for reading; a journal
 * that was ended is none. `path` is that of the journal. -1 with ERR_STORAGE. */
int rollback_check(int journal, int database, const char *path, struct error *error);

#endif
