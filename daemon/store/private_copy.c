#include "private_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "proto/mem.h"

/* ---- the copy ------------------------------------------------------------------------------ */

/* Makes a directory in `parent` and has copy->path be a database in it. The names of others must not lead here: the
 * parent must be trusted. -1 with a text that begins with a path. */
static int make_directory_in(struct private_copy *copy, const char *parent, struct error *error)
{
	static const char name[] = "/imd-check.XXXXXX";
	char *template = mem_alloc(strlen(parent) + sizeof name), *made;
	struct trust_path place;
	int ret;

	strcat(strcpy(template, parent), name);
	ret = trust_resolve(template, TRUST_FILE_NOFOLLOW, &place, error);
	free(template);
	if (ret < 0)
		return -1;
	made = mkdtemp(place.path);
	copy->directory = made ? open(made, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (copy->directory < 0)
		error_set(error, ERR_STORAGE, "%s: %s", parent, strerror(errno));
	if (made) {
		copy->path = mem_alloc(strlen(made) + sizeof "/imd.db");
		strcat(strcpy(copy->path, made), "/imd.db");
	}
	if (copy->directory < 0)
		private_copy_fini(copy);
	trust_path_fini(&place);
	return made && copy->path ? 0 : -1;
}

/* $TMPDIR may be for root alone (pam_tmpdir makes /tmp/user/0), which is of no use after root has become the owner
 * of the state. */
static int make_directory(struct private_copy *copy, struct error *error)
{
	static const char fallback[] = "/tmp";
	const char *given = getenv("TMPDIR");
	struct error first = {.text = ""}, second;

	if (given && given[0] == '/' && strcmp(given, fallback) != 0) {
		if (make_directory_in(copy, given, &first) == 0)
			return 0;
	}
	if (make_directory_in(copy, fallback, &second) == 0)
		return 0;
	return error_set(error, ERR_STORAGE, "no place for a copy: %s%s%s; set TMPDIR", first.text,
		first.text[0] ? "; " : "", second.text);
}

static const int held_signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
enum { HELD_SIGNALS = sizeof held_signals / sizeof held_signals[0] };

static void hold_signals(struct private_copy *copy)
{
	sigset_t held;

	sigemptyset(&held);
	for (int i = 0; i < HELD_SIGNALS; i++)
		sigaddset(&held, held_signals[i]);
	sigprocmask(SIG_BLOCK, &held, &copy->signals);
}

/* A signal that was held may end the process here. */
static void release_signals(const struct private_copy *copy)
{
	sigprocmask(SIG_SETMASK, &copy->signals, NULL);
}

static bool signal_waits(void)
{
	sigset_t waiting;

	sigpending(&waiting);
	for (int i = 0; i < HELD_SIGNALS; i++)
		if (sigismember(&waiting, held_signals[i]))
			return true;
	return false;
}

/* A large file takes a while; a signal need not wait for that. */
static int copy_range(int from, int to, off_t *at, off_t end)
{
	enum { STEP = 16 << 20 };
	ssize_t sent = 1;

	while (*at < end && sent != 0) {
		size_t count = end - *at < STEP ? (size_t)(end - *at) : STEP;

		if (signal_waits()) {
			errno = EINTR;
			return -1;
		}
		sent = sendfile(to, from, at, count);
		if (sent < 0 && errno != EINTR)
			return -1;
	}
	return 0;
}

/* Finds the data at or after `at`: the size of the file twice if there is none. A file system that knows no holes
 * says that all is data (lseek(2)). */
static int next_data(int fd, off_t at, off_t size, off_t *ret_begin, off_t *ret_end)
{
	*ret_begin = *ret_end = size;
	at = lseek(fd, at, SEEK_DATA);
	if (at < 0)
		return errno == ENXIO ? 0 : -1;
	*ret_begin = at;
	*ret_end = lseek(fd, at, SEEK_HOLE);
	return *ret_end < 0 ? -1 : 0;
}

/* A file may be much larger than the room that it takes. */
int private_copy_bytes(int from, int to)
{
	struct stat status;
	off_t at = 0, end;

	if (fstat(from, &status) < 0 || ftruncate(to, status.st_size) < 0)
		return -1;
	while (at < status.st_size) {
		if (next_data(from, at, status.st_size, &at, &end) < 0)
			return -1;
		if (at < end && (lseek(to, at, SEEK_SET) < 0 || copy_range(from, to, &at, end) < 0))
			return -1;
		at = end;
	}
	return 0;
}

static int copy_one(const struct private_copy *copy, const struct source *source,
	enum state_file file, struct error *error)
{
	char *from = files_name(source->path, file), *to = files_name(copy->path, file);
	int fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
	int ret = fd < 0 ? -1 : private_copy_bytes(source->files[file], fd);

	if (ret < 0)
		error_set(error, ERR_STORAGE, "%s cannot be copied to %s: %s", from, to, strerror(errno));
	if (fd >= 0)
		close(fd);
	free(from);
	free(to);
	return ret;
}

int private_copy_make(const struct source *source, struct private_copy *ret_copy, struct error *error)
{
	struct private_copy *copy = ret_copy;

	copy->path = NULL;
	hold_signals(copy);
	if (make_directory(copy, error) < 0) {
		release_signals(copy);
		return -1;
	}
	for (int file = 0; file < STATE_FILE_COUNT; file++)
		if (source->files[file] >= 0 &&
			copy_one(copy, source, (enum state_file)file, error) < 0) {
			private_copy_fini(copy);
			release_signals(copy);
			return -1;
		}
	return 0;
}

static void remove_files(const struct private_copy *copy)
{
	for (int file = 0; file < STATE_FILE_COUNT; file++) {
		char *path = files_name(copy->path, (enum state_file)file);

		unlink(path);
		free(path);
	}
}

void private_copy_unlink(struct private_copy *copy)
{
	remove_files(copy);
	release_signals(copy);
}

const char *private_copy_name(const struct private_copy *copy)
{
	return files_base_name(copy->path);
}

void private_copy_fini(struct private_copy *copy)
{
	if (!copy->path)
		return;
	remove_files(copy);
	*strrchr(copy->path, '/') = '\0';
	rmdir(copy->path);
	if (copy->directory >= 0)
		close(copy->directory);
	free(copy->path);
	copy->path = NULL;
}
