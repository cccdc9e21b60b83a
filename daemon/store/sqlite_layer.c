#include "sqlite_layer.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "proto/mem.h"
#include "wal.h"

enum {
	MIRROR_MAX = 8 << 20, /* twice the log at which it is checkpointed at the latest */
};

/* The bytes of a log from its beginning up to `end`. A cache: without memory for it the log is only in its file. */
struct mirror {
	unsigned char *data;
	int64_t end, size;
};

/* A file of the database; the file that it stands for follows it. */
struct layer_file {
	sqlite3_file file;
	struct layer_file *database; /* whose log this is; a database is its own; NULL: another file */
	bool is_log;
	int place;                   /* of a log: open with O_PATH, for its size; -1: none */
	struct stat opened;          /* of what was at its path when it was opened; st_ino 0: unknown */
	struct sqlite_watch *watch;  /* of a database; NULL: nobody watches */
	struct mirror mirror;        /* of a log */
	sqlite3_file below[];
};

static sqlite3_vfs layer;
static sqlite3_vfs *vfs_below;

static struct layer_file *layer_of(sqlite3_file *file)
{
	return (struct layer_file *)file;
}

static sqlite3_file *below(sqlite3_file *file)
{
	return layer_of(file)->below;
}

static struct sqlite_watch *watch_of(sqlite3_file *file)
{
	const struct layer_file *database = layer_of(file)->database;

	return database ? database->watch : NULL;
}

/* ---- the mirror ---------------------------------------------------------------------------- */

static void mirror_free(struct mirror *mirror)
{
	free(mirror->data);
	*mirror = (struct mirror){0};
}

static bool mirror_grow(struct mirror *mirror, int64_t end)
{
	int64_t size = mirror->size > 0 ? mirror->size : 1 << 16;
	unsigned char *data;

	if (end <= mirror->size)
		return true;
	if (end > MIRROR_MAX)
		return false;
	while (size < end)
		size *= 2;
	data = mem_cache_realloc(mirror->data, (size_t)size);
	if (!data)
		return false;
	mirror->data = data;
	mirror->size = size;
	return true;
}

/* What is not mirrored ends the mirror. */
static void mirror_put(struct mirror *mirror, const void *data, int len, int64_t at)
{
	int64_t end = at + len;

	if (at > mirror->end)
		return;
	if (!mirror_grow(mirror, end)) {
		mirror->end = at;
		return;
	}
	memcpy(mirror->data + at, data, (size_t)len);
	if (end > mirror->end)
		mirror->end = end;
}

/* A write at the beginning is that of another log. */
static void mirror_write(struct mirror *mirror, const void *data, int len, int64_t at)
{
	if (at == 0)
		mirror->end = 0;
	mirror_put(mirror, data, len, at);
}

static bool mirror_read(const struct mirror *mirror, void *data, int len, int64_t at)
{
	if (at + len > mirror->end)
		return false;
	memcpy(data, mirror->data + at, (size_t)len);
	return true;
}

/* ---- what is watched ----------------------------------------------------------------------- */

/* SQLite writes the header of a frame by itself. In that of a commit it says how many pages the database has (SQLite's
 * file format, 4.1 WAL File Format). */
static void note_commit(struct sqlite_watch *watch, const void *data, int len)
{
	enum { PAGES_AT = 4 };
	const unsigned char *pages = (const unsigned char *)data + PAGES_AT;

	if (len == WAL_FRAME_HEADER_BYTES)
		watch->pages = (int64_t)pages[0] << 24 | pages[1] << 16 | pages[2] << 8 | pages[3];
}

/* SQLite asks for the times as well, which is not cheap (files_stat). */
static int log_size(sqlite3_file *log, sqlite3_int64 *ret_size)
{
	int place = layer_of(log)->place;
	struct stat status;

	if (place < 0 || files_stat(place, "", AT_EMPTY_PATH, &status) < 0)
		return below(log)->pMethods->xFileSize(below(log), ret_size);
	*ret_size = status.st_size;
	return SQLITE_OK;
}

/* SQLite appends to a log, or writes over it. A frame after its end would leave a hole: somebody has cut it. The page
 * of a frame follows its header at once. */
static bool leaves_hole(sqlite3_file *log, int64_t at, int len)
{
	sqlite3_int64 size;

	return len == WAL_FRAME_HEADER_BYTES && log_size(log, &size) == SQLITE_OK && at > size;
}

/* SQLite may end a transaction with the headers of frames that it has written before: their checksums depend on a frame
 * that it has written over. A write at the beginning is that of another log. */
static void note_end(struct sqlite_watch *watch, int len, int64_t at)
{
	if (at == 0 || at + len > watch->log_end)
		watch->log_end = at + len;
}

static int write_log(sqlite3_file *log, struct sqlite_watch *watch, const void *data, int len, sqlite3_int64 at)
{
	int code;

	if (leaves_hole(log, at, len))
		return SQLITE_IOERR_WRITE;
	code = below(log)->pMethods->xWrite(below(log), data, len, at);
	if (code != SQLITE_OK)
		return code;
	mirror_write(&layer_of(log)->mirror, data, len, at);
	note_commit(watch, data, len);
	note_end(watch, len, at);
	return SQLITE_OK;
}

static int layer_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
	struct sqlite_watch *watch = watch_of(file);
	int code = layer_of(file)->is_log && watch ? write_log(file, watch, data, len, at)
		: below(file)->pMethods->xWrite(below(file), data, len, at);

	if (watch && code != SQLITE_OK) {
		watch->write_failed = true;
		watch->pages = 0;
	}
	return code;
}

/* What is cut off is no commit. An empty log needs no mirror, which may have become large. */
static int layer_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct sqlite_watch *watch = watch_of(file);

	if (watch)
		watch->pages = 0;
	if (watch && layer_of(file)->is_log && size < watch->log_end)
		watch->log_end = size;
	if (layer_of(file)->is_log && size == 0)
		mirror_free(&layer_of(file)->mirror);
	return below(file)->pMethods->xTruncate(below(file), size);
}

/* A log that is there at the start is read from its beginning, and mirrored with that. */
static int layer_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
	int code = below(file)->pMethods->xRead(below(file), data, len, at);
	struct mirror *mirror = &layer_of(file)->mirror;

	if (!layer_of(file)->is_log)
		return code;
	if (code == SQLITE_OK && at <= mirror->end && at + len > mirror->end)
		mirror_put(mirror, data, len, at);
	if (code == SQLITE_IOERR_SHORT_READ && mirror_read(mirror, data, len, at))
		return SQLITE_OK;
	return code;
}

static int layer_sync(sqlite3_file *file, int flags)
{
	int code = below(file)->pMethods->xSync(below(file), flags);
	struct sqlite_watch *watch = layer_of(file)->is_log ? watch_of(file) : NULL;
	int64_t pages = 0;

	if (watch) {
		pages = watch->pages;
		watch->pages = 0;
	}
	if (code == SQLITE_OK && pages > 0 && watch->committing(watch->arg, pages) < 0)
		code = watch->write_failed ? SQLITE_FULL : SQLITE_IOERR_FSYNC;
	if (watch)
		watch->log_end = 0;
	return code;
}

/* In pieces, because SQLite's files do not take more than 128 KiB at once. */
static int write_mirror(sqlite3_file *log, sqlite3_int64 at, int64_t end)
{
	enum { PIECE = 1 << 16 };
	const struct mirror *mirror = &layer_of(log)->mirror;

	while (at < end) {
		int len = end - at < PIECE ? (int)(end - at) : PIECE;

		if (below(log)->pMethods->xWrite(below(log), mirror->data + at, len, at) != SQLITE_OK)
			return -1;
		at += len;
	}
	return below(log)->pMethods->xSync(below(log), SQLITE_SYNC_NORMAL) == SQLITE_OK ? 0 : -1;
}

int sqlite_layer_mend(struct sqlite3_file *log, int64_t end)
{
	sqlite3_int64 size;

	if (below(log)->pMethods->xFileSize(below(log), &size) != SQLITE_OK)
		return -1;
	if (size >= end)
		return 0;
	return layer_of(log)->mirror.end < end ? -1 : write_mirror(log, size, end);
}

bool sqlite_layer_has_moved(struct sqlite3_file *file, const char *path)
{
	const struct stat *opened = &layer_of(file)->opened;
	struct stat status;

	return opened->st_ino == 0 || stat(path, &status) < 0 || status.st_dev != opened->st_dev ||
		status.st_ino != opened->st_ino;
}

/* ---- what is passed on --------------------------------------------------------------------- */

static int layer_close(sqlite3_file *file)
{
	mirror_free(&layer_of(file)->mirror);
	if (layer_of(file)->place >= 0)
		close(layer_of(file)->place);
	return below(file)->pMethods->xClose(below(file));
}

static int layer_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	return below(file)->pMethods->xFileSize(below(file), ret_size);
}

static int layer_lock(sqlite3_file *file, int level)
{
	return below(file)->pMethods->xLock(below(file), level);
}

static int layer_unlock(sqlite3_file *file, int level)
{
	return below(file)->pMethods->xUnlock(below(file), level);
}

static int layer_check_reserved_lock(sqlite3_file *file, int *ret_reserved)
{
	return below(file)->pMethods->xCheckReservedLock(below(file), ret_reserved);
}

static int layer_file_control(sqlite3_file *file, int operation, void *arg)
{
	return below(file)->pMethods->xFileControl(below(file), operation, arg);
}

static int layer_sector_size(sqlite3_file *file)
{
	return below(file)->pMethods->xSectorSize(below(file));
}

static int layer_device_characteristics(sqlite3_file *file)
{
	return below(file)->pMethods->xDeviceCharacteristics(below(file));
}

/* Version 1 has neither shared memory, which the store does not use, nor memory maps. */
static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = layer_close,
	.xRead = layer_read,
	.xWrite = layer_write,
	.xTruncate = layer_truncate,
	.xSync = layer_sync,
	.xFileSize = layer_file_size,
	.xLock = layer_lock,
	.xUnlock = layer_unlock,
	.xCheckReservedLock = layer_check_reserved_lock,
	.xFileControl = layer_file_control,
	.xSectorSize = layer_sector_size,
	.xDeviceCharacteristics = layer_device_characteristics,
};

/* ---- opening ------------------------------------------------------------------------------- */

static struct layer_file *database_of(const char *name, struct layer_file *file, int flags)
{
	if (flags & SQLITE_OPEN_MAIN_DB)
		return file;
	if (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL))
		return layer_of(sqlite3_database_file_object(name));
	return NULL;
}

static int layer_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct layer_file *ours = layer_of(file);
	int code;

	(void)vfs;
	file->pMethods = NULL;
	ours->database = database_of(name, ours, flags);
	ours->is_log = flags & SQLITE_OPEN_WAL;
	ours->opened = (struct stat){0};
	ours->place = -1;
	ours->watch = NULL;
	ours->mirror = (struct mirror){0};
	code = vfs_below->xOpen(vfs_below, name, ours->below, flags, ret_flags);
	if (code != SQLITE_OK)
		return code;
	file->pMethods = &methods;
	if (name && stat(name, &ours->opened) < 0)
		ours->opened.st_ino = 0;
	if (name && ours->is_log)
		ours->place = open(name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return SQLITE_OK;
}

/* All but opening is as in the default, whose functions need no more than its name, limits and data. */
static void layer_register(void)
{
	vfs_below = sqlite3_vfs_find(NULL);
	if (!vfs_below)
		return;
	layer = *vfs_below;
	layer.zName = "imd";
	layer.pNext = NULL;
	layer.szOsFile = (int)sizeof(struct layer_file) + vfs_below->szOsFile;
	layer.xOpen = layer_open;
	if (sqlite3_vfs_register(&layer, 0) != SQLITE_OK)
		vfs_below = NULL;
}

const char *sqlite_layer_name(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, layer_register);
	return vfs_below ? layer.zName : NULL;
}

void sqlite_layer_watch(struct sqlite3 *sqlite, struct sqlite_watch *watch)
{
	sqlite3_file *file = NULL;

	sqlite3_file_control(sqlite, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	layer_of(file)->watch = watch;
}
