#include "sysgroup.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "proto/mem.h"

enum {
	SIZE_MIN = 4096,
	SIZE_MAX_TRIED = 16 * 1024 * 1024,
	GROUPS_MIN = 32,
	GROUPS_MAX_TRIED = 1 << 20,
	DYNAMIC_FIRST = 61184,
	DYNAMIC_LAST = 65519,
};

/* getgrnam(3) and getpwuid(3) list what else may be returned for an entry that is not there. */
static bool is_absent(int failed)
{
	return failed == 0 || failed == ENOENT || failed == ESRCH || failed == EBADF || failed == EPERM;
}

/* The record has all members of the group in it, however many they are. */
int sysgroup_find(const char *name, gid_t *ret_gid)
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
	if (found)
		*ret_gid = found->gr_gid;
	else if (is_absent(failed))
		failed = ENOENT;
	free(strings);
	return failed;
}

/* The groups of a user by name. getgrouplist(3) gives no reason if it fails, but that the list is too short. */
static int list_groups(const struct passwd *user, gid_t **ret_gids, size_t *ret_count)
{
	int count = GROUPS_MIN, room;
	gid_t *gids = NULL;

	do {
		room = count;
		gids = mem_realloc(gids, (size_t)room, sizeof *gids);
		if (getgrouplist(user->pw_name, user->pw_gid, gids, &count) >= 0) {
			*ret_gids = gids;
			*ret_count = (size_t)count;
			return 0;
		}
	} while (count > room && count <= GROUPS_MAX_TRIED);
	free(gids);
	return EIO;
}

int sysgroup_of_user(uid_t uid, gid_t **ret_gids, size_t *ret_count)
{
	struct passwd record, *found = NULL;
	size_t size = SIZE_MIN;
	char *strings = mem_alloc(size);
	int failed;

	while ((failed = getpwuid_r(uid, &record, strings, size, &found)) == ERANGE &&
		size < SIZE_MAX_TRIED) {
		size *= 4;
		strings = mem_realloc(strings, size, 1);
	}
	if (found)
		failed = list_groups(found, ret_gids, ret_count);
	else if (is_absent(failed))
		failed = ENOENT;
	free(strings);
	return failed;
}

bool sysgroup_user_is_dynamic(uid_t uid)
{
	return uid >= DYNAMIC_FIRST && uid <= DYNAMIC_LAST;
}
