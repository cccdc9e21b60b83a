/* What the store needs of SQLite, and the one place that knows it. Every function that can fail says
 * so with -1 and ERR_STORAGE, or ERR_INTERNAL if memory is lacking; a database belongs to one thread at a time. */
#ifndef IMD_STORE_SQLITE_H
#define IMD_STORE_SQLITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/error.h"
#include "proto/id.h"

struct db;
struct db_statement;
struct db_backup;

/* Opens a file, or makes it if `create` says so, and locks it for this process alone as long as it is open. The path
 * is absolute, has no symbolic links and is trusted (files.h); `name` is what messages call the file. Of a
 * file that is new free pages can be given back. Fails, and touches nothing, if another process has it. */
int db_open(const char *path, const char *name, bool create, struct db **ret_db,
	struct error *error);
/* Opens a file to read it as it is without its log. It is not locked, and nothing is written. */
int db_open_alone(const char *path, struct db **ret_db, struct error *error);
/* Until this call, closing a database that had a log when it was opened leaves the log, and the file, as they are. */
void db_accept(struct db *db);
/* A database in memory, for comparison. */
int db_open_memory(struct db **ret_db, struct error *error);
void db_close(struct db *db);
/* Until this call, each statement may only do as much work as it takes to read imd's schema. */
void db_trust_schema(struct db *db);
/* The path of the file, absolute and without symbolic links. */
const char *db_path(const struct db *db);

/* Whether its path leads to the file that is open, and that of the log to the log. -1: not any more. */
int db_check_place(struct db *db, struct error *error);

/* The bytes that the files must have at least; somebody has cut a shorter one. */
struct db_sizes {
	int64_t file;
	int64_t log; /* 0 also if nothing was committed since it was opened */
};

/* The log: what was committed and is not in the file yet (sqlite_log.h).
 *
 * db_watch: `committing` is called when a commit is durable and before it counts, with the sizes that the files must
 * have then; -1 has the commit fail. */
void db_watch(struct db *db, int (*committing)(void *arg, const struct db_sizes *sizes), void *arg);
/* Whether the next transaction begins the log. */
bool db_log_begins(const struct db *db);
/* Whether a file did not take what was written to it, since this was asked last. */
bool db_write_failed(struct db *db);
struct db_sizes db_sizes(struct db *db);
/* Writes what somebody has cut off the log into it again. -1: that failed, or is not in memory. */
int db_mend_log(struct db *db);
/* Copies all of the log into the file. -1: it failed, and nothing is lost. */
int db_checkpoint(struct db *db);
/* Does that, and gives the room of the log back. -1: it failed, or the log takes none. */
int db_empty_log(struct db *db);
/* Has db_close leave the files as they are, with the log. */
void db_keep_files(struct db *db);
/* Cuts off what follows the last commit in the log, and waits until that is durable: a transaction that failed may
 * have left frames there. It needs no room on the disk. -1: it failed, or the end of the log is not known,
 * because nothing was committed since it was opened. Not within a transaction. */
int db_trim_log(struct db *db);

/* Runs SQL that has no result. */
int db_run(struct db *db, const char *sql, struct error *error);
/* Rolls back the transaction, if there is one. Without memory it may stay open. */
void db_rollback(struct db *db);
/* Runs a query for one number. */
int db_number(struct db *db, const char *sql, int64_t *ret_number, struct error *error);
/* Looks through the whole file: whether its pages hold together, and with `thorough` their contents too.
 * Fails with the first thing that is wrong. */
int db_verify(struct db *db, bool thorough, struct error *error);
/* Tries whether a new page can be had, and changes nothing. SQLite's check does not look at the number of free pages if
 * it finds no list of them, and then no commit that needs a page succeeds. */
int db_verify_free_pages(struct db *db, struct error *error);

/* Statements. They are the caller's, and end before their database does. */
int db_prepare(struct db *db, const char *sql, struct db_statement **ret_statement,
	struct error *error);
void db_finish(struct db_statement *statement); /* NULL is no statement */

/* Parameters, from 1. Texts and blobs must stay until the statement has been carried out. An
 * error shows when it is. */
void db_bind_number(struct db_statement *statement, int place, int64_t value);
void db_bind_text(struct db_statement *statement, int place, const char *text, size_t len);
void db_bind_string(struct db_statement *statement, int place, const char *text); /* NULL: no value */
void db_bind_blob(struct db_statement *statement, int place, const void *data, size_t len);
void db_bind_none(struct db_statement *statement, int place);
/* Carries a statement without result out, and makes it ready for the next time. */
int db_execute(struct db_statement *statement, struct error *error);

/* Goes to the next row: 1, 0 behind the last one, or -1. A statement that was not read to its end is
 * ended with db_rewind. */
int db_next(struct db_statement *statement, struct error *error);
void db_rewind(struct db_statement *statement);
/* Columns of the row, from 0; texts and blobs are valid until the next call on the statement. Where
 * there is no value a number is 0, and a text or blob NULL. */
enum db_type {
	DB_NULL,
	DB_INTEGER,
	DB_REAL,
	DB_TEXT,
	DB_BLOB,
};
/* How the value is stored, before any conversion. */
enum db_type db_column_type(struct db_statement *statement, int column);
/* All of it at once, which costs half of asking for each. A text or blob is not converted. */
struct db_value {
	enum db_type type;
	int64_t number;   /* of DB_INTEGER, else 0 */
	const void *data; /* of DB_TEXT, with a NUL after it, and DB_BLOB; else NULL */
	size_t len;
};
struct db_value db_column(struct db_statement *statement, int column);
int64_t db_column_number(struct db_statement *statement, int column);
const char *db_column_text(struct db_statement *statement, int column, size_t *ret_len);
const void *db_column_blob(struct db_statement *statement, int column, size_t *ret_len);
/* Whether a column of the row could not be read for lack of memory; then it is NULL. */
bool db_lacks_memory(struct db_statement *statement);

/* A copy into an empty file that is open and needs no name, some pages at a time; what is committed in between is
 * in it. The descriptor is the caller's, and stays until db_backup_end. */
int db_backup_begin(struct db *db, int fd, struct db_backup **ret_backup, struct error *error);
/* 1: there is more to do; 0: all pages are copied. */
int db_backup_step(struct db_backup *backup, int pages, struct error *error);
/* After that, the copy, to be changed by SQL once its file was sealed (snapshot.h): by then its header must not ask for
 * a log, which SQLite would create by name. It belongs to the backup. */
struct db *db_backup_target(struct db_backup *backup);
void db_backup_end(struct db_backup *backup); /* NULL is none */

#endif
