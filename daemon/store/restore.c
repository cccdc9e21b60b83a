#include "restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/mem.h"
#include "snapshot.h"
#include "source.h"

static const char before_restore[] = "before-restore";

/* ---- names --------------------------------------------------------------------------------- */

/* The new database, from the moment when the restore counts. No user chooses such a name by accident. */
static char *new_name(const char *path)
{
	const char *base = files_base_name(path);
	struct buf name = BUF_INIT;

	buf_add(&name, path, (size_t)(base - path));
	buf_addf(&name, ".%s.imd-restore", base);
	buf_add_char(&name, '\0');
	return name.data;
}

char *restore_aside_name(const char *path, const char *reason, time_t at, enum state_file file)
{
	struct buf name = BUF_INIT;
	char time[32], *ret;
	struct tm utc;

	gmtime_r(&at, &utc);
	strftime(time, sizeof time, "%Y%m%dT%H%M%SZ", &utc);
	buf_addf(&name, "%s.%s-%s", path, reason, time);
	buf_add_char(&name, '\0');
	ret = files_name(name.data, file);
	buf_fini(&name);
	return ret;
}

static bool aside_exists(const char *path, const char *reason, time_t at)
{
	bool exists = false;

	for (int file = 0; file < STATE_FILE_COUNT && !exists; file++) {
		char *name = restore_aside_name(path, reason, at, (enum state_file)file);

		exists = faccessat(AT_FDCWD, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
		free(name);
	}
	return exists;
}

time_t restore_aside_time(const char *path, const char *reason)
{
	time_t at = time(NULL);

	while (aside_exists(path, reason, at))
		at++;
	return at;
}

/* ---- moving -------------------------------------------------------------------------------- */

/* Does not replace another file. Some file systems have no such call; then the look before it has to do. */
static int rename_new(int directory, const char *from, const char *to)
{
	struct stat status;

	if (renameat2(directory, from, directory, to, RENAME_NOREPLACE) == 0)
		return 0;
	if ((errno != EINVAL && errno != ENOSYS) || fstatat(directory, from, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (fstatat(directory, to, &status, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return renameat(directory, from, directory, to);
}

/* What is not there may have been moved before a crash. */
static int move_aside(const struct trust_path *place, enum state_file file, time_t at, restore_moved_fn *moved,
	void *arg, struct error *error)
{
	char *from = files_name(place->path, file);
	char *to = restore_aside_name(place->path, before_restore, at, file);
	int ret = rename_new(place->directory, files_base_name(from), files_base_name(to));

	if (ret == 0 && moved)
		moved(arg, from, to);
	else if (ret < 0)
		ret = errno == ENOENT ? 0 : files_failed(from, "moved aside", error);
	free(from);
	free(to);
	return ret;
}

/* The time of the new database is that of the names, so that they are the same after a crash. No power loss may leave
 * the new database with the log of the old one: these renames are durable before the last one. */
static int move_into_place(const struct trust_path *place, const char *new, time_t at, restore_moved_fn *moved,
	void *arg, struct error *error)
{
	static const enum state_file order[] = {STATE_LOG, STATE_JOURNAL, STATE_DATABASE};

	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
		if (move_aside(place, order[i], at, moved, arg, error) < 0)
			return -1;
	if (files_sync_directory(place, error) < 0)
		return -1;
	if (rename_new(place->directory, files_base_name(new), place->name) < 0)
		return files_failed(new, "renamed", error);
	return files_sync_directory(place, error);
}

/* What is not complete was not made by a restore, and the old files stay. */
static int check_new(const char *new, off_t size, struct error *error)
{
	enum { PAGE_SIZE_MIN = 512 };
	struct source source;

	if (size < PAGE_SIZE_MIN)
		return error_set(error, ERR_STORAGE, "%s is not a restored state; remove it", new);
	if (source_open(new, 0, &source, error) < 0)
		return -1;
	source_close(&source);
	return 0;
}

static int finish_new(const struct trust_path *place, restore_moved_fn *moved, void *arg, struct error *error)
{
	char *new = new_name(place->path);
	struct stat status;
	int ret = 0;

	if (fstatat(place->directory, files_base_name(new), &status, AT_SYMLINK_NOFOLLOW) == 0)
		ret = files_check_status(&status, geteuid(), new, error) < 0 || check_new(new, status.st_size, error) < 0 ?
			-1 : move_into_place(place, new, status.st_mtim.tv_sec, moved, arg, error);
	else if (errno != ENOENT)
		ret = files_failed(new, "opened", error);
	free(new);
	return ret;
}

int restore_check_none(const char *path, struct error *error)
{
	char *new = new_name(path);
	int ret = 0;

	if (faccessat(AT_FDCWD, new, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		ret = error_set(error, ERR_STORAGE, "%s exists: a restore was interrupted; start imd to complete it", new);
	free(new);
	return ret;
}

/* ---- the new database ---------------------------------------------------------------------- */

struct target {
	struct snapshot file;
	char *name; /* in the directory of the state */
};

struct writer {
	const struct target *target;
	off_t size;
	bool ended;
	int ret;
	struct error *error;
};

static void write_piece(void *arg, const void *data, size_t len, const struct error *error)
{
	struct writer *writer = arg;
	size_t done = 0;

	writer->ended = error || len == 0;
	if (error)
		writer->ret = error_set(writer->error, error->code, "%s", error->text);
	while (writer->ret == 0 && done < len) {
		ssize_t more = pwrite(writer->target->file.fd, (const char *)data + done, len - done,
			writer->size + (off_t)done);

		if (more < 0 && errno != EINTR)
			writer->ret = files_failed(writer->target->name, "written", writer->error);
		else if (more > 0)
			done += (size_t)more;
	}
	writer->size += (off_t)len;
}

static int write_copy(struct store *copy, const struct target *target, struct error *error)
{
	struct writer writer = {.target = target, .error = error};
	struct store_copy *reading = copy->ops->copy_begin(copy, error);

	if (!reading)
		return -1;
	while (writer.ret == 0 && !writer.ended)
		copy->ops->copy_read(reading, write_piece, &writer);
	copy->ops->copy_end(reading);
	if (writer.ret == 0 && fsync(target->file.fd) < 0)
		writer.ret = files_failed(target->name, "synced", error);
	return writer.ret;
}

/* From the rename on, the restore counts. */
static int commit_new(const struct trust_path *place, const struct target *target, struct error *error)
{
	const struct timespec at = {.tv_sec = restore_aside_time(place->path, before_restore)};
	char *new = new_name(place->path);
	int ret = 0;

	if (futimens(target->file.fd, (const struct timespec[]){at, at}) < 0 || fsync(target->file.fd) < 0)
		ret = files_failed(target->name, "synced", error);
	else if (rename_new(place->directory, target->name, files_base_name(new)) < 0)
		ret = files_failed(target->name, "renamed", error);
	free(new);
	return ret < 0 ? -1 : files_sync_directory(place, error);
}

static int replace_state(const struct trust_path *place, struct store *copy, restore_moved_fn *moved, void *arg,
	struct error *error)
{
	struct target target;
	int ret;

	if (snapshot_create_named(&target.file, place->directory, place->name, &target.name, error) < 0)
		return -1;
	ret = write_copy(copy, &target, error);
	if (ret == 0)
		ret = commit_new(place, &target, error);
	unlinkat(place->directory, target.name, 0); /* unless it has been renamed */
	free(target.name);
	snapshot_close(&target.file);
	return ret < 0 ? -1 : finish_new(place, moved, arg, error);
}

/* ---- the state ----------------------------------------------------------------------------- */

/* The lock is on the old file, also after it was moved: a daemon that starts meanwhile waits for nothing, and fails. */
static int with_lock(const struct trust_path *place, struct store *copy, restore_moved_fn *moved, void *arg,
	struct error *error)
{
	struct source old;
	int ret;

	if (source_open(place->path, SOURCE_MAY_BE_MISSING | SOURCE_EXCLUSIVE | SOURCE_ANY_CONTENT, &old, error) < 0)
		return -1;
	ret = copy ? replace_state(place, copy, moved, arg, error) : finish_new(place, moved, arg, error);
	source_close(&old);
	return ret;
}

int restore_finish(const struct trust_path *place, restore_moved_fn *moved, void *arg, struct error *error)
{
	struct error inner;

	if (restore_check_none(place->path, &inner) == 0)
		return 0;
	return with_lock(place, NULL, moved, arg, error) < 0 ? -1 : 1;
}

/* An earlier restore is finished first, under a lock of its own: after it, the state is another file. */
int restore_state(const char *path, struct store *copy, restore_moved_fn *moved, void *arg, struct error *error)
{
	struct trust_path place;
	int ret;

	if (files_make_directory(path, error) < 0 || files_resolve(path, &place, error) < 0)
		return -1;
	ret = restore_finish(&place, moved, arg, error);
	if (ret >= 0)
		ret = with_lock(&place, copy, moved, arg, error);
	trust_path_fini(&place);
	return ret;
}
