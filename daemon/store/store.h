/* The store port: where the state is kept. */
#ifndef IMD_STORE_STORE_H
#define IMD_STORE_STORE_H

#include "core/core.h"

/* The outcome of a commit: error is NULL when everything is durable. After a failure nothing of the
 * commit is stored. */
typedef void store_done_fn(void *arg, const struct error *error);

struct store {
	const struct store_ops *ops;
};

struct store_ops {
	const char *name;
	/* Loads everything into a core fresh from core_init, up to but without core_load_end; *ret_event_seq is
	 * the number of the last event that was stored. */
	int (*load)(struct store *store, struct core *core, uint64_t *ret_event_seq,
		struct error *error);
	/* Begins to store the changes, and the number of the last event they told. What they name is read
	 * before the call returns. done is called once, from within the call or later; a second
	 * commit does not begin before. */
	void (*commit)(struct store *store, const struct core *core, const struct change *changes,
		size_t count, uint64_t event_seq, store_done_fn *done, void *arg);
	void (*free)(struct store *store);
};

/* Keeps nothing: every commit succeeds at once, and there is never anything to load. */
struct store *store_memory_new(void);

#endif
