#include "load_state.h"

#include "admission.h"

static int load_once(struct store *store, const struct engine_host *host, struct batches *batches, struct core *core,
	struct now *ret_now, struct store_history *ret_history, struct error *error)
{
	struct update *update = &batches->filling->update;
	int loaded;

	core_init(core, &core->config);
	loaded = store->ops->load(store, core, ret_history, error);
	host->now(host->arg, ret_now);
	if (loaded < 0 || core_load_end(core, ret_now, update, error) < 0)
		return -1;
	core_changes_taken(core, update); /* what is derived need not be stored */
	update->change_count = 0;
	admit_loaded(batches, core);
	return 0;
}

/* Accepting changes a state that is new, was restored or is of an earlier version: it is loaded twice, once. */
int load_state(struct store *store, const struct engine_host *host, struct batches *batches, struct core *core,
	struct now *ret_now, struct store_history *ret_history, struct error *error)
{
	int changed = 0;

	if (load_once(store, host, batches, core, ret_now, ret_history, error) < 0)
		return -1;
	if (store->ops->accept)
		changed = store->ops->accept(store, error);
	if (changed <= 0)
		return changed;
	core_fini(core);
	update_clear(&batches->filling->update);
	return load_once(store, host, batches, core, ret_now, ret_history, error);
}
