/* The world of the mock driver is a table of nodes that are starting, running or stopping. What
 * takes time has a deadline in one heap, for which one libevent timer stands. */
#include "mock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/id_index.h"
#include "core/timers.h"
#include "proto/mem.h"

enum world_state { WORLD_FREE, WORLD_STARTING, WORLD_RUNNING, WORLD_STOPPING };

/* 20 bytes a node: the state shares a word with what is needed only in that state. */
struct world_node {
	struct id id;
	uint32_t timer : 29;  /* a handle while it starts or stops; of a free place: the next one */
	uint32_t state : 2;   /* enum world_state */
	uint32_t fails : 1;   /* what is under way will fail */
};
enum { WORLD_END = (1 << 29) - 1 };

struct mock {
	struct driver driver;
	struct mock_config config;
	struct event *event;
	struct timers timers; /* a: place in the world, b: which bad version it was, 0: chance */
	struct id_index index;
	struct world_node *world;
	uint32_t world_used, world_capacity, world_free;
	uint64_t random;
};

static struct mock *mock_of(struct driver *driver)
{
	return (struct mock *)driver;
}

static const struct id *world_id_of(const void *context, uint32_t ref)
{
	const struct mock *mock = context;

	return &mock->world[ref].id;
}

static uint32_t world_add(struct mock *mock, const struct id *id)
{
	uint32_t ref = mock->world_free;

	if (ref != WORLD_END) {
		mock->world_free = mock->world[ref].timer;
	} else {
		if (mock->world_used == mock->world_capacity) {
			mock->world_capacity = mock->world_capacity ? mock->world_capacity * 2 : 16;
			mock->world = mem_realloc(mock->world, mock->world_capacity,
				sizeof *mock->world);
		}
		ref = mock->world_used++;
	}
	mock->world[ref] = (struct world_node){.id = *id};
	id_index_add(&mock->index, id, ref);
	return ref;
}

static void world_remove(struct mock *mock, uint32_t ref)
{
	struct world_node *node = &mock->world[ref];

	id_index_remove(&mock->index, &node->id);
	node->state = WORLD_FREE;
	node->timer = mock->world_free;
	mock->world_free = ref;
}

static uint32_t world_find(const struct mock *mock, const struct id *id)
{
	return id_index_find(&mock->index, id);
}

/* splitmix64 */
static uint64_t mock_random(struct mock *mock)
{
	uint64_t x = mock->random += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static int64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void mock_arm(struct mock *mock)
{
	int64_t next_ms = timers_next(&mock->timers), wait_ms;
	struct timeval wait;

	if (next_ms == INT64_MAX) {
		event_del(mock->event);
		return;
	}
	wait_ms = next_ms - monotonic_ms();
	if (wait_ms < 0)
		wait_ms = 0;
	wait.tv_sec = wait_ms / 1000;
	wait.tv_usec = wait_ms % 1000 * 1000;
	event_add(mock->event, &wait);
}

static bool version_fails(const struct mock *mock, uint64_t version)
{
	for (size_t i = 0; i < mock->config.fail_version_count; i++)
		if (mock->config.fail_versions[i] == version)
			return true;
	return false;
}

static bool chance_fails(struct mock *mock)
{
	return mock->config.flaky_millionths > 0 &&
		mock_random(mock) % 1000000 < mock->config.flaky_millionths;
}

static void report(struct mock *mock, const struct id *id, enum node_op op,
	enum core_result result, const char *text)
{
	mock->driver.reports.done(mock->driver.reports.arg, id, op, result, text);
}

/* What was under way has taken its time. */
static void finish(struct mock *mock, uint32_t ref, bool bad_version)
{
	struct world_node *node = &mock->world[ref];
	bool start = node->state == WORLD_STARTING, fails = node->fails;
	struct id id = node->id;
	const char *text = bad_version ? "the mock driver is set to fail this version"
				       : "the mock driver is set to be flaky";

	if (start != fails) { /* it runs now, or it runs on */
		node->state = WORLD_RUNNING;
		node->fails = 0;
	} else {
		world_remove(mock, ref);
	}
	report(mock, &id, start ? OP_START : OP_STOP, fails ? RESULT_FAILED : RESULT_OK,
		fails ? text : NULL);
}

static void begin(struct mock *mock, uint32_t ref, enum world_state state, bool bad_version)
{
	struct world_node *node = &mock->world[ref];
	uint64_t delay_ms = mock->config.delay_min_ms;
	uint64_t more_ms = mock->config.delay_max_ms - delay_ms;

	node->state = state;
	node->fails = bad_version || chance_fails(mock);
	if (more_ms > 0)
		delay_ms += mock_random(mock) % (more_ms + 1);
	if (delay_ms == 0) {
		finish(mock, ref, bad_version);
		return;
	}
	node->timer = timers_add(&mock->timers, (struct timer){.a = ref, .b = bad_version,
		.deadline_ms = monotonic_ms() + (int64_t)delay_ms});
	mock_arm(mock);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct mock *mock = arg;
	struct timer timer;
	int64_t now_ms = monotonic_ms();

	(void)fd;
	(void)what;
	while (timers_pop(&mock->timers, now_ms, &timer))
		finish(mock, timer.a, timer.b);
	mock_arm(mock);
}

/* The calls answer by the contract in driver.h. A node that is being stopped is still there: a start takes the stop
 * back, and it runs on. */

/* Ends what is under way, unanswered. */
static void interrupt(struct mock *mock, uint32_t ref)
{
	if (mock->world[ref].state == WORLD_RUNNING)
		return;
	timers_cancel(&mock->timers, mock->world[ref].timer);
	mock->world[ref].state = WORLD_RUNNING;
	mock->world[ref].fails = 0;
	mock_arm(mock);
}

static void vanish(struct mock *mock, uint32_t ref)
{
	interrupt(mock, ref);
	world_remove(mock, ref);
}

static void mock_start(struct driver *driver, const struct driver_node *target)
{
	struct mock *mock = mock_of(driver);
	uint32_t ref = world_find(mock, &target->id);

	if (ref == ID_INDEX_NONE) {
		begin(mock, world_add(mock, &target->id), WORLD_STARTING,
			version_fails(mock, target->version));
	} else if (mock->world[ref].state != WORLD_STARTING) {
		interrupt(mock, ref);
		report(mock, &target->id, OP_START, RESULT_OK, NULL);
	}
}

static void mock_stop(struct driver *driver, const struct driver_node *target)
{
	struct mock *mock = mock_of(driver);
	uint32_t ref = world_find(mock, &target->id);

	if (ref == ID_INDEX_NONE) {
		report(mock, &target->id, OP_STOP, RESULT_OK, NULL);
	} else if (mock->world[ref].state != WORLD_STOPPING) {
		interrupt(mock, ref);
		begin(mock, ref, WORLD_STOPPING, false);
	}
}

static void mock_cancel(struct driver *driver, const struct driver_node *target)
{
	struct mock *mock = mock_of(driver);
	uint32_t ref = world_find(mock, &target->id);

	if (ref != ID_INDEX_NONE && mock->world[ref].state == WORLD_RUNNING) {
		report(mock, &target->id, OP_START, RESULT_OK, NULL);
		return;
	}
	if (ref != ID_INDEX_NONE)
		vanish(mock, ref);
	report(mock, &target->id, OP_START, RESULT_CANCELLED, NULL);
}

static void mock_kill(struct driver *driver, const struct driver_node *target)
{
	struct mock *mock = mock_of(driver);
	uint32_t ref = world_find(mock, &target->id);

	if (ref != ID_INDEX_NONE)
		vanish(mock, ref);
	report(mock, &target->id, OP_KILL, RESULT_OK, NULL);
}

static void mock_inspect(struct driver *driver, const struct driver_node *target)
{
	struct mock *mock = mock_of(driver);
	uint32_t ref = world_find(mock, &target->id);
	enum core_found found = FOUND_ABSENT;

	if (ref != ID_INDEX_NONE)
		found = mock->world[ref].state == WORLD_RUNNING ? FOUND_RUNNING : FOUND_BUSY;
	driver->reports.inspected(driver->reports.arg, &target->id, found);
}

void mock_restore(struct driver *driver, const struct id *id)
{
	struct mock *mock = mock_of(driver);
	uint32_t ref;

	if (world_find(mock, id) != ID_INDEX_NONE)
		return;
	ref = world_add(mock, id); /* which may move the world */
	mock->world[ref].state = WORLD_RUNNING;
}

static void mock_free(struct driver *driver)
{
	struct mock *mock = mock_of(driver);

	event_free(mock->event);
	timers_fini(&mock->timers);
	id_index_fini(&mock->index);
	free(mock->world);
	free(mock->config.fail_versions);
	free(mock);
}

static void mock_take_config(struct mock *mock, const struct mock_config *config)
{
	size_t count = config->fail_version_count;

	free(mock->config.fail_versions);
	mock->config = *config;
	mock->config.fail_versions = NULL;
	if (count == 0)
		return;
	mock->config.fail_versions = mem_alloc(count * sizeof(uint64_t));
	memcpy(mock->config.fail_versions, config->fail_versions, count * sizeof(uint64_t));
}

void mock_configure(struct driver *driver, const struct mock_config *config, bool reseed)
{
	struct mock *mock = mock_of(driver);

	mock_take_config(mock, config);
	if (reseed)
		mock->random = config->seed;
}

struct driver *mock_new(struct event_base *base, const struct mock_config *config)
{
	static const struct driver_ops ops = {
		.name = "mock",
		.start = mock_start,
		.stop = mock_stop,
		.cancel = mock_cancel,
		.kill = mock_kill,
		.inspect = mock_inspect,
		.free = mock_free,
	};
	struct mock *mock = mem_zalloc(1, sizeof *mock);

	mock->driver.ops = &ops;
	mock_take_config(mock, config);
	mock->random = config->seed;
	mock->world_free = WORLD_END;
	mock->event = event_new(base, -1, 0, on_timer, mock);
	if (!mock->event)
		abort();
	timers_init(&mock->timers);
	id_index_init(&mock->index, world_id_of, mock);
	return &mock->driver;
}
