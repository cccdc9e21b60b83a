#include "repair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inspect.h"
#include "private_copy.h"

int repair_inspect(const struct source *source, struct wal *ret_log, struct error *error)
{
	struct inspection inspection;

	if (inspect_files(source, source->path, &inspection, error) < 0)
		return -1;
	*ret_log = inspection.log;
	if (ret_log->end == WAL_DAMAGED)
		return 0;
	return error_set(error, ERR_STORAGE, "the log of %s is not damaged; nothing was changed", source->path);
}

/* ---- keeping ------------------------------------------------------------------------------- */

static const char reason[] = "before-truncate";

static int copy_synced(int from, int to)
{
	return private_copy_bytes(from, to) == 0 && fsync(to) == 0 ? 0 : -1;
}

/* Leaves no part of a copy: what it fails for is often a full disk. */
static int keep_copy(const struct trust_path *place, const struct source *source, enum state_file file, time_t at,
	struct error *error)
{
	char *to = restore_aside_name(place->path, reason, at, file);
	const char *name = files_base_name(to);
	int fd = openat(place->directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
	int ret = 0;

	if (fd < 0 || copy_synced(source->files[file], fd) < 0)
		ret = files_failed(to, "written", error);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && ret < 0)
		unlinkat(place->directory, name, 0);
	free(to);
	return ret;
}

static void remove_copy(const struct trust_path *place, enum state_file file, time_t at)
{
	char *path = restore_aside_name(place->path, reason, at, file);

	unlinkat(place->directory, files_base_name(path), 0);
	free(path);
}

static void report_copy(const struct trust_path *place, enum state_file file, time_t at, restore_moved_fn *kept,
	void *arg)
{
	char *from = files_name(place->path, file), *to = restore_aside_name(place->path, reason, at, file);

	kept(arg, from, to);
	free(from);
	free(to);
}

/* Both files or none. */
static int keep_copies(const struct trust_path *place, const struct source *source, time_t at, struct error *error)
{
	if (keep_copy(place, source, STATE_DATABASE, at, error) < 0)
		return -1;
	if (keep_copy(place, source, STATE_LOG, at, error) == 0) {
		if (files_sync_directory(place, error) == 0)
			return 0;
		remove_copy(place, STATE_LOG, at);
	}
	remove_copy(place, STATE_DATABASE, at);
	return -1;
}

/* ---- cutting ------------------------------------------------------------------------------- */

/* The source is open for reading alone, so the log is opened again; by then its name may lead to another file. */
static int open_log(const struct trust_path *place, const struct source *source, const char *path, struct error *error)
{
	int fd = openat(place->directory, files_base_name(path), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct stat inspected, opened;

	if (fd < 0 || fstat(fd, &opened) < 0 || fstat(source->files[STATE_LOG], &inspected) < 0)
		files_failed(path, "opened", error);
	else if (opened.st_dev != inspected.st_dev || opened.st_ino != inspected.st_ino)
		error_set(error, ERR_STORAGE, "%s was replaced while it was checked; nothing was cut", path);
	else
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int cut_log(const struct trust_path *place, const struct source *source, const struct wal *log,
	struct error *error)
{
	char *path = files_name(place->path, STATE_LOG);
	int fd = open_log(place, source, path, error), ret = fd < 0 ? -1 : 0;

	if (fd >= 0 && (ftruncate(fd, log->size) < 0 || fsync(fd) < 0))
		ret = files_failed(path, "cut", error);
	if (fd >= 0)
		close(fd);
	free(path);
	return ret;
}

int repair_cut(const struct trust_path *place, const struct source *source, const struct wal *log,
	restore_moved_fn *kept, void *arg, struct error *error)
{
	time_t at = restore_aside_time(place->path, reason);

	if (keep_copies(place, source, at, error) < 0)
		return -1;
	report_copy(place, STATE_DATABASE, at, kept, arg);
	report_copy(place, STATE_LOG, at, kept, arg);
	return cut_log(place, source, log, error);
}
