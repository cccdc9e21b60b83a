#include "team.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "proto/mem.h"

enum { SIZE_MIN = 4096, SIZE_MAX_TRIED = 16 * 1024 * 1024 };

/* getgrnam(3) lists what else may be returned for a group that is not there. */
static bool is_absent(int failed)
{
	return failed == 0 || failed == ENOENT || failed == ESRCH || failed == EBADF || failed == EPERM;
}

/* The record has all members of the group in it, however many they are. */
int team_find(const char *name, gid_t *ret_gid)
{
	struct group record, *found = NULL;
	size_t size = SIZE_MIN;
	char *strings = mem_alloc(size);
	int failed;

	while ((failed = getgrnam_r(name, &record, strings, size, &found)) == ERANGE &&
		size < SIZE_MAX_TRIED) {
		size *= 4;
		strings = mem_realloc(strings, size, 1);
	}
	if (found != NULL)
		*ret_gid = found->gr_gid;
	else if (is_absent(failed))
		failed = ENOENT;
	free(strings);
	return failed;
}
