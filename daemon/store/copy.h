/* Copies of the state in a file. A copy is made some pages at a time in a private file, and then read in pieces. Each
 * step is a job of the runner, so commits have their turn in between, and the loop never waits for a disk. */
#ifndef IMD_STORE_COPY_H
#define IMD_STORE_COPY_H

#include <pthread.h>

#include "runner.h"
#include "sqlite.h"
#include "store.h"

TAILQ_HEAD(copy_list, store_copy);

/* What copies are made of, and those that there are: one that is made or read, and some that were ended before and are
 * not closed yet. */
struct copy_source {
	struct runner *runner;
	struct db *db;     /* set once it is open, with */
	int directory;     /* its directory, and */
	const char *name;  /* its name in there */
	pthread_mutex_t *mutex; /* held while the database is used */
	struct copy_list copies;
};

void copy_source_init(struct copy_source *source, struct runner *runner, pthread_mutex_t *mutex);

/* As the port has them (store.h). */
struct store_copy *copy_begin(struct copy_source *source, struct error *error);
void copy_read(struct store_copy *copy, store_read_fn *done, void *arg);
void copy_end(struct store_copy *copy);

/* When the runner is gone: frees the copies, whatever their state. */
void copy_source_fini(struct copy_source *source);

#endif
