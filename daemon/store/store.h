/* The store port: where the state is kept. */
#ifndef IMD_STORE_STORE_H
#define IMD_STORE_STORE_H

#include "core/core.h"
#include "proto/limits.h"
#include "runner.h"

/* The outcome of a commit: error is NULL when everything is durable. After a failure nothing of the commit
 * is stored. If the process ends before the outcome is known, a commit is stored as a whole or not at all. */
typedef void store_done_fn(void *arg, const struct error *error);

typedef void store_fetched_fn(void *arg, struct graph *graph, const struct error *error);

/* A copy of the state. It belongs to whoever began it. */
struct store_copy;
struct source;

/* A piece of a copy is this long, except the last one. */
enum { STORE_COPY_PIECE = 8 * LIMIT_DATA };

/* What a commit may take of memory until it is done, in bytes: for a change, and for a task of a new graph besides. */
enum { STORE_CHANGE_BYTES = 416, STORE_PLAN_TASK_BYTES = 160 };

/* The next piece of a copy, valid until the next copy_read or copy_end; len 0 is the end. After an error only
 * copy_end is left. */
typedef void store_read_fn(void *arg, const void *data, size_t len, const struct error *error);

/* The history that a state belongs to. Numbers of events mean the same within one incarnation alone; a state that is
 * new, and each copy that is put into use, has another (schema.h). */
struct store_history {
	struct id incarnation; /* zero: the state was never in use, and is only read */
	uint64_t event_seq;    /* the number of the last event that was stored */
};

struct store {
	const struct store_ops *ops;
};

struct store_ops {
	const char *name;
	/* Loads everything into a core fresh from core_init, up to but without core_load_end. A store has the same
	 * incarnation each time. Not while a commit is under way. */
	int (*load)(struct store *store, struct core *core, struct store_history *ret_history,
		struct error *error);
	/* After a load that was good: the state may be written from here on. Until then a store changes nothing that it
	 * has found. 1: what is stored has changed by that, and must be loaded again. NULL: there is nothing to do. */
	int (*accept)(struct store *store, struct error *error);
	/* Begins to store the changes, and the number of the last event they told. What they name is read
	 * before the call returns; names of groups stay until the store is freed. done is called once,
	 * from within the call or later; a second commit does not begin before. */
	void (*commit)(struct store *store, const struct core *core, const struct change *changes,
		size_t count, uint64_t event_seq, store_done_fn *done, void *arg);
	/* Begins to try whether commits go well, by writing something that changes nothing. done is called
	 * once, from within the call or later, unless the store is freed before; one is tried at a time,
	 * while a commit is under way too. */
	void (*probe)(struct store *store, store_done_fn *done, void *arg);
	/* Begins a copy of the state. There is one at a time. NULL with ERR_CONFLICT if there is another, or nothing
	 * to copy; then the other two functions may be NULL. */
	struct store_copy *(*copy_begin)(struct store *store, struct error *error);
	/* Reads the next piece; the first call makes the copy, of the state as it is stored at some moment of this call.
	 * done is called once, from within the call or later, unless the store is freed before. */
	void (*copy_read)(struct store_copy *copy, store_read_fn *done, void *arg);
	/* Ends a copy at any time, and frees it. A read that is in progress gets an error. Not after the store is freed. */
	void (*copy_end)(struct store_copy *copy);
	/* Reads an ended graph with its tasks. done is called once, from within the call or later,
	 * unless the store is freed before: with a graph in no list, which is then its own; or with
	 * NULL and an error, ERR_GONE where it is not stored. NULL: the store gives nothing back. */
	void (*fetch)(struct store *store, uint64_t serial, store_fetched_fn *done, void *arg);
	void (*free)(struct store *store);
};

/* Keeps nothing: every commit succeeds at once, and there is never anything to load. Its incarnation is from `ids`. */
struct store *store_memory_new(const struct id_source *ids);

/* Keeps everything in a file, which is created if it does not exist, and brought up to date when it is accepted. It
 * must be a regular file of the effective user with one name, in a directory to which nobody else can write (files.h),
 * and is this process's alone until the store is freed. A log beside it must be its own, and whole but for the last
 * transaction (inspect.h). A file that is new, or was copied, gets its incarnation from `ids` (schema.h), which stays
 * until the store is freed. The runner is the store's, also on failure: ERR_STORAGE says what is wrong with the
 * file. */
int store_file_open(const char *path, const struct id_source *ids, struct runner *runner, struct store **ret_store,
	struct error *error);
/* Opens a copy of a file, to look at it: the file is only read, and nothing beside it is changed. The copy is gone
 * when the store is freed, or the process ends. */
int store_file_open_copy(const char *path, struct runner *runner, struct store **ret_store,
	struct error *error);
/* The same of a source that is open (source.h), and stays open. If `cut` is set, a log that is damaged ends before the
 * damage. */
int store_file_open_source(const struct source *source, bool cut, struct runner *runner, struct store **ret_store,
	struct error *error);
/* Sets what is called when the store is freed if its files were removed, replaced or cut, and what was committed could
 * not be saved in spite of that. */
typedef void store_unsaved_fn(void *arg, const struct error *error);
void store_file_on_unsaved(struct store *store, store_unsaved_fn *unsaved, void *arg);
/* Whether opening the file has finished a restore that had been interrupted. */
bool store_file_restored(const struct store *store);
/* What a user should know of a file that is good all the same; false if there is nothing. */
bool store_file_notice(struct store *store, struct error *ret_notice);
/* Looks through the whole file for what loading it might not meet: damage, and rows of graphs that do not exist. */
int store_file_verify(struct store *store, struct error *error);

#endif
