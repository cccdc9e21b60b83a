/* A file that appears whole or not at all. It is written under a temporary name in the directory of its own, with the
 * rights of whoever runs the program, and gets its name when all is on disk. */
#ifndef IMD_CTL_NEW_FILE_H
#define IMD_CTL_NEW_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/error.h"

enum { TEMPORARY_NAME_SIZE = 256 }; /* NAME_MAX and a NUL */

struct new_file {
	int directory;    /* -1: none */
	int fd;           /* -1: none */
	char *path;       /* as given, for messages; owned */
	const char *name; /* its last component */
	char temporary[TEMPORARY_NAME_SIZE]; /* "": none */
	bool replace;
};

/* Every function that can fail says why in *error. */

/* Creates the temporary file, of mode 0600 whatever the umask. Fails if there is something at the path; with `replace`,
 * if it is not a regular file. */
int new_file_begin(struct new_file *file, const char *path, bool replace, struct error *error);
int new_file_write(struct new_file *file, const void *data, size_t len, struct error *error);
/* Makes the file durable and gives it its name. What is there is replaced only with `replace`, and then at once. */
int new_file_finish(struct new_file *file, struct error *error);
/* Releases the file. What was not finished is removed. */
void new_file_end(struct new_file *file);

#endif
