/* A task is a byte of flags and then what they say is there:
 *
 *   action (2 bits), description (3 bits), NODE, STARTED, VERSION
 *   NODE:    the slot, as the difference to the one before; without STARTED the 16 bytes of the id.
 *            With STARTED it is the one that the planner derives from the graph's id and the number.
 *   VERSION: its version; else that of the node before
 *   the number of runs of prerequisites; for each, how far it begins behind the end of the one
 *   before, and how long it is
 *
 * Numbers are in groups of 7 bits, the lowest first; a signed one has its sign in the lowest bit. */
#include "plan.h"

#include <stdlib.h>

#include "core/planner.h"
#include "proto/limits.h"
#include "proto/mem.h"
#include "store.h"

enum {
	FLAG_ACTION = 0x03,
	FLAG_DESCRIPTION = 0x1c,
	DESCRIPTION_SHIFT = 2,
	FLAG_NODE = 0x20,
	FLAG_STARTED = 0x40,
	FLAG_VERSION = 0x80,
	NUMBER_MAX = 10, /* bytes of the longest number */
};

/* Flags, a slot, an ID, a version, and a run of edges; in a buffer of up to twice the room, and in SQLite's copy. */
_Static_assert(3 * (1 + 5 + sizeof(struct id) + NUMBER_MAX + 3 * 5) <= STORE_PLAN_TASK_BYTES, "a task of a plan");

static const struct id no_id;

/* ---- encoding ------------------------------------------------------------------------------ */

static void put_number(struct buf *buf, uint64_t number)
{
	char *at = buf_room(buf, NUMBER_MAX);

	for (; number >= 0x80; number >>= 7) {
		*at++ = (char)(number | 0x80);
		buf->len++;
	}
	*at = (char)number;
	buf->len++;
}

static void put_difference(struct buf *buf, uint32_t number, uint32_t before)
{
	int64_t difference = (int64_t)number - before;

	put_number(buf, difference < 0 ? (uint64_t)-difference << 1 | 1 : (uint64_t)difference << 1);
}

static void put_prereqs(struct buf *buf, const uint32_t *prereqs, uint32_t count)
{
	uint32_t runs = 0, end = 0;

	for (uint32_t i = 0; i < count; i++)
		runs += i == 0 || prereqs[i] != prereqs[i - 1] + 1;
	put_number(buf, runs);
	for (uint32_t i = 0, next; i < count; i = next) {
		for (next = i + 1; next < count && prereqs[next] == prereqs[next - 1] + 1;)
			next++;
		put_difference(buf, prereqs[i], end);
		put_number(buf, next - i);
		end = prereqs[next - 1] + 1;
	}
}

struct place {
	uint32_t slot;    /* of the node before */
	uint64_t version;
};

static void put_task(struct buf *buf, const struct graph *graph, uint32_t number, struct place *place)
{
	const struct task *task = &graph->tasks[number];
	bool node = !id_equal(&task->node, &no_id);
	bool version = node && task->version != place->version;
	bool started = task->action == ACTION_START_NODE;
	const uint32_t *prereqs;
	uint32_t count;

	buf_add_char(buf, (char)(task->action | task->description << DESCRIPTION_SHIFT |
		(node ? FLAG_NODE : 0) | (started ? FLAG_STARTED : 0) | (version ? FLAG_VERSION : 0)));
	if (node) {
		put_difference(buf, task->slot, place->slot);
		place->slot = task->slot;
	}
	if (node && !started)
		buf_add(buf, task->node.bytes, sizeof task->node.bytes);
	if (version) {
		put_number(buf, task->version);
		place->version = task->version;
	}
	prereqs = graph_prereqs(graph, number, &count);
	put_prereqs(buf, prereqs, count);
}

void plan_encode(struct buf *buf, const struct graph *graph)
{
	struct place place = {0};

	put_number(buf, graph->edge_count);
	for (uint32_t t = 0; t < graph->task_count; t++)
		put_task(buf, graph, t, &place);
}

/* ---- decoding ------------------------------------------------------------------------------ */

struct reader {
	const uint8_t *at, *end;
	bool broken;
};

static uint8_t get_byte(struct reader *reader)
{
	if (reader->at == reader->end) {
		reader->broken = true;
		return 0;
	}
	return *reader->at++;
}

static uint64_t get_number(struct reader *reader)
{
	uint64_t number = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = get_byte(reader);

		number |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return number;
	}
	reader->broken = true;
	return 0;
}

static uint32_t get_difference(struct reader *reader, uint32_t before)
{
	uint64_t number = get_number(reader);
	int64_t value = number & 1 ? -(int64_t)(number >> 1) : (int64_t)(number >> 1);

	if (number >> 34 != 0 || value + before < 0 || value + before > UINT32_MAX) {
		reader->broken = true;
		return 0;
	}
	return (uint32_t)(value + before);
}

static void get_id(struct reader *reader, struct id *ret_id)
{
	for (size_t i = 0; i < sizeof ret_id->bytes; i++)
		ret_id->bytes[i] = get_byte(reader);
}

static void get_node(struct reader *reader, struct graph *graph, uint32_t number, uint8_t flags,
	struct place *place)
{
	struct task *task = &graph->tasks[number];

	place->slot = task->slot = get_difference(reader, place->slot);
	if (flags & FLAG_STARTED)
		task->node = plan_node_id(&graph->id, number);
	else
		get_id(reader, &task->node);
	if (task->slot > 2 * LIMIT_SIZE || id_equal(&task->node, &no_id))
		reader->broken = true;
	if (flags & FLAG_VERSION)
		place->version = get_number(reader);
	task->version = place->version;
}

/* Whether the flags are those of a task as planners make them: a barrier has a description and no node,
 * a Settle both, and what starts or stops a node has that node alone. */
static bool flags_sound(uint8_t flags)
{
	uint8_t action = flags & FLAG_ACTION;
	uint8_t description = (flags & FLAG_DESCRIPTION) >> DESCRIPTION_SHIFT;
	bool nothing = action == ACTION_DO_NOTHING;
	bool node = !nothing || description == DESCRIPTION_SETTLE;

	return action < TASK_ACTION_COUNT && description < TASK_DESCRIPTION_COUNT &&
		nothing == (description != DESCRIPTION_NONE) && node == !!(flags & FLAG_NODE) &&
		(action == ACTION_START_NODE) == !!(flags & FLAG_STARTED) &&
		(node || !(flags & FLAG_VERSION));
}

/* Prerequisites have lower numbers than the task, and are `capacity` in all. */
static void get_prereqs(struct reader *reader, struct graph *graph, uint32_t number,
	uint32_t capacity)
{
	uint64_t runs = get_number(reader);
	uint32_t end = 0;

	for (uint64_t i = 0; i < runs && !reader->broken; i++) {
		uint32_t first = get_difference(reader, end);
		uint64_t len = get_number(reader);

		if (first >= number || len == 0 || len > number - first ||
			len > capacity - graph->edge_count) {
			reader->broken = true;
			return;
		}
		for (end = first; end < first + len; end++)
			graph->prereqs[graph->edge_count++] = end;
		graph->tasks[number].pending += (uint32_t)len;
	}
}

static void get_task(struct reader *reader, struct graph *graph, uint32_t number, uint32_t edges,
	struct place *place)
{
	uint8_t flags = get_byte(reader);
	struct task *task = &graph->tasks[number];

	*task = (struct task){
		.action = flags & FLAG_ACTION,
		.description = (uint8_t)((flags & FLAG_DESCRIPTION) >> DESCRIPTION_SHIFT),
		.gate = GATE_PREREQS,
		.prereqs = graph->edge_count,
	};
	if (!flags_sound(flags))
		reader->broken = true;
	if (flags & FLAG_NODE)
		get_node(reader, graph, number, flags, place);
	get_prereqs(reader, graph, number, edges);
}

static void decode(struct reader *reader, struct graph *graph, uint32_t edges)
{
	struct place place = {0};

	for (uint32_t t = 0; t < graph->task_count && !reader->broken; t++)
		get_task(reader, graph, t, edges, &place);
	if (reader->at != reader->end || graph->edge_count != edges)
		reader->broken = true;
}

static int fail(struct graph *graph, enum err_code code, const char *why, struct error *error)
{
	free(graph->tasks);
	free(graph->prereqs);
	graph->tasks = NULL;
	graph->prereqs = NULL;
	graph->task_count = graph->edge_count = 0;
	return error_set(error, code, "%s", why);
}

int plan_decode(struct graph *graph, uint32_t task_count, const void *data, size_t len,
	struct error *error)
{
	struct reader reader = {.at = data, .end = (const uint8_t *)data + len};
	uint64_t edges = get_number(&reader);

	/* A task takes two bytes at least, the edges one, and no planner makes more than four edges a task. */
	if (reader.broken || task_count > len / 2 || edges > 4 * ((uint64_t)task_count + 1))
		return fail(graph, ERR_STORAGE, "the plan is damaged", error);
	graph->task_count = task_count;
	graph->edge_count = 0;
	graph->tasks = mem_large_alloc((size_t)task_count + 1, sizeof *graph->tasks);
	graph->prereqs = mem_large_alloc((size_t)edges + 1, sizeof *graph->prereqs);
	if (!graph->tasks || !graph->prereqs)
		return fail(graph, ERR_INTERNAL, "not enough memory for the plan", error);
	decode(&reader, graph, (uint32_t)edges);
	if (reader.broken)
		return fail(graph, ERR_STORAGE, "the plan is damaged", error);
	if (graph_link(graph) < 0)
		return fail(graph, ERR_INTERNAL, "not enough memory for the plan", error);
	return 0;
}
