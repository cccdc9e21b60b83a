#include "sqlite_log.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "sqlite_layer.h"
#include "wal.h"

enum {
	FRAMES_MIN = 256,  /* with fewer the log is not checkpointed, whatever the size of the database: each checkpoint
	                    * syncs two files */
	FRAMES_OVER = 64,  /* of the commit that reaches the limit */
	RESERVE_PAGES = 16,
};

/* SQLite's own file, NULL if it has none. Opening another one would be a danger to its locks (fcntl(2)). */
static sqlite3_file *log_file(const struct sqlite_log *log)
{
	sqlite3_file *file = NULL;

	if (sqlite3_file_control(log->sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) != SQLITE_OK)
		return NULL;
	return file && file->pMethods ? file : NULL;
}

bool sqlite_log_has_moved(const struct sqlite_log *log, const char *path)
{
	sqlite3_file *file = log_file(log);

	return !file || sqlite_layer_has_moved(file, path);
}

bool sqlite_log_begins(const struct sqlite_log *log)
{
	sqlite3_file *file = log->frames < 0 ? log_file(log) : NULL;
	sqlite3_int64 size;

	return log->frames == 0 || (file && file->pMethods->xFileSize(file, &size) == SQLITE_OK && size == 0);
}

/* Reads the size of a page from the header, which is there if any frame is. */
static int find_frame_size(struct sqlite_log *log, sqlite3_file *file)
{
	unsigned char size[4];

	if (log->frame_size > 0)
		return 0;
	if (file->pMethods->xRead(file, size, sizeof size, WAL_PAGE_SIZE_AT) != SQLITE_OK)
		return -1;
	log->frame_size = WAL_FRAME_HEADER_BYTES + ((int64_t)size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3]);
	return 0;
}

static int valid_size(struct sqlite_log *log, sqlite3_file *file, int64_t *ret_size)
{
	*ret_size = 0;
	if (log->frames <= 0)
		return 0;
	if (find_frame_size(log, file) < 0)
		return -1;
	*ret_size = WAL_HEADER_BYTES + log->frames * log->frame_size;
	return 0;
}

int64_t sqlite_log_size(struct sqlite_log *log)
{
	sqlite3_file *file = log_file(log);
	int64_t size = 0;

	return file && valid_size(log, file, &size) == 0 ? size : 0;
}

/* ---- the database -------------------------------------------------------------------------- */

static sqlite3_file *database_file(const struct sqlite_log *log)
{
	sqlite3_file *file = NULL;

	sqlite3_file_control(log->sqlite, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	return file;
}

static bool database_is_cut(const struct sqlite_log *log)
{
	sqlite3_file *file = database_file(log);
	sqlite3_int64 size;

	return file->pMethods->xFileSize(file, &size) != SQLITE_OK || size < log->file_size;
}

static void note_file_size(struct sqlite_log *log)
{
	sqlite3_file *file = database_file(log);
	sqlite3_int64 size;

	if (file->pMethods->xFileSize(file, &size) == SQLITE_OK)
		log->file_size = size;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static bool is_whole(struct sqlite_log *log)
{
	sqlite3_file *file = log_file(log);
	sqlite3_int64 size;
	int64_t valid;

	return file && valid_size(log, file, &valid) == 0 && file->pMethods->xFileSize(file, &size) == SQLITE_OK &&
		size >= valid && !database_is_cut(log);
}

int sqlite_log_mend(struct sqlite_log *log)
{
	sqlite3_file *file = log_file(log);
	int64_t valid;

	return file && valid_size(log, file, &valid) == 0 ? sqlite_layer_mend(file, valid) : -1;
}

/* If all frames are in the database, the next transaction begins the log again. */
int sqlite_log_checkpoint(struct sqlite_log *log)
{
	int frames, copied, code;

	log->reserved = 0;
	if (!is_whole(log))
		return -1;
	code = sqlite3_wal_checkpoint_v2(log->sqlite, "main", SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
	note_file_size(log); /* also of a part */
	if (code != SQLITE_OK || frames != copied)
		return -1;
	log->frames = 0;
	return 0;
}

int sqlite_log_empty(struct sqlite_log *log)
{
	sqlite3_file *file = log_file(log);
	sqlite3_int64 size;

	if (!file || file->pMethods->xFileSize(file, &size) != SQLITE_OK || size == 0)
		return -1;
	return sqlite_log_checkpoint(log) < 0 ? -1 : sqlite_log_trim(log);
}

/* ---- room ---------------------------------------------------------------------------------- */

/* SQLite allocates what a hint asks for if it knows by which amount a file grows. */
static int grow(sqlite3_file *file, int page_size, sqlite3_int64 size)
{
	if (file->pMethods->xFileControl(file, SQLITE_FCNTL_CHUNK_SIZE, &page_size) != SQLITE_OK)
		return 0; /* a file that is not SQLite's own, which cannot be asked */
	return file->pMethods->xFileControl(file, SQLITE_FCNTL_SIZE_HINT, &size) == SQLITE_OK ? 0 : -1;
}

/* Some pages at a time: the next commits need them as well. A checkpoint cuts off what is not used. */
int sqlite_log_reserve(struct sqlite_log *log, int64_t pages)
{
	sqlite3_file *file = database_file(log), *own = log_file(log);
	int64_t page_size;
	sqlite3_int64 size;

	if (pages <= log->reserved)
		return 0;
	if (!own || find_frame_size(log, own) < 0 || file->pMethods->xFileSize(file, &size) != SQLITE_OK ||
		size < log->file_size)
		return -1;
	page_size = log->frame_size - WAL_FRAME_HEADER_BYTES;
	log->reserved = size / page_size;
	if (pages <= log->reserved)
		return 0;
	if (grow(file, (int)page_size, (pages + RESERVE_PAGES) * page_size) < 0 &&
		grow(file, (int)page_size, pages * page_size) < 0)
		return -1;
	note_file_size(log);
	return 0;
}

/* ---- the limit ----------------------------------------------------------------------------- */

/* As many frames as the database has pages. */
static int64_t limit(const struct sqlite_log *log)
{
	sqlite3_file *file = database_file(log);
	sqlite3_int64 size = 0;
	int64_t frames = FRAMES_MIN;

	if (log->frame_size > 0 && file->pMethods->xFileSize(file, &size) == SQLITE_OK &&
		size / (log->frame_size - WAL_FRAME_HEADER_BYTES) > frames)
		frames = size / (log->frame_size - WAL_FRAME_HEADER_BYTES);
	return frames < log->frames_max ? frames : log->frames_max;
}

/* A log that begins again stays as large as it was, so one commit with many frames would make it large for ever. What
 * is within the limit is kept, because writing over blocks that a file has is quicker than giving it others. */
static void keep_within(struct sqlite_log *log, sqlite3_file *file, int64_t frames)
{
	sqlite3_int64 size;

	if (file->pMethods->xFileSize(file, &size) == SQLITE_OK &&
		size > WAL_HEADER_BYTES + (frames + FRAMES_OVER) * log->frame_size)
		sqlite_log_trim(log);
}

/* A checkpoint that fails is tried again by the next commit. */
static int on_commit(void *arg, sqlite3 *sqlite, const char *name, int frames)
{
	struct sqlite_log *log = arg;
	sqlite3_file *file = log_file(log);
	int64_t most;

	(void)sqlite;
	(void)name;
	log->frames = frames;
	if (!file || find_frame_size(log, file) < 0 || (frames < FRAMES_MIN && frames < log->frames_max))
		return SQLITE_OK;
	most = limit(log);
	if (frames >= most && sqlite_log_checkpoint(log) == 0)
		keep_within(log, file, most);
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
	note_file_size(log);
	sqlite3_wal_hook(sqlite, on_commit, log);
}

/* ---- trimming ------------------------------------------------------------------------------ */

/* Once all frames are in the database, SQLite reads none of them, and writes a header before the next one. So
 * nothing of the log is needed then. */
int sqlite_log_trim(struct sqlite_log *log)
{
	sqlite3_file *file = log_file(log);
	sqlite3_int64 size;
	int64_t valid;

	if (!file && log->frames <= 0)
		return 0; /* there is no log yet */
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
