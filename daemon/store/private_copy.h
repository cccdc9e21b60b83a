/* A private copy of a state, to be looked at in the place of the state itself: SQLite writes to the files that it
 * opens and beside them, even if only to recover them. */
#ifndef IMD_STORE_PRIVATE_COPY_H
#define IMD_STORE_PRIVATE_COPY_H

#include <signal.h>

#include "source.h"

struct private_copy {
	char *path;       /* of the copy of the database; its log and journal are beside it */
	int directory;    /* that it is in; open with O_PATH */
	sigset_t signals; /* the mask before: a signal that ends the process waits until the copy is gone */
};

/* Copies the files of a state into a directory in $TMPDIR, or else in /tmp, for this user alone; holes stay holes.
 * -1 with ERR_STORAGE. */
int private_copy_make(const struct source *source, struct private_copy *ret_copy, struct error *error);
/* Copies the bytes of a file into an empty one; holes stay holes. -1 with errno, EINTR if a signal that is blocked is
 * to end the process. */
int private_copy_bytes(int from, int to);
/* Removes the files, which stay readable for those who have opened them. The directory stays, because SQLite goes on
 * using the names in it, and nobody else may create these. Signals are delivered again. */
void private_copy_unlink(struct private_copy *copy);
/* The name of the database in its directory. */
const char *private_copy_name(const struct private_copy *copy);
/* Removes the directory, after the database was closed. Harmless if there is none. */
void private_copy_fini(struct private_copy *copy);

#endif
