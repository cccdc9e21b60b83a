#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/mem.h"

struct db {
	sqlite3 *sqlite;
	char *path;
};

/* A statement of ours is one of SQLite's. */
static sqlite3_stmt *of(struct db_statement *statement)
{
	return (sqlite3_stmt *)statement;
}

static int fail(sqlite3 *sqlite, struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s",
		sqlite != NULL ? sqlite3_errmsg(sqlite) : sqlite3_errstr(SQLITE_NOMEM));
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Why a file cannot be opened or made; 0: not known. What SQLite tried last may have been one way of
 * several, or to close it. */
static int system_error(const struct db *db)
{
	char *folder, *slash;
	int error;

	if (access(db->path, R_OK | W_OK) == 0)
		return db->sqlite != NULL ? sqlite3_system_errno(db->sqlite) : 0;
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
		return error_set(error, ERR_STORAGE, "%s is in use by another process", db->path);
	case SQLITE_NOTADB:
		return error_set(error, ERR_STORAGE, "%s is not a state file of imd", db->path);
	case SQLITE_CORRUPT:
		return error_set(error, ERR_STORAGE, "%s is damaged: %s", db->path,
			sqlite3_errmsg(db->sqlite));
	case SQLITE_READONLY:
		return error_set(error, ERR_STORAGE, "%s cannot be written to", db->path);
	default:
		os_error = system_error(db);
		return error_set(error, ERR_STORAGE, "%s cannot be opened: %s", db->path,
			os_error != 0 ? strerror(os_error) : sqlite3_errstr(code));
	}
}

/* What a new file is to be comes before the first transaction, which makes it a database: behind that
 * it would be ignored. The locking mode comes before the journal mode, so that there never is shared memory,
 * on which a full disk would end the process. A transaction takes the lock, and the mode keeps it. */
static const char *const lock_steps[] = {
	"PRAGMA auto_vacuum = INCREMENTAL",
	"PRAGMA locking_mode = EXCLUSIVE",
	"BEGIN EXCLUSIVE",
	"COMMIT",
};

static int lock(struct db *db, bool is_new, struct error *error)
{
	for (size_t i = is_new ? 0 : 1; i < sizeof lock_steps / sizeof lock_steps[0]; i++) {
		int code = sqlite3_exec(db->sqlite, lock_steps[i], NULL, NULL, NULL);

		if (code != SQLITE_OK)
			return open_failed(db, code, error);
	}
	if (sqlite3_db_readonly(db->sqlite, "main") == 1)
		return error_set(error, ERR_STORAGE, "%s cannot be written to", db->path);
	return 0;
}

static bool file_empty(const char *path)
{
	struct stat status;

	return stat(path, &status) < 0 || status.st_size == 0;
}

int db_open(const char *path, bool create, struct db **ret_db, struct error *error)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
		(create ? SQLITE_OPEN_CREATE : 0);
	struct db *db = mem_zalloc(1, sizeof *db);
	bool is_new = file_empty(path);
	mode_t mask;
	int code;

	db->path = mem_strdup(path);
	mask = umask(S_IRWXG | S_IRWXO);
	code = sqlite3_open_v2(path, &db->sqlite, flags, NULL);
	umask(mask);
	if ((code != SQLITE_OK && open_failed(db, code, error) < 0) || lock(db, is_new, error) < 0) {
		db_close(db);
		return -1;
	}
	*ret_db = db;
	return 0;
}

void db_close(struct db *db)
{
	if (db == NULL)
		return;
	sqlite3_close(db->sqlite);
	free(db->path);
	free(db);
}

/* ---- SQL ----------------------------------------------------------------------------------- */

int db_run(struct db *db, const char *sql, struct error *error)
{
	if (sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) != SQLITE_OK)
		return fail(db->sqlite, error);
	return 0;
}

int db_number(struct db *db, const char *sql, int64_t *ret_number, struct error *error)
{
	struct db_statement *statement;
	int row;

	if (db_prepare(db, sql, &statement, error) < 0)
		return -1;
	row = db_next(statement, error);
	if (row > 0)
		*ret_number = db_column_number(statement, 0);
	db_finish(statement);
	if (row == 0)
		return error_set(error, ERR_STORAGE, "a query has no answer: %s", sql);
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
		ret = error_set(error, ERR_STORAGE, "%s is damaged: %s", db->path,
			text != NULL ? text : "it cannot be checked");
	db_finish(statement);
	return ret;
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
	struct db *source;
	sqlite3 *target;
	sqlite3_backup *backup;
	char *path;
	bool whole;
};

/* The file is made here, so that nothing that exists is ever written over. */
static int copy_file_make(const char *path, struct error *error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);

	if (fd < 0)
		return error_set(error, errno == EEXIST ? ERR_CONFLICT : ERR_STORAGE,
			"%s cannot be made: %s", path, strerror(errno));
	close(fd);
	return 0;
}

int db_backup_begin(struct db *db, const char *path, struct db_backup **ret_backup,
	struct error *error)
{
	struct db_backup *backup;

	if (copy_file_make(path, error) < 0)
		return -1;
	backup = mem_zalloc(1, sizeof *backup);
	backup->source = db;
	backup->path = mem_strdup(path);
	if (sqlite3_open_v2(path, &backup->target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
			NULL) == SQLITE_OK)
		backup->backup = sqlite3_backup_init(backup->target, "main", db->sqlite, "main");
	if (backup->backup == NULL) {
		fail(backup->target, error);
		db_backup_end(backup);
		return -1;
	}
	*ret_backup = backup;
	return 0;
}

int db_backup_step(struct db_backup *backup, int pages, struct error *error)
{
	int code = sqlite3_backup_step(backup->backup, pages);

	if (code == SQLITE_OK)
		return 1;
	if (code != SQLITE_DONE)
		return error_set(error, ERR_STORAGE, "%s cannot be written: %s", backup->path,
			sqlite3_errstr(code));
	code = sqlite3_backup_finish(backup->backup);
	backup->backup = NULL;
	if (code != SQLITE_OK)
		return error_set(error, ERR_STORAGE, "%s cannot be written: %s", backup->path,
			sqlite3_errstr(code));
	backup->whole = true;
	return 0;
}

/* SQLite leaves its journal where it could not roll back; the next copy of the name must not meet it. */
static void copy_file_remove(const char *path)
{
	char *journal = mem_alloc(strlen(path) + sizeof "-journal");

	strcat(strcpy(journal, path), "-journal");
	unlink(path);
	unlink(journal);
	free(journal);
}

void db_backup_end(struct db_backup *backup)
{
	if (backup == NULL)
		return;
	sqlite3_backup_finish(backup->backup);
	sqlite3_close(backup->target);
	if (!backup->whole)
		copy_file_remove(backup->path);
	free(backup->path);
	free(backup);
}
