/* Opening a database, its log, and closing it. */
#include "sqlite.h"

#include <ctype.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "guard.h"
#include "proto/buf.h"
#include "proto/mem.h"
#include "sqlite_db.h"
#include "sqlite_memory.h"

/* ---- the log ------------------------------------------------------------------------------- */

/* A commit whose pages have no room in the file could not be copied there if the disk stays full. */
static int on_committing(void *arg, int64_t pages)
{
	struct db *db = arg;
	struct db_sizes sizes;

	if (sqlite_log_reserve(&db->log, pages) < 0) {
		db->watch.write_failed = true;
		return -1;
	}
	sizes = (struct db_sizes){.file = db->log.file_size, .log = db->watch.log_end};
	return db->committing ? db->committing(db->committing_arg, &sizes) : 0;
}

void db_watch(struct db *db, int (*committing)(void *arg, const struct db_sizes *sizes), void *arg)
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

struct db_sizes db_sizes(struct db *db)
{
	return (struct db_sizes){.file = db->log.file_size, .log = sqlite_log_size(&db->log)};
}

bool db_log_begins(const struct db *db)
{
	return sqlite_log_begins(&db->log);
}

int db_mend_log(struct db *db)
{
	return sqlite_log_mend(&db->log);
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
	char *directory;
	int error;

	if (access(db->path, R_OK | W_OK) == 0)
		return db->sqlite != NULL && noted ? sqlite3_system_errno(db->sqlite) : 0;
	if (errno != ENOENT)
		return errno;
	directory = files_directory(db->path);
	error = access(directory, W_OK | X_OK) < 0 ? errno : ENOENT;
	free(directory);
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
	case SQLITE_NOMEM:
	case SQLITE_INTERRUPT:
		return db_fail(db->sqlite, error);
	default:
		os_error = system_error(db, code);
		return error_set(error, ERR_STORAGE, "%s cannot be opened: %s", db->name,
			os_error != 0 ? strerror(os_error) : sqlite3_errstr(code));
	}
}

/* What a new file is to be comes before the first transaction, which makes it a database: after that
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

/* 0 if there is no file, -1 if it is not a regular file. */
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
	if (size < 0 || size >= FILES_HEADER_BYTES)
		return 0;
	if (logged > 0)
		return error_set(error, ERR_STORAGE, "%s is %s, but its log %s-wal exists: move the file back, or restore "
			"a copy with imd --restore=COPY", db->name, size > 0 ? "cut short" : "gone or empty", db->name);
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

/* The first thing that SQLite is used for. */
static struct db *db_new(const char *path, const char *name)
{
	struct db *db = mem_zalloc(1, sizeof *db);

	sqlite_memory_share();
	db->path = mem_strdup(path);
	db->name = mem_strdup(name);
	return db;
}

int db_open(const char *path, const char *name, bool create, struct db **ret_db,
	struct error *error)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
		SQLITE_OPEN_NOFOLLOW | (create ? SQLITE_OPEN_CREATE : 0);
	struct db *db = db_new(path, name);
	const char *layer = sqlite_layer_name();
	bool is_new = file_size(path) == 0, has_log = log_exists(path);
	mode_t mask;
	int code;

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
	struct db *db = db_new(path, path);
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
	db_fail(db->sqlite, error);
	db_close(db);
	return -1;
}

int db_open_memory(struct db **ret_db, struct error *error)
{
	struct db *db = db_new(":memory:", ":memory:");
	int code = sqlite3_open_v2(":memory:", &db->sqlite, SQLITE_OPEN_READWRITE |
		SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (code == SQLITE_OK)
		code = guard_apply(db->sqlite);
	if (code != SQLITE_OK) {
		db_fail(db->sqlite, error);
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

static bool log_has_moved(const struct db *db)
{
	char *path = files_name(db->path, STATE_LOG);
	bool moved = sqlite_log_has_moved(&db->log, path);

	free(path);
	return moved;
}

int db_check_place(struct db *db, struct error *error)
{
	int moved = 0;

	if (sqlite3_file_control(db->sqlite, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || moved)
		return error_set(error, ERR_STORAGE, "%s was replaced or removed while it was opened", db->name);
	if (log_has_moved(db))
		return error_set(error, ERR_STORAGE, "%s-wal was replaced or removed while it was opened", db->name);
	return 0;
}
