/* The write-ahead log of an open database: how much of it counts, when it is checkpointed, and how what does not
 * count is cut off. A part of sqlite.c.
 *
 * A transaction that fails may leave frames after the last one that counts. They have the salt of the log, so after
 * a crash some of them could be taken for a commit. SQLite itself leaves them until they are written over. */
#ifndef IMD_STORE_SQLITE_LOG_H
#define IMD_STORE_SQLITE_LOG_H

#include <stdint.h>

struct sqlite3;

struct sqlite_log {
	struct sqlite3 *sqlite;
	int64_t frames;       /* that count; 0: all are in the database, and the log begins again; -1: not known, because
	                       * nothing was committed since it was opened */
	int64_t frame_size;   /* a frame's header and its page; 0: not known yet */
	int64_t frames_max;   /* a log with more is checkpointed */
};

/* Follows the commits of a connection that was just opened. Memory at `log` stays as it is until the connection is
 * closed. Takes the place of SQLite's automatic checkpoint, with the same limit. */
void sqlite_log_init(struct sqlite_log *log, struct sqlite3 *sqlite);

/* Cuts off what does not count, which needs no room on the disk. Waits until that is durable. -1: it failed, or it
 * is not known what counts. Not within a transaction. */
int sqlite_log_trim(struct sqlite_log *log);

#endif
