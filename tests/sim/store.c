/* The store between the engine and the durable rows: commits are copied at once and become durable, or
 * fail, from within the call or later. */
#include <stdlib.h>

#include "proto/mem.h"
#include "sim.h"

struct sim_store {
	struct store store;
	struct sim *sim;
};

static struct sim *store_sim(struct store *store)
{
	return ((struct sim_store *)store)->sim;
}

static int storage_load(struct store *store, struct core *core, struct store_history *ret_history,
	struct error *error)
{
	struct sim *sim = store_sim(store);
	struct storage *storage = &sim->storage;

	sim->last_compared = UINT64_MAX;
	sim->loaded = true;
	if (!sim->engine || storage->lost || storage->unreadable)
		floor_forget_vouched(sim); /* else what the engine has not yet taken in goes on to count */
	storage->lost = storage->unreadable;
	if (storage->unreadable) {
		storage->failed_loads++;
		if (sim_chance(sim, 50)) /* it fails early or late */
			rows_load(sim, core, error);
		return error_set(error, ERR_INTERNAL, "the disk cannot be read");
	}
	*ret_history = (struct store_history){storage->rows.incarnation, storage->rows.event_seq};
	return rows_load(sim, core, error);
}

static void forget_flying(struct storage *storage)
{
	for (size_t i = 0; i < storage->flying_count; i++)
		row_change_fini(&storage->flying[i]);
	storage->flying_count = 0;
	storage->done = NULL;
}

static void make_durable(struct sim *sim)
{
	struct storage *storage = &sim->storage;

	for (size_t i = 0; i < storage->flying_count; i++)
		rows_apply(&storage->rows, &storage->flying[i]);
	storage->rows.event_seq = storage->flying_seq;
	storage->commits++;
}

/* What made a commit fail may make the load behind it fail, and the next ones. */
static void fail(struct sim *sim)
{
	struct storage *storage = &sim->storage;

	storage->failures++;
	if (storage->unreadable || !sim_chance(sim, sim->config.unreadable_percent))
		return;
	storage->unreadable = true;
	sim_later(sim, sim_below(sim, 5000), QUEUE_LOADS_MEND, 0);
	sim_say(sim, "store: cannot be read");
}

/* Whether this is the commit, and the moment, at which the daemon is to die. It does so but once. */
static bool dies_now(struct sim *sim, enum sim_moment moment, uint64_t commit)
{
	if (sim->dies == moment && sim->dies_at == commit) {
		sim->dies = DIES_NEVER;
		sim->dying = true;
	}
	return sim_dies(sim);
}

/* The end of a commit. The daemon may die just before it, or between it and hearing of it. */
static void finish(struct sim *sim)
{
	static const struct error failed = {ERR_STORAGE, "the disk is full"};
	struct storage *storage = &sim->storage;
	store_done_fn *done = storage->done;
	bool fails = storage->flying_fails;

	if (fails ? sim_dies(sim) : dies_now(sim, DIES_BEFORE, storage->commits + 1))
		return;
	if (fails)
		fail(sim);
	else
		make_durable(sim);
	forget_flying(storage);
	if (fails ? sim_dies(sim) : dies_now(sim, DIES_WHEN_DURABLE, storage->commits))
		return;
	sim_say(sim, "store: commit %s", fails ? "fails" : "is durable");
	done(storage->done_arg, fails ? &failed : NULL);
}

void storage_timer(struct sim *sim)
{
	sim->commit_timer = TIMER_NONE;
	finish(sim);
}

static void storage_commit(struct store *store, const struct core *core,
	const struct change *changes, size_t count, uint64_t event_seq, store_done_fn *done,
	void *arg)
{
	struct sim *sim = store_sim(store);
	struct storage *storage = &sim->storage;

	if (sim->dying)
		return;
	if (storage->done)
		sim_fail(sim, "a commit begins before the one before it has ended");
	if (event_seq < storage->rows.event_seq || event_seq != sim->event_seq)
		sim_fail(sim, "a commit up to event %llu, noticed is %llu",
			(unsigned long long)event_seq, (unsigned long long)sim->event_seq);
	if (count > storage->flying_capacity) {
		storage->flying = mem_realloc(storage->flying, count, sizeof *storage->flying);
		storage->flying_capacity = count;
	}
	storage->flying_count = count;
	for (size_t i = 0; i < count; i++)
		rows_copy(&storage->flying[i], core, &changes[i]);
	storage->flying_seq = event_seq;
	storage->flying_fails = storage->failing;
	storage->done = done;
	storage->done_arg = arg;
	if (sim_chance(sim, sim->config.commit_instant_percent))
		finish(sim);
	else
		sim->commit_timer = sim_later(sim,
			sim_below(sim, sim->config.commit_delay_max_ms + 1), QUEUE_COMMIT, 0);
}

static void probe_ends(struct sim *sim)
{
	static const struct error failed = {ERR_STORAGE, "the disk is full"};
	struct storage *storage = &sim->storage;
	store_done_fn *done = storage->probed;

	storage->probed = NULL;
	if (sim_dies(sim))
		return;
	sim_say(sim, "store: a probe %s", storage->failing ? "fails" : "goes well");
	done(storage->probed_arg, storage->failing ? &failed : NULL);
}

void storage_probe_timer(struct sim *sim)
{
	sim->probe_timer = TIMER_NONE;
	probe_ends(sim);
}

static void storage_probe(struct store *store, store_done_fn *done, void *arg)
{
	struct sim *sim = store_sim(store);
	struct storage *storage = &sim->storage;

	if (sim->dying)
		return;
	if (storage->probed)
		sim_fail(sim, "a probe begins before the one before it has ended");
	storage->probed = done;
	storage->probed_arg = arg;
	if (sim_chance(sim, sim->config.commit_instant_percent))
		probe_ends(sim);
	else
		sim->probe_timer = sim_later(sim,
			sim_below(sim, sim->config.commit_delay_max_ms + 1), QUEUE_PROBE, 0);
}

void storage_lose(struct sim *sim)
{
	sim_cancel(sim, &sim->commit_timer);
	sim_cancel(sim, &sim->probe_timer);
	sim->storage.probed = NULL;
	forget_flying(&sim->storage);
	sim->storage.unreadable = sim->storage.lost = false; /* or nobody could boot */
}

static void store_free(struct store *store)
{
	free(store);
}

/* That there is such a thing has the core drop tasks from memory; nobody asks for them here. */
static void storage_fetch(struct store *store, uint64_t serial, store_fetched_fn *done, void *arg)
{
	(void)serial;
	(void)done;
	(void)arg;
	sim_fail(store_sim(store), "a graph is asked for that nobody wants");
}

struct store *storage_store_new(struct sim *sim)
{
	static const struct store_ops keeps = {.name = "rows", .load = storage_load,
		.commit = storage_commit, .probe = storage_probe, .free = store_free};
	static const struct store_ops gives_back = {.name = "rows", .load = storage_load,
		.commit = storage_commit, .probe = storage_probe, .fetch = storage_fetch,
		.free = store_free};
	struct sim_store *store = mem_zalloc(1, sizeof *store);

	store->store.ops = sim->config.gives_back ? &gives_back : &keeps;
	store->sim = sim;
	return &store->store;
}

void storage_fini(struct storage *storage)
{
	forget_flying(storage);
	free(storage->flying);
	rows_fini(&storage->rows);
}
