#include "sqlite_log.h"

#include <sqlite3.h>
#include <stddef.h>

/* SQLite's file format, 4.1 WAL File Format. */
enum {
	LOG_HEADER = 32,
	FRAME_HEADER = 24,
	PAGE_SIZE_AT = 8,
};

/* SQLite's own file, NULL if it has none. Opening another one would be a danger to its locks (fcntl(2)). */
static sqlite3_file *log_file(const struct sqlite_log *log)
{
	sqlite3_file *file = NULL;

	if (sqlite3_file_control(log->sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) != SQLITE_OK)
		return NULL;
	return file && file->pMethods ? file : NULL;
}

/* Reads the size of a page from the header, which is there if any frame is. */
static int find_frame_size(struct sqlite_log *log, sqlite3_file *file)
{
	unsigned char size[4];

	if (log->frame_size > 0)
		return 0;
	if (file->pMethods->xRead(file, size, sizeof size, PAGE_SIZE_AT) != SQLITE_OK)
		return -1;
	log->frame_size = FRAME_HEADER + ((int64_t)size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3]);
	return 0;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

/* If all frames are in the database, the next transaction begins the log again. If the checkpoint fails, nothing is
 * lost, and the next commit tries it again. */
static void checkpoint(struct sqlite_log *log)
{
	int frames, copied;

	if (sqlite3_wal_checkpoint_v2(log->sqlite, "main", SQLITE_CHECKPOINT_PASSIVE, &frames, &copied) == SQLITE_OK &&
		frames == copied)
		log->frames = 0;
}

static int on_commit(void *arg, sqlite3 *sqlite, const char *name, int frames)
{
	struct sqlite_log *log = arg;
	sqlite3_file *file = log_file(log);

	(void)sqlite;
	(void)name;
	log->frames = frames;
	if (file)
		find_frame_size(log, file);
	if (frames >= log->frames_max)
		checkpoint(log);
	return SQLITE_OK;
}

/* What the connection was set to, SQLite's default if nobody has set it. */
static int64_t find_limit(sqlite3 *sqlite)
{
	enum { FRAMES_MAX = 1000 };
	sqlite3_stmt *statement;
	int64_t limit = 0;

	if (sqlite3_prepare_v2(sqlite, "PRAGMA wal_autocheckpoint", -1, &statement, NULL) != SQLITE_OK)
		return FRAMES_MAX;
	if (sqlite3_step(statement) == SQLITE_ROW)
		limit = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return limit > 0 ? limit : FRAMES_MAX;
}

void sqlite_log_init(struct sqlite_log *log, struct sqlite3 *sqlite)
{
	*log = (struct sqlite_log){.sqlite = sqlite, .frames = -1, .frames_max = find_limit(sqlite)};
	sqlite3_wal_hook(sqlite, on_commit, log);
}

/* ---- trimming ------------------------------------------------------------------------------ */

static int valid_size(struct sqlite_log *log, sqlite3_file *file, int64_t *ret_size)
{
	*ret_size = 0;
	if (log->frames == 0)
		return 0;
	if (find_frame_size(log, file) < 0)
		return -1;
	*ret_size = LOG_HEADER + log->frames * log->frame_size;
	return 0;
}

/* Once all frames are in the database, SQLite reads none of them, and writes a header before the next one. So
 * nothing of the log is needed then. */
int sqlite_log_trim(struct sqlite_log *log)
{
	sqlite3_file *file = log_file(log);
	sqlite3_int64 size;
	int64_t valid;

	if (!file || file->pMethods->xFileSize(file, &size) != SQLITE_OK)
		return -1;
	if (log->frames < 0 && size == 0)
		log->frames = 0;
	if (log->frames < 0)
		return -1;
	if (valid_size(log, file, &valid) < 0)
		return -1;
	if (size <= valid)
		return 0;
	if (file->pMethods->xTruncate(file, valid) != SQLITE_OK)
		return -1;
	return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK ? 0 : -1;
}
