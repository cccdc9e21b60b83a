/* The write-ahead log of an open database: how much of it counts, when it is checkpointed, and how what does not
 * count is cut off. A part of sqlite.c.
 *
 * A transaction that fails may leave frames after the last one that counts. They have the salt of the log, so after
 * a crash some of them could be taken for a commit. SQLite itself leaves them until they are written over. */
#ifndef IMD_STORE_SQLITE_LOG_H
#define IMD_STORE_SQLITE_LOG_H

#include <stdbool.h>
#include <stdint.h>

struct sqlite3;

struct sqlite_log {
	struct sqlite3 *sqlite;
	int64_t frames;       /* that count; 0: all are in the database, and the log begins again; -1: not known, because
	                       * nothing was committed since it was opened */
	int64_t frame_size;   /* a frame's header and its page; 0: not known yet */
	int64_t frames_max;   /* the most of them */
	int64_t reserved;     /* pages that the database has room for; 0: not known */
	int64_t file_size;    /* bytes of the database after it was changed last; 0: not known */
};

/* Follows the commits of a connection that was just opened, in place of SQLite's automatic checkpoint: the log is
 * checkpointed when it is as large as the database, but not while it is small, and at SQLite's limit in any case. `log`
 * must not move until the connection is closed. */
void sqlite_log_init(struct sqlite_log *log, struct sqlite3 *sqlite);

/* Whether the path no longer leads to the log that is open, or there is none. */
bool sqlite_log_has_moved(const struct sqlite_log *log, const char *path);
/* Whether the next transaction begins the log. */
bool sqlite_log_begins(const struct sqlite_log *log);
/* The bytes that count; 0 if there are none, or if that is not known. */
int64_t sqlite_log_size(struct sqlite_log *log);
/* Has the database take the room of so many pages, so that a checkpoint needs none. -1: there is none. */
int sqlite_log_reserve(struct sqlite_log *log, int64_t pages);
/* Writes what somebody has cut off a log into it again, durably. -1: that failed, or is not in memory. */
int sqlite_log_mend(struct sqlite_log *log);
/* Copies all that counts into the database, durably. -1: it failed, or not all could be copied; nothing is lost. It is
 * not begun if the log was cut: the next start would put what is left of it over what is newer. */
int sqlite_log_checkpoint(struct sqlite_log *log);
/* Does that, and cuts the log off. -1: it failed, or the log had no bytes. */
int sqlite_log_empty(struct sqlite_log *log);

/* Cuts off what does not count, which needs no room on the disk. Waits until that is durable. -1: it failed, or it
 * is not known what counts. Not within a transaction. */
int sqlite_log_trim(struct sqlite_log *log);

#endif
