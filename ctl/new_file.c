#include "new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/mem.h"

enum {
	TEMPORARY_TRIES = 100,
	NAME_SHOWN = 200, /* bytes of the name in the temporary one, which has to fit NAME_MAX */
	RANDOM_LEN = 6,
};

static int failed(const struct new_file *file, const char *what, struct error *error)
{
	return error_set(error, ERR_STORAGE, "cannot %s \"%s\": %s", what, file->path, strerror(errno));
}

/* ---- beginning ----------------------------------------------------------------------------- */

/* A directory that may be searched and written but not read will do, too: it just cannot be synced. */
static int open_directory(struct new_file *file, struct error *error)
{
	size_t len = (size_t)(file->name - file->path);
	char *path = len > 0 ? mem_strdup(file->path) : mem_strdup(".");

	if (len > 0)
		path[len] = '\0';
	file->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file->directory < 0 && errno == EACCES)
		file->directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(path);
	return file->directory < 0 ? failed(file, "create", error) : 0;
}

static const char *kind_of(mode_t mode)
{
	return S_ISDIR(mode) ? "directory" : S_ISLNK(mode) ? "symbolic link" : S_ISFIFO(mode) ? "FIFO" :
		S_ISSOCK(mode) ? "socket" : "device";
}

/* So that nobody waits for a copy that has no place to go. What comes later is found when the name is given. */
static int check_name(const struct new_file *file, struct error *error)
{
	struct stat status;

	if (file->name[0] == '\0' || strcmp(file->name, ".") == 0 || strcmp(file->name, "..") == 0)
		return error_set(error, ERR_STORAGE, "\"%s\" is not the name of a file", file->path);
	if (fstatat(file->directory, file->name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed(file, "create", error);
	if (!S_ISREG(status.st_mode))
		return error_set(error, ERR_CONFLICT, "\"%s\" is a %s; name a file that does not exist",
			file->path, kind_of(status.st_mode));
	if (!file->replace)
		return error_set(error, ERR_CONFLICT, "\"%s\" already exists; --force replaces it", file->path);
	return 0;
}

/* Writes .NAME.XXXXXX */
static int make_temporary_name(struct new_file *file)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	unsigned char random[RANDOM_LEN];
	char end[RANDOM_LEN + 1] = "";

	if (getrandom(random, sizeof random, 0) != sizeof random)
		return -1;
	for (size_t i = 0; i < RANDOM_LEN; i++)
		end[i] = letters[random[i] % (sizeof letters - 1)];
	snprintf(file->temporary, sizeof file->temporary, ".%.*s.%s", NAME_SHOWN, file->name, end);
	return 0;
}

static int create_temporary(struct new_file *file, struct error *error)
{
	for (int tries = 0; file->fd < 0 && tries < TEMPORARY_TRIES; tries++) {
		if (make_temporary_name(file) < 0)
			break;
		file->fd = openat(file->directory, file->temporary,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
		if (file->fd < 0 && errno != EEXIST)
			break;
	}
	if (file->fd < 0)
		file->temporary[0] = '\0';
	return file->fd < 0 || fchmod(file->fd, S_IRUSR | S_IWUSR) < 0 ? failed(file, "create", error) : 0;
}

int new_file_begin(struct new_file *file, const char *path, bool replace, struct error *error)
{
	const char *slash;

	*file = (struct new_file){.directory = -1, .fd = -1, .path = mem_strdup(path), .replace = replace};
	slash = strrchr(file->path, '/');
	file->name = slash ? slash + 1 : file->path;
	if (open_directory(file, error) == 0 && check_name(file, error) == 0 &&
		create_temporary(file, error) == 0)
		return 0;
	new_file_end(file);
	return -1;
}

/* ---- writing ------------------------------------------------------------------------------- */

int new_file_write(struct new_file *file, const void *data, size_t len, struct error *error)
{
	const char *at = data;

	while (len > 0) {
		ssize_t written = write(file->fd, at, len);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return failed(file, "write", error);
		at += written;
		len -= (size_t)written;
	}
	return 0;
}

/* ---- the end ------------------------------------------------------------------------------- */

/* On a file system that has neither RENAME_NOREPLACE nor links: takes the name with an empty file, if nothing has it,
 * and replaces that. */
static int place_over_own_file(struct new_file *file)
{
	int fd = openat(file->directory, file->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		S_IRUSR | S_IWUSR);
	int number;

	if (fd < 0)
		return -1;
	close(fd);
	if (renameat(file->directory, file->temporary, file->directory, file->name) == 0)
		return 0;
	number = errno;
	unlinkat(file->directory, file->name, 0);
	errno = number;
	return -1;
}

/* Some file systems do not know RENAME_NOREPLACE (rename(2)), and some of them have no links (link(2)). */
static int place(struct new_file *file)
{
	if (file->replace)
		return renameat(file->directory, file->temporary, file->directory, file->name);
	if (renameat2(file->directory, file->temporary, file->directory, file->name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(file->directory, file->temporary, file->directory, file->name, 0) == 0) {
		unlinkat(file->directory, file->temporary, 0);
		return 0;
	}
	if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
		return -1;
	return place_over_own_file(file);
}

/* EBADF: it was opened with O_PATH. EINVAL: the file system does not sync directories. */
static int sync_directory(const struct new_file *file)
{
	return fsync(file->directory) == 0 || errno == EBADF || errno == EINVAL ? 0 : -1;
}

int new_file_finish(struct new_file *file, struct error *error)
{
	if (fsync(file->fd) < 0)
		return failed(file, "write", error);
	if (place(file) < 0)
		return errno == EEXIST ?
			error_set(error, ERR_CONFLICT, "\"%s\" was created meanwhile", file->path) :
			failed(file, "create", error);
	file->temporary[0] = '\0';
	if (sync_directory(file) < 0)
		return failed(file, "sync the directory of", error);
	return 0;
}

void new_file_end(struct new_file *file)
{
	if (file->temporary[0] != '\0')
		unlinkat(file->directory, file->temporary, 0);
	if (file->fd >= 0)
		close(file->fd);
	if (file->directory >= 0)
		close(file->directory);
	free(file->path);
	*file = (struct new_file){.directory = -1, .fd = -1};
}
