/* Trusted paths: whether anybody but root and the effective user can change what a path leads to.
 *
 * A path is trusted if every directory on the way, every symbolic link that is followed, and the file itself
 * belong to root or to the effective user, and nobody else can write to them. Others may write to a directory on
 * the way if it has the sticky bit, as /tmp has: they cannot replace what is not theirs. The check holds
 * each directory by a descriptor, so nothing that is checked can be exchanged before it is used. It is the rule of
 * sshd's StrictModes and of CHASE_SAFE in systemd. */
#ifndef IMD_SYS_TRUST_H
#define IMD_SYS_TRUST_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "proto/error.h"

/* Whether what this user owns is trusted: root and the effective user, but no overflow ID (overflow.h). */
bool trust_uid(uid_t uid);

/* A name in a trusted directory. */
struct trust_path {
	int directory;    /* open with O_PATH; -1 after trust_path_fini */
	char *path;       /* absolute and without symbolic links, but that the name may be one; owned */
	const char *name; /* the last component of path; "." if path is the directory itself */
};

enum trust_last {
	TRUST_FILE,          /* the last component may be missing; if it is a symbolic link, it is followed */
	TRUST_FILE_NOFOLLOW, /* the same, but a symbolic link is left for the caller to find */
	TRUST_DIRECTORY,     /* the path is a directory, to which others cannot write, sticky or not */
};

/* Resolves a path, which may be relative. On -1 errno says why: ENOENT or ENOTDIR if a directory on the way is
 * missing, EPERM if one is not trusted, or that of a failed call; the error has the code ERR_DENIED for
 * EPERM, else ERR_BAD_ARGUMENT, and names the component. */
int trust_resolve(const char *path, enum trust_last last, struct trust_path *ret_path,
	struct error *error);
void trust_path_fini(struct trust_path *path);

/* Whether users other than the owner may write by this mode. */
bool trust_others_write(mode_t mode);

/* Checks the owner and the mode of an open file or directory. `path` is for the message. -1 with ERR_DENIED. */
int trust_check(const struct stat *status, const char *path, struct error *error);

#endif
