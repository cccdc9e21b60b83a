/* Faults under SQLite: a layer over its files, and one over its memory, in which the operation of a kind
 * with a given number fails, or all from that one on. Or none fails, and the test looks at the files at
 * that moment. */
#ifndef IMD_TESTS_STORE_FAULTS_H
#define IMD_TESTS_STORE_FAULTS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "unit.h"

enum fault_kind {
	FAULT_OPEN,     /* a file cannot be opened */
	FAULT_READ,
	FAULT_WRITE,    /* nothing of it is written; half of it where the fault lasts: the disk is full */
	FAULT_SYNC,     /* what was written may be durable all the same */
	FAULT_TRUNCATE,
	FAULT_DELETE,
	FAULT_MEMORY,
	FAULT_LOOK,     /* none: fault_look is called before a file is changed */
	FAULT_HARM,     /* none: fault_look is called once, and does something to the files; */
	FAULT_CUT,      /* the same, before a commit */
};

static struct fault {
	bool armed;
	enum fault_kind kind;
	uint64_t at;    /* the operation that fails, from 1 */
	bool lasts;     /* and all behind it */
	uint64_t count; /* operations so far */
} fault;
static void (*fault_look)(void);

/* What SQLite has for its own. */
static sqlite3_vfs *files_below;
static sqlite3_mem_methods memory_below;

static inline void fault_arm(enum fault_kind kind, uint64_t at, bool lasts)
{
	fault = (struct fault){.armed = true, .kind = kind, .at = at, .lasts = lasts};
}

static inline bool fault_reached(void)
{
	return fault.count >= fault.at;
}

/* Whether this operation fails. */
static inline bool fault_comes(enum fault_kind kind)
{
	if (!fault.armed || fault.kind != kind)
		return false;
	fault.count++;
	return fault.count == fault.at || (fault.lasts && fault.count > fault.at);
}

/* Whether this operation, which changes a file, fails. */
static inline bool fault_comes_to_change(enum fault_kind kind)
{
	if (fault_comes(FAULT_LOOK) || fault_comes(FAULT_HARM))
		fault_look();
	return fault_comes(kind);
}

/* ---- files --------------------------------------------------------------------------------- */

/* The file below stands behind it. */
struct fault_file {
	sqlite3_file file;
	sqlite3_file below[];
};

static inline sqlite3_file *file_below(sqlite3_file *file)
{
	return ((struct fault_file *)file)->below;
}

static int fault_close(sqlite3_file *file)
{
	return file_below(file)->pMethods->xClose(file_below(file));
}

static int fault_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
	if (fault_comes(FAULT_READ))
		return SQLITE_IOERR_READ;
	return file_below(file)->pMethods->xRead(file_below(file), data, len, at);
}

static int fault_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
	if (!fault_comes_to_change(FAULT_WRITE))
		return file_below(file)->pMethods->xWrite(file_below(file), data, len, at);
	if (!fault.lasts)
		return SQLITE_IOERR_WRITE;
	file_below(file)->pMethods->xWrite(file_below(file), data, len / 2, at);
	return SQLITE_FULL;
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	if (fault_comes_to_change(FAULT_TRUNCATE))
		return SQLITE_IOERR_TRUNCATE;
	return file_below(file)->pMethods->xTruncate(file_below(file), size);
}

/* Nothing waits for the disk: the machine does not fail here. */
static int fault_sync(sqlite3_file *file, int flags)
{
	(void)file;
	(void)flags;
	return fault_comes_to_change(FAULT_SYNC) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int fault_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return file_below(file)->pMethods->xFileSize(file_below(file), size);
}

static int fault_lock(sqlite3_file *file, int level)
{
	return file_below(file)->pMethods->xLock(file_below(file), level);
}

static int fault_unlock(sqlite3_file *file, int level)
{
	return file_below(file)->pMethods->xUnlock(file_below(file), level);
}

static int fault_reserved(sqlite3_file *file, int *ret)
{
	return file_below(file)->pMethods->xCheckReservedLock(file_below(file), ret);
}

static int fault_control(sqlite3_file *file, int op, void *arg)
{
	return file_below(file)->pMethods->xFileControl(file_below(file), op, arg);
}

static int fault_sector(sqlite3_file *file)
{
	return file_below(file)->pMethods->xSectorSize(file_below(file));
}

static int fault_device(sqlite3_file *file)
{
	return file_below(file)->pMethods->xDeviceCharacteristics(file_below(file));
}

/* Of the first version, which has no shared memory: so the store needs none. */
static const sqlite3_io_methods fault_methods = {
	.iVersion = 1,
	.xClose = fault_close,
	.xRead = fault_read,
	.xWrite = fault_write,
	.xTruncate = fault_truncate,
	.xSync = fault_sync,
	.xFileSize = fault_size,
	.xLock = fault_lock,
	.xUnlock = fault_unlock,
	.xCheckReservedLock = fault_reserved,
	.xFileControl = fault_control,
	.xSectorSize = fault_sector,
	.xDeviceCharacteristics = fault_device,
};

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
	int *ret_flags)
{
	int code;

	(void)vfs;
	file->pMethods = NULL;
	if (fault_comes(FAULT_OPEN))
		return SQLITE_CANTOPEN;
	code = files_below->xOpen(files_below, name, file_below(file), flags, ret_flags);
	if (code == SQLITE_OK)
		file->pMethods = &fault_methods;
	return code;
}

static int fault_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs;
	if (fault_comes_to_change(FAULT_DELETE))
		return SQLITE_IOERR_DELETE;
	return files_below->xDelete(files_below, name, sync);
}

/* ---- memory -------------------------------------------------------------------------------- */

static void *fault_malloc(int size)
{
	return fault_comes(FAULT_MEMORY) ? NULL : memory_below.xMalloc(size);
}

static void *fault_realloc(void *memory, int size)
{
	return fault_comes(FAULT_MEMORY) ? NULL : memory_below.xRealloc(memory, size);
}

/* So that the story has checkpoints in it. */
static int checkpoint_often(sqlite3 *sqlite, char **error, const void *api)
{
	(void)error;
	(void)api;
	return sqlite3_wal_autocheckpoint(sqlite, 40);
}

/* Before SQLite is used. Without lookaside every allocation is one that can fail. */
static inline void faults_set_up(void)
{
	static sqlite3_vfs vfs;
	sqlite3_mem_methods memory;

	ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory_below), SQLITE_OK);
	memory = memory_below;
	memory.xMalloc = fault_malloc;
	memory.xRealloc = fault_realloc;
	ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &memory), SQLITE_OK);
	ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
	ck_assert_int_eq(sqlite3_initialize(), SQLITE_OK);
	files_below = sqlite3_vfs_find(NULL);
	vfs = *files_below;
	vfs.zName = "faults";
	vfs.pNext = NULL;
	vfs.szOsFile = (int)sizeof(struct fault_file) + files_below->szOsFile;
	vfs.xOpen = fault_open;
	vfs.xDelete = fault_delete;
	ck_assert_int_eq(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
	ck_assert_int_eq(sqlite3_auto_extension((void (*)(void))checkpoint_often), SQLITE_OK);
}

#endif
