/* Groups and their members by the system's user database (nsswitch.conf(5)): a file of its own, because libc and
 * the core both have a struct group. A lookup may ask a server on the network, and blocks until it answers. */
#ifndef IMD_SYS_SYSGROUP_H
#define IMD_SYS_SYSGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* 0 with the ID of the group; ENOENT if there is none, any other errno if the lookup failed. */
int sysgroup_find(const char *name, gid_t *ret_gid);

/* 0 with the IDs of all groups of a user, the primary one among them; *ret_gids is the caller's. ENOENT if there
 * is no such user, any other errno if the lookup failed. */
int sysgroup_of_user(uid_t uid, gid_t **ret_gids, size_t *ret_count);

/* Whether systemd allocates users with this ID for DynamicUser= (systemd.exec(5), UIDS-GIDS). No database lists
 * the groups of such a user: only the process has them, from its unit. */
bool sysgroup_user_is_dynamic(uid_t uid);

#endif
