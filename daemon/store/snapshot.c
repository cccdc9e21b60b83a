#include "snapshot.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/buf.h"

/* .imd.db.imd-copy.XXXXXX beside imd.db */
static const char infix[] = ".imd-copy.";
enum { RANDOM_LEN = 6 };

static int failed(const char *what, struct error *error)
{
	return error_set(error, ERR_STORAGE, "the copy of the state cannot be %s: %s", what, strerror(errno));
}

/* ---- the file ------------------------------------------------------------------------------ */

static int create_named(int directory, const char *state_name, char **ret_name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	unsigned char random[RANDOM_LEN];
	struct buf name = BUF_INIT;
	int fd = -1;

	if (getrandom(random, sizeof random, 0) != sizeof random)
		return -1;
	buf_addf(&name, ".%s%s", state_name, infix);
	for (size_t i = 0; i < RANDOM_LEN; i++)
		buf_add_char(&name, letters[random[i] % (sizeof letters - 1)]);
	buf_add_char(&name, '\0');
	fd = openat(directory, name.data, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (fd >= 0)
		*ret_name = name.data;
	else
		free(name.data);
	return fd;
}

/* For a file system without O_TMPFILE. A crash between the two calls leaves a file that snapshot_sweep finds. */
static int create_and_unlink(int directory, const char *state_name)
{
	char *name = NULL;
	int fd = create_named(directory, state_name, &name);

	if (fd >= 0)
		unlinkat(directory, name, 0);
	free(name);
	return fd;
}

static bool is_removed(int directory)
{
	struct stat status;

	return fstat(directory, &status) == 0 && status.st_nlink == 0;
}

/* If the directory was removed, the copy is all that will be left of the state: it is made in memory. */
static int create(int directory, const char *state_name)
{
	int fd;

	if (is_removed(directory))
		return memfd_create("imd-copy", MFD_CLOEXEC);
	fd = openat(directory, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
		fd = create_and_unlink(directory, state_name);
	return fd;
}

int snapshot_create(struct snapshot *snapshot, int directory, const char *state_name, struct error *error)
{
	snapshot->fd = create(directory, state_name);
	if (snapshot->fd >= 0 && fchmod(snapshot->fd, S_IRUSR | S_IWUSR) == 0)
		return 0;
	failed("created", error);
	snapshot_close(snapshot);
	return -1;
}

int snapshot_create_named(struct snapshot *snapshot, int directory, const char *state_name, char **ret_name,
	struct error *error)
{
	*ret_name = NULL;
	snapshot->fd = create_named(directory, state_name, ret_name);
	if (snapshot->fd >= 0 && fchmod(snapshot->fd, S_IRUSR | S_IWUSR) == 0)
		return 0;
	failed("created", error);
	if (*ret_name)
		unlinkat(directory, *ret_name, 0);
	free(*ret_name);
	*ret_name = NULL;
	snapshot_close(snapshot);
	return -1;
}

/* Bytes 18 and 19 of the header are the file format's write and read versions: 2 with a write-ahead log, 1 without
 * (https://www.sqlite.org/fileformat2.html). SQLite copies those of the state file. */
int snapshot_seal(const struct snapshot *snapshot, struct error *error)
{
	static const char versions[] = {1, 1};

	ssize_t written = pwrite(snapshot->fd, versions, sizeof versions, 18);

	if (written >= 0 && written < (ssize_t)sizeof versions)
		errno = ENOSPC; /* a short write has set none */
	return written == sizeof versions ? 0 : failed("written", error);
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
	if (snapshot->fd >= 0)
		close(snapshot->fd);
	*snapshot = (struct snapshot){.fd = -1};
}

/* ---- leftovers ----------------------------------------------------------------------------- */

/* Whether create_named could have made this name for this state file. */
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

void snapshot_sweep(int directory, const char *state_name)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	if (!entries) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(entries)) != NULL) {
		if (is_snapshot_name(entry->d_name, state_name))
			remove_leftover(fd, entry->d_name);
	}
	closedir(entries);
}
