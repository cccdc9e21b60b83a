/* The private file that a copy of the state is made in: in the directory of the state, for the daemon's user alone, and
 * without a name. So a crash leaves nothing; only on a file system without O_TMPFILE it may leave an empty file, with
 * a name that the next start or copy recognises and removes. */
#ifndef IMD_STORE_SNAPSHOT_H
#define IMD_STORE_SNAPSHOT_H

#include <sys/types.h>

#include "proto/error.h"

struct snapshot {
	int fd; /* -1: there is none */
};

/* Creates an empty file of mode 0600, whatever the umask, in the open directory of the state file. If that directory
 * was removed, the file is in memory. ERR_STORAGE. */
int snapshot_create(struct snapshot *snapshot, int directory, const char *state_name, struct error *error);
/* Creates one with a name in that directory, for a file that is to stay; `ret_name` is the caller's. What a crash
 * leaves is removed by snapshot_sweep. ERR_STORAGE. */
int snapshot_create_named(struct snapshot *snapshot, int directory, const char *state_name, char **ret_name,
	struct error *error);
/* Has the copy open without a log beside it, after all pages are copied. ERR_STORAGE. */
int snapshot_seal(const struct snapshot *snapshot, struct error *error);
/* Reads up to `size` bytes from an offset on, fewer only at the end of the file. -1 with ERR_STORAGE. */
ssize_t snapshot_read(const struct snapshot *snapshot, void *ret_data, size_t size, off_t offset,
	struct error *error);
/* It may be zeroed with fd -1. */
void snapshot_close(struct snapshot *snapshot);

/* Removes what crashed daemons have left in the open directory of the state file: regular files of this user with
 * exactly such a name. */
void snapshot_sweep(int directory, const char *state_name);

#endif
