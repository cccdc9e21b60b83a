/* The rules, in the order in which they are applied.
 *
 * Kept are the nodes at the wanted version, as many as are wanted: the available ones first, then
 * those that are about to be. Every other live node is either going (something in flight will end
 * it) or a victim. Victims stand in one order: marked by a user; broken; wrong version; highest slot.
 *
 *   0. Settle    a do_nothing task for every node in flight; it ends when that does.
 *   1. Grow      starts in parallel, then a barrier, StartNodes.
 *   2. Shrink    stops of the first victims, then a barrier, KillSome. Broken ones go at once;
 *                where nothing at the wanted version is available yet, the healthy ones wait for
 *                the first such node (the proof).
 *   3. Replace   the other victims, each in a pair with a start. Broken ones all at once, stop then
 *                start. The healthy ones in lanes, each a chain: S lanes of start then stop, U lanes
 *                of stop then start. Lanes begin after all of the above.
 *
 * The bounds: live <= C = max(L0, N + S), and available >= F = min(A0, N - U) against our own stops.
 * L0 and A0 are the live and available nodes when the plan is made, N the size.
 *
 * Who waits for a Settle. A going node holds a place below C until it is gone. Of the starts that raise
 * the number of live nodes (those of 1, and the first of each surge lane), as many as there are free
 * places need no Settle; each further one waits for one going node of its own. When lanes begin,
 * N nodes live besides the going ones, so C - N - going places are free; that this and the going nodes
 * suffice for S lanes follows from C >= N + S.
 *
 * A kept node in flight, or a broken pair, will raise the number of available nodes (a riser). When
 * everything has ended N nodes are available, so with r risers to come and s healthy stops not
 * yet made good there are N - r - s: F holds as long as r + s <= X = N - F. Each healthy stop of 2 and
 * each U lane that would exceed X waits for one riser of its own. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "plan_tasks.h"
#include "proto/mem.h"

struct plan_target plan_target(uint32_t size, uint64_t version, const struct policy *policy)
{
	const struct amount *surge = &policy->max_surge, *down = &policy->max_unavailable;
	struct plan_target target = {.size = size, .version = version};

	target.surge = surge->percent ? (uint32_t)(((uint64_t)size * surge->value + 99) / 100)
				      : surge->value;
	target.unavailable = down->percent ? (uint32_t)((uint64_t)size * down->value / 100)
					   : down->value;
	if (target.surge == 0 && target.unavailable == 0)
		target.unavailable = 1;
	return target;
}

static uint64_t mix64(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

struct id plan_node_id(const struct id *graph, uint32_t task)
{
	uint64_t half[2];
	struct id id;

	memcpy(half, graph->bytes, sizeof half);
	half[0] = mix64(half[0] ^ mix64(half[1] + task));
	half[1] = mix64(half[0] ^ mix64(half[1]) ^ task);
	memcpy(id.bytes, half, sizeof half);
	id.bytes[6] = 0x80 | (id.bytes[6] & 0x0f);
	id.bytes[8] = 0x80 | (id.bytes[8] & 0x3f);
	return id;
}

/* Who is kept, who goes, who is a victim. */

static void choose_kept(struct planner *p)
{
	static const uint8_t order[] = {PLAN_AVAILABLE, PLAN_READYING, PLAN_STARTING};

	for (int pass = 0; pass < 6; pass++) {
		uint8_t health = order[pass / 2];
		bool marked = pass % 2;

		for (uint32_t i = 0; i < p->count && p->kept_count < p->target->size; i++) {
			const struct plan_node *node = &p->nodes[i];

			if (node->health != health || node->marked != marked ||
				node->version != p->target->version)
				continue;
			p->kept[i] = true;
			p->kept_count++;
			if (health == PLAN_AVAILABLE)
				p->kept_available++;
			else
				p->kept_pending++;
		}
	}
}

static unsigned victim_class(const struct planner *p, const struct plan_node *node)
{
	return (node->marked ? 0 : 4) + (plan_node_broken(node) ? 0 : 2) +
		(node->version != p->target->version ? 0 : 1);
}

/* Sorts the victims by class, and by falling slot within a class. */
static void choose_victims(struct planner *p)
{
	uint32_t place[9] = {0};

	for (uint32_t i = 0; i < p->count; i++) {
		struct plan_node *node = &p->nodes[i];

		node->release = !p->kept[i] &&
			(node->health == PLAN_STARTING || node->health == PLAN_READYING);
		if (node->health == PLAN_AVAILABLE)
			p->available++;
		if (plan_node_goes(p, i))
			p->going_count++;
		else if (!p->kept[i])
			place[victim_class(p, node) + 1]++;
	}
	for (int class = 1; class <= 8; class++)
		place[class] += place[class - 1];
	p->victim_count = place[8];
	for (uint32_t i = p->count; i-- > 0;)
		if (!p->kept[i] && !plan_node_goes(p, i))
			p->victims[place[victim_class(p, &p->nodes[i])]++] = i;
}

static int compare_slots(const void *a, const void *b)
{
	const struct plan_node *x = a, *y = b;

	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static void sort_nodes(struct plan_node *nodes, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (nodes[i - 1].slot > nodes[i].slot) {
			qsort(nodes, count, sizeof *nodes, compare_slots);
			break;
		}
	for (size_t i = 1; i < count; i++)
		assert(nodes[i - 1].slot < nodes[i].slot);
}

/* Sizes everything for the worst case; the graph's arrays are trimmed when it is made. A live node gets a Settle or a
 * stop at most, starts are as many as the size at most, and there are two barriers. */
static int planner_init(struct planner *p)
{
	uint32_t n = p->count + 1, size = p->target->size;
	uint32_t tasks = p->count + size + 4;

	p->task_capacity = tasks;
	p->edge_capacity = 4 * tasks;
	p->kept = mem_large_zalloc(n, sizeof *p->kept);
	p->victims = mem_large_alloc(n, sizeof *p->victims);
	p->going = mem_large_alloc(n, sizeof *p->going);
	p->risers = mem_large_alloc(n, sizeof *p->risers);
	p->lane_slot = mem_large_alloc(n, sizeof *p->lane_slot);
	p->lane_tail = mem_large_alloc(n, sizeof *p->lane_tail);
	p->graph->tasks = mem_large_alloc(tasks, sizeof *p->graph->tasks);
	p->graph->prereqs = mem_large_alloc(p->edge_capacity, sizeof *p->graph->prereqs);
	if (!p->kept || !p->victims || !p->going || !p->risers || !p->lane_slot ||
		!p->lane_tail || !p->graph->tasks || !p->graph->prereqs)
		return -1;
	memset(p->lane_tail, 0xff, n * sizeof *p->lane_tail);
	return 0;
}

static void planner_fini(struct planner *p)
{
	free(p->kept);
	free(p->victims);
	free(p->going);
	free(p->risers);
	free(p->lane_slot);
	free(p->lane_tail);
}

static void set_bounds(struct planner *p)
{
	uint32_t size = p->target->size, down = p->target->unavailable;
	uint32_t ceiling = size + p->target->surge;

	p->graph->max_live = p->count > ceiling ? p->count : ceiling;
	p->graph->min_available = plan_minimum(p->available, size > down ? size - down : 0);
}

static int finish(struct graph *graph)
{
	struct task *tasks = realloc(graph->tasks, (graph->task_count + 1) * sizeof *tasks);
	uint32_t *prereqs = realloc(graph->prereqs, (graph->edge_count + 1) * sizeof *prereqs);

	if (tasks) /* else the larger block does as well */
		graph->tasks = tasks;
	if (prereqs)
		graph->prereqs = prereqs;
	if (graph_link(graph) < 0)
		return -1;
	graph->counts[TASK_WAITING] = graph->task_count;
	return 0;
}

static int fail(struct graph *graph, struct error *error)
{
	free(graph->tasks);
	free(graph->prereqs);
	free(graph->dependents);
	graph->tasks = NULL;
	graph->prereqs = graph->dependents = NULL;
	graph->task_count = graph->edge_count = 0;
	return error_set(error, ERR_INTERNAL, "not enough memory to plan");
}

static void make(struct planner *p)
{
	uint32_t size = p->target->size, stays;

	choose_kept(p);
	choose_victims(p);
	stays = p->kept_count + p->victim_count;
	p->grow = size > stays ? size - stays : 0;
	p->shrink = stays > size ? stays - size : 0;
	set_bounds(p);
	plan_add_settles(p);
	plan_add_grow(p);
	plan_add_shrink(p);
	plan_add_broken_pairs(p);
	plan_add_lanes(p);
}

int plan_make(struct graph *graph, struct plan_node *nodes, size_t count,
	const struct plan_target *target, struct error *error)
{
	struct planner p = {
		.graph = graph,
		.nodes = nodes,
		.count = (uint32_t)count,
		.target = target,
		.barrier = NO_TASK,
		.broken_barrier = NO_TASK,
		.proof = NO_TASK,
	};
	int result;

	sort_nodes(nodes, count);
	result = planner_init(&p);
	if (result == 0) {
		make(&p);
		result = finish(graph);
	}
	planner_fini(&p);
	return result == 0 ? 0 : fail(graph, error);
}
