/* The world of nodes and the driver between it and the engine. The world survives the engine; what
 * is under way in it goes on, and is reported to whoever is there when it ends.
 *
 *   (absent) ─start─► starting ─► running ─stop─► stopping ─► (absent)
 *                        └─► (absent)  ▲  │  └─exit─► (absent)  │
 *                                      └──┼──── the stop fails ─┘
 *                      any ─kill─► killing ─► (absent)
 *                                     └─ the kill fails ─► running
 *
 * It takes every call in every state, as driver.h has it; that the daemon does not make those which make no sense
 * is checked here, too. */
#include <stdlib.h>

#include "proto/mem.h"
#include "sim.h"

struct world_driver {
	struct driver driver;
	struct sim *sim;
};

static struct sim *driver_sim(struct driver *driver)
{
	return ((struct world_driver *)driver)->sim;
}

struct world_node *world_find(struct sim *sim, const struct id *id)
{
	for (uint32_t i = 0; i < sim->world.used; i++)
		if (sim->world.nodes[i].used && id_equal(&sim->world.nodes[i].id, id))
			return &sim->world.nodes[i];
	return NULL;
}

uint32_t world_count(const struct sim *sim, const char *group)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < sim->world.used; i++)
		count += sim->world.nodes[i].used &&
			strcmp(sim->world.nodes[i].group, group) == 0;
	return count;
}

struct world_node *world_any_running(struct sim *sim)
{
	uint32_t begin = sim_below(sim, sim->world.used);

	for (uint32_t i = 0; i < sim->world.used; i++) {
		struct world_node *node = &sim->world.nodes[(begin + i) % sim->world.used];

		if (node->used && node->state == WORLD_RUNNING)
			return node;
	}
	return NULL;
}

static struct world_node *world_add(struct sim *sim, const struct driver_node *target)
{
	struct world *world = &sim->world;
	uint32_t place = 0;

	while (place < world->used && world->nodes[place].used)
		place++;
	if (place == WORLD_MAX)
		sim_fail(sim, "the world is full of nodes");
	if (place == world->used)
		world->used++;
	world->nodes[place] = (struct world_node){.id = target->id, .version = target->version,
		.slot = target->slot, .timer = TIMER_NONE, .used = true};
	strcpy(world->nodes[place].group, target->group);
	return &world->nodes[place];
}

/* Reports: to the driver that is there now, if any. */

static void report_done(struct sim *sim, const struct id *id, enum node_op op,
	enum core_result result, const char *text)
{
	const struct driver_reports *reports = sim->driver ? &sim->driver->reports : NULL;

	sim_say(sim, "world: %s op %d result %d", sim_id(id), op, result);
	if (op == OP_START && result == RESULT_OK)
		floor_vouch(sim, id);
	sim_trace(sim, id, sizeof *id);
	sim_trace(sim, &sim->mono_ms, sizeof sim->mono_ms);
	if (reports)
		reports->done(reports->arg, id, op, result, text);
}

void world_exit(struct sim *sim, struct world_node *node)
{
	struct id id = node->id;

	sim_say(sim, "world: %s exits", sim_id(&id));
	node->used = false;
	if (sim->driver)
		sim->driver->reports.exited(sim->driver->reports.arg, &id, "it was found dead");
}

void world_set_health(struct sim *sim, struct world_node *node, bool healthy)
{
	sim_say(sim, "world: %s is %s", sim_id(&node->id), healthy ? "healthy" : "unhealthy");
	node->unhealthy = !healthy;
	if (healthy)
		floor_vouch(sim, &node->id);
	if (sim->driver)
		sim->driver->reports.health(sim->driver->reports.arg, &node->id, healthy,
			healthy ? NULL : "it does not answer");
}

/* It runs already. */
static void report_running(struct sim *sim, struct world_node *node)
{
	report_done(sim, &node->id, OP_START, RESULT_OK, NULL);
	if (node->unhealthy)
		world_set_health(sim, node, false);
}

/* Things come to their end. */

static bool op_fails(struct sim *sim)
{
	return sim->world.flaky_percent > 0 && sim_chance(sim, sim->world.flaky_percent);
}

static void end_start(struct sim *sim, struct world_node *node)
{
	struct id id = node->id;

	if (node->cancelled) {
		node->used = false;
		report_done(sim, &id, OP_START, RESULT_CANCELLED, NULL);
	} else if (sim->world.bad[node->version] || op_fails(sim)) {
		node->used = false;
		report_done(sim, &id, OP_START, RESULT_FAILED, "it would not start");
	} else {
		node->state = WORLD_RUNNING;
		report_done(sim, &id, OP_START, RESULT_OK, NULL);
	}
}

static void world_begin(struct sim *sim, struct world_node *node, enum world_state state, enum node_op asked);

/* A stop or a kill has ended the node: that answers what was asked last. */
static void world_gone(struct sim *sim, struct world_node *node)
{
	struct id id = node->id;

	if (node->asked == OP_START) {
		node->unhealthy = false;
		world_begin(sim, node, WORLD_STARTING, OP_START);
		return;
	}
	node->used = false;
	if (node->asked == OP_CANCEL)
		report_done(sim, &id, OP_START, RESULT_CANCELLED, NULL);
	else
		report_done(sim, &id, node->asked, RESULT_OK, NULL);
}

/* A stop or a kill has not ended it. */
static void world_runs_on(struct sim *sim, struct world_node *node)
{
	struct id id = node->id;

	if (node->asked == OP_KILL)
		promise_spare(sim, &id);
	node->state = WORLD_RUNNING;
	if (node->asked == OP_STOP || node->asked == OP_KILL)
		report_done(sim, &id, node->asked, RESULT_FAILED, "it would not end");
	else
		report_running(sim, node);
}

static void world_end(struct sim *sim, struct world_node *node)
{
	if (node->state == WORLD_STARTING)
		end_start(sim, node);
	else if (op_fails(sim))
		world_runs_on(sim, node);
	else
		world_gone(sim, node);
}

void world_timer(struct sim *sim, uint32_t place)
{
	sim->world.nodes[place].timer = TIMER_NONE;
	world_end(sim, &sim->world.nodes[place]);
}

static int64_t op_delay_ms(struct sim *sim)
{
	const struct sim_config *config = &sim->config;

	return config->op_delay_min_ms +
		sim_below(sim, config->op_delay_max_ms - config->op_delay_min_ms + 1);
}

/* Takes the place of what is under way. */
static void world_begin(struct sim *sim, struct world_node *node, enum world_state state, enum node_op asked)
{
	sim_cancel(sim, &node->timer);
	node->state = state;
	node->asked = asked;
	node->cancelled = false;
	if (sim_chance(sim, sim->config.op_instant_percent))
		world_end(sim, node);
	else
		node->timer = sim_later(sim, op_delay_ms(sim), QUEUE_WORLD,
			(uint32_t)(node - sim->world.nodes));
}

/* The driver's calls. What is asked must be durable: a row with this op must be there. */

static bool call_begins(struct sim *sim, const struct driver_node *target, enum node_op op,
	const char *what)
{
	const struct node_row *row = rows_node(&sim->storage.rows, &target->id);

	if (sim->config.any_call)
		return true;
	if (sim_dies(sim))
		return false;
	sim_say(sim, "driver: %s %s slot %u version %llu", what, sim_id(&target->id), target->slot,
		(unsigned long long)target->version);
	if (!row)
		sim_fail(sim, "%s of node %s, of which nothing is stored", what, sim_id(&target->id));
	if (!node_live(&row->node) || (op != OP_NONE && row->node.op != op))
		sim_fail(sim, "%s of node %s, but stored are state %s and op %d", what,
			sim_id(&target->id), node_state_name(row->node.state), row->node.op);
	if (row->node.slot != target->slot || row->node.version != target->version ||
		strcmp(row->group, target->group) != 0)
		sim_fail(sim, "%s of node %s with another slot, version or group than stored", what,
			sim_id(&target->id));
	return true;
}

/* A call that the node's past gives the daemon no reason for. */
static void call_surprises(const struct sim *sim, const struct world_node *node, const char *what)
{
	if (!sim->config.any_call)
		sim_fail(sim, "%s of node %s, which is in state %d", what, sim_id(&node->id), node->state);
}

static void world_start(struct driver *driver, const struct driver_node *target)
{
	struct sim *sim = driver_sim(driver);
	struct world_node *node = world_find(sim, &target->id);

	if (!call_begins(sim, target, OP_START, "start"))
		return;
	sim->world.starts++;
	if (!node) {
		world_begin(sim, world_add(sim, target), WORLD_STARTING, OP_START);
	} else if (node->state == WORLD_RUNNING) {
		report_running(sim, node);
	} else {
		if (node->state != WORLD_STARTING)
			call_surprises(sim, node, "start");
		node->asked = OP_START;
		node->cancelled = false;
	}
}

static void world_stop(struct driver *driver, const struct driver_node *target)
{
	struct sim *sim = driver_sim(driver);
	struct world_node *node = world_find(sim, &target->id);

	if (!call_begins(sim, target, OP_STOP, "stop"))
		return;
	sim->world.stops++;
	if (!node) {
		report_done(sim, &target->id, OP_STOP, RESULT_OK, NULL);
		return;
	}
	if (node->state == WORLD_STARTING) /* a kill may go on that was called twice, and failed once */
		call_surprises(sim, node, "stop");
	if (node->state == WORLD_RUNNING || node->state == WORLD_STARTING)
		world_begin(sim, node, WORLD_STOPPING, OP_STOP);
	else
		node->asked = OP_STOP;
}

/* It may be too late. */
static void cancel_start(struct sim *sim, struct world_node *node)
{
	if (!sim_chance(sim, 60))
		return;
	node->cancelled = true;
	if (sim_chance(sim, 50)) {
		sim_cancel(sim, &node->timer);
		end_start(sim, node);
	}
}

static void world_cancel(struct driver *driver, const struct driver_node *target)
{
	struct sim *sim = driver_sim(driver);
	struct world_node *node = world_find(sim, &target->id);

	if (!call_begins(sim, target, OP_CANCEL, "cancel"))
		return;
	if (!node) {
		report_done(sim, &target->id, OP_START, RESULT_CANCELLED, NULL);
	} else if (node->state == WORLD_RUNNING) {
		report_running(sim, node);
	} else if (node->state == WORLD_STARTING) {
		cancel_start(sim, node);
	} else {
		call_surprises(sim, node, "cancel");
		node->asked = OP_CANCEL;
	}
}

static void world_kill(struct driver *driver, const struct driver_node *target)
{
	struct sim *sim = driver_sim(driver);
	struct world_node *node = world_find(sim, &target->id);

	if (!call_begins(sim, target, OP_KILL, "kill"))
		return;
	sim->world.kills++;
	if (!node)
		report_done(sim, &target->id, OP_KILL, RESULT_OK, NULL);
	else if (node->state == WORLD_KILLING)
		node->asked = OP_KILL;
	else
		world_begin(sim, node, WORLD_KILLING, OP_KILL);
}

static void answer_inspection(struct sim *sim, const struct id *id)
{
	const struct world_node *node = world_find(sim, id);
	enum core_found found = !node ? FOUND_ABSENT
		: node->state != WORLD_RUNNING ? FOUND_BUSY
		: node->unhealthy ? FOUND_UNHEALTHY : FOUND_RUNNING;

	sim_say(sim, "world: %s is found %d", sim_id(id), found);
	if (found == FOUND_RUNNING)
		floor_vouch(sim, id);
	sim->driver->reports.inspected(sim->driver->reports.arg, id, found);
}

void world_inspect_timer(struct sim *sim, uint32_t place)
{
	struct id id = sim->world.inspects[place], none = {{0}};

	if (id_equal(&id, &none))
		return; /* who asked is dead */
	sim->world.inspects[place] = none;
	answer_inspection(sim, &id);
}

void world_forget_inspections(struct sim *sim)
{
	memset(sim->world.inspects, 0, sizeof sim->world.inspects);
}

static void world_inspect(struct driver *driver, const struct driver_node *target)
{
	struct sim *sim = driver_sim(driver);
	struct id none = {{0}};

	if (!call_begins(sim, target, OP_NONE, "inspect"))
		return;
	sim->world.inspections++;
	if (sim_chance(sim, sim->config.op_instant_percent)) {
		answer_inspection(sim, &target->id);
		return;
	}
	for (uint32_t i = 0; i < INSPECT_MAX; i++)
		if (id_equal(&sim->world.inspects[i], &none)) {
			sim->world.inspects[i] = target->id;
			sim_later(sim, op_delay_ms(sim) / 4, QUEUE_INSPECT, i);
			return;
		}
	sim_fail(sim, "too many inspections at once");
}

static void world_driver_free(struct driver *driver)
{
	driver_sim(driver)->driver = NULL;
	free(driver);
}

struct driver *world_driver_new(struct sim *sim)
{
	static const struct driver_ops ops = {"world", world_start, world_stop, world_cancel,
		world_kill, world_inspect, world_driver_free};
	struct world_driver *driver = mem_zalloc(1, sizeof *driver);

	driver->driver.ops = &ops;
	driver->sim = sim;
	return &driver->driver;
}
