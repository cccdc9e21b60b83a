/* Linear probing with backward-shift deletion. The home of an id is its leading bits, so the table is
 * in the order of the ids but for collisions, and growing it writes from one end to the other.
 *
 * An entry stands at its home or later in the same cluster (a run of taken positions, which may go
 * on from the last position to the first). All ids with a prefix have their homes in one interval,
 * so they stand between its beginning and the end of the cluster that its end lies in. */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "id_index.h"
#include "proto/mem.h"

enum { BITS_MIN = 4, BITS_MAX = 31 };

static uint32_t id_head(const struct id *id)
{
	uint32_t head = 0;

	for (unsigned i = 0; i < 4; i++)
		head = head << CHAR_BIT | id->bytes[i];
	return head;
}

static uint32_t index_size(const struct id_index *index)
{
	return index->bits ? UINT32_C(1) << index->bits : 0;
}

static uint32_t index_home(const struct id_index *index, uint32_t head)
{
	return head >> (32 - index->bits);
}

static const struct id *index_id(const struct id_index *index, uint32_t place)
{
	return index->id_of(index->context, index->table[place].ref);
}

/* Puts an entry into the first free place from its home on; there is one. */
static void index_put(struct id_index *index, struct id_index_entry entry)
{
	uint32_t mask = index_size(index) - 1;
	uint32_t place = index_home(index, entry.head);

	while (index->table[place].ref != ID_INDEX_NONE)
		place = (place + 1) & mask;
	index->table[place] = entry;
}

static void index_resize(struct id_index *index, unsigned bits)
{
	struct id_index_entry *old = index->table;
	uint32_t old_size = index_size(index);
	size_t size = (size_t)1 << bits;

	assert(bits <= BITS_MAX);
	index->table = mem_large_alloc(size, sizeof *index->table);
	if (!index->table)
		mem_exhausted();
	memset(index->table, 0xff, size * sizeof *index->table);
	index->bits = bits;
	for (uint32_t i = 0; i < old_size; i++)
		if (old[i].ref != ID_INDEX_NONE)
			index_put(index, old[i]);
	free(old);
}

void id_index_init(struct id_index *index,
	const struct id *(*id_of)(const void *context, uint32_t ref), const void *context)
{
	*index = (struct id_index){.id_of = id_of, .context = context};
}

void id_index_fini(struct id_index *index)
{
	free(index->table);
	index->table = NULL;
	index->bits = 0;
	index->count = 0;
}

void id_index_add(struct id_index *index, const struct id *id, uint32_t ref)
{
	assert(ref != ID_INDEX_NONE);
	if (!index->bits)
		index_resize(index, BITS_MIN);
	else if (((uint64_t)index->count + 1) * 3 > (uint64_t)index_size(index) * 2)
		index_resize(index, index->bits + 1);
	index_put(index, (struct id_index_entry){.ref = ref, .head = id_head(id)});
	index->count++;
}

/* The place of an id, or that of the empty position where looking for it ends. */
static uint32_t index_place(const struct id_index *index, const struct id *id)
{
	uint32_t mask = index_size(index) - 1;
	uint32_t head = id_head(id);
	uint32_t place = index_home(index, head);

	while (index->table[place].ref != ID_INDEX_NONE &&
		(index->table[place].head != head || !id_equal(index_id(index, place), id)))
		place = (place + 1) & mask;
	return place;
}

/* Empties a place, moving later entries of the cluster back so that no search ends before them. */
static void index_close_gap(struct id_index *index, uint32_t gap)
{
	uint32_t mask = index_size(index) - 1;
	uint32_t place = (gap + 1) & mask;

	for (; index->table[place].ref != ID_INDEX_NONE; place = (place + 1) & mask) {
		uint32_t home = index_home(index, index->table[place].head);

		/* An entry whose home lies behind the gap is found without crossing it. */
		if (((place - home) & mask) < ((place - gap) & mask))
			continue;
		index->table[gap] = index->table[place];
		gap = place;
	}
	index->table[gap].ref = ID_INDEX_NONE;
}

void id_index_remove(struct id_index *index, const struct id *id)
{
	uint32_t place;

	assert(index->count > 0);
	place = index_place(index, id);
	assert(index->table[place].ref != ID_INDEX_NONE);
	index_close_gap(index, place);
	index->count--;
	/* Half of the size is then at a third of its load: neither growing nor shrinking is near. */
	if (index->bits > BITS_MIN && (uint64_t)index->count * 6 < index_size(index))
		index_resize(index, index->bits - 1);
}

void id_index_prefetch(const struct id_index *index, const struct id *id)
{
	if (index->bits)
		__builtin_prefetch(&index->table[index_home(index, id_head(id))]);
}

uint32_t id_index_find(const struct id_index *index, const struct id *id)
{
	if (!index->count)
		return ID_INDEX_NONE;
	return index->table[index_place(index, id)].ref;
}

/* The last id, in order, that has a prefix. */
static struct id prefix_last(const struct id_prefix *prefix)
{
	struct id last = prefix->id;

	for (unsigned i = prefix->digits; i < 2 * sizeof last.bytes; i++)
		last.bytes[i / 2] |= i % 2 ? 0x0f : 0xf0;
	return last;
}

unsigned id_index_find_prefix(const struct id_index *index, const struct id_prefix *prefix,
	uint32_t *ret_ref)
{
	struct id last = prefix_last(prefix);
	uint32_t mask = index_size(index) - 1;
	uint32_t first_home, homes;
	unsigned found = 0;

	*ret_ref = ID_INDEX_NONE;
	if (!index->count)
		return 0;
	first_home = index_home(index, id_head(&prefix->id));
	homes = index_home(index, id_head(&last)) - first_home + 1;
	for (uint32_t i = 0; i <= mask && found < 2; i++) {
		uint32_t place = (first_home + i) & mask;

		if (index->table[place].ref == ID_INDEX_NONE) {
			if (i >= homes - 1)
				break;
			continue;
		}
		if (!id_has_prefix(index_id(index, place), prefix))
			continue;
		found++;
		*ret_ref = index->table[place].ref;
	}
	if (found != 1)
		*ret_ref = ID_INDEX_NONE;
	return found;
}
