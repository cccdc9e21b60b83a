#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/mem.h"

/* What follows what is wrong in an error. The path comes last: it may be cut off. */
struct advice {
	const char *displaced; /* the path does not lead to what is open */
	const char *cut[2];    /* of the database, and of the log, which is in memory, too */
};

static const struct advice advice_in_use = {
	"move it back, or save the state with \"imctl backup\" and restore from the copy with \"imd --restore\"",
	{"save the state with \"imctl backup\" if it still can be read, or restore an earlier copy with \"imd --restore\"",
		"try again, or save the state with \"imctl backup\" and restore from the copy with \"imd --restore\""},
};
static const struct advice advice_at_end = {
	"what was answered is lost unless it is moved back before the next start",
	{"restore a copy with \"imd --restore\"", "restore a copy with \"imd --restore\""},
};

static struct file_id id_of(const struct stat *status)
{
	return (struct file_id){status->st_dev, status->st_ino};
}

static bool id_equal_file(const struct file_id *id, const struct stat *status)
{
	return id->device == status->st_dev && id->inode == status->st_ino;
}

/* ---- taking -------------------------------------------------------------------------------- */

/* The directory of a file that the user named; NULL with errno. It is absolute, because the name must still be right
 * when the daemon is started again, from another directory. */
static char *directory_of(const char *name)
{
	struct buf path = BUF_INIT;
	char *here = NULL, *directory;

	if (name[0] != '/' && !(here = getcwd(NULL, 0)))
		return NULL;
	buf_addf(&path, "%s%s%s", here ? here : "", here ? "/" : "", name);
	buf_add_char(&path, '\0');
	free(here);
	directory = files_directory(path.data);
	buf_fini(&path);
	return directory;
}

static int take_directory(struct identity *identity, const char *name, struct error *error)
{
	struct stat status;

	identity->directory_path = directory_of(name);
	if (!identity->directory_path)
		return files_failed(name, "opened", error);
	identity->directory = open(identity->directory_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (identity->directory < 0 || files_stat(identity->directory, "", AT_EMPTY_PATH, &status) < 0)
		return files_failed(identity->directory_path, "opened", error);
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
		if (files_stat(identity->directory, files_base_name(identity->paths[file]), AT_SYMLINK_NOFOLLOW, &status) < 0)
			return files_failed(identity->paths[file], "opened", error);
		identity->ids[file] = id_of(&status);
	}
	return 0;
}

const char *identity_name(const struct identity *identity)
{
	return files_base_name(identity->paths[STATE_DATABASE]);
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

static int displaced(const char *what, const char *how, const struct advice *advice, const char *path,
	struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s %s; %s: %s", what, how, advice->displaced, path);
}

static int look_failed(const char *what, const struct advice *advice, const char *path, struct error *error)
{
	if (errno == ENOENT || errno == ENOTDIR)
		return displaced(what, "is gone", advice, path, error);
	return error_set(error, ERR_STORAGE, "cannot check the files of the state: %s: %s", strerror(errno), path);
}

/* A directory that was moved has the files, but the next start would not find them. */
static int check_directory(const struct identity *identity, const struct advice *advice, struct error *error)
{
	static const char what[] = "the directory of the state";
	struct stat status;

	if (files_stat(AT_FDCWD, identity->directory_path, 0, &status) < 0)
		return look_failed(what, advice, identity->directory_path, error);
	if (!id_equal_file(&identity->directory_id, &status))
		return displaced(what, "was replaced", advice, identity->directory_path, error);
	return 0;
}

static int check_file(const struct identity *identity, enum state_file file, off_t size, const struct advice *advice,
	struct error *error)
{
	static const char *const what[] = {"the state file", "the log of the state"};
	const char *path = identity->paths[file];
	struct stat status;

	if (files_stat(identity->directory, files_base_name(path), AT_SYMLINK_NOFOLLOW, &status) < 0)
		return look_failed(what[file], advice, path, error);
	if (!id_equal_file(&identity->ids[file], &status))
		return displaced(what[file], "was replaced", advice, path, error);
	if (status.st_size >= size)
		return 0;
	return error_set(error, ERR_STORAGE, "%s was cut to %jd of %jd bytes; %s: %s", what[file],
		(intmax_t)status.st_size, (intmax_t)size, advice->cut[file], path);
}

int identity_check(const struct identity *identity, const struct db_sizes *sizes, bool at_end, struct error *error)
{
	const struct advice *advice = at_end ? &advice_at_end : &advice_in_use;

	if (check_directory(identity, advice, error) < 0 ||
		check_file(identity, STATE_DATABASE, sizes->file, advice, error) < 0 ||
		check_file(identity, STATE_LOG, sizes->log, advice, error) < 0)
		return -1;
	return 0;
}

bool identity_keeps_database(const struct identity *identity)
{
	return check_directory(identity, &advice_in_use, NULL) == 0 &&
		check_file(identity, STATE_DATABASE, 0, &advice_in_use, NULL) == 0;
}
