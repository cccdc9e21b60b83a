/* Cuts a damaged log at the beginning of the damage, and keeps a copy of the files. */
#ifndef IMD_STORE_REPAIR_H
#define IMD_STORE_REPAIR_H

#include "restore.h"
#include "source.h"
#include "wal.h"

/* Reads the log of a source. -1 with ERR_STORAGE if it is not damaged. */
int repair_inspect(const struct source *source, struct wal *ret_log, struct error *error);
/* Copies the database and the log to FILE.before-truncate-TIME with the same suffixes, and then cuts the log. The
 * source is open for this process alone. -1 with ERR_STORAGE: the log is as it was, unless the cut could not be
 * synced; there are both copies, or none. */
int repair_cut(const struct trust_path *place, const struct source *source, const struct wal *log,
	restore_moved_fn *kept, void *arg, struct error *error);

#endif
