/* The pool of nodes: chunks that never move, and a list of the places given back. Chunks are
 * allocated one by one at first, and then a slab of them at a time. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node.h"
#include "proto/mem.h"

enum { SLAB_CHUNKS = 78 }; /* just below 8 MiB */

static bool chunk_begins_slab(uint32_t chunk)
{
	return chunk < SLAB_CHUNKS || chunk % SLAB_CHUNKS == 0;
}

void node_pool_init(struct node_pool *pool)
{
	*pool = (struct node_pool){.free = NODE_NONE};
}

void node_pool_fini(struct node_pool *pool)
{
	for (uint32_t ref = 0; ref < pool->used; ref++)
		free(node_at(pool, ref)->error);
	for (uint32_t i = 0; i < pool->chunk_count; i++)
		if (chunk_begins_slab(i))
			free(pool->chunks[i]);
	free(pool->chunks);
	free(pool->markers);
	node_pool_init(pool);
}

static void pool_grow(struct node_pool *pool)
{
	uint32_t first = pool->chunk_count, count = first < SLAB_CHUNKS ? 1 : SLAB_CHUNKS;
	struct node *slab;

	assert(pool->used <= NODE_NONE - count * NODE_CHUNK);
	slab = mem_large_alloc((size_t)count * NODE_CHUNK, sizeof *slab);
	if (!slab)
		mem_exhausted();
	pool->chunks = mem_realloc(pool->chunks, (size_t)first + count, sizeof(struct node *));
	for (uint32_t i = 0; i < count; i++)
		pool->chunks[pool->chunk_count++] = slab + (size_t)i * NODE_CHUNK;
}

struct node *node_pool_take(struct node_pool *pool, uint32_t *ret_ref)
{
	uint32_t ref = pool->free;
	struct node *node;

	if (ref == NODE_NONE) {
		if (pool->used == pool->chunk_count << NODE_CHUNK_BITS)
			pool_grow(pool);
		ref = pool->used++;
		node = node_at(pool, ref);
	} else {
		node = node_at(pool, ref);
		assert(!node->used);
		pool->free = node->slot;
	}
	*node = (struct node){.used = true};
	*ret_ref = ref;
	return node;
}

void node_pool_give(struct node_pool *pool, uint32_t ref)
{
	struct node *node;

	assert(ref < pool->used);
	node = node_at(pool, ref);
	assert(node->used);
	node_unmark(pool, node);
	free(node->error);
	*node = (struct node){.slot = pool->free};
	pool->free = ref;
}

/* ---- marks ---------------------------------------------------------------------------------- */

static bool same_origin(const struct origin *a, const struct origin *b)
{
	return a->uid == b->uid && strcmp(a->user, b->user) == 0;
}

/* The user's place, or a free one. Users who mark nodes are few. */
static uint32_t marker_place(struct node_pool *pool, const struct origin *origin)
{
	uint32_t place = pool->marker_count;

	for (uint32_t i = 0; i < pool->marker_count; i++) {
		if (pool->markers[i].nodes == 0)
			place = i;
		else if (same_origin(&pool->markers[i].origin, origin))
			return i;
	}
	if (place == pool->marker_count) {
		pool->markers = mem_realloc(pool->markers, (size_t)place + 1, sizeof pool->markers[0]);
		pool->marker_count++;
	}
	pool->markers[place] = (struct marker){.origin = *origin};
	return place;
}

void node_mark(struct node_pool *pool, struct node *node, const struct origin *marker)
{
	uint32_t place;

	node_unmark(pool, node);
	node->marked = true;
	if (!origin_known(marker))
		return;
	place = marker_place(pool, marker);
	pool->markers[place].nodes++;
	node->marker = place + 1;
}

void node_unmark(struct node_pool *pool, struct node *node)
{
	if (node->marker > 0)
		pool->markers[node->marker - 1].nodes--;
	node->marker = 0;
	node->marked = false;
}

const struct origin *node_marker(const struct node_pool *pool, const struct node *node)
{
	return node->marker > 0 ? &pool->markers[node->marker - 1].origin : NULL;
}
