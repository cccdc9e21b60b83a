/* Statements, rows and copies. */
#include "sqlite.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mem.h"
#include "sqlite_db.h"
#include "sqlite_fd.h"

/* A statement of ours is one of SQLite's. */
static sqlite3_stmt *of(struct db_statement *statement)
{
	return (sqlite3_stmt *)statement;
}

static bool is_no_memory(int code)
{
	return (code & 0xff) == SQLITE_NOMEM || code == SQLITE_IOERR_NOMEM;
}

int db_fail(sqlite3 *sqlite, struct error *error)
{
	if (is_no_memory(sqlite3_extended_errcode(sqlite)))
		return error_set(error, ERR_INTERNAL, "not enough memory");
	if (sqlite3_errcode(sqlite) == SQLITE_INTERRUPT)
		return error_set(error, ERR_STORAGE, "its schema is too large to be one of imd");
	return error_set(error, ERR_STORAGE, "%s", sqlite3_errmsg(sqlite));
}

/* ---- SQL ----------------------------------------------------------------------------------- */

int db_run(struct db *db, const char *sql, struct error *error)
{
	if (sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) != SQLITE_OK)
		return db_fail(db->sqlite, error);
	return 0;
}

void db_rollback(struct db *db)
{
	if (!sqlite3_get_autocommit(db->sqlite))
		db_run(db, "ROLLBACK", NULL);
}

int db_number(struct db *db, const char *sql, int64_t *ret_number, struct error *error)
{
	struct db_statement *statement;
	int row;

	if (db_prepare(db, sql, &statement, error) < 0)
		return -1;
	row = db_next(statement, error);
	if (row > 0 && db_column_type(statement, 0) != DB_INTEGER)
		row = 0;
	if (row > 0)
		*ret_number = db_column_number(statement, 0);
	db_finish(statement);
	if (row == 0)
		return error_set(error, ERR_STORAGE, "not a number: %s", sql);
	return row < 0 ? -1 : 0;
}

/* What a check finds is text, also that there was no memory for it: "Page 3: unable to get the page. error code=7". */
static bool says_no_memory(const char *text)
{
	static const char code[] = "error code";
	const char *found = strstr(text, code);

	return found && is_no_memory((int)strtol(found + sizeof code, NULL, 10));
}

static int verify_failed(const struct db *db, const char *text, struct error *error)
{
	if (text && says_no_memory(text))
		return error_set(error, ERR_INTERNAL, "not enough memory to check %s", db->name);
	return error_set(error, ERR_STORAGE, "%s is damaged: %s", db->name, text ? text : "it cannot be checked");
}

int db_verify(struct db *db, bool thorough, struct error *error)
{
	const char *sql = thorough ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)";
	struct db_statement *statement;
	const char *text;
	int row, ret = 0;

	if (db_prepare(db, sql, &statement, error) < 0)
		return -1;
	row = db_next(statement, error);
	text = row > 0 ? db_column_text(statement, 0, NULL) : NULL;
	if (row < 0)
		ret = -1;
	else if (text == NULL || strcmp(text, "ok") != 0)
		ret = verify_failed(db, text, error);
	db_finish(statement);
	return ret;
}

int db_verify_free_pages(struct db *db, struct error *error)
{
	struct error inner;
	int ret;

	if (db_run(db, "BEGIN IMMEDIATE", error) < 0)
		return -1;
	ret = db_run(db, "CREATE TABLE takes_a_page (a)", &inner);
	db_run(db, "ROLLBACK", NULL); /* SQLite may have done so already */
	if (ret < 0 && inner.code == ERR_INTERNAL)
		return error_set(error, ERR_INTERNAL, "not enough memory to check %s", db->name);
	if (ret < 0)
		return error_set(error, ERR_STORAGE, "%s is damaged: its free pages cannot be used: %s", db->name,
			inner.text);
	return 0;
}

int db_prepare(struct db *db, const char *sql, struct db_statement **ret_statement,
	struct error *error)
{
	sqlite3_stmt *statement = NULL;

	*ret_statement = NULL;
	if (sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
		SQLITE_OK)
		return db_fail(db->sqlite, error);
	*ret_statement = (struct db_statement *)statement;
	return 0;
}

void db_finish(struct db_statement *statement)
{
	sqlite3_finalize(of(statement));
}

/* ---- parameters ---------------------------------------------------------------------------- */

/* Binding fails only for a place that is not there, a mistake that every test finds, and for a
 * text that is too long; texts here have limits. */

void db_bind_number(struct db_statement *statement, int place, int64_t value)
{
	sqlite3_bind_int64(of(statement), place, value);
}

void db_bind_text(struct db_statement *statement, int place, const char *text, size_t len)
{
	sqlite3_bind_text(of(statement), place, text, (int)len, SQLITE_STATIC);
}

void db_bind_string(struct db_statement *statement, int place, const char *text)
{
	sqlite3_bind_text(of(statement), place, text, -1, SQLITE_STATIC);
}

void db_bind_blob(struct db_statement *statement, int place, const void *data, size_t len)
{
	sqlite3_bind_blob64(of(statement), place, data, len, SQLITE_STATIC);
}

void db_bind_none(struct db_statement *statement, int place)
{
	sqlite3_bind_null(of(statement), place);
}

int db_execute(struct db_statement *statement, struct error *error)
{
	int code = sqlite3_step(of(statement));
	int ret = 0;

	if (code != SQLITE_DONE && code != SQLITE_ROW)
		ret = db_fail(sqlite3_db_handle(of(statement)), error);
	sqlite3_reset(of(statement));
	return ret;
}

/* ---- rows ---------------------------------------------------------------------------------- */

int db_next(struct db_statement *statement, struct error *error)
{
	int code = sqlite3_step(of(statement));

	if (code == SQLITE_ROW)
		return 1;
	if (code != SQLITE_DONE)
		db_fail(sqlite3_db_handle(of(statement)), error);
	sqlite3_reset(of(statement));
	return code == SQLITE_DONE ? 0 : -1;
}

void db_rewind(struct db_statement *statement)
{
	sqlite3_reset(of(statement));
}

int64_t db_column_number(struct db_statement *statement, int column)
{
	return sqlite3_column_int64(of(statement), column);
}

static enum db_type type_of(int type)
{
	switch (type) {
	case SQLITE_INTEGER: return DB_INTEGER;
	case SQLITE_TEXT: return DB_TEXT;
	case SQLITE_BLOB: return DB_BLOB;
	case SQLITE_NULL: return DB_NULL;
	default: return DB_REAL;
	}
}

enum db_type db_column_type(struct db_statement *statement, int column)
{
	return type_of(sqlite3_column_type(of(statement), column));
}

/* The value is unprotected (sqlite3_column_value): that is safe while one thread uses the database. */
struct db_value db_column(struct db_statement *statement, int column)
{
	sqlite3_value *value = sqlite3_column_value(of(statement), column);
	struct db_value ret = {.type = type_of(sqlite3_value_type(value))};

	if (ret.type == DB_INTEGER) {
		ret.number = sqlite3_value_int64(value);
	} else if (ret.type == DB_TEXT || ret.type == DB_BLOB) {
		ret.data = ret.type == DB_TEXT ? sqlite3_value_text(value) : sqlite3_value_blob(value);
		ret.len = (size_t)sqlite3_value_bytes(value);
	}
	return ret;
}

const char *db_column_text(struct db_statement *statement, int column, size_t *ret_len)
{
	const char *text = (const char *)sqlite3_column_text(of(statement), column);

	if (ret_len != NULL)
		*ret_len = (size_t)sqlite3_column_bytes(of(statement), column);
	return text;
}

const void *db_column_blob(struct db_statement *statement, int column, size_t *ret_len)
{
	const void *blob = sqlite3_column_blob(of(statement), column);

	*ret_len = (size_t)sqlite3_column_bytes(of(statement), column);
	return blob;
}

bool db_lacks_memory(struct db_statement *statement)
{
	return is_no_memory(sqlite3_extended_errcode(sqlite3_db_handle(of(statement))));
}

/* ---- copies -------------------------------------------------------------------------------- */

struct db_backup {
	struct db target;       /* sqlite NULL: it could not be opened */
	sqlite3_backup *backup; /* NULL once all pages are copied */
};

static int backup_failed(int code, struct error *error)
{
	return error_set(error, ERR_STORAGE, "the copy of the state cannot be written: %s", sqlite3_errstr(code));
}

int db_backup_begin(struct db *db, int fd, struct db_backup **ret_backup, struct error *error)
{
	/* A copy that is not whole when the process ends is lost anyway. */
	static const char settings[] = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF";
	struct db_backup *backup = mem_zalloc(1, sizeof *backup);
	sqlite3 **target = &backup->target.sqlite;
	int code = sqlite_fd_open(fd, target);

	if (code == SQLITE_OK)
		code = sqlite3_exec(*target, settings, NULL, NULL, NULL);
	if (code == SQLITE_OK) {
		backup->backup = sqlite3_backup_init(*target, "main", db->sqlite, "main");
		code = backup->backup != NULL ? SQLITE_OK : sqlite3_extended_errcode(*target);
	}
	if (code != SQLITE_OK) {
		backup_failed(code, error);
		db_backup_end(backup);
		return -1;
	}
	*ret_backup = backup;
	return 0;
}

/* At the end SQLite forgets the pages of the copy, among them the header, which the caller is about to change. */
int db_backup_step(struct db_backup *backup, int pages, struct error *error)
{
	int code = sqlite3_backup_step(backup->backup, pages);

	if (code == SQLITE_OK)
		return 1;
	if (code != SQLITE_DONE)
		return backup_failed(code, error);
	code = sqlite3_backup_finish(backup->backup);
	backup->backup = NULL;
	if (code == SQLITE_OK)
		code = sqlite3_db_release_memory(backup->target.sqlite);
	return code == SQLITE_OK ? 0 : backup_failed(code, error);
}

struct db *db_backup_target(struct db_backup *backup)
{
	return &backup->target;
}

void db_backup_end(struct db_backup *backup)
{
	if (backup == NULL)
		return;
	sqlite3_backup_finish(backup->backup);
	sqlite3_close(backup->target.sqlite);
	free(backup);
}
