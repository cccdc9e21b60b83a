#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- opening ------------------------------------------------------------------------------- */

static int open_directory(struct source *source, struct error *error)
{
	char *directory = files_directory(source->path);

	source->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(directory);
	return source->directory < 0 ? files_failed(source->path, "opened", error) : 0;
}

/* The database says who must own all. Root reads what root owns, for its bytes come from root. */
static int check_status(struct source *source, enum state_file file, unsigned flags, const struct stat *status,
	const char *path, struct error *error)
{
	if (file == STATE_DATABASE)
		source->owner = geteuid() == 0 && !(flags & SOURCE_ANY_OWNER) ? 0 : status->st_uid;
	return files_check_status(status, source->owner, path, error);
}

static bool log_exists(const struct source *source)
{
	char *path = files_name(source->path, STATE_LOG);
	struct stat status;
	int ret = fstatat(source->directory, files_base_name(path), &status, AT_SYMLINK_NOFOLLOW);

	free(path);
	return ret == 0;
}

/* A log without its database is opened, so that opening a copy reports it. */
static bool may_be_missing(const struct source *source, enum state_file file, unsigned flags)
{
	return file != STATE_DATABASE || flags & SOURCE_MAY_BE_MISSING || log_exists(source);
}

/* Looks before it opens: to open a device may have effects. */
static int open_regular(struct source *source, enum state_file file, unsigned flags, const char *path,
	struct error *error)
{
	const char *name = files_base_name(path);
	int mode = file == STATE_DATABASE && flags & SOURCE_EXCLUSIVE ? O_RDWR : O_RDONLY;
	struct stat before, status;
	int fd;

	if (fstatat(source->directory, name, &before, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && may_be_missing(source, file, flags) ? 0 : files_failed(path, "opened", error);
	if (check_status(source, file, flags, &before, path, error) < 0 ||
		files_check_mount(source->directory, name, path, error) < 0)
		return -1;
	fd = openat(source->directory, name, mode | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return files_failed(path, "opened", error);
	source->files[file] = fd;
	if (fstat(fd, &status) < 0)
		return files_failed(path, "opened", error);
	if (status.st_dev != before.st_dev || status.st_ino != before.st_ino)
		return error_set(error, ERR_STORAGE, "%s was replaced while it was opened", path);
	return check_status(source, file, flags, &status, path, error);
}

static int open_one(struct source *source, enum state_file file, unsigned flags, struct error *error)
{
	char *path = files_name(source->path, file);
	int ret = open_regular(source, file, flags, path, error);

	free(path);
	return ret;
}

/* ---- the lock ------------------------------------------------------------------------------ */

static int in_use(const struct source *source, struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s is in use by another process", source->path);
}

static int lock_failed(const struct source *source, struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s cannot be locked: %s", source->path, strerror(errno));
}

/* The bytes of the database that SQLite locks: every reader has a lock on some of them, every writer, and a
 * daemon all of the time. */
static int lock(const struct source *source, unsigned flags, struct error *error)
{
	enum { LOCK_FIRST = 0x40000000, LOCK_COUNT = 512 };
	struct flock lock = {.l_type = flags & SOURCE_EXCLUSIVE ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET,
		.l_start = LOCK_FIRST, .l_len = LOCK_COUNT};
	int fd = source->files[STATE_DATABASE];

	if (fd < 0)
		return 0;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		return errno == EAGAIN || errno == EACCES ? in_use(source, error) : lock_failed(source, error);
	lock.l_type = F_WRLCK; /* with which any other lock is in conflict */
	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return lock_failed(source, error);
	return lock.l_type != F_UNLCK ? in_use(source, error) : 0;
}

/* ---- the header ---------------------------------------------------------------------------- */

/* An odd size is no concern of this: a power loss may leave one, which the log repairs. A file that has no header is
 * left to db_open: with its log, that says what is wrong. (SQLite's file format, 1.3 The Database Header.) */
static int read_header(struct source *source, struct error *error)
{
	static const char magic[] = "SQLite format 3"; /* with its NUL */
	enum { PAGE_SIZE_AT = 16, READ_VERSION_AT = 19, PAGE_SIZE_MIN = 512, PAGE_SIZE_MAX = 65536, WITH_LOG = 2 };
	unsigned char header[FILES_HEADER_BYTES];
	uint32_t page_size;
	struct stat status;
	ssize_t got;
	int fd = source->files[STATE_DATABASE];

	if (fd < 0)
		return 0;
	if (fstat(fd, &status) < 0)
		return files_failed(source->path, "opened", error);
	if (status.st_size < FILES_HEADER_BYTES)
		return 0;
	got = pread(fd, header, sizeof header, 0);
	if (got < 0)
		return files_failed(source->path, "opened", error);
	if (got < (ssize_t)sizeof header)
		return error_set(error, ERR_STORAGE, "%s became shorter while it was read", source->path);
	page_size = (uint32_t)header[PAGE_SIZE_AT] << 8 | header[PAGE_SIZE_AT + 1];
	if (page_size == 1)
		page_size = PAGE_SIZE_MAX;
	if (memcmp(header, magic, sizeof magic) != 0 || page_size < PAGE_SIZE_MIN ||
		(page_size & (page_size - 1)) != 0)
		return error_set(error, ERR_STORAGE, "%s is not a state file of imd", source->path);
	source->page_size = page_size;
	source->asks_for_log = header[READ_VERSION_AT] == WITH_LOG;
	return 0;
}

/* The log and the journal may come and go before the lock. */
int source_open(const char *path, unsigned flags, struct source *ret_source, struct error *error)
{
	*ret_source = (struct source){.path = path, .directory = -1, .files = {-1, -1, -1}, .owner = geteuid()};
	if (open_directory(ret_source, error) == 0 &&
		open_one(ret_source, STATE_DATABASE, flags, error) == 0 && lock(ret_source, flags, error) == 0 &&
		(flags & SOURCE_ANY_CONTENT || read_header(ret_source, error) == 0) &&
		open_one(ret_source, STATE_LOG, flags, error) == 0 &&
		open_one(ret_source, STATE_JOURNAL, flags, error) == 0)
		return 0;
	source_close(ret_source);
	return -1;
}

void source_close(struct source *source)
{
	for (int file = 0; file < STATE_FILE_COUNT; file++) {
		if (source->files[file] >= 0)
			close(source->files[file]);
		source->files[file] = -1;
	}
	if (source->directory >= 0)
		close(source->directory);
	source->directory = -1;
}
