#include "batches.h"

#include <assert.h>
#include <stdlib.h>

void batches_init(struct batches *batches, void (*notice)(void *, const struct notice *), void *arg)
{
	for (int i = 0; i < BATCHES; i++) {
		update_init(&batches->all[i].update, notice, arg);
		TAILQ_INIT(&batches->all[i].requests);
	}
	batches->filling = &batches->all[0];
	batches->flying = NULL;
	batches->durable_count = 0;
	batches->clients_need = 0;
}

void batches_fini(struct batches *batches)
{
	for (int i = 0; i < BATCHES; i++)
		update_fini(&batches->all[i].update);
}

static bool batch_used(const struct batches *batches, const struct batch *batch)
{
	for (unsigned i = 0; i < batches->durable_count; i++) {
		if (batches->durable[i] == batch)
			return true;
	}
	return batch == batches->filling || batch == batches->flying;
}

static struct batch *batch_free(struct batches *batches)
{
	for (int i = 0; i < BATCHES; i++) {
		if (!batch_used(batches, &batches->all[i]))
			return &batches->all[i];
	}
	abort(); /* two are in use at most besides the one that fills, and then none is closed */
}

struct batch *batches_close(struct batches *batches)
{
	struct batch *closed = batches->filling;

	assert(!batches->flying);
	batches->filling = batch_free(batches);
	return closed;
}

void batches_add_durable(struct batches *batches, struct batch *batch)
{
	assert(batches->durable_count < BATCHES - 1);
	batches->durable[batches->durable_count++] = batch;
}

struct batch *batches_first_durable(const struct batches *batches)
{
	return batches->durable_count > 0 ? batches->durable[0] : NULL;
}

static void batch_clear(struct batch *batch)
{
	update_clear(&batch->update);
	batch->needs = (struct batch_needs){0};
}

void batches_drop_durable(struct batches *batches)
{
	batch_clear(batches->durable[0]);
	batches->durable_count--;
	for (unsigned i = 0; i < batches->durable_count; i++)
		batches->durable[i] = batches->durable[i + 1];
}

size_t batches_need(const struct batches *batches)
{
	size_t need = 0;

	for (int i = 0; i < BATCHES; i++)
		need += batches->all[i].needs.updates + batches->all[i].needs.others;
	return need;
}

void batches_clear(struct batches *batches)
{
	for (int i = 0; i < BATCHES; i++)
		batch_clear(&batches->all[i]);
}
