#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/mem.h"

enum { FILL_BYTES = 1 << 20 };

static const char *name_of(const struct copy_file *copy)
{
	const char *slash = strrchr(copy->path, '/');

	return slash != NULL ? slash + 1 : copy->path;
}

static int open_directory(const char *path)
{
	char *directory = mem_strdup(path);
	char *slash = strrchr(directory, '/');
	int fd;

	if (slash != NULL)
		slash[slash == directory] = '\0';
	fd = open(slash != NULL ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(directory);
	return fd;
}

int copy_file_make(struct copy_file *copy, const char *path, struct error *error)
{
	int number;

	*copy = (struct copy_file){.path = mem_strdup(path), .file = -1};
	copy->directory = open_directory(path);
	if (copy->directory >= 0)
		copy->file = openat(copy->directory, name_of(copy),
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (copy->file >= 0)
		return 0;
	number = errno;
	copy_file_end(copy, false);
	return error_set(error, number == EEXIST ? ERR_CONFLICT : ERR_STORAGE,
		"%s cannot be made: %s", path, strerror(number));
}

static int fail(const struct copy_file *copy, struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s cannot be written: %s", copy->path, strerror(errno));
}

int copy_file_fill(struct copy_file *copy, int from, struct error *error)
{
	ssize_t copied = copy_file_range(from, NULL, copy->file, NULL, FILL_BYTES, 0);

	if (copied < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS)) {
		char *bytes = mem_alloc(FILL_BYTES);

		copied = read(from, bytes, FILL_BYTES);
		if (copied > 0)
			copied = write(copy->file, bytes, (size_t)copied) == copied ? copied : -1;
		free(bytes);
	}
	if (copied < 0)
		return fail(copy, error);
	if (copied > 0)
		return 1;
	if (fsync(copy->file) < 0 || fsync(copy->directory) < 0)
		return fail(copy, error);
	return 0;
}

/* Whether the name still is that of the file that was made. */
static bool is_ours(const struct copy_file *copy)
{
	struct stat made, there;

	return fstat(copy->file, &made) == 0 &&
		fstatat(copy->directory, name_of(copy), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
		made.st_dev == there.st_dev && made.st_ino == there.st_ino;
}

void copy_file_end(struct copy_file *copy, bool whole)
{
	if (copy->file >= 0 && !whole && is_ours(copy))
		unlinkat(copy->directory, name_of(copy), 0);
	if (copy->file >= 0)
		close(copy->file);
	if (copy->directory >= 0)
		close(copy->directory);
	free(copy->path);
	*copy = (struct copy_file){.directory = -1, .file = -1};
}
