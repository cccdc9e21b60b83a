/* A daemon without its loop, for the target of the state file: the real engine, core and store in a world whose clock
 * goes when the daemon waits, and whose driver does at once what it is requested to do, or never. */
#ifndef IMD_TESTS_FUZZ_STATE_WORLD_H
#define IMD_TESTS_FUZZ_STATE_WORLD_H

#include "engine/engine.h"

enum { WORLD_BAD_VERSION = 13 };

struct world {
	struct driver driver;
	struct engine *engine;
	struct now now;
	int64_t deadline_ms;    /* of the engine; INT64_MAX: none */
	bool woken;
	bool holds;             /* the driver answers nothing */
	bool fails;             /* starts of WORLD_BAD_VERSION fail */
	bool storage_failed;    /* a commit or a load has failed */
	uint64_t seq;           /* of the last event */
	uint64_t random;        /* IDs are made from it */
	uint64_t clock_reads;   /* in this turn */
	struct id *nodes;       /* that run */
	size_t node_count, node_capacity;
};

/* Opens the state and loads it. `random` is the seed of IDs. -1 with ERR_STORAGE if the file is refused; then, too, the
 * world must be closed. *ret_sound is whether store_file_verify has found nothing wrong. */
int world_open(struct world *world, const char *path, const struct core_config *config, uint64_t random,
	bool *ret_sound, struct error *error);
void world_close(struct world *world);

/* Goes on until the daemon waits for nothing that is due within this time; INT64_MAX: until it waits for nothing.
 * Requires that the core's invariants hold after every turn, and that it comes to rest. */
void world_run(struct world *world, int64_t limit_ms);

/* Carries a request out as user 0, "root"; the time is set. -1 if it was refused. */
int world_request(struct world *world, struct core_event *event, struct error *error);
/* UPDATE with the policy that is configured, of one group or of all, and a kill. They must be taken unless the storage
 * fails. */
void world_update(struct world *world, const char *group, uint32_t size, uint64_t version);
void world_update_all(struct world *world, uint32_t size, uint64_t version);
void world_kill(struct world *world, const struct id *node);

/* A live node of a group, by its number in the order of slots, from 0; it must be there. */
const struct id *world_node(struct world *world, const char *group, uint32_t number);

#endif
