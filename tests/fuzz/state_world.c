#include "state_world.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "proto/mem.h"

enum {
	TURNS_MAX = 20000,        /* more than this is a livelock, */
	CLOCK_READS_MAX = 100000, /* and so is this within one turn */
};

static struct world *world_of(struct driver *driver)
{
	return (struct world *)driver;
}

/* ---- the driver ---------------------------------------------------------------------------- */

static size_t find_node(const struct world *world, const struct id *id)
{
	size_t place = 0;

	while (place < world->node_count && !id_equal(&world->nodes[place], id))
		place++;
	return place;
}

static void add_node(struct world *world, const struct id *id)
{
	if (find_node(world, id) < world->node_count)
		return;
	if (world->node_count == world->node_capacity) {
		world->node_capacity = world->node_capacity ? world->node_capacity * 2 : 64;
		world->nodes = mem_realloc(world->nodes, world->node_capacity, sizeof *world->nodes);
	}
	world->nodes[world->node_count++] = *id;
}

static void remove_node(struct world *world, const struct id *id)
{
	size_t place = find_node(world, id);

	if (place < world->node_count)
		world->nodes[place] = world->nodes[--world->node_count];
}

static void report_done(struct world *world, const struct id *id, enum node_op op, enum core_result result,
	const char *text)
{
	world->driver.reports.done(world->driver.reports.arg, id, op, result, text);
}

static void driver_start(struct driver *driver, const struct driver_node *node)
{
	struct world *world = world_of(driver);

	if (world->holds)
		return;
	if (world->fails && node->version == WORLD_BAD_VERSION) {
		report_done(world, &node->id, OP_START, RESULT_FAILED, "it does not start");
		return;
	}
	add_node(world, &node->id);
	report_done(world, &node->id, OP_START, RESULT_OK, NULL);
}

static void driver_stop(struct driver *driver, const struct driver_node *node)
{
	struct world *world = world_of(driver);

	if (world->holds)
		return;
	remove_node(world, &node->id);
	report_done(world, &node->id, OP_STOP, RESULT_OK, NULL);
}

static void driver_cancel(struct driver *driver, const struct driver_node *node)
{
	struct world *world = world_of(driver);

	if (world->holds)
		return;
	remove_node(world, &node->id);
	report_done(world, &node->id, OP_START, RESULT_CANCELLED, NULL);
}

static void driver_kill(struct driver *driver, const struct driver_node *node)
{
	struct world *world = world_of(driver);

	if (world->holds)
		return;
	remove_node(world, &node->id);
	report_done(world, &node->id, OP_KILL, RESULT_OK, NULL);
}

static void driver_inspect(struct driver *driver, const struct driver_node *node)
{
	struct world *world = world_of(driver);
	bool runs = find_node(world, &node->id) < world->node_count;

	driver->reports.inspected(driver->reports.arg, &node->id, runs ? FOUND_RUNNING : FOUND_ABSENT);
}

static void driver_free(struct driver *driver)
{
	(void)driver;
}

/* ---- the host ------------------------------------------------------------------------------ */

static void host_now(void *arg, struct now *ret_now)
{
	struct world *world = arg;

	fuzz_require(++world->clock_reads < CLOCK_READS_MAX, "a turn does not end");
	*ret_now = world->now;
}

static int64_t host_mono_us(void *arg)
{
	const struct world *world = arg;

	return world->now.mono_ms * 1000;
}

static void host_wake(void *arg)
{
	((struct world *)arg)->woken = true;
}

static void host_arm(void *arg, int64_t deadline_ms)
{
	((struct world *)arg)->deadline_ms = deadline_ms;
}

static void host_notice(void *arg, const struct notice *notice)
{
	(void)notice;
	((struct world *)arg)->seq++;
}

static uint64_t host_last_seq(void *arg)
{
	return ((const struct world *)arg)->seq;
}

static void host_publish(void *arg, uint64_t seq)
{
	const struct world *world = arg;

	fuzz_require(seq <= world->seq, "an event is published that has not happened");
}

static void host_retract(void *arg, uint64_t seq)
{
	((struct world *)arg)->seq = seq;
}

static void host_storage(void *arg, const struct error *error)
{
	if (error)
		((struct world *)arg)->storage_failed = true;
}

static void new_id(void *arg, struct id *ret_id)
{
	struct world *world = arg;
	uint64_t half[2] = {fuzz_random(&world->random), fuzz_random(&world->random)};

	memcpy(ret_id->bytes, half, sizeof half);
}

/* ---- the daemon ---------------------------------------------------------------------------- */

/* What has run before runs on, as with the mock driver. */
static void restore_nodes(struct world *world)
{
	const struct core *core = engine_core(world->engine);

	for (uint32_t i = 0; i < core->group_count; i++)
		for (uint32_t slot = 0; slot < core->groups[i]->slots_used; slot++) {
			uint32_t ref = group_slot_node(core->groups[i], slot);

			if (ref != NODE_NONE && node_at(&core->nodes, ref)->started_us != 0)
				add_node(world, &node_at(&core->nodes, ref)->id);
		}
}

int world_open(struct world *world, const char *path, const struct core_config *config, uint64_t random,
	bool *ret_sound, struct error *error)
{
	static const struct driver_ops ops = {"fuzz", driver_start, driver_stop, driver_cancel, driver_kill,
		driver_inspect, driver_free};
	const struct engine_host host = {host_now, host_mono_us, host_wake, host_arm, host_notice, host_last_seq,
		host_publish, host_retract, host_storage, world};
	struct core_config own = *config;
	const struct id_source ids = {new_id, world};
	struct store_history history;
	struct store *store;

	*world = (struct world){.driver.ops = &ops, .random = random, .deadline_ms = INT64_MAX,
		.now = {.mono_ms = 1000, .wall_us = 1800000000000000}};
	*ret_sound = false;
	own.new_id = new_id;
	own.new_id_arg = world;
	if (store_file_open(path, &ids, runner_at_once(), &store, error) < 0)
		return -1;
	*ret_sound = store_file_verify(store, error) == 0;
	world->engine = engine_new(&own, store, &world->driver, &host, &history, error);
	if (!world->engine)
		return -1;
	world->seq = history.event_seq;
	restore_nodes(world);
	return 0;
}

void world_close(struct world *world)
{
	engine_free(world->engine);
	free(world->nodes);
	*world = (struct world){.engine = NULL};
}

static void turn(struct world *world)
{
	struct error error;

	world->woken = false;
	world->clock_reads = 0;
	engine_turn(world->engine);
	fuzz_require(core_check(engine_core(world->engine), &error) == 0, "%s", error.text);
}

void world_run(struct world *world, int64_t limit_ms)
{
	int64_t until_ms = limit_ms > INT64_MAX - 1 - world->now.mono_ms ? INT64_MAX - 1 : world->now.mono_ms + limit_ms;
	unsigned turns = 0;

	while (!world->storage_failed && (world->woken || world->deadline_ms <= until_ms)) {
		fuzz_require(++turns < TURNS_MAX, "it does not come to rest");
		if (!world->woken) {
			if (world->deadline_ms > world->now.mono_ms)
				world->now.mono_ms = world->deadline_ms;
			world->deadline_ms = INT64_MAX;
		}
		turn(world);
	}
}

/* ---- requests ------------------------------------------------------------------------------ */

struct pending {
	struct engine_request request; /* first */
	struct error error;
	bool done, failed;
};

static void request_done(struct engine_request *request, const struct error *failed)
{
	struct pending *pending = (struct pending *)request;

	pending->done = true;
	pending->failed = failed != NULL;
	if (failed)
		pending->error = *failed;
}

static void submit(struct world *world, const struct core_event *event, struct pending *ret_pending)
{
	*ret_pending = (struct pending){.request = {.done = request_done, .event = *event}};
	ret_pending->request.event.origin = (struct origin){.uid = 0, .user = "root"};
	engine_submit(world->engine, &ret_pending->request);
}

static void await(struct world *world, const struct pending *pending)
{
	for (int turns = 0; !pending->done && turns < TURNS_MAX; turns++)
		turn(world);
	fuzz_require(pending->done, "a request is not answered");
}

int world_request(struct world *world, struct core_event *event, struct error *error)
{
	struct pending pending;

	submit(world, event, &pending);
	await(world, &pending);
	if (pending.failed)
		*error = pending.error;
	return pending.failed ? -1 : 0;
}

static struct core_event update_event(struct world *world, const char *group, uint32_t size, uint64_t version)
{
	return (struct core_event){.kind = CORE_UPDATE, .update = {.group = group, .size = size, .version = version,
		.policy = *core_policy(&engine_core(world->engine)->config, group)}};
}

void world_update(struct world *world, const char *group, uint32_t size, uint64_t version)
{
	struct core_event event = update_event(world, group, size, version);
	struct error error;

	fuzz_require(world_request(world, &event, &error) == 0 || world->storage_failed, "UPDATE of %s is refused: %s",
		group, error.text);
}

void world_update_all(struct world *world, uint32_t size, uint64_t version)
{
	const struct core *core = engine_core(world->engine);
	uint32_t count = core->group_count;
	struct pending *pending = mem_zalloc(count, sizeof *pending);

	for (uint32_t i = 0; i < count; i++) {
		struct core_event event = update_event(world, core->groups[i]->name, size, version);

		submit(world, &event, &pending[i]);
	}
	for (uint32_t i = 0; i < count; i++) {
		await(world, &pending[i]);
		fuzz_require(!pending[i].failed || world->storage_failed, "UPDATE is refused: %s", pending[i].error.text);
	}
	free(pending);
}

void world_kill(struct world *world, const struct id *node)
{
	struct core_event event = {.kind = CORE_KILL, .id = *node};
	struct error error;

	fuzz_require(world_request(world, &event, &error) == 0 || world->storage_failed, "KILL is refused: %s",
		error.text);
}

const struct id *world_node(struct world *world, const char *group_name, uint32_t number)
{
	const struct core *core = engine_core(world->engine);
	const struct group *group = core_group_find(core, group_name);

	for (uint32_t slot = 0; slot < group->slots_used; slot++) {
		uint32_t ref = group_slot_node(group, slot);

		if (ref != NODE_NONE && number-- == 0)
			return &node_at(&core->nodes, ref)->id;
	}
	fuzz_require(false, "group %s has too few nodes", group_name);
	return NULL;
}
