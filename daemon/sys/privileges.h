/* Giving up root for good. */
#ifndef IMD_SYS_PRIVILEGES_H
#define IMD_SYS_PRIVILEGES_H

#include <sys/types.h>

#include "proto/error.h"

/* Makes this process, whose effective user is root, one of `uid` with the user's primary group and no other, and
 * checks that there is no way back. -1 with ERR_DENIED if the user is not known to the system, is one that
 * identifies nobody (overflow.h), or if it fails; the process must not go on then. */
int privileges_drop(uid_t uid, struct error *error);

#endif
