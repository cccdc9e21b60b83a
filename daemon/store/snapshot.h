/* The private file that a copy of the state is made in: beside the state file, for the daemon's user alone, and
 * without a name as soon as SQLite has it open. So a crash leaves nothing, or in the moment before a name
 * that the next start or copy recognises and removes. */
#ifndef IMD_STORE_SNAPSHOT_H
#define IMD_STORE_SNAPSHOT_H

#include <sys/types.h>

#include "proto/error.h"

struct snapshot {
	int fd;     /* -1: there is none */
	char *path; /* NULL once it has no name; owned */
};

/* Creates an empty file beside the state file, of mode 0600 whatever the umask. The path of the state file must have
 * no symbolic link for its directory. ERR_STORAGE. */
int snapshot_create(struct snapshot *snapshot, const char *state_path, struct error *error);
/* Removes the name; fails with ERR_STORAGE if it is not, or not any more, that of the file. */
int snapshot_unlink(struct snapshot *snapshot, struct error *error);
/* Has the copy open without a log beside it, after all pages are copied. ERR_STORAGE. */
int snapshot_seal(const struct snapshot *snapshot, struct error *error);
/* Reads up to `size` bytes from an offset on, fewer only at the end of the file. -1 with ERR_STORAGE. */
ssize_t snapshot_read(const struct snapshot *snapshot, void *ret_data, size_t size, off_t offset,
	struct error *error);
/* Closes it, and removes the name if it still has one. It may be zeroed with fd -1. */
void snapshot_close(struct snapshot *snapshot);

/* Removes what crashed daemons have left beside the state file: regular files of this user with exactly such a
 * name. */
void snapshot_sweep(const char *state_path);

#endif
