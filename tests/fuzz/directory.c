/* A directory for the files of a target. In memory if possible: a target makes and removes a file per input. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

static char path[4096];
static pid_t owner;

static void remove_all(void)
{
	DIR *directory = owner == getpid() ? opendir(path) : NULL;
	const struct dirent *entry;

	if (!directory)
		return;
	while ((entry = readdir(directory)) != NULL)
		unlinkat(dirfd(directory), entry->d_name, 0);
	closedir(directory);
	rmdir(path);
}

static bool make_in(const char *parent)
{
	if (!parent || parent[0] != '/' || strlen(parent) > sizeof path - 32)
		return false;
	snprintf(path, sizeof path, "%s/imd-fuzz.XXXXXX", parent);
	return mkdtemp(path) != NULL;
}

const char *fuzz_directory(void)
{
	if (owner != 0)
		return path;
	fuzz_require(make_in(getenv("TMPDIR")) || make_in("/dev/shm") || make_in("/tmp"),
		"no place for a directory; set TMPDIR");
	owner = getpid();
	atexit(remove_all);
	return path;
}
