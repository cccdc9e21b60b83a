/* The tables of the state file, and how files of earlier versions become files of this one. */
#ifndef IMD_STORE_SCHEMA_H
#define IMD_STORE_SCHEMA_H

#include "sqlite.h"

enum { SCHEMA_VERSION = 4 };

/* Two columns of the table daemon identify the history that a file belongs to, since version 4.
 *
 * daemon.incarnation is an ID that is new with each state, and with each use of a copy. NULL means that the file was
 * never in use, and so does a journal mode other than WAL, as of a dump that was read back: opening such a file for
 * use assigns an ID (schema_accept). A copy made by BACKUP has a NULL incarnation and another journal mode, so each use
 * of it is a history of its own: it numbers its events differently, and its graphs get other IDs. Event numbers can be
 * compared only within one incarnation. A crash between the change of the journal mode and the transaction leaves the
 * incarnation of the dump.
 *
 * daemon.commits counts: every transaction that writes to the file raises it by exactly one, so each one in the
 * write-ahead log does. This tells whether a log belongs to the file that it is beside. Let C be the number of
 * transactions in the log, and let the file have M commits without the log, and N with it. Then the log belongs to the
 * file only if the incarnation is the same with and without it, and N - C <= M <= N: the log continues the file, which
 * may have taken over some of the transactions.
 *
 * A file gets its log, then its incarnation, and then takes over that transaction from the log. If a crash comes in
 * between, the file has NULL and M = N - C. If a log has brought the file from an older version to this one, or has
 * created its tables, the file has neither column without the log, which is M = 0, and N - C <= 0: transactions
 * before that were not counted. A crash during a checkpoint may leave a file that is shorter than its header says.
 * Without its log, SQLite reads it only with PRAGMA writable_schema; M is right in it. (inspect.h) */

/* Checks a database that was just opened, and changes nothing: refuses what is not imd's or is newer, what is damaged,
 * and a schema that differs in anything from what imd makes. A database without tables has version 0. `name` is for
 * messages. What is not `lasting` is a copy that nobody needs any more: nothing waits for the disk. */
int schema_check(struct db *db, const char *name, bool lasting, int64_t *ret_version, struct error *error);
/* Has a database that was checked be of SCHEMA_VERSION, in memory alone: until schema_accept, or until it is closed. */
int schema_try(struct db *db, int64_t version, struct error *error);
/* Creates the tables, or brings them to SCHEMA_VERSION; has the database use a write-ahead log, and assigns an
 * incarnation if it has none. 1: what is stored has changed by that; 0: it has not. Without `ids` the database is a
 * copy that is only read: it gets no incarnation and no log, and must not have been tried. */
int schema_accept(struct db *db, const char *name, int64_t version, const struct id_source *ids, struct error *error);
/* To be called in each transaction that writes: has the one that begins a log write the version again, and with it the
 * header of the file. So the version is that of the log, also if the log is beside an older file. */
int schema_mark_log(struct db *db, struct error *error);
/* Commits a transaction that only counts itself. Rolls back one that was left open. */
int schema_touch(struct db *db, struct error *error);
/* Has the database, of SCHEMA_VERSION, be one that was never in use: for copies. */
int schema_forget_incarnation(struct db *db, struct error *error);

#endif
