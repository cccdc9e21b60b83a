#include "private_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "files.h"
#include "proto/mem.h"

/* The files of a state that are open for reading; -1: there is none. */
struct source {
	const char *path; /* of the database */
	int directory;
	int files[STATE_FILE_COUNT];
	uid_t owner;
};

static int failed(const char *path, struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s cannot be opened: %s", path, strerror(errno));
}

/* ---- the source ---------------------------------------------------------------------------- */

static int source_open_directory(struct source *source, struct error *error)
{
	const char *slash = strrchr(source->path, '/');
	char *directory = mem_strdup(slash ? source->path : ".");

	if (slash)
		directory[slash == source->path ? 1 : slash - source->path] = '\0';
	source->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(directory);
	return source->directory < 0 ? failed(source->path, error) : 0;
}

/* The database says who must own all. Root reads what root owns, for its bytes come from root. */
static int check_status(struct source *source, enum state_file file, const struct stat *status,
	const char *path, struct error *error)
{
	if (file == STATE_DATABASE)
		source->owner = geteuid() == 0 ? 0 : status->st_uid;
	return files_check_status(status, source->owner, path, error);
}

static bool log_is_there(const struct source *source)
{
	char *path = files_name(source->path, STATE_LOG);
	const char *slash = strrchr(path, '/');
	struct stat status;
	int ret = fstatat(source->directory, slash ? slash + 1 : path, &status, AT_SYMLINK_NOFOLLOW);

	free(path);
	return ret == 0;
}

/* Looks before it opens: to open a device may have effects. A log without its database is copied, so that
 * opening the copy reports it. */
static int open_regular(struct source *source, enum state_file file, const char *path,
	struct error *error)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	struct stat before, status;
	int fd;

	if (fstatat(source->directory, name, &before, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && (file != STATE_DATABASE || log_is_there(source)) ? 0
			: failed(path, error);
	if (check_status(source, file, &before, path, error) < 0)
		return -1;
	fd = openat(source->directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return failed(path, error);
	source->files[file] = fd;
	if (fstat(fd, &status) < 0)
		return failed(path, error);
	if (status.st_dev != before.st_dev || status.st_ino != before.st_ino)
		return error_set(error, ERR_STORAGE, "%s was replaced while it was opened", path);
	return check_status(source, file, &status, path, error);
}

static int source_open(struct source *source, enum state_file file, struct error *error)
{
	char *path = files_name(source->path, file);
	int ret = open_regular(source, file, path, error);

	free(path);
	return ret;
}

static int in_use(const struct source *source, struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s is in use by another process", source->path);
}

static int lock_failed(const struct source *source, struct error *error)
{
	return error_set(error, ERR_STORAGE, "%s cannot be locked: %s", source->path, strerror(errno));
}

/* The bytes of the database that SQLite locks: every reader has a lock on some of them, every writer, and a
 * daemon all of the time. Ours keeps writers out until the copy is made. */
static int source_lock(const struct source *source, struct error *error)
{
	enum { LOCK_FIRST = 0x40000000, LOCK_COUNT = 512 };
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = LOCK_FIRST,
		.l_len = LOCK_COUNT};
	int fd = source->files[STATE_DATABASE];

	if (fd < 0)
		return 0;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		return errno == EAGAIN || errno == EACCES ? in_use(source, error)
			: lock_failed(source, error);
	lock.l_type = F_WRLCK; /* with which any other lock is in conflict */
	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return lock_failed(source, error);
	return lock.l_type != F_UNLCK ? in_use(source, error) : 0;
}

/* What is no database is not copied. An odd size is none of its concern: a power loss may leave one, which the log
 * repairs. A file that has no header is left to db_open: with its log, that says what is
 * wrong. (SQLite's file format, 1.3 The Database Header.) */
static int check_header(const struct source *source, struct error *error)
{
	static const char magic[] = "SQLite format 3"; /* with its NUL */
	enum { HEADER_SIZE = 100, PAGE_SIZE_AT = 16, PAGE_SIZE_MIN = 512 };
	unsigned char header[HEADER_SIZE];
	unsigned page_size;
	struct stat status;
	int fd = source->files[STATE_DATABASE];

	if (fd < 0)
		return 0;
	if (fstat(fd, &status) < 0)
		return failed(source->path, error);
	if (status.st_size < HEADER_SIZE)
		return 0;
	if (pread(fd, header, sizeof header, 0) != (ssize_t)sizeof header)
		return failed(source->path, error);
	page_size = (unsigned)header[PAGE_SIZE_AT] << 8 | header[PAGE_SIZE_AT + 1];
	if (page_size == 1)
		page_size = 65536;
	if (memcmp(header, magic, sizeof magic) != 0 || page_size < PAGE_SIZE_MIN ||
		(page_size & (page_size - 1)) != 0)
		return error_set(error, ERR_STORAGE, "%s is not a state file of imd", source->path);
	return 0;
}

static void source_close(struct source *source)
{
	for (int file = 0; file < STATE_FILE_COUNT; file++)
		if (source->files[file] >= 0)
			close(source->files[file]);
	if (source->directory >= 0)
		close(source->directory);
}

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
	if (made) {
		copy->path = mem_alloc(strlen(made) + sizeof "/imd.db");
		strcat(strcpy(copy->path, made), "/imd.db");
	} else {
		error_set(error, ERR_STORAGE, "%s: %s", parent, strerror(errno));
	}
	trust_path_fini(&place);
	return made ? 0 : -1;
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

/* Holes stay holes: a file may be much larger than the room that it takes. */
static int copy_bytes(int from, int to)
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
	int ret = fd < 0 ? -1 : copy_bytes(source->files[file], fd);

	if (ret < 0)
		error_set(error, ERR_STORAGE, "%s cannot be copied to %s: %s", from, to, strerror(errno));
	else if (file == STATE_JOURNAL)
		ret = files_check_journal(fd, from, error);
	if (fd >= 0)
		close(fd);
	free(from);
	free(to);
	return ret;
}

static int private_copy_make(struct private_copy *copy, const struct source *source,
	struct error *error)
{
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

int private_copy_take(const char *path, struct private_copy *ret_copy, struct error *error)
{
	struct source source = {.path = path, .directory = -1, .files = {-1, -1, -1},
		.owner = geteuid()};
	int ret = -1;

	*ret_copy = (struct private_copy){.path = NULL};
	/* The log and the journal may come and go before the lock. */
	if (source_open_directory(&source, error) == 0 &&
		source_open(&source, STATE_DATABASE, error) == 0 && source_lock(&source, error) == 0 &&
		check_header(&source, error) == 0 && source_open(&source, STATE_LOG, error) == 0 &&
		source_open(&source, STATE_JOURNAL, error) == 0)
		ret = private_copy_make(ret_copy, &source, error);
	source_close(&source);
	return ret;
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

void private_copy_fini(struct private_copy *copy)
{
	if (!copy->path)
		return;
	remove_files(copy);
	*strrchr(copy->path, '/') = '\0';
	rmdir(copy->path);
	free(copy->path);
	copy->path = NULL;
}
