/* A layer over the files of a database, in which a commit can be refused after it was written. A part of sqlite.c.
 *
 * SQLite counts the frames of a commit once the log is synced. If that fails they do not count, so this is the last
 * moment at which a commit can fail, and a check made there covers all that the commit has written.
 *
 * The layer also keeps what is written to the log in memory, up to a limit. If somebody has cut the log, it is read
 * from there, and can be mended. */
#ifndef IMD_STORE_SQLITE_LAYER_H
#define IMD_STORE_SQLITE_LAYER_H

#include <stdbool.h>
#include <stdint.h>

struct sqlite3;
struct sqlite3_file;

struct sqlite_watch {
	/* Called when a commit is durable and before it counts, with the pages that the database has then; -1 has the
	 * commit fail. */
	int (*committing)(void *arg, int64_t pages);
	void *arg;
	bool write_failed; /* a file did not take what was written to it; the owner resets it */
	int64_t pages;     /* the layer's: of the commit that is in the log and not synced; 0: none */
	int64_t log_end;   /* the largest end of a write to the log since it was synced */
};

/* The name of the layer, for sqlite3_open_v2; NULL if there is no memory. */
const char *sqlite_layer_name(void);
/* Sets what watches the files of a connection that was opened with the layer. It stays as long as the connection. */
void sqlite_layer_watch(struct sqlite3 *sqlite, struct sqlite_watch *watch);
/* Writes into a log, a file of the layer, what it lacks of so many bytes, and syncs it. -1: that failed, or not all of
 * them are in memory. */
int sqlite_layer_mend(struct sqlite3_file *log, int64_t end);
/* Whether a path no longer leads to the file that was there right after `file`, of the layer, was opened. SQLite can
 * say that of a database (SQLITE_FCNTL_HAS_MOVED), but not of a log. */
bool sqlite_layer_has_moved(struct sqlite3_file *file, const char *path);

#endif
