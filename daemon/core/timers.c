/* A binary heap of handles over an array of slots. A slot knows its place in the heap, so that
 * cancelling is as cheap as taking the first; memory follows the most timers alive at once, and goes
 * when none is left. */
#include <assert.h>
#include <stdlib.h>

#include "proto/mem.h"
#include "timers.h"

enum { CAPACITY_MIN = 16, CAPACITY_KEPT = 1024 };

struct timer_slot {
	struct timer timer;
	uint64_t order; /* of being added, to part equal deadlines */
	uint32_t place; /* in the heap; of a free slot: the next free one */
};

void timers_init(struct timers *timers)
{
	*timers = (struct timers){.free = TIMER_NONE};
}

void timers_fini(struct timers *timers)
{
	free(timers->heap);
	free(timers->slots);
	timers_init(timers);
}

static bool slot_before(const struct timers *timers, uint32_t a, uint32_t b)
{
	const struct timer_slot *x = &timers->slots[a];
	const struct timer_slot *y = &timers->slots[b];

	if (x->timer.deadline_ms != y->timer.deadline_ms)
		return x->timer.deadline_ms < y->timer.deadline_ms;
	return x->order < y->order;
}

static void heap_set(struct timers *timers, uint32_t place, uint32_t handle)
{
	timers->heap[place] = handle;
	timers->slots[handle].place = place;
}

/* Moves a handle from a place that is vacant towards the root, as far as it must. */
static void heap_up(struct timers *timers, uint32_t place, uint32_t handle)
{
	while (place > 0) {
		uint32_t parent = (place - 1) / 2;

		if (!slot_before(timers, handle, timers->heap[parent]))
			break;
		heap_set(timers, place, timers->heap[parent]);
		place = parent;
	}
	heap_set(timers, place, handle);
}

/* The same towards the leaves. */
static void heap_down(struct timers *timers, uint32_t place, uint32_t handle)
{
	for (;;) {
		uint64_t child = 2 * (uint64_t)place + 1;

		if (child >= timers->count)
			break;
		if (child + 1 < timers->count
			&& slot_before(timers, timers->heap[child + 1], timers->heap[child]))
			child++;
		if (!slot_before(timers, timers->heap[child], handle))
			break;
		heap_set(timers, place, timers->heap[child]);
		place = (uint32_t)child;
	}
	heap_set(timers, place, handle);
}

static void timers_grow(struct timers *timers)
{
	uint32_t capacity = timers->capacity ? timers->capacity * 2 : CAPACITY_MIN;

	assert(capacity > timers->capacity);
	timers->heap = mem_realloc(timers->heap, capacity, sizeof *timers->heap);
	timers->slots = mem_realloc(timers->slots, capacity, sizeof *timers->slots);
	for (uint32_t handle = capacity; handle-- > timers->capacity;) {
		timers->slots[handle].place = timers->free;
		timers->free = handle;
	}
	timers->capacity = capacity;
}

uint32_t timers_add(struct timers *timers, struct timer timer)
{
	uint32_t handle;

	if (timers->free == TIMER_NONE)
		timers_grow(timers);
	handle = timers->free;
	timers->free = timers->slots[handle].place;
	timers->slots[handle].timer = timer;
	timers->slots[handle].order = timers->added++;
	heap_up(timers, timers->count++, handle);
	return handle;
}

/* A free slot's place may be any number, but no free slot stands in the heap. */
static bool handle_valid(const struct timers *timers, uint32_t handle)
{
	if (handle >= timers->capacity)
		return false;
	return timers->slots[handle].place < timers->count
		&& timers->heap[timers->slots[handle].place] == handle;
}

void timers_cancel(struct timers *timers, uint32_t handle)
{
	uint32_t place, last;

	assert(handle_valid(timers, handle));
	place = timers->slots[handle].place;
	last = timers->heap[--timers->count];
	if (last != handle) {
		if (place > 0 && slot_before(timers, last, timers->heap[(place - 1) / 2]))
			heap_up(timers, place, last);
		else
			heap_down(timers, place, last);
	}
	timers->slots[handle].place = timers->free;
	timers->free = handle;
	if (!timers->count && timers->capacity > CAPACITY_KEPT) {
		uint64_t added = timers->added;

		timers_fini(timers);
		timers->added = added;
	}
}

int64_t timers_next(const struct timers *timers)
{
	return timers->count ? timers->slots[timers->heap[0]].timer.deadline_ms : INT64_MAX;
}

bool timers_pop(struct timers *timers, int64_t now_ms, struct timer *ret_timer)
{
	if (!timers->count || timers_next(timers) > now_ms)
		return false;
	*ret_timer = timers->slots[timers->heap[0]].timer;
	timers_cancel(timers, timers->heap[0]);
	return true;
}

const struct timer *timers_get(const struct timers *timers, uint32_t handle)
{
	assert(handle_valid(timers, handle));
	return &timers->slots[handle].timer;
}
