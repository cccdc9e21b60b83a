/* Batches of what the core has done: one fills, one is with the store, and those that have become durable
 * wait to be answered, in their order. */
#ifndef IMD_ENGINE_BATCHES_H
#define IMD_ENGINE_BATCHES_H

#include "requests.h"

enum { BATCHES = 3 }; /* one that fills, and two more with the store or durable */

/* Bytes that may still be needed, see needs.h: for UPDATEs, and for other events. */
struct batch_needs {
	size_t updates, others;
};

struct batch {
	struct update update;
	struct engine_requests requests;
	uint64_t seq; /* the last event of the batch, once it is closed; */
	struct core_counters counters; /* and the core's counters then */
	int64_t handed_us; /* when the store got it */
	struct batch_needs needs;
};

struct batches {
	struct batch all[BATCHES];
	struct batch *filling;
	struct batch *flying; /* with the store; NULL: none */
	struct batch *durable[BATCHES - 1]; /* to be answered, the oldest first */
	unsigned durable_count;
	size_t clients_need; /* bytes for the connected clients that NEEDS_BASE does not cover, see needs_of_clients */
};

/* `notice` and `arg` are those of update_init. */
void batches_init(struct batches *batches, void (*notice)(void *, const struct notice *), void *arg);
void batches_fini(struct batches *batches);

/* Returns the batch that has filled; another one fills from here on. The caller says at once that it flies,
 * or that it is durable. None may be flying. */
struct batch *batches_close(struct batches *batches);
/* There must be room: whoever is durable was answered before a second one flies. */
void batches_add_durable(struct batches *batches, struct batch *batch);
/* The oldest durable one, NULL: none. It stays one until it is dropped, and is free to fill then. */
struct batch *batches_first_durable(const struct batches *batches);
void batches_drop_durable(struct batches *batches);
/* What may still be needed for all of them, in bytes. */
size_t batches_need(const struct batches *batches);
/* Forgets the changes, actions and needs of all of them, and keeps their requests. */
void batches_clear(struct batches *batches);

#endif
