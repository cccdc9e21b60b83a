#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "proto/mem.h"

char *files_name(const char *name, enum state_file file)
{
	static const char suffixes[STATE_FILE_COUNT][sizeof "-journal"] = {"", "-wal", "-journal"};
	char *full = mem_alloc(strlen(name) + sizeof suffixes[file]);

	return strcat(strcpy(full, name), suffixes[file]);
}

const char *files_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *files_directory(const char *path)
{
	size_t len = (size_t)(files_base_name(path) - path);
	char *directory = mem_strdup(len > 0 ? path : ".");

	if (len > 0)
		directory[len > 1 ? len - 1 : 1] = '\0';
	return directory;
}

int files_failed(const char *path, const char *what, struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s cannot be %s: %s", path, what, strerror(errno));
}

/* ---- directories --------------------------------------------------------------------------- */

static int make_one(const char *path, const char *state, struct error *error)
{
	struct trust_path place;
	struct error inner;
	int ret = 0;

	if (trust_resolve(path, TRUST_FILE_NOFOLLOW, &place, &inner) < 0)
		return error_set(error, ERR_STORAGE, "%s: %s", state, inner.text);
	if (mkdirat(place.directory, place.name, S_IRWXU) < 0 && errno != EEXIST)
		ret = error_set(error, ERR_STORAGE, "%s: cannot create the directory %s: %s", state,
			place.path, strerror(errno));
	trust_path_fini(&place);
	return ret;
}

int files_make_directory(const char *path, struct error *error)
{
	char *partial = mem_strdup(path);
	int ret = 0;

	for (char *slash = partial; ret == 0 && (slash = strchr(slash + 1, '/')) != NULL;) {
		*slash = '\0';
		ret = make_one(partial, path, error);
		*slash = '/';
	}
	free(partial);
	return ret;
}

static int check_directory(const struct trust_path *place, struct error *error)
{
	struct stat status;
	struct error inner;
	char *path = mem_strdup(place->path);
	int ret = 0;

	*strrchr(path, '/') = '\0';
	if (fstat(place->directory, &status) < 0)
		ret = files_failed(path, "opened", error);
	else if ((status.st_mode & S_ISVTX) && trust_others_write(status.st_mode))
		ret = error_set(error, ERR_STORAGE, "%s is shared with other users (mode %04o); "
			"keep the state in a directory of its own", path,
			(unsigned)(status.st_mode & 07777));
	else if (trust_check(&status, path[0] ? path : "/", &inner) < 0)
		ret = error_set(error, ERR_STORAGE, "%s", inner.text);
	free(path);
	return ret;
}

/* ---- files --------------------------------------------------------------------------------- */

static const char *wrong_type(mode_t mode)
{
	if (S_ISLNK(mode))
		return "is a symbolic link; name the file itself";
	return S_ISDIR(mode) ? "is a directory" : "is not a regular file";
}

int files_stat(int directory, const char *path, int flags, struct stat *ret_status)
{
	struct statx status;

	if (statx(directory, path, flags, STATX_INO | STATX_SIZE, &status) < 0)
		return -1;
	*ret_status = (struct stat){.st_dev = makedev(status.stx_dev_major, status.stx_dev_minor),
		.st_ino = status.stx_ino, .st_size = (off_t)status.stx_size};
	return 0;
}

int files_check_status(const struct stat *status, uid_t owner, const char *path,
	struct error *error)
{
	if (!S_ISREG(status->st_mode))
		return error_set(error, ERR_STORAGE, "%s %s", path, wrong_type(status->st_mode));
	if (status->st_uid != owner)
		return error_set(error, ERR_STORAGE, "%s belongs to user %u; it must belong to user %u",
			path, (unsigned)status->st_uid, (unsigned)owner);
	if (trust_others_write(status->st_mode))
		return error_set(error, ERR_STORAGE, "%s can be written by others (mode %04o); "
			"remove the write permission of group and others", path,
			(unsigned)(status->st_mode & 07777));
	if (status->st_nlink > 1)
		return error_set(error, ERR_STORAGE, "%s has %ju names (hard links); "
			"a state must have one", path, (uintmax_t)status->st_nlink);
	return 0;
}

int files_check_mount(int directory, const char *name, const char *path, struct error *error)
{
	struct statx status;

	if (statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &status) < 0 ||
		!(status.stx_attributes & status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
		return 0;
	return error_set(error, ERR_STORAGE, "%s is a mount point; mount the directory of the state, so that the log "
		"is with it", path);
}

static int check_one(const struct trust_path *place, enum state_file file, struct error *error)
{
	char *path = files_name(place->path, file);
	const char *name = files_base_name(path);
	struct stat status;
	int ret = 0;

	if (fstatat(place->directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		ret = errno == ENOENT ? 0 : files_failed(path, "opened", error);
	else
		ret = files_check_status(&status, geteuid(), path, error);
	if (ret == 0)
		ret = files_check_mount(place->directory, name, path, error);
	free(path);
	return ret;
}

int files_resolve(const char *path, struct trust_path *ret_path, struct error *error)
{
	struct error inner;

	if (trust_resolve(path, TRUST_FILE_NOFOLLOW, ret_path, &inner) < 0)
		return error_set(error, ERR_STORAGE, "%s", inner.text);
	if (check_directory(ret_path, error) == 0 &&
		check_one(ret_path, STATE_DATABASE, error) == 0 &&
		check_one(ret_path, STATE_LOG, error) == 0 &&
		check_one(ret_path, STATE_JOURNAL, error) == 0)
		return 0;
	trust_path_fini(ret_path);
	return -1;
}

int files_sync_directory(const struct trust_path *place, struct error *error)
{
	int fd = openat(place->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = 0;

	if (fd < 0 || fsync(fd) < 0)
		ret = error_set(error, ERR_STORAGE, "the directory of %s cannot be synced: %s", place->path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ret;
}
