#include "group.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mem.h"
#include "timers.h"

struct group *group_new(const char *name)
{
	struct group *group = mem_zalloc(1, sizeof *group);

	assert(strlen(name) <= LIMIT_GROUP_NAME);
	strcpy(group->name, name);
	TAILQ_INIT(&group->graphs);
	group->heal_timer = TIMER_NONE;
	group->replan = -1;
	return group;
}

void group_free(struct group *group)
{
	struct graph *graph;

	if (!group)
		return;
	while ((graph = TAILQ_FIRST(&group->graphs)) != NULL) {
		TAILQ_REMOVE(&group->graphs, graph, entry);
		graph_free(graph);
	}
	for (uint32_t i = 0; i < group->specs.count; i++)
		free(group->specs.items[(group->specs.first + i) % group->specs.capacity].note);
	free(group->specs.items);
	free(group->ended.items);
	free(group->slots);
	free(group);
}

struct slot *group_slot(struct group *group, uint32_t slot)
{
	if (slot >= group->slot_count) {
		uint32_t count = group->slot_count ? group->slot_count : 4;
		struct slot *slots;

		while (count <= slot)
			count *= 2;
		slots = mem_large_resize(group->slots, group->slots_used, count, sizeof *slots);
		if (!slots)
			mem_exhausted();
		group->slots = slots;
		group->slot_count = count;
	}
	while (group->slots_used <= slot)
		group->slots[group->slots_used++] = (struct slot){.node = NODE_NONE};
	return &group->slots[slot];
}

/* The rings stand at number % capacity, so growing one moves its items to their new places. */
/* Room for one more than a full ring has. More than `keep` and one are in it only where what was
 * stored under a higher limit was loaded. */
static uint32_t ring_capacity(uint32_t capacity, uint32_t keep)
{
	uint32_t grown = capacity ? capacity * 2 : 4;

	if (grown > keep + 1)
		grown = keep + 1;
	return grown > capacity ? grown : capacity + 1;
}

static void spec_ring_grow(struct spec_ring *ring, uint32_t keep)
{
	uint32_t capacity = ring_capacity(ring->capacity, keep);
	struct spec *items = mem_zalloc(capacity, sizeof *items);

	for (uint64_t i = ring->first; i < ring->first + ring->count; i++)
		items[i % capacity] = ring->items[i % ring->capacity];
	free(ring->items);
	ring->items = items;
	ring->capacity = capacity;
}

void group_keep_spec(struct group *group, const struct spec *spec, uint32_t keep)
{
	struct spec_ring *ring = &group->specs;

	if (ring->count == 0)
		ring->first = spec->revision;
	assert(spec->revision == ring->first + ring->count);
	if (ring->count == ring->capacity)
		spec_ring_grow(ring, keep);
	ring->items[spec->revision % ring->capacity] = *spec;
	ring->count++;
	group->spec = *spec;
}

uint64_t group_drop_spec(struct group *group, uint32_t keep)
{
	struct spec_ring *ring = &group->specs;
	uint64_t gone;

	if (ring->count <= keep)
		return 0;
	gone = ring->first++;
	ring->count--;
	free(ring->items[gone % ring->capacity].note);
	return gone;
}

static void ended_ring_grow(struct ended_ring *ring, uint32_t keep)
{
	uint32_t capacity = ring_capacity(ring->capacity, keep);
	uint32_t *items = mem_zalloc(capacity, sizeof *items);

	for (uint64_t i = ring->first; i < ring->first + ring->count; i++)
		items[i % capacity] = ring->items[i % ring->capacity];
	free(ring->items);
	ring->items = items;
	ring->capacity = capacity;
}

void group_keep_ended(struct group *group, uint32_t node, uint32_t keep)
{
	struct ended_ring *ring = &group->ended;

	if (ring->count == ring->capacity)
		ended_ring_grow(ring, keep);
	ring->items[(ring->first + ring->count++) % ring->capacity] = node;
}

uint32_t group_drop_ended(struct group *group, uint32_t keep)
{
	struct ended_ring *ring = &group->ended;
	uint64_t gone;

	if (ring->count <= keep)
		return NODE_NONE;
	gone = ring->first++;
	ring->count--;
	return ring->items[gone % ring->capacity];
}

uint32_t group_slot_node(const struct group *group, uint32_t slot)
{
	return slot < group->slots_used ? group->slots[slot].node : NODE_NONE;
}

const struct spec *group_spec_from(const struct group *group, uint64_t revision)
{
	const struct spec_ring *ring = &group->specs;

	if (revision < ring->first)
		revision = ring->first;
	if (revision >= ring->first + ring->count)
		return NULL;
	return &ring->items[revision % ring->capacity];
}

uint32_t group_ended_from(const struct group *group, uint64_t *number)
{
	const struct ended_ring *ring = &group->ended;

	if (*number < ring->first)
		*number = ring->first;
	if (*number >= ring->first + ring->count)
		return NODE_NONE;
	return ring->items[*number % ring->capacity];
}

struct graph *group_graph_from(const struct group *group, uint64_t serial)
{
	struct graph *graph;

	TAILQ_FOREACH(graph, &group->graphs, entry)
		if (graph->serial >= serial)
			break;
	return graph;
}
