/* Groups of users, by their names: a file of its own, for libc and the core both have a struct group. */
#ifndef IMD_TEAM_H
#define IMD_TEAM_H

#include <sys/types.h>

/* 0 with the gid of the group; ENOENT where there is none, any other errno where that cannot be told. */
int team_find(const char *name, gid_t *ret_gid);

#endif
