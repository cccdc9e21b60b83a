#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/mem.h"

/* In an error after what is wrong. The path comes last: it may be cut. */
static const char remedy[] = "put it back, or save the state with \"imctl backup\" and start imd on the copy";

static struct file_id id_of(const struct stat *status)
{
	return (struct file_id){status->st_dev, status->st_ino};
}

static bool id_equal_file(const struct file_id *id, const struct stat *status)
{
	return id->device == status->st_dev && id->inode == status->st_ino;
}

static const char *name_in(const char *path)
{
	return strrchr(path, '/') + 1;
}

/* ---- taking -------------------------------------------------------------------------------- */

/* The directory of a file that the user named; NULL with errno. It is absolute, because the name must still be right
 * for who starts the daemon again. */
static char *directory_of(const char *name)
{
	struct buf path = BUF_INIT;
	char *here = NULL, *slash;

	if (name[0] != '/' && !(here = getcwd(NULL, 0)))
		return NULL;
	buf_addf(&path, "%s%s%s", here ? here : "", here ? "/" : "", name);
	buf_add_char(&path, '\0');
	free(here);
	slash = strrchr(path.data, '/');
	slash[slash == path.data] = '\0';
	return path.data;
}

static int take_failed(const char *path, struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s cannot be opened: %s", path, strerror(errno));
}

static int take_directory(struct identity *identity, const char *name, struct error *error)
{
	struct stat status;

	identity->directory_path = directory_of(name);
	if (!identity->directory_path)
		return take_failed(name, error);
	identity->directory = open(identity->directory_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (identity->directory < 0 || fstat(identity->directory, &status) < 0)
		return take_failed(identity->directory_path, error);
	identity->directory_id = id_of(&status);
	return 0;
}

int identity_take(struct identity *identity, const char *name, const char *path, struct error *error)
{
	if (take_directory(identity, name, error) < 0)
		return -1;
	for (int file = STATE_DATABASE; file <= STATE_LOG; file++) {
		struct stat status;

		identity->paths[file] = files_name(path, (enum state_file)file);
		if (fstatat(identity->directory, name_in(identity->paths[file]), &status, AT_SYMLINK_NOFOLLOW) < 0)
			return take_failed(identity->paths[file], error);
		identity->ids[file] = id_of(&status);
	}
	return 0;
}

const char *identity_name(const struct identity *identity)
{
	return name_in(identity->paths[STATE_DATABASE]);
}

void identity_fini(struct identity *identity)
{
	if (identity->directory >= 0)
		close(identity->directory);
	free(identity->directory_path);
	free(identity->paths[STATE_DATABASE]);
	free(identity->paths[STATE_LOG]);
	*identity = (struct identity){.directory = -1};
}

/* ---- checking ------------------------------------------------------------------------------ */

static int gone(const char *what, const char *path, struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s is gone; %s: %s", what, remedy, path);
}

static int replaced(const char *what, const char *path, struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s was replaced; %s: %s", what, remedy, path);
}

static int check_failed(const char *path, struct error *error)
{
	return error_set(error, ERR_STORAGE, "the state cannot be looked at: %s: %s", strerror(errno), path);
}

/* A directory that was moved has the files, but the next start would not find them. */
static int check_directory(const struct identity *identity, struct error *error)
{
	static const char what[] = "the directory of the state";
	struct stat status;

	if (stat(identity->directory_path, &status) < 0)
		return errno == ENOENT || errno == ENOTDIR ? gone(what, identity->directory_path, error)
			: check_failed(identity->directory_path, error);
	if (!id_equal_file(&identity->directory_id, &status))
		return replaced(what, identity->directory_path, error);
	return 0;
}

static int look(const struct identity *identity, enum state_file file, struct stat *ret_status)
{
	return fstatat(identity->directory, name_in(identity->paths[file]), ret_status, AT_SYMLINK_NOFOLLOW);
}

/* What was in the log is in memory, too; the database can only be restored. */
static int cut(const char *what, enum state_file file, off_t size, off_t expected, const char *path, struct error *error)
{
	static const char *const advice[] = {"stop imd and restore a copy with \"imd --restore\"",
		"try again, or save the state with \"imctl backup\" and start imd on the copy"};

	return error_set(error, ERR_STORAGE, "%s was cut to %jd of %jd bytes; %s: %s", what, (intmax_t)size,
		(intmax_t)expected, advice[file], path);
}

static int check_file(const struct identity *identity, enum state_file file, off_t size, struct error *error)
{
	static const char *const what[] = {"the state file", "the log of the state"};
	const char *path = identity->paths[file];
	struct stat status;

	if (look(identity, file, &status) < 0)
		return errno == ENOENT ? gone(what[file], path, error) : check_failed(path, error);
	if (!id_equal_file(&identity->ids[file], &status))
		return replaced(what[file], path, error);
	return status.st_size < size ? cut(what[file], file, status.st_size, size, path, error) : 0;
}

int identity_check(const struct identity *identity, const struct db_sizes *sizes, struct error *error)
{
	if (check_directory(identity, error) < 0 || check_file(identity, STATE_DATABASE, sizes->file, error) < 0 ||
		check_file(identity, STATE_LOG, sizes->log, error) < 0)
		return -1;
	return 0;
}

bool identity_keeps_database(const struct identity *identity)
{
	return check_directory(identity, NULL) == 0 && check_file(identity, STATE_DATABASE, 0, NULL) == 0;
}
