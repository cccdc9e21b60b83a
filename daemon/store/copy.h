/* A file that is made anew and filled from another one. Its directory is held from the beginning, and
 * nothing but the file that was made here is ever written or removed, whatever others do with the
 * names on the way to it. */
#ifndef IMD_STORE_COPY_H
#define IMD_STORE_COPY_H

#include <stdbool.h>

#include "proto/error.h"

struct copy_file {
	int directory; /* -1: there is none */
	int file;
	char *path;    /* for messages; its last part is the name in the directory */
};

/* Makes the file, for its owner alone. ERR_CONFLICT where there is something of that name. */
int copy_file_make(struct copy_file *copy, const char *path, struct error *error);
/* Appends some of what is left of the open file `from`: 1 where there is more; 0 where all was
 * copied, and is durable. */
int copy_file_fill(struct copy_file *copy, int from, struct error *error);
/* Removes the file unless it is whole. */
void copy_file_end(struct copy_file *copy, bool whole);

#endif
