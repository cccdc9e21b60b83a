/* Lays the tasks of a plan out. The rules, and why the bounds hold, stand above planner.c. */
#include "plan_tasks.h"

#include <assert.h>

/* The tasks and edges of the graph, in the order of their numbers. */

static uint32_t task_add(struct planner *p, enum task_action action, enum task_description description)
{
	struct graph *graph = p->graph;
	uint32_t number = graph->task_count++;
	struct task *task = &graph->tasks[number];

	assert(number < p->task_capacity - 1); /* the last place ends the edge lists */
	*task = (struct task){.action = (uint8_t)action, .description = (uint8_t)description,
		.gate = GATE_PREREQS, .prereqs = graph->edge_count};
	return number;
}

/* Makes the task that was added last wait for another; NO_TASK is none. */
static void task_wait(struct planner *p, uint32_t prereq)
{
	struct graph *graph = p->graph;

	if (prereq == NO_TASK)
		return;
	assert(prereq < graph->task_count - 1 && graph->edge_count < p->edge_capacity);
	graph->prereqs[graph->edge_count++] = prereq;
	graph->tasks[graph->task_count - 1].pending++;
}

static uint32_t task_add_node(struct planner *p, enum task_action action,
	enum task_description description, const struct plan_node *node)
{
	uint32_t number = task_add(p, action, description);
	struct task *task = &p->graph->tasks[number];

	task->node = node->id;
	task->version = node->version;
	task->slot = node->slot;
	return number;
}

static uint32_t task_add_stop(struct planner *p, uint32_t victim)
{
	return task_add_node(p, ACTION_SHUT_DOWN_NODE, DESCRIPTION_NONE,
		&p->nodes[p->victims[victim]]);
}

static uint32_t task_add_start(struct planner *p, uint32_t slot)
{
	uint32_t number = task_add(p, ACTION_START_NODE, DESCRIPTION_NONE);
	struct task *task = &p->graph->tasks[number];

	task->node = plan_node_id(&p->graph->id, number);
	task->version = p->target->version;
	task->slot = slot;
	return number;
}

static bool victim_broken(const struct planner *p, uint32_t victim)
{
	return plan_node_broken(&p->nodes[p->victims[victim]]);
}

/* Slots. */

static uint32_t slot_take_free(struct planner *p)
{
	while (p->next_taken < p->count && p->nodes[p->next_taken].slot == p->next_free_slot) {
		p->next_taken++;
		p->next_free_slot++;
	}
	return p->next_free_slot++;
}

static uint32_t victim_slot(const struct planner *p, uint32_t victim)
{
	return p->nodes[p->victims[victim]].slot;
}

/* A start that raises the number of live nodes: at once in a free slot where `free_place`, else
 * when the next going node is gone, and in its slot. The caller adds what else it waits for. */
static uint32_t task_add_raise(struct planner *p, bool free_place)
{
	uint32_t settle, start;

	if (free_place)
		return task_add_start(p, slot_take_free(p));
	assert(p->going_used < p->going_count);
	settle = p->going[p->going_used++];
	start = task_add_start(p, p->graph->tasks[settle].slot);
	task_wait(p, settle);
	return start;
}

/* 0. Settle. */
void plan_add_settles(struct planner *p)
{
	uint32_t going = 0;

	for (uint32_t i = 0; i < p->count; i++) {
		bool goes = plan_node_goes(p, i);
		uint32_t settle;

		if (!goes && !(p->kept[i] && p->nodes[i].health != PLAN_AVAILABLE))
			continue;
		settle = task_add_node(p, ACTION_DO_NOTHING, DESCRIPTION_SETTLE, &p->nodes[i]);
		if (goes)
			p->going[going++] = settle;
		else
			p->risers[p->riser_count++] = settle;
	}
	assert(going == p->going_count && p->riser_count == p->kept_pending);
}

/* 1. Grow. */
void plan_add_grow(struct planner *p)
{
	uint32_t first = p->graph->task_count;
	uint32_t free_places = p->graph->max_live - p->count;

	if (p->grow == 0)
		return;
	for (uint32_t i = 0; i < p->grow; i++)
		task_add_raise(p, i < free_places);
	p->barrier = task_add(p, ACTION_DO_NOTHING, DESCRIPTION_START_NODES);
	for (uint32_t i = 0; i < p->grow; i++)
		task_wait(p, first + i);
}

/* The pairs that go in lanes: of healthy victims, but for the proof. */
static uint32_t count_lane_pairs(const struct planner *p)
{
	uint32_t pairs = 0;

	for (uint32_t v = p->shrink; v < p->victim_count; v++)
		if (!victim_broken(p, v) && v != p->proof)
			pairs++;
	return pairs;
}

/* 3, for the broken victims (but for the proof): their starts are risers. */
void plan_add_broken_pairs(struct planner *p)
{
	uint32_t first_riser = p->riser_count;

	if (p->broken_done)
		return;
	p->broken_done = true;
	for (uint32_t v = p->shrink; v < p->victim_count; v++) {
		uint32_t stop, start;

		if (!victim_broken(p, v) || v == p->proof)
			continue;
		stop = task_add_stop(p, v);
		start = task_add_start(p, victim_slot(p, v));
		task_wait(p, stop);
		p->risers[p->riser_count++] = start;
	}
	if (p->riser_count == first_riser || count_lane_pairs(p) == 0)
		return;
	p->broken_barrier = task_add(p, ACTION_DO_NOTHING, DESCRIPTION_REPLACE_BROKEN);
	for (uint32_t i = first_riser; i < p->riser_count; i++)
		task_wait(p, p->risers[i]);
}

/* The first pair of 3, which proves the wanted version: it starts first where there is a place for
 * it, or will be once a broken surplus node has stopped or a going one is gone. Returns its start;
 * *ret_tail is its last task. surplus_stop is the first stop of a broken surplus node, or NO_TASK. */
static uint32_t add_proof(struct planner *p, uint32_t surplus_stop, uint32_t *ret_tail)
{
	bool place = p->graph->max_live > p->count;
	uint32_t start, victim = p->shrink;

	for (uint32_t v = victim; v < p->victim_count; v++)
		if (victim_broken(p, v)) {
			victim = v;
			break;
		}
	p->proof = victim;
	if (!place && surplus_stop == NO_TASK && p->going_used == p->going_count) {
		uint32_t stop = task_add_stop(p, victim);

		start = task_add_start(p, victim_slot(p, victim));
		task_wait(p, stop);
		*ret_tail = start;
		return start;
	}
	if (!place && surplus_stop != NO_TASK) {
		start = task_add_start(p, p->graph->tasks[surplus_stop].slot);
		task_wait(p, surplus_stop);
	} else {
		start = task_add_raise(p, place);
	}
	*ret_tail = task_add_stop(p, victim);
	task_wait(p, start);
	return start;
}

/* 2. Shrink. The broken pairs come before the healthy stops where these wait for them. */
void plan_add_shrink(struct planner *p)
{
	uint32_t first = p->graph->task_count, broken = 0, healthy, surplus_stop = NO_TASK;
	uint32_t proof = NO_TASK, proof_tail = NO_TASK, first_healthy, wait, spare;

	if (p->shrink == 0)
		return;
	for (uint32_t v = 0; v < p->shrink; v++)
		if (victim_broken(p, v)) {
			task_add_stop(p, v);
			broken++;
		}
	if (broken > 0)
		surplus_stop = first;
	healthy = p->shrink - broken;
	if (healthy > 0 && p->kept_available == 0 && p->target->size > 0) {
		if (p->kept_pending > 0)
			proof = p->risers[0];
		else
			proof = add_proof(p, surplus_stop, &proof_tail);
	}
	spare = p->available - p->graph->min_available;
	if (p->proof != NO_TASK && victim_broken(p, p->proof))
		spare++; /* the proof, which all the healthy stops wait for, has added one by then */
	wait = healthy > spare ? healthy - spare : 0;
	if (wait > p->riser_count)
		plan_add_broken_pairs(p);
	first_healthy = p->graph->task_count;
	for (uint32_t v = 0, i = 0; v < p->shrink; v++) {
		if (victim_broken(p, v))
			continue;
		task_add_stop(p, v);
		/* A riser is at the wanted version, and so a proof itself; but where the proof is a
		 * pair, it was counted as spare. */
		if (i >= wait || p->kept_pending == 0)
			task_wait(p, proof);
		if (i < wait)
			task_wait(p, p->risers[i]);
		i++;
	}
	p->risers_used = wait;
	if (wait == 0 && proof != NO_TASK && p->kept_pending > 0)
		p->risers_used = 1;
	p->barrier = task_add(p, ACTION_DO_NOTHING, DESCRIPTION_KILL_SOME);
	for (uint32_t i = 0; i < broken; i++)
		task_wait(p, first + i);
	if (proof_tail != proof)
		task_wait(p, proof_tail);
	for (uint32_t i = 0; i < healthy; i++)
		task_wait(p, first_healthy + i);
}

/* The prerequisites of the first task of a lane. */
static void lane_begin(struct planner *p)
{
	task_wait(p, p->barrier);
	task_wait(p, p->broken_barrier);
}

static void add_surge_pair(struct planner *p, uint32_t lane, uint32_t victim, bool free_place)
{
	uint32_t start, stop;

	if (p->lane_tail[lane] == NO_TASK) {
		start = task_add_raise(p, free_place);
		lane_begin(p);
	} else {
		start = task_add_start(p, p->lane_slot[lane]);
		task_wait(p, p->lane_tail[lane]);
	}
	stop = task_add_stop(p, victim);
	task_wait(p, start);
	p->lane_tail[lane] = stop;
	p->lane_slot[lane] = victim_slot(p, victim);
}

/* riser: the one that the lane waits for before it begins, or NO_TASK. */
static void add_down_pair(struct planner *p, uint32_t lane, uint32_t victim, uint32_t riser)
{
	uint32_t stop = task_add_stop(p, victim), start;

	if (p->lane_tail[lane] == NO_TASK) {
		lane_begin(p);
		task_wait(p, riser);
	} else {
		task_wait(p, p->lane_tail[lane]);
	}
	start = task_add_start(p, victim_slot(p, victim));
	task_wait(p, stop);
	p->lane_tail[lane] = start;
}

/* 3, for the healthy victims: pairs dealt round the lanes, surge lanes first. */
void plan_add_lanes(struct planner *p)
{
	const struct plan_target *target = p->target;
	uint32_t pairs = count_lane_pairs(p);
	uint32_t surge = plan_minimum(target->surge, pairs);
	uint32_t down = plan_minimum(target->unavailable, pairs - surge);
	uint32_t free_places = p->graph->max_live - target->size - (p->going_count - p->going_used);
	uint32_t allowed = target->size - p->graph->min_available; /* X */
	uint32_t used = plan_minimum(p->risers_used, p->kept_pending);
	uint32_t to_come = p->kept_pending - used + down;
	uint32_t wait = to_come > allowed ? to_come - allowed : 0;
	uint32_t lanes = surge + down, lane = 0;

	assert(free_places <= p->graph->max_live);
	for (uint32_t v = p->shrink; v < p->victim_count; v++) {
		if (victim_broken(p, v) || v == p->proof)
			continue;
		if (lane < surge)
			add_surge_pair(p, lane, v, lane < free_places);
		else
			add_down_pair(p, lane, v,
				lane - surge < wait ? p->risers[used + lane - surge] : NO_TASK);
		lane = (lane + 1) % lanes;
	}
}
