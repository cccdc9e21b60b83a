/* Opens the database of a state, after a look at its files, and changes nothing of what it finds: a state that is
 * refused is left as it is. */
#ifndef IMD_STORE_OPENING_H
#define IMD_STORE_OPENING_H

#include <stdbool.h>

#include "inspect.h"
#include "private_copy.h"
#include "sqlite.h"

struct opening {
	struct db *db;   /* NULL: it is not open; else to be closed by the caller, also after an error */
	bool restored;   /* a restore that had been interrupted was finished first */
	int64_t version; /* of the schema that was found; the tables are of SCHEMA_VERSION */
	struct inspection inspection;
};

/* Opens a state for use and locks it; if there is none, the file is created. The changes that the database needs are
 * made in memory alone until opening_accept. -1 with ERR_STORAGE. */
int opening_for_use(const char *name, struct opening *ret_opening, struct error *error);
/* Writes these changes, and has the database behave as usual from here on. 1: there were some; 0: there were none. */
int opening_accept(struct opening *opening, const char *name, const struct id_source *ids, struct error *error);
/* Opens a private copy of a source. With `cut`, a log that is damaged ends before the damage. The copy is the caller's,
 * also after an error; it has no names any more. */
int opening_of_copy(const struct source *source, bool cut, struct private_copy *ret_copy, struct opening *ret_opening,
	struct error *error);

#endif
