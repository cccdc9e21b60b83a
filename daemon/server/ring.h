/* The log of events that all watchers share: formatted lines, the latest `keep` of them.
 *
 *      first            published        last
 *        │                  │              │
 *   ─────┼──────────────────┼──────────────┼─────► seq
 *   gone │  may be watched  │    unseen    │
 *
 * Events are appended unseen; when they are durable they are published, and where they never came
 * to be they are retracted. Their text stands in chunks of 256 to 8192 events, one run of bytes
 * each, so that neighbours are written with one vector. A chunk is allocated with its first event
 * and released with its last; one of those released is kept for the next. A text is valid until
 * the next call that changes the ring.
 *
 * The ring is a cache: it takes nothing from the reserve of memory (proto/mem.h). If there is no memory for an event,
 * the oldest ones are given up for it, also unseen ones, and if that does not help, the event itself: `first` may be
 * beyond `published` then, and watchers have lagged. */
#ifndef IMD_SERVER_RING_H
#define IMD_SERVER_RING_H

#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"

#define RING_NO_GRAPH UINT64_MAX

/* A chunk has an eighth of `keep`, as a power of 2 within these. */
enum { RING_CHUNK_BITS_MIN = 8, RING_CHUNK_BITS_MAX = 13 };

/* What filters go by, and where the text is. */
struct ring_event {
	uint64_t graph;  /* the serial of its graph, RING_NO_GRAPH: of none */
	uint32_t group;  /* the index of its group */
	uint32_t offset; /* of the text in the chunk */
	uint32_t len;
	uint32_t kinds;  /* the kinds of watches that get it, a set of bits */
};

struct ring_chunk {
	struct buf text;
	struct ring_event events[];
};

struct ring {
	struct ring_chunk **chunks; /* chunks[head] is the oldest */
	size_t head;
	size_t count;
	size_t capacity;
	unsigned chunk_bits;        /* a chunk has 2^chunk_bits events */
	struct ring_chunk *spare;   /* one that was released, NULL: none */
	struct buf lost;            /* for the line of an event that there is no memory to keep */
	uint64_t base;      /* the number of the first place in the oldest chunk */
	uint64_t first;     /* the oldest event that is kept */
	uint64_t published;
	uint64_t last;
	uint64_t keep;
	uint64_t text_bytes;
};

/* The event behind `seq` will be the first. keep is at least 1. */
void ring_init(struct ring *ring, uint64_t keep, uint64_t seq);
void ring_fini(struct ring *ring);
/* Keeps more or fewer events, at least 1, from the next ring_publish on. */
void ring_keep(struct ring *ring, uint64_t keep);

/* Begins an event, whose number is ring->last + 1: the caller appends its line, LF included, to the
 * buffer and ends it; offset and len of *event are filled in. */
struct buf *ring_begin(struct ring *ring);
void ring_end(struct ring *ring, const struct ring_event *event);

/* Everything up to seq may be seen; what is older than the last `keep` of it is released. Returns
 * the union of the kinds of the events that became visible. */
uint32_t ring_publish(struct ring *ring, uint64_t seq);
/* Nothing behind seq, which is not published, has happened. */
void ring_retract(struct ring *ring, uint64_t seq);

/* An event from first to last, and its line. */
const struct ring_event *ring_at(const struct ring *ring, uint64_t seq, const char **ret_text);

/* How many events and bytes of memory the ring holds. */
uint64_t ring_events(const struct ring *ring);
uint64_t ring_bytes(const struct ring *ring);

#endif
