/* The tables of the state file, and how files of earlier versions become files of this one. */
#ifndef IMD_STORE_SCHEMA_H
#define IMD_STORE_SCHEMA_H

#include "sqlite.h"

enum { SCHEMA_VERSION = 4 };

/* Two columns of the table daemon identify the history that a file belongs to, since version 4.
 *
 * daemon.incarnation is an ID that is new with each state, and with each use of a copy. NULL means that the file was
 * never in use: opening it for use assigns an ID (schema_set_up). A copy made by BACKUP has NULL, so each use of it
 * is a history of its own: it numbers its events differently, and its graphs get other IDs. Event numbers can be
 * compared within one incarnation alone.
 *
 * daemon.commits counts: every transaction that writes to the file raises it by exactly one, so each one in the
 * write-ahead log does. This tells whether a log belongs to the file that it is beside. Let C be the number of
 * transactions in the log, and let the file have M commits without the log, and N with it. Then the log belongs to the
 * file only if the incarnation is the same with and without it, and N - C <= M <= N: the log continues the file, which
 * may have taken over some of the transactions.
 *
 * A file gets its incarnation before it gets its first log, so no log changes NULL to an ID. Only a log that brings a
 * file of an older version to this one adds the columns; without that log the file has neither. A crash during a
 * checkpoint may leave a file that is shorter than its header says. Without its log, SQLite reads it only with
 * PRAGMA writable_schema; M is right in it. */

/* Sets up a database that was just opened: creates the tables if it is empty, brings it to SCHEMA_VERSION if it is
 * older, and assigns an incarnation if it has none. Refuses, and leaves as it is, what is not imd's or is newer, and
 * a schema that differs in anything from what imd makes.
 * `name` is for messages. Without `ids` the database is a copy that is only read: it gets no incarnation and no log,
 * and nothing waits for the disk. */
int schema_set_up(struct db *db, const char *name, const struct id_source *ids, struct error *error);
/* Commits a transaction that only counts itself. */
int schema_touch(struct db *db, struct error *error);
/* Has the database, of SCHEMA_VERSION, be one that was never in use: for copies. */
int schema_forget_incarnation(struct db *db, struct error *error);

#endif
