#include <stdlib.h>

#include "proto/mem.h"
#include "store.h"

struct store_memory {
	struct store store;
	struct id incarnation;
};

static int memory_load(struct store *store, struct core *core, struct store_history *ret_history,
	struct error *error)
{
	(void)core;
	(void)error;
	*ret_history = (struct store_history){.incarnation = ((struct store_memory *)store)->incarnation};
	return 0;
}

static void memory_commit(struct store *store, const struct core *core,
	const struct change *changes, size_t count, uint64_t event_seq, store_done_fn *done,
	void *arg)
{
	(void)store;
	(void)core;
	(void)changes;
	(void)count;
	(void)event_seq;
	done(arg, NULL);
}

static void memory_probe(struct store *store, store_done_fn *done, void *arg)
{
	(void)store;
	done(arg, NULL);
}

static struct store_copy *memory_copy_begin(struct store *store, struct error *error)
{
	(void)store;
	error_set(error, ERR_CONFLICT, "the state is kept in memory only (--state=:memory:): there is nothing to copy");
	return NULL;
}

static void memory_free(struct store *store)
{
	free(store);
}

struct store *store_memory_new(const struct id_source *ids)
{
	static const struct store_ops ops = {
		.name = "memory",
		.load = memory_load,
		.commit = memory_commit,
		.probe = memory_probe,
		.copy_begin = memory_copy_begin,
		.free = memory_free,
	};
	struct store_memory *memory = mem_zalloc(1, sizeof *memory);

	memory->store.ops = &ops;
	ids->new_id(ids->arg, &memory->incarnation);
	return &memory->store;
}
