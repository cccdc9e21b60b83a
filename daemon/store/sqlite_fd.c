#include "sqlite_fd.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR_SIZE = 4096 };

struct fd_file {
	sqlite3_file file;
	int fd;
};

static sqlite3_vfs fd_vfs;
static bool registered;

static int fd_of(sqlite3_file *file)
{
	return ((struct fd_file *)file)->fd;
}

/* ---- reading and writing ------------------------------------------------------------------- */

/* What lies after the end of the file reads as zeros; SQLite relies on that. */
static int fd_read(sqlite3_file *file, void *data, int size, sqlite3_int64 at)
{
	size_t done = 0, end = (size_t)size;

	while (done < end) {
		ssize_t got = pread(fd_of(file), (char *)data + done, end - done, at + (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return SQLITE_IOERR_READ;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	if (done == end)
		return SQLITE_OK;
	memset((char *)data + done, 0, end - done);
	return SQLITE_IOERR_SHORT_READ;
}

static int fd_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at)
{
	size_t done = 0, end = (size_t)size;

	while (done < end) {
		ssize_t put = pwrite(fd_of(file), (const char *)data + done, end - done, at + (off_t)done);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno == ENOSPC || errno == EDQUOT ? SQLITE_FULL : SQLITE_IOERR_WRITE;
		if (put == 0)
			return SQLITE_FULL;
		done += (size_t)put;
	}
	return SQLITE_OK;
}

static int fd_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	return ftruncate(fd_of(file), size) == 0 ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int fd_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	struct stat status;

	if (fstat(fd_of(file), &status) < 0)
		return SQLITE_IOERR_FSTAT;
	*ret_size = status.st_size;
	return SQLITE_OK;
}

/* ---- what such a file does not need -------------------------------------------------------- */

/* The file is the caller's. */
static int fd_close(sqlite3_file *file)
{
	(void)file;
	return SQLITE_OK;
}

static int fd_sync(sqlite3_file *file, int flags)
{
	(void)file;
	(void)flags;
	return SQLITE_OK;
}

static int fd_lock(sqlite3_file *file, int level)
{
	(void)file;
	(void)level;
	return SQLITE_OK;
}

static int fd_check_reserved_lock(sqlite3_file *file, int *ret_reserved)
{
	(void)file;
	*ret_reserved = 0;
	return SQLITE_OK;
}

static int fd_file_control(sqlite3_file *file, int operation, void *arg)
{
	(void)file;
	(void)operation;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int fd_sector_size(sqlite3_file *file)
{
	(void)file;
	return SECTOR_SIZE;
}

static int fd_device_characteristics(sqlite3_file *file)
{
	(void)file;
	return 0;
}

static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = fd_close,
	.xRead = fd_read,
	.xWrite = fd_write,
	.xTruncate = fd_truncate,
	.xSync = fd_sync,
	.xFileSize = fd_file_size,
	.xLock = fd_lock,
	.xUnlock = fd_lock,
	.xCheckReservedLock = fd_check_reserved_lock,
	.xFileControl = fd_file_control,
	.xSectorSize = fd_sector_size,
	.xDeviceCharacteristics = fd_device_characteristics,
};

/* ---- opening ------------------------------------------------------------------------------- */

/* The name is the number of the descriptor. Any other file would be a journal, of which there is none. */
static int fd_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct fd_file *ours = (struct fd_file *)file;

	(void)vfs;
	file->pMethods = NULL;
	if (!(flags & SQLITE_OPEN_MAIN_DB))
		return SQLITE_CANTOPEN;
	ours->fd = (int)strtol(name, NULL, 10);
	file->pMethods = &methods;
	if (ret_flags)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int fd_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs;
	(void)name;
	(void)sync;
	return SQLITE_IOERR_DELETE_NOENT;
}

static int fd_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_is)
{
	(void)vfs;
	(void)name;
	(void)flags;
	*ret_is = 0;
	return SQLITE_OK;
}

static int fd_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *ret_path)
{
	(void)vfs;
	snprintf(ret_path, (size_t)size, "%s", name);
	return SQLITE_OK;
}

/* The clock and what else there is are SQLite's own. */
static void fd_register(void)
{
	const sqlite3_vfs *own = sqlite3_vfs_find(NULL);

	if (!own)
		return;
	fd_vfs = *own;
	fd_vfs.zName = "imd-fd";
	fd_vfs.pNext = NULL;
	fd_vfs.szOsFile = sizeof(struct fd_file);
	fd_vfs.xOpen = fd_open;
	fd_vfs.xDelete = fd_delete;
	fd_vfs.xAccess = fd_access;
	fd_vfs.xFullPathname = fd_full_pathname;
	registered = sqlite3_vfs_register(&fd_vfs, 0) == SQLITE_OK;
}

int sqlite_fd_open(int fd, struct sqlite3 **ret_sqlite)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char name[16];

	*ret_sqlite = NULL;
	pthread_once(&once, fd_register);
	if (!registered)
		return SQLITE_NOMEM;
	snprintf(name, sizeof name, "%d", fd);
	return sqlite3_open_v2(name, ret_sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
		fd_vfs.zName);
}
