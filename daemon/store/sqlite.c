#include "sqlite.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "guard.h"
#include "proto/buf.h"
#include "proto/mem.h"
#include "sqlite_fd.h"
#include "sqlite_layer.h"
#include "sqlite_log.h"
#include "sqlite_memory.h"

struct db {
	sqlite3 *sqlite;
	char *path;
	char *name; /* for messages */
	struct sqlite_log log;
	struct sqlite_watch watch;
	int (*committing)(void *arg); /* of db_watch; NULL: none */
	void *committing_arg;
};

/* A statement of ours is one of SQLite's. */
static sqlite3_stmt *of(struct db_statement *statement)
{
	return (sqlite3_stmt *)statement;
}

static int fail(sqlite3 *sqlite, struct error *error)
{
	if (sqlite != NULL && sqlite3_errcode(sqlite) == SQLITE_INTERRUPT)
		return error_set(error, ERR_STORAGE, "its schema is too large to be one of imd");
	return error_set(error, ERR_STORAGE, "%s",
		sqlite != NULL ? sqlite3_errmsg(sqlite) : sqlite3_errstr(SQLITE_NOMEM));
}

/* ---- the log ------------------------------------------------------------------------------- */

/* A commit whose pages have no room in the file could not be copied there if the disk stays full. */
static int on_committing(void *arg, int64_t pages)
{
	struct db *db = arg;

	if (sqlite_log_reserve(&db->log, pages) < 0) {
		db->watch.write_failed = true;
		return -1;
	}
	return db->committing ? db->committing(db->committing_arg) : 0;
}

void db_watch(struct db *db, int (*committing)(void *arg), void *arg)
{
	db->committing = committing;
	db->committing_arg = arg;
}

bool db_write_failed(struct db *db)
{
	bool failed = db->watch.write_failed;

	db->watch.write_failed = false;
	return failed;
}

int64_t db_log_size(struct db *db)
{
	return sqlite_log_size(&db->log);
}

bool db_log_begins(const struct db *db)
{
	return sqlite_log_begins(&db->log);
}

int db_checkpoint(struct db *db)
{
	return sqlite_log_checkpoint(&db->log);
}

int db_empty_log(struct db *db)
{
	return sqlite_log_empty(&db->log);
}

int db_trim_log(struct db *db)
{
	return sqlite_log_trim(&db->log);
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Why a file cannot be opened or made; 0: not known. What SQLite tried last may have been one way of
 * several, or to close it; and it notes the errno of these codes alone, others leave an older one. */
static int system_error(const struct db *db, int code)
{
	bool noted = (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR;
	char *folder, *slash;
	int error;

	if (access(db->path, R_OK | W_OK) == 0)
		return db->sqlite != NULL && noted ? sqlite3_system_errno(db->sqlite) : 0;
	if (errno != ENOENT)
		return errno;
	folder = mem_strdup(db->path);
	slash = strrchr(folder, '/');
	if (slash != NULL)
		slash[slash == folder] = '\0';
	error = access(slash != NULL ? folder : ".", W_OK | X_OK) < 0 ? errno : ENOENT;
	free(folder);
	return error;
}

static int open_failed(struct db *db, int code, struct error *error)
{
	int os_error;

	switch (code & 0xff) {
	case SQLITE_BUSY:
		return error_set(error, ERR_STORAGE, "%s is in use by another process", db->name);
	case SQLITE_NOTADB:
		return error_set(error, ERR_STORAGE, "%s is not a state file of imd", db->name);
	case SQLITE_CORRUPT:
		return error_set(error, ERR_STORAGE, "%s is damaged: %s", db->name,
			sqlite3_errmsg(db->sqlite));
	case SQLITE_READONLY:
		return error_set(error, ERR_STORAGE, "%s cannot be written to", db->name);
	case SQLITE_INTERRUPT:
		return fail(db->sqlite, error);
	default:
		os_error = system_error(db, code);
		return error_set(error, ERR_STORAGE, "%s cannot be opened: %s", db->name,
			os_error != 0 ? strerror(os_error) : sqlite3_errstr(code));
	}
}

/* What a new file is to be comes before the first transaction, which makes it a database: behind that
 * it would be ignored. The locking mode comes before the journal mode, so that there never is shared memory,
 * on which a full disk would end the process. A transaction takes the lock, and the mode keeps it. To commit it would
 * correct the number of pages in the header if that is wrong, and the file may yet be refused. */
static const char *const lock_steps[] = {
	"PRAGMA auto_vacuum = INCREMENTAL",
	"PRAGMA cell_size_check = ON",
	"PRAGMA locking_mode = EXCLUSIVE",
	"BEGIN EXCLUSIVE",
	NULL, /* its end */
};

static int lock(struct db *db, bool is_new, struct error *error)
{
	for (size_t i = is_new ? 0 : 1; i < sizeof lock_steps / sizeof lock_steps[0]; i++) {
		const char *end = is_new ? "COMMIT" : "ROLLBACK";
		int code = sqlite3_exec(db->sqlite, lock_steps[i] ? lock_steps[i] : end, NULL, NULL, NULL);

		if (code != SQLITE_OK)
			return open_failed(db, code, error);
	}
	if (sqlite3_db_readonly(db->sqlite, "main") == 1)
		return error_set(error, ERR_STORAGE, "%s cannot be written to", db->name);
	return 0;
}

enum { HEADER_BYTES = 100 }; /* of any database */

/* 0 where there is no file, -1 where it is no file but something else. */
static off_t file_size(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return 0;
	return S_ISREG(status.st_mode) ? status.st_size : -1;
}

/* SQLite takes a file that is as good as empty for a new database, and drops the log beside it, which
 * may hold all that there was. */
static int check_size(const struct db *db, bool create, struct error *error)
{
	off_t size = file_size(db->path);
	char *log = files_name(db->path, STATE_LOG);
	off_t logged = file_size(log);

	free(log);
	if (size < 0 || size >= HEADER_BYTES)
		return 0;
	if (logged > 0)
		return error_set(error, ERR_STORAGE, "%s is %s, but its log %s-wal "
			"is there: put the file back, or remove the log too", db->name, size > 0 ? "cut short" : "gone or empty",
			db->name);
	if (size > 0)
		return error_set(error, ERR_STORAGE, "%s is not a state file of imd", db->name);
	if (!create && access(db->path, F_OK) == 0)
		return error_set(error, ERR_STORAGE, "%s is empty", db->name);
	return 0;
}

static bool log_exists(const char *path)
{
	char *log = files_name(path, STATE_LOG);
	bool exists = access(log, F_OK) == 0;

	free(log);
	return exists;
}

/* Whether closing the database leaves the log and copies nothing of it into the file. Without that, SQLite would remove
 * a log that it has created itself, empty, for a database that is only read. */
static int keep_log(struct db *db, bool keep)
{
	return sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)keep, NULL);
}

void db_accept(struct db *db)
{
	keep_log(db, false);
}

void db_keep_files(struct db *db)
{
	keep_log(db, true);
}

int db_open(const char *path, const char *name, bool create, struct db **ret_db,
	struct error *error)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
		SQLITE_OPEN_NOFOLLOW | (create ? SQLITE_OPEN_CREATE : 0);
	struct db *db = mem_zalloc(1, sizeof *db);
	const char *layer = sqlite_layer_name();
	bool is_new = file_size(path) == 0, has_log = log_exists(path);
	mode_t mask;
	int code;

	sqlite_memory_share();
	db->path = mem_strdup(path);
	db->name = mem_strdup(name);
	if (check_size(db, create, error) < 0) {
		db_close(db);
		return -1;
	}
	mask = umask(S_IRWXG | S_IRWXO);
	code = layer ? sqlite3_open_v2(path, &db->sqlite, flags, layer) : SQLITE_NOMEM;
	umask(mask);
	if (code == SQLITE_OK)
		code = guard_apply(db->sqlite);
	if (code == SQLITE_OK && has_log)
		code = keep_log(db, true);
	if ((code != SQLITE_OK && open_failed(db, code, error) < 0) || lock(db, is_new, error) < 0) {
		db_close(db);
		return -1;
	}
	db->watch = (struct sqlite_watch){.committing = on_committing, .arg = db};
	sqlite_layer_watch(db->sqlite, &db->watch);
	sqlite_log_init(&db->log, db->sqlite);
	*ret_db = db;
	return 0;
}

/* A path as an URI (https://www.sqlite.org/uri.html). */
static char *make_uri(const char *path, const char *parameters)
{
	struct buf uri = BUF_INIT;

	buf_add_str(&uri, "file:");
	for (; *path != '\0'; path++) {
		if (isalnum((unsigned char)*path) || strchr("/._-", *path))
			buf_add_char(&uri, *path);
		else
			buf_addf(&uri, "%%%02x", (unsigned char)*path);
	}
	buf_add(&uri, parameters, strlen(parameters) + 1);
	return uri.data;
}

/* What is immutable has no log, no journal and no lock. After a crash in the middle of a checkpoint it may be shorter
 * than its header says, which SQLite accepts only if the schema can be written to. */
int db_open_alone(const char *path, struct db **ret_db, struct error *error)
{
	char *uri = make_uri(path, "?mode=ro&immutable=1");
	struct db *db = mem_zalloc(1, sizeof *db);
	int code = sqlite3_open_v2(uri, &db->sqlite, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
			SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW, NULL);

	free(uri);
	if (code == SQLITE_OK)
		code = guard_apply(db->sqlite);
	if (code == SQLITE_OK)
		code = sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1, NULL);
	if (code == SQLITE_OK) {
		*ret_db = db;
		return 0;
	}
	fail(db->sqlite, error);
	db_close(db);
	return -1;
}

int db_open_memory(struct db **ret_db, struct error *error)
{
	struct db *db = mem_zalloc(1, sizeof *db);
	int code = sqlite3_open_v2(":memory:", &db->sqlite, SQLITE_OPEN_READWRITE |
		SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (code == SQLITE_OK)
		code = guard_apply(db->sqlite);
	if (code != SQLITE_OK) {
		fail(db->sqlite, error);
		db_close(db);
		return -1;
	}
	*ret_db = db;
	return 0;
}

void db_trust_schema(struct db *db)
{
	guard_release(db->sqlite);
}

void db_close(struct db *db)
{
	if (db == NULL)
		return;
	sqlite3_close(db->sqlite);
	free(db->path);
	free(db->name);
	free(db);
}

const char *db_path(const struct db *db)
{
	return sqlite3_db_filename(db->sqlite, "main");
}

/* ---- SQL ----------------------------------------------------------------------------------- */

int db_run(struct db *db, const char *sql, struct error *error)
{
	if (sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) != SQLITE_OK)
		return fail(db->sqlite, error);
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
		ret = error_set(error, ERR_STORAGE, "%s is damaged: %s", db->name,
			text != NULL ? text : "it cannot be checked");
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
		return fail(db->sqlite, error);
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
		ret = fail(sqlite3_db_handle(of(statement)), error);
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
		fail(sqlite3_db_handle(of(statement)), error);
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
