#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "overflow.h"
#include "proto/buf.h"
#include "proto/mem.h"

enum {
	LINKS_MAX = 40, /* as the kernel has it (path_resolution(7)) */
	OTHERS_WRITE = S_IWGRP | S_IWOTH,
};

/* A path that is being resolved. */
struct walk {
	int directory;   /* what `rest` is relative to */
	struct buf path; /* of that directory: "" for /, else "/a/b"; not NUL-terminated */
	char *rest;      /* owned */
	unsigned links;  /* followed so far */
	enum trust_last last;
	struct error *error;
};

bool trust_uid(uid_t uid)
{
	return uid == 0 || (uid == geteuid() && !overflow_uid(uid));
}

bool trust_others_write(mode_t mode)
{
	return (mode & OTHERS_WRITE) != 0;
}

/* ---- errors -------------------------------------------------------------------------------- */

static int untrusted(struct error *error, const char *path, const struct stat *status)
{
	if (!trust_uid(status->st_uid))
		error_set(error, ERR_DENIED, "%s belongs to user %u; it must belong to root%s", path,
			(unsigned)status->st_uid, geteuid() == 0 ? "" : " or to the user who runs imd");
	else
		error_set(error, ERR_DENIED, "%s can be written by others (mode %04o); "
			"remove the write permission of group and others", path,
			(unsigned)(status->st_mode & 07777));
	errno = EPERM;
	return -1;
}

/* The path of an entry of the current directory, NUL-terminated; the caller's. */
static char *walk_path(const struct walk *walk, const char *name)
{
	struct buf path = BUF_INIT;

	buf_add(&path, walk->path.data, walk->path.len);
	if (name[0] != '\0' || walk->path.len == 0)
		buf_add_char(&path, '/');
	buf_add(&path, name, strlen(name) + 1);
	return path.data;
}

static int walk_failed(const struct walk *walk, const char *name, int failed)
{
	char *path = walk_path(walk, name);

	error_set(walk->error, ERR_BAD_ARGUMENT, "%s: %s", path, strerror(failed));
	free(path);
	errno = failed;
	return -1;
}

/* ---- the rule ------------------------------------------------------------------------------ */

int trust_check(const struct stat *status, const char *path, struct error *error)
{
	bool writable = !S_ISLNK(status->st_mode) && trust_others_write(status->st_mode);

	return trust_uid(status->st_uid) && !writable ? 0 : untrusted(error, path, status);
}

static int walk_check(const struct walk *walk, const char *name, const struct stat *status, bool is_last)
{
	struct stat shown = *status;
	char *path;
	int ret, failed;

	if (!is_last && S_ISDIR(status->st_mode) && (status->st_mode & S_ISVTX))
		shown.st_mode &= ~(mode_t)OTHERS_WRITE;
	path = walk_path(walk, name);
	ret = trust_check(&shown, path, walk->error);
	failed = errno;
	free(path);
	errno = failed;
	return ret;
}

/* ---- walking ------------------------------------------------------------------------------- */

/* Moves to an entry of the current directory, whose descriptor it takes over. */
static void walk_enter(struct walk *walk, int fd, const char *name)
{
	close(walk->directory);
	walk->directory = fd;
	if (strcmp(name, "..") != 0) {
		buf_add_char(&walk->path, '/');
		buf_add_str(&walk->path, name);
		return;
	}
	while (walk->path.len > 0 && walk->path.data[--walk->path.len] != '/')
		;
}

static int walk_to_root(struct walk *walk)
{
	struct stat status;

	if (walk->directory >= 0)
		close(walk->directory);
	walk->path.len = 0;
	walk->directory = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (walk->directory < 0 || fstat(walk->directory, &status) < 0)
		return walk_failed(walk, "", errno);
	return walk_check(walk, "", &status, false);
}

/* Puts the target of a link in front of what is left of the path. */
static int walk_follow(struct walk *walk, int link, const char *name)
{
	char target[PATH_MAX];
	struct buf rest = BUF_INIT;
	ssize_t len = readlinkat(link, "", target, sizeof target);

	if (len < 0)
		return walk_failed(walk, name, errno);
	if (len == sizeof target || ++walk->links > LINKS_MAX)
		return walk_failed(walk, name, ELOOP);
	buf_add(&rest, target, (size_t)len);
	buf_add_char(&rest, '/');
	buf_add(&rest, walk->rest, strlen(walk->rest) + 1);
	free(walk->rest);
	walk->rest = rest.data;
	return len > 0 && target[0] == '/' ? walk_to_root(walk) : 0;
}

/* Takes the next component off the rest; NULL at the end. The caller's. */
static char *walk_next(struct walk *walk)
{
	const char *start = walk->rest + strspn(walk->rest, "/");
	size_t len = strcspn(start, "/");
	char *name;

	if (len == 0)
		return NULL;
	name = mem_alloc(len + 1);
	memcpy(name, start, len);
	name[len] = '\0';
	memmove(walk->rest, start + len, strlen(start + len) + 1);
	return name;
}

static bool walk_at_end(const struct walk *walk)
{
	return walk->rest[strspn(walk->rest, "/")] == '\0';
}

/* One component. 1: it is the last one, and left to the caller. */
static int walk_step(struct walk *walk, const char *name)
{
	bool is_file = walk_at_end(walk) && walk->last != TRUST_DIRECTORY;
	struct stat status;
	int fd, ret;

	if (strcmp(name, ".") == 0 && !is_file)
		return 0;
	if (is_file && walk->last == TRUST_FILE_NOFOLLOW)
		return 1;
	fd = openat(walk->directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && is_file && errno == ENOENT)
		return 1;
	if (fd < 0 || fstat(fd, &status) < 0) {
		ret = walk_failed(walk, name, errno);
	} else if (is_file && !S_ISLNK(status.st_mode)) {
		ret = 1;
	} else if (walk_check(walk, name, &status, false) < 0) {
		ret = -1;
	} else if (S_ISLNK(status.st_mode)) {
		ret = walk_follow(walk, fd, name);
	} else if (!S_ISDIR(status.st_mode)) {
		ret = walk_failed(walk, name, ENOTDIR);
	} else {
		walk_enter(walk, fd, name);
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

static int walk_begin(struct walk *walk, const char *path)
{
	char *here = NULL;

	if (path[0] == '\0')
		return walk_failed(walk, "", ENOENT);
	if (path[0] != '/' && !(here = getcwd(NULL, 0)))
		return walk_failed(walk, "", errno);
	if (here) {
		struct buf whole = BUF_INIT;

		buf_addf(&whole, "%s/%s", here, path);
		buf_add_char(&whole, '\0');
		walk->rest = whole.data;
		free(here);
	} else {
		walk->rest = mem_strdup(path);
	}
	return walk_to_root(walk);
}

/* A directory is checked once more, however the path spells it: without the exception for the sticky bit. */
static int walk_end(const struct walk *walk)
{
	struct stat status;

	if (walk->last != TRUST_DIRECTORY)
		return 0;
	if (fstat(walk->directory, &status) < 0)
		return walk_failed(walk, "", errno);
	return walk_check(walk, "", &status, true);
}

int trust_resolve(const char *path, enum trust_last last, struct trust_path *ret_path,
	struct error *error)
{
	struct walk walk = {.directory = -1, .path = BUF_INIT, .last = last, .error = error};
	char *name = NULL;
	int ret = walk_begin(&walk, path), failed;

	*ret_path = (struct trust_path){.directory = -1};
	while (ret == 0) {
		free(name);
		name = walk_next(&walk);
		if (!name)
			break;
		ret = walk_step(&walk, name);
	}
	if (ret == 0)
		ret = walk_end(&walk);
	failed = errno;
	if (ret >= 0) {
		ret_path->path = walk_path(&walk, name ? name : "");
		ret_path->directory = walk.directory;
		ret_path->name = name ? strrchr(ret_path->path, '/') + 1 : ".";
	} else if (walk.directory >= 0) {
		close(walk.directory);
	}
	free(name);
	free(walk.rest);
	buf_fini(&walk.path);
	errno = failed;
	return ret < 0 ? -1 : 0;
}

void trust_path_fini(struct trust_path *path)
{
	if (path->directory >= 0)
		close(path->directory);
	free(path->path);
	*path = (struct trust_path){.directory = -1};
}
