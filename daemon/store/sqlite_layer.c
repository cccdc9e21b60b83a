#include "sqlite_layer.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stddef.h>

/* A file of the database; the file that it stands for follows it. */
struct layer_file {
	sqlite3_file file;
	struct layer_file *database; /* whose log this is; a database is its own; NULL: another file */
	bool is_log;
	struct sqlite_watch *watch;  /* of a database; NULL: nobody watches */
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

/* ---- what is watched ----------------------------------------------------------------------- */

/* SQLite writes the header of a frame by itself. In that of a commit it says how many pages the database has (SQLite's
 * file format, 4.1 WAL File Format). */
static void note_commit(struct sqlite_watch *watch, const void *data, int len)
{
	enum { FRAME_HEADER = 24, PAGES_AT = 4 };
	const unsigned char *pages = (const unsigned char *)data + PAGES_AT;

	if (len == FRAME_HEADER)
		watch->pages = (int64_t)pages[0] << 24 | pages[1] << 16 | pages[2] << 8 | pages[3];
}

static int layer_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
	int code = below(file)->pMethods->xWrite(below(file), data, len, at);
	struct sqlite_watch *watch = watch_of(file);

	if (watch && code != SQLITE_OK)
		watch->write_failed = true;
	else if (watch && layer_of(file)->is_log)
		note_commit(watch, data, len);
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
		return watch->write_failed ? SQLITE_FULL : SQLITE_IOERR_FSYNC;
	return code;
}

/* ---- what is passed on --------------------------------------------------------------------- */

static int layer_close(sqlite3_file *file)
{
	return below(file)->pMethods->xClose(below(file));
}

static int layer_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
	return below(file)->pMethods->xRead(below(file), data, len, at);
}

static int layer_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	return below(file)->pMethods->xTruncate(below(file), size);
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
	ours->watch = NULL;
	code = vfs_below->xOpen(vfs_below, name, ours->below, flags, ret_flags);
	if (code == SQLITE_OK)
		file->pMethods = &methods;
	return code;
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
