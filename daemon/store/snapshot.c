#include "snapshot.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/mem.h"

/* .imd.db.imd-copy.XXXXXX beside imd.db */
static const char infix[] = ".imd-copy.";
enum { RANDOM_LEN = 6 };

static const char *name_in(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int failed(const char *what, struct error *error)
{
	return error_set(error, ERR_STORAGE, "the copy of the state cannot be %s: %s", what, strerror(errno));
}

/* ---- the file ------------------------------------------------------------------------------ */

static char *make_template(const char *state_path)
{
	const char *name = name_in(state_path);
	struct buf path = BUF_INIT;

	buf_add(&path, state_path, (size_t)(name - state_path));
	buf_addf(&path, ".%s%sXXXXXX", name, infix);
	buf_add_char(&path, '\0');
	return path.data;
}

int snapshot_create(struct snapshot *snapshot, const char *state_path, struct error *error)
{
	snapshot->path = make_template(state_path);
	snapshot->fd = mkostemp(snapshot->path, O_CLOEXEC | O_NOFOLLOW);
	if (snapshot->fd >= 0 && fchmod(snapshot->fd, S_IRUSR | S_IWUSR) == 0)
		return 0;
	failed("created", error);
	if (snapshot->fd < 0) {
		free(snapshot->path);
		snapshot->path = NULL;
	}
	snapshot_close(snapshot);
	return -1;
}

/* Whether the name leads to the open file. */
static bool is_ours(const struct snapshot *snapshot)
{
	struct stat open_file, named;

	return fstat(snapshot->fd, &open_file) == 0 && lstat(snapshot->path, &named) == 0 &&
		open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

int snapshot_unlink(struct snapshot *snapshot, struct error *error)
{
	bool ours = is_ours(snapshot);
	int ret = 0;

	if (!ours)
		ret = error_set(error, ERR_STORAGE, "%s was replaced while it was opened", snapshot->path);
	else if (unlink(snapshot->path) < 0)
		ret = failed("unlinked", error);
	free(snapshot->path);
	snapshot->path = NULL;
	return ret;
}

/* Bytes 18 and 19 of the header are the file format's write and read versions: 2 with a write-ahead log, 1 without
 * (https://www.sqlite.org/fileformat2.html). SQLite copies those of the state file. */
int snapshot_seal(const struct snapshot *snapshot, struct error *error)
{
	static const char versions[] = {1, 1};

	if (pwrite(snapshot->fd, versions, sizeof versions, 18) != sizeof versions)
		return failed("written", error);
	return 0;
}

ssize_t snapshot_read(const struct snapshot *snapshot, void *ret_data, size_t size, off_t offset,
	struct error *error)
{
	size_t len = 0;

	while (len < size) {
		ssize_t more = pread(snapshot->fd, (char *)ret_data + len, size - len, offset + (off_t)len);

		if (more < 0 && errno == EINTR)
			continue;
		if (more < 0)
			return failed("read", error);
		if (more == 0)
			break;
		len += (size_t)more;
	}
	return (ssize_t)len;
}

void snapshot_close(struct snapshot *snapshot)
{
	if (snapshot->path && is_ours(snapshot))
		unlink(snapshot->path);
	free(snapshot->path);
	if (snapshot->fd >= 0)
		close(snapshot->fd);
	*snapshot = (struct snapshot){.fd = -1};
}

/* ---- leftovers ----------------------------------------------------------------------------- */

/* Whether it is a name that make_template and mkostemp could have made for this state file. */
static bool is_snapshot_name(const char *name, const char *state_name)
{
	size_t state_len = strlen(state_name), infix_len = sizeof infix - 1;

	if (strlen(name) != 1 + state_len + infix_len + RANDOM_LEN || name[0] != '.' ||
		memcmp(name + 1, state_name, state_len) != 0 ||
		memcmp(name + 1 + state_len, infix, infix_len) != 0)
		return false;
	for (name += 1 + state_len + infix_len; *name != '\0'; name++) {
		if (!isalnum((unsigned char)*name))
			return false;
	}
	return true;
}

static void remove_leftover(int directory, const char *name)
{
	struct stat status;

	if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
		status.st_uid == geteuid())
		unlinkat(directory, name, 0);
}

void snapshot_sweep(const char *state_path)
{
	const char *name = name_in(state_path);
	char *directory_path = mem_strdup(state_path);
	const struct dirent *entry;
	DIR *directory;

	directory_path[name - state_path] = '\0';
	directory = opendir(directory_path[0] != '\0' ? directory_path : ".");
	free(directory_path);
	if (!directory)
		return;
	while ((entry = readdir(directory)) != NULL) {
		if (is_snapshot_name(entry->d_name, name))
			remove_leftover(dirfd(directory), entry->d_name);
	}
	closedir(directory);
}
