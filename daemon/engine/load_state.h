/* Loads the core from the store: at the start, and again after a failed commit. */
#ifndef IMD_ENGINE_LOAD_STATE_H
#define IMD_ENGINE_LOAD_STATE_H

#include "batches.h"
#include "engine.h"

/* Fills a core that was only configured, and has the store accept the state. `ret_now` is the time after that. On error
 * the core is half loaded, and the open batch has to be cleared. */
int load_state(struct store *store, const struct engine_host *host, struct batches *batches, struct core *core,
	struct now *ret_now, struct store_history *ret_history, struct error *error);

#endif
