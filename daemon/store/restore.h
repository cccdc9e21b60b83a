/* Replaces a state by a copy. The files of a state are several, and no call renames them all at once: so the new
 * database gets the name .FILE.imd-restore first, when it is complete and durable. From then on the restore counts:
 * whoever finds that file moves the old files aside and renames it to FILE, in this order. A crash before that leaves
 * the old state, one after it the new one. */
#ifndef IMD_STORE_RESTORE_H
#define IMD_STORE_RESTORE_H

#include <stdbool.h>

#include "files.h"
#include "store.h"

/* Called for each file that was moved aside. */
typedef void restore_moved_fn(void *arg, const char *from, const char *to);

/* Replaces the state at `path` by what is in `copy`, which must have been checked, and has no incarnation from here on;
 * a state that does not exist is created. The old files become FILE.before-restore-TIME with the same suffixes.
 * Fails if a process uses the state. -1 with ERR_STORAGE: the state is as it was, or a restore that counts is to be
 * finished. */
int restore_state(const char *path, struct store *copy, restore_moved_fn *moved, void *arg, struct error *error);
/* Finishes a restore that counts: 1; 0 if there is none. `moved` may be NULL. -1 with ERR_STORAGE, also if a process
 * uses the state. */
int restore_finish(const struct trust_path *place, restore_moved_fn *moved, void *arg, struct error *error);
/* Refuses a state with a restore that is to be finished. */
int restore_check_none(const char *path, struct error *error);

/* The name that a file of the state gets when it is set aside, for a reason and at a time; the caller's. */
char *restore_aside_name(const char *path, const char *reason, time_t at, enum state_file file);
/* The first time from now on of which there are no such files yet. */
time_t restore_aside_time(const char *path, const char *reason);

#endif
