#include "repair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inspect.h"
#include "private_copy.h"

static int failed(const char *what, const char *path, struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s cannot be %s: %s", path, what, strerror(errno));
}

int repair_inspect(const struct source *source, struct wal *ret_log, struct error *error)
{
	struct inspection inspection;

	if (inspect_files(source, source->path, &inspection, error) < 0)
		return -1;
	*ret_log = inspection.log;
	if (ret_log->end == WAL_DAMAGED)
		return 0;
	return error_set(error, ERR_STORAGE, "%s has no log that is damaged; nothing was changed", source->path);
}

static int copy_synced(int from, int to)
{
	return private_copy_bytes(from, to) == 0 && fsync(to) == 0 ? 0 : -1;
}

static int keep(const struct trust_path *place, const struct source *source, enum state_file file, time_t at,
	restore_moved_fn *kept, void *arg, struct error *error)
{
	char *from = files_name(place->path, file), *to = restore_aside_name(place->path, "before-truncate", at, file);
	int fd = openat(place->directory, strrchr(to, '/') + 1, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		S_IRUSR | S_IWUSR);
	int ret = fd >= 0 && copy_synced(source->files[file], fd) == 0 ? 0 : failed("written", to, error);

	if (fd >= 0)
		close(fd);
	if (ret == 0)
		kept(arg, from, to);
	free(from);
	free(to);
	return ret;
}

static int cut(const struct trust_path *place, const struct wal *log, struct error *error)
{
	char *path = files_name(place->path, STATE_LOG);
	int fd = openat(place->directory, strrchr(path, '/') + 1, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	int ret = fd >= 0 && ftruncate(fd, log->size) == 0 && fsync(fd) == 0 ? 0 : failed("cut", path, error);

	if (fd >= 0)
		close(fd);
	free(path);
	return ret;
}

int repair_cut(const struct trust_path *place, const struct source *source, const struct wal *log,
	restore_moved_fn *kept, void *arg, struct error *error)
{
	time_t at = restore_aside_time(place->path, "before-truncate");

	if (keep(place, source, STATE_DATABASE, at, kept, arg, error) < 0 ||
		keep(place, source, STATE_LOG, at, kept, arg, error) < 0 || files_sync_directory(place, error) < 0)
		return -1;
	return cut(place, log, error);
}
