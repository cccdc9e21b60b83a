/* The IDs that stand for users and groups without a mapping. In a user namespace the kernel reports every
 * user that is not mapped as the overflow user, and likewise for groups (user_namespaces(7)). So these IDs
 * identify nobody: they must never confer a right, whoever else has the same number. */
#ifndef IMD_SYS_OVERFLOW_H
#define IMD_SYS_OVERFLOW_H

#include <stdbool.h>
#include <sys/types.h>

enum { OVERFLOW_DEFAULT = 65534 };

/* Whether the ID is 65534, the kernel's default, or the one in /proc/sys/kernel/overflowuid or overflowgid.
 * The files are read once; without them (ProcSubset=pid hides them) the default alone counts. */
bool overflow_uid(uid_t uid);
bool overflow_gid(gid_t gid);

#endif
