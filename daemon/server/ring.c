#include "ring.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mem.h"

/* Room for a line before it is made: longer ones than this are unusual, and are made room for as any text is. */
enum { LINE_ROOM = 2048 };
enum { CACHE_LINE = 64, FETCH_AHEAD = 512, FETCH_LINES = 4 }; /* an event is about as long */

void ring_init(struct ring *ring, uint64_t keep, uint64_t seq)
{
	unsigned bits = RING_CHUNK_BITS_MIN;

	assert(keep > 0);
	while (bits < RING_CHUNK_BITS_MAX && UINT64_C(8) << (bits + 1) <= keep)
		bits++;
	*ring = (struct ring){
		.chunk_bits = bits,
		.keep = keep,
		.base = seq + 1,
		.first = seq + 1,
		.published = seq,
		.last = seq,
	};
}

static uint64_t chunk_events(const struct ring *ring)
{
	return UINT64_C(1) << ring->chunk_bits;
}

static size_t chunk_size(const struct ring *ring)
{
	return sizeof(struct ring_chunk) + chunk_events(ring) * sizeof(struct ring_event);
}

static void chunk_free(struct ring_chunk *chunk)
{
	if (chunk == NULL)
		return;
	buf_fini(&chunk->text);
	free(chunk);
}

/* While events come and go, the memory of the oldest becomes that of the newest. */
static void chunk_release(struct ring *ring, struct ring_chunk *chunk)
{
	ring->text_bytes -= chunk->text.len;
	if (ring->spare != NULL) {
		chunk_free(chunk);
		return;
	}
	chunk->text.len = 0;
	ring->spare = chunk;
}

static void *cache_alloc(size_t size)
{
	bool bypassed = mem_reserve_bypass(true);
	void *memory = mem_large_alloc(size, 1);

	mem_reserve_bypass(bypassed);
	return memory;
}

/* A chunk of events is about as long as the one before: room for that spares the growing. NULL: there is no memory. */
static struct ring_chunk *chunk_take(struct ring *ring)
{
	struct ring_chunk *chunk = ring->spare;
	size_t before = 0;

	ring->spare = NULL;
	if (chunk != NULL)
		return chunk;
	chunk = cache_alloc(chunk_size(ring));
	if (!chunk)
		return NULL;
	chunk->text = (struct buf)BUF_INIT;
	if (ring->count > 0)
		before = ring->chunks[ring->head + ring->count - 1]->text.len;
	if (before > 0) {
		chunk->text.data = cache_alloc(before + before / 16);
		chunk->text.capacity = chunk->text.data ? before + before / 16 : 0;
	}
	return chunk;
}

void ring_fini(struct ring *ring)
{
	for (size_t i = 0; i < ring->count; i++)
		chunk_free(ring->chunks[ring->head + i]);
	chunk_free(ring->spare);
	buf_fini(&ring->lost);
	free(ring->chunks);
	ring_init(ring, ring->keep, ring->last);
}

void ring_keep(struct ring *ring, uint64_t keep)
{
	assert(keep > 0);
	ring->keep = keep;
}

static struct ring_chunk *ring_chunk_of(const struct ring *ring, uint64_t seq)
{
	return ring->chunks[ring->head + ((seq - ring->base) >> ring->chunk_bits)];
}

static unsigned ring_place_of(const struct ring *ring, uint64_t seq)
{
	return (unsigned)((seq - ring->base) & (chunk_events(ring) - 1));
}

static void ring_release_first(struct ring *ring)
{
	chunk_release(ring, ring->chunks[ring->head]);
	ring->head++;
	ring->count--;
	ring->base += chunk_events(ring);
	if (ring->first < ring->base)
		ring->first = ring->base;
}

/* Makes room for one more pointer. Places that the oldest chunks left are used again once they are
 * the half of all, so that moving costs O(1) a chunk. */
static void ring_grow(struct ring *ring)
{
	if (ring->head + ring->count < ring->capacity)
		return;
	if (ring->capacity == 0 || ring->head < ring->capacity / 2) {
		ring->capacity = ring->capacity == 0 ? 8 : ring->capacity * 2;
		ring->chunks = mem_realloc(ring->chunks, ring->capacity, sizeof ring->chunks[0]);
		return;
	}
	memmove(ring->chunks, ring->chunks + ring->head, ring->count * sizeof ring->chunks[0]);
	ring->head = 0;
}

/* As soon as more than `keep` events are published at once, all before the last `keep` are released, also those that
 * were published before: a step that makes so many events need not have the memory for all of them. */
static void ring_forget_unseen(struct ring *ring)
{
	while (ring->count > 1 && ring->last - ring->published >= ring->keep &&
		ring->last + 1 - ring->base >= chunk_events(ring) &&
		ring->last + 1 - ring->base - chunk_events(ring) >= ring->keep)
		ring_release_first(ring);
}

/* Begins a chunk if the last one is full. Without memory the oldest ones are given up. */
static bool ring_has_chunk(struct ring *ring, uint64_t seq)
{
	struct ring_chunk *chunk;

	if ((seq - ring->base) >> ring->chunk_bits < ring->count)
		return true;
	ring_forget_unseen(ring);
	while (!(chunk = chunk_take(ring)) && ring->count > 0)
		ring_release_first(ring);
	if (!chunk)
		return false;
	if (ring->count == 0) { /* all that was kept has been given up */
		ring->base = ring->first = seq;
		ring->head = 0;
	}
	ring_grow(ring);
	ring->chunks[ring->head + ring->count] = chunk;
	ring->count++;
	return true;
}

static bool text_has_room(struct buf *text)
{
	size_t capacity = text->capacity < LINE_ROOM ? LINE_ROOM : text->capacity * 2;
	char *data;

	if (text->capacity - text->len >= LINE_ROOM)
		return true;
	data = mem_cache_realloc(text->data, capacity);
	if (!data)
		return false;
	text->data = data;
	text->capacity = capacity;
	mem_prefault(data + text->len, capacity - text->len);
	return true;
}

/* The ring is empty, and the event that begins will not be kept. */
static struct buf *ring_lose(struct ring *ring, uint64_t seq)
{
	while (ring->count > 0)
		ring_release_first(ring);
	chunk_free(ring->spare);
	ring->spare = NULL;
	ring->base = ring->first = seq + 1;
	ring->head = 0;
	ring->lost.len = 0;
	return &ring->lost;
}

/* Frees the spare chunk or, if there is none, the oldest one. False: there is only the one that fills. */
static bool ring_give_up_memory(struct ring *ring)
{
	if (!ring->spare) {
		if (ring->count == 1)
			return false;
		ring_release_first(ring);
	}
	chunk_free(ring->spare);
	ring->spare = NULL;
	return true;
}

/* The memory was last used a whole ring ago: it is fetched while the events before are written. (The
 * compiler takes a function that does nothing but fetch for one that does nothing.) */
struct buf *ring_begin(struct ring *ring)
{
	uint64_t seq = ring->last + 1;
	struct buf *text;
	uintptr_t ahead;

	if (!ring_has_chunk(ring, seq))
		return ring_lose(ring, seq);
	text = &ring_chunk_of(ring, seq)->text;
	while (!text_has_room(text)) {
		if (!ring_give_up_memory(ring))
			return ring_lose(ring, seq);
	}
	ahead = (uintptr_t)text->data + text->len + FETCH_AHEAD;
	for (unsigned i = 0; i < FETCH_LINES; i++)
		__builtin_prefetch((const void *)(ahead + i * CACHE_LINE), 1);
	return text;
}

/* The end of the text before an event that is in the ring or would be the next one. */
static uint32_t ring_text_end(const struct ring *ring, uint64_t seq)
{
	unsigned place = ring_place_of(ring, seq);
	const struct ring_event *before;

	if (place == 0)
		return 0;
	before = &ring_chunk_of(ring, seq)->events[place - 1];
	return before->offset + before->len;
}

void ring_end(struct ring *ring, const struct ring_event *event)
{
	uint64_t seq = ring->last + 1;
	struct ring_chunk *chunk;
	struct ring_event *kept;
	uint32_t begin;

	ring->last = seq;
	if (seq < ring->first) /* it is lost */
		return;
	chunk = ring_chunk_of(ring, seq);
	kept = &chunk->events[ring_place_of(ring, seq)];
	begin = ring_text_end(ring, seq);
	assert(chunk->text.len > begin && chunk->text.len <= UINT32_MAX);
	*kept = *event;
	kept->offset = begin;
	kept->len = (uint32_t)chunk->text.len - begin;
	ring->text_bytes += kept->len;
}

/* Releases what is older than the last `keep` published events. */
static void ring_forget(struct ring *ring)
{
	if (ring->published < ring->first || ring->published - ring->first + 1 <= ring->keep)
		return;
	ring->first = ring->published - ring->keep + 1;
	while (ring->count > 0 && ring->first - ring->base >= chunk_events(ring))
		ring_release_first(ring);
}

uint32_t ring_publish(struct ring *ring, uint64_t seq)
{
	uint32_t kinds = 0;

	assert(seq >= ring->published && seq <= ring->last);
	if (ring->first > ring->published + 1 && seq > ring->published)
		kinds = UINT32_MAX; /* some were lost: whoever watches is to learn that */
	for (uint64_t i = ring->published + 1 > ring->first ? ring->published + 1 : ring->first; i <= seq; i++)
		kinds |= ring_chunk_of(ring, i)->events[ring_place_of(ring, i)].kinds;
	ring->published = seq;
	ring_forget(ring);
	return kinds;
}

void ring_retract(struct ring *ring, uint64_t seq)
{
	size_t needed;

	assert(seq >= ring->published && seq <= ring->last);
	if (seq == ring->last)
		return;
	if (seq + 1 < ring->first || ring->count == 0) {
		ring_lose(ring, seq);
		ring->last = seq;
		return;
	}
	needed = (size_t)((seq - ring->base + chunk_events(ring)) >> ring->chunk_bits);
	while (ring->count > needed) {
		ring->count--;
		chunk_release(ring, ring->chunks[ring->head + ring->count]);
	}
	if (ring_place_of(ring, seq + 1) != 0) {
		struct buf *text = &ring_chunk_of(ring, seq)->text;
		uint32_t end = ring_text_end(ring, seq + 1);

		ring->text_bytes -= text->len - end;
		text->len = end;
	}
	ring->last = seq;
}

const struct ring_event *ring_at(const struct ring *ring, uint64_t seq, const char **ret_text)
{
	const struct ring_chunk *chunk;
	const struct ring_event *event;

	assert(seq >= ring->first && seq <= ring->last);
	chunk = ring_chunk_of(ring, seq);
	event = &chunk->events[ring_place_of(ring, seq)];
	*ret_text = chunk->text.data + event->offset;
	return event;
}

uint64_t ring_events(const struct ring *ring)
{
	return ring->last + 1 - ring->first;
}

uint64_t ring_bytes(const struct ring *ring)
{
	uint64_t bytes = ring->text_bytes + ring->count * chunk_size(ring) +
		ring->capacity * sizeof ring->chunks[0];

	bytes += ring->lost.capacity;
	if (ring->spare != NULL)
		bytes += chunk_size(ring) + ring->spare->text.capacity;
	return bytes;
}
