#include "state_base.h"

#include <string.h>

#include "fuzz.h"
#include "state_world.h"

enum { HOUR_MS = 3600 * 1000 };

void base_config(struct core_config *ret_config)
{
	core_config_default(ret_config);
	ret_config->seed = 1;
	ret_config->retries = 1;
	ret_config->retry_delay_ms = ret_config->retry_max_ms = HOUR_MS;
}

static void update_with(struct world *world, const char *group, uint32_t size, uint64_t version,
	struct policy policy, const char *note)
{
	struct core_event event = {.kind = CORE_UPDATE, .update = {.group = group, .size = size, .version = version,
		.policy = policy, .note = note}};
	struct error error;

	fuzz_require(world_request(world, &event, &error) == 0, "UPDATE of %s is refused: %s", group, error.text);
}

static void mark(struct world *world, const char *group, uint32_t number)
{
	struct core_event event = {.kind = CORE_MARK, .id = *world_node(world, group, number), .mark = true};
	struct error error;

	fuzz_require(world_request(world, &event, &error) == 0, "MARK is refused: %s", error.text);
}

static void cancel(struct world *world, const char *group)
{
	struct core_event event = {.kind = CORE_CANCEL,
		.id = core_group_find(engine_core(world->engine), group)->active->id};
	struct error error;

	fuzz_require(world_request(world, &event, &error) == 0, "CANCEL is refused: %s", error.text);
}

static void make_unhealthy(struct world *world, const char *group, uint32_t number)
{
	world->driver.reports.health(world->driver.reports.arg, world_node(world, group, number), false,
		"it does not answer");
	world_run(world, 0);
}

/* Graphs that have ended: well, failed for good after a second attempt, superseded by a kill. */
static void make_past(struct world *world)
{
	update_with(world, "default", 3, 1, (struct policy){.max_unavailable.value = 1}, "first \"release\"");
	world_run(world, 0);
	update_with(world, "default", 4, 2, (struct policy){.max_surge = {.value = 50, .percent = true},
		.max_parallel = 3}, NULL);
	world_run(world, 0);
	world_kill(world, world_node(world, "default", 1));
	world_run(world, 0);
	mark(world, "default", 2);
	update_with(world, "web", 4, 3, (struct policy){.max_surge.value = 1, .min_ready_ms = 1}, NULL);
	world_run(world, HOUR_MS);
	world_update(world, "web", 5, WORLD_BAD_VERSION);
	world_run(world, 3 * HOUR_MS);
	world_update(world, "empty", 0, 1);
	world_run(world, 0);
}

/* Groups that wait for a time: an attempt, min-ready, the backoff of a slot. */
static void make_waits(struct world *world)
{
	world->holds = false;
	world_update(world, "retry", 2, WORLD_BAD_VERSION);
	update_with(world, "proving", 2, 1, (struct policy){.max_unavailable.value = 1, .min_ready_ms = HOUR_MS}, NULL);
	world_update(world, "sick", 3, 1);
	world_run(world, 0);
	make_unhealthy(world, "sick", 0);
	make_unhealthy(world, "sick", 0);
}

/* Groups whose nodes are in flight: all is requested of the driver, and nothing answered. */
static void make_flights(struct world *world)
{
	static const char *const groups[] = {"killed", "cancelled", "halves"};

	for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
		world_update(world, groups[i], 3, 1);
	world_run(world, 0);
	world->holds = true;
	update_with(world, "web", 4, 5, (struct policy){.max_unavailable.value = 2}, NULL);
	update_with(world, "default", 6, 4, (struct policy){.max_surge.value = 1, .max_unavailable.value = 1}, NULL);
	world_update(world, "default", 5, 4);
	world_kill(world, world_node(world, "killed", 1));
	world_update(world, "starting", 3, 7);
	world_update(world, "released", 3, 7);
	world_run(world, 0);
	world_update(world, "released", 1, 8);
	world_update(world, "cancelled", 2, 2);
	world_update(world, "halves", 5, 1);
	world_run(world, 0);
	cancel(world, "cancelled");
}

/* One of two starts fails for good while the other is in flight. */
static void make_errored(struct world *world)
{
	struct id id = *world_node(world, "halves", 3);

	for (int attempt = 0; attempt < 2; attempt++) {
		world->driver.reports.done(world->driver.reports.arg, &id, OP_START, RESULT_FAILED, "it broke");
		world_run(world, attempt == 0 ? HOUR_MS : 0);
	}
}

void base_make(const char *path)
{
	struct core_config config;
	struct world world;
	struct error error;
	bool sound;

	base_config(&config);
	fuzz_require(world_open(&world, path, &config, 1, &sound, &error) == 0, "the base cannot be made: %s", error.text);
	world.fails = true;
	world_run(&world, 0);
	make_past(&world);
	make_flights(&world);
	make_errored(&world);
	make_waits(&world);
	fuzz_require(!world.storage_failed, "the base cannot be stored");
	world_close(&world);
}
