/* The store port: where the state is kept. */
#ifndef IMD_STORE_STORE_H
#define IMD_STORE_STORE_H

#include "core/core.h"
#include "runner.h"

/* The outcome of a commit or a copy: error is NULL when everything is durable. After a failure nothing of
 * the commit is stored, and there is no copy. Where the process ends before it is told, a commit is
 * stored or it is not, and as a whole. */
typedef void store_done_fn(void *arg, const struct error *error);

typedef void store_fetched_fn(void *arg, struct graph *graph, const struct error *error);

struct store {
	const struct store_ops *ops;
};

struct store_ops {
	const char *name;
	/* Loads everything into a core fresh from core_init, up to but without core_load_end; *ret_event_seq is
	 * the number of the last event that was stored. Not while a commit is under way. */
	int (*load)(struct store *store, struct core *core, uint64_t *ret_event_seq,
		struct error *error);
	/* Begins to store the changes, and the number of the last event they told. What they name is read
	 * before the call returns; names of groups stay until the store is freed. done is called once,
	 * from within the call or later; a second commit does not begin before. */
	void (*commit)(struct store *store, const struct core *core, const struct change *changes,
		size_t count, uint64_t event_seq, store_done_fn *done, void *arg);
	/* Begins to try whether commits go well, by writing something that changes nothing. done is called
	 * once, from within the call or later, unless the store is freed before; one is tried at a time,
	 * while a commit is under way too. */
	void (*probe)(struct store *store, store_done_fn *done, void *arg);
	/* Begins a copy of the state, as it is stored at some moment from here on, into a file that must
	 * not exist. done is called once, from within the call or later, unless the store is freed
	 * before; there is one copy at a time. ERR_CONFLICT where it cannot be begun. */
	void (*copy)(struct store *store, const char *path, store_done_fn *done, void *arg);
	/* Reads an ended graph with its tasks. done is called once, from within the call or later,
	 * unless the store is freed before: with a graph in no list, which is then its own; or with
	 * NULL and an error, ERR_GONE where it is not stored. NULL: the store gives nothing back. */
	void (*fetch)(struct store *store, uint64_t serial, store_fetched_fn *done, void *arg);
	void (*free)(struct store *store);
};

/* Keeps nothing: every commit succeeds at once, and there is never anything to load. */
struct store *store_memory_new(void);

/* Keeps everything in a file, which is made if it is not there, and brought up to date. It must be a regular file
 * of the effective user with one name, in a directory to which nobody else can write (files.h), and is this
 * process's alone until the store is freed. The runner is the store's, also on failure: ERR_STORAGE says what
 * is wrong with the file. */
int store_file_open(const char *path, struct runner *runner, struct store **ret_store,
	struct error *error);
/* Opens a copy of a file, to look at it: the file is only read, and nothing beside it is changed. The copy is gone
 * when the store is freed, or the process ends. */
int store_file_open_copy(const char *path, struct runner *runner, struct store **ret_store,
	struct error *error);
/* Looks through the whole file for damage that reading it might not meet. */
int store_file_verify(struct store *store, struct error *error);

#endif
