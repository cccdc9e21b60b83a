/* Finds entities by id, or by the first digits of one.
 *
 * An open-addressing table whose home positions are the leading bits of the id, so that ids stand
 * in it nearly in order and a prefix is a short run of positions: ids are random in their first
 * eight bytes, so nothing else need be mixed in. Lookup, insertion and removal are O(1) expected;
 * a prefix costs O(its matches + run). The table holds 8 bytes an entry at a load of at most 2/3;
 * the ids themselves stay where the entities are. */
#ifndef IMD_CORE_ID_INDEX_H
#define IMD_CORE_ID_INDEX_H

#include "proto/id.h"

#define ID_INDEX_NONE UINT32_MAX

/* An entry: the ref, ID_INDEX_NONE where empty, and the first 32 bits of the id, so that its home is
 * known and other ids are told apart without a look at the entity. */
struct id_index_entry {
	uint32_t ref;
	uint32_t head;
};

struct id_index {
	const struct id *(*id_of)(const void *context, uint32_t ref); /* the id of an entry */
	const void *context;
	struct id_index_entry *table; /* NULL before the first entry */
	unsigned bits;   /* the table has 2^bits positions; 0: no table yet */
	uint32_t count;
};

void id_index_init(struct id_index *index,
	const struct id *(*id_of)(const void *context, uint32_t ref), const void *context);
void id_index_fini(struct id_index *index);

/* The id must not be in the index yet. Shrinks and grows by itself. */
void id_index_add(struct id_index *index, const struct id *id, uint32_t ref);
/* The id must be in the index. */
void id_index_remove(struct id_index *index, const struct id *id);
/* Says that the id is about to be looked up or added: in a large table its place is not in the
 * processor's cache, and can be fetched meanwhile. */
void id_index_prefetch(const struct id_index *index, const struct id *id);
/* The ref, or ID_INDEX_NONE. */
uint32_t id_index_find(const struct id_index *index, const struct id *id);
/* Finds the one entry that the prefix fits. Returns how many fit, counting to 2 at most. */
unsigned id_index_find_prefix(const struct id_index *index, const struct id_prefix *prefix,
	uint32_t *ret_ref);

#endif
