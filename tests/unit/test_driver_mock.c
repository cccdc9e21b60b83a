/* The mock driver, call by call: what it reports, how it fails, how long it takes. That it keeps the contract of the
 * driver port in every state is tested in test_driver_contract.c. */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/mock.h"
#include "unit.h"

/* What was reported, as words: "start:ok", "kill:ok", "found:running" … */
static struct {
	struct event_base *base;
	struct driver *driver;
	char told[1024];
} world;

static void tell(const char *what, const char *how)
{
	size_t len = strlen(world.told);

	snprintf(world.told + len, sizeof world.told - len, "%s%s:%s", len ? " " : "", what, how);
}

static void on_done(void *arg, const struct id *id, enum node_op op, enum core_result result,
	const char *text)
{
	static const char *const ops[] = {"none", "start", "cancel", "stop", "kill"};
	static const char *const results[] = {"ok", "failed", "cancelled"};

	(void)arg;
	(void)id;
	ck_assert((result == RESULT_FAILED) == (text != NULL));
	tell(ops[op], results[result]);
}

static void on_inspected(void *arg, const struct id *id, enum core_found found)
{
	static const char *const founds[] = {"absent", "running", "unhealthy", "busy"};

	(void)arg;
	(void)id;
	tell("found", founds[found]);
}

static void begin(uint64_t min_ms, uint64_t max_ms, uint32_t flaky, uint64_t bad_version)
{
	struct mock_config config = {.delay_min_ms = min_ms, .delay_max_ms = max_ms, .seed = 7,
		.flaky_millionths = flaky};

	if (bad_version) {
		config.fail_versions = &bad_version;
		config.fail_version_count = 1;
	}
	memset(&world, 0, sizeof world);
	world.base = event_base_new();
	world.driver = mock_new(world.base, &config);
	world.driver->reports = (struct driver_reports){.done = on_done,
		.inspected = on_inspected};
}

static void end(void)
{
	world.driver->ops->free(world.driver);
	event_base_free(world.base);
	libevent_global_shutdown();
}

static struct driver_node node_numbered(unsigned number, uint64_t version)
{
	struct driver_node node = {.group = "default", .slot = number, .version = version};

	memset(node.id.bytes, (int)number + 1, sizeof node.id.bytes);
	return node;
}

#define CALL(op, number)                                                  \
	do {                                                              \
		struct driver_node called = node_numbered(number, 1);     \
		world.driver->ops->op(world.driver, &called);             \
	} while (0)

/* Runs the loop until nothing is under way any more, and compares all that was told. */
static void expect(const char *told)
{
	event_base_dispatch(world.base);
	ck_assert_str_eq(world.told, told);
	world.told[0] = '\0';
}

START_TEST(a_life)
{
	begin((uint64_t)_i, (uint64_t)_i * 3, 0, 0);
	CALL(inspect, 0);
	expect("found:absent");
	CALL(start, 0);
	expect("start:ok");
	CALL(inspect, 0);
	CALL(start, 0);
	expect("found:running start:ok");
	CALL(stop, 0);
	expect("stop:ok");
	CALL(stop, 0);
	CALL(inspect, 0);
	expect("stop:ok found:absent");
	end();
}
END_TEST

START_TEST(while_something_is_under_way)
{
	begin(20, 20, 0, 0);
	CALL(start, 0);
	CALL(start, 0); /* the same again is answered with it, once */
	CALL(inspect, 0);
	ck_assert_str_eq(world.told, "found:busy");
	world.told[0] = '\0';
	expect("start:ok");
	CALL(stop, 0);
	CALL(stop, 0);
	expect("stop:ok");
	end();
}
END_TEST

START_TEST(cancels_and_kills)
{
	begin(60000, 60000, 0, 0);
	CALL(start, 0);
	CALL(cancel, 0);
	expect("start:cancelled");
	CALL(cancel, 0); /* of nothing */
	expect("start:cancelled");
	CALL(start, 1);
	CALL(kill, 1); /* takes the place of the start */
	expect("kill:ok");
	CALL(kill, 1);
	CALL(inspect, 1);
	expect("kill:ok found:absent");
	end();
	begin(0, 0, 0, 0);
	CALL(start, 0);
	CALL(cancel, 0); /* too late: it runs, whoever has heard of it */
	CALL(inspect, 0);
	expect("start:ok start:ok found:running");
	end();
}
END_TEST

START_TEST(what_takes_the_place_of_what_is_under_way)
{
	begin(20, 20, 0, 0);
	CALL(start, 0);
	CALL(stop, 0);
	expect("stop:ok");
	CALL(start, 0);
	expect("start:ok");
	CALL(stop, 0);
	CALL(start, 0); /* it runs on */
	CALL(inspect, 0);
	expect("start:ok found:running");
	CALL(stop, 0);
	CALL(cancel, 0);
	CALL(inspect, 0);
	expect("start:cancelled found:absent");
	end();
}
END_TEST

START_TEST(failures)
{
	struct driver_node node = node_numbered(0, 2);

	begin(0, 0, 0, 2);
	world.driver->ops->start(world.driver, &node);
	CALL(inspect, 0);
	expect("start:failed found:absent"); /* nothing of it is left */
	CALL(start, 1);
	expect("start:ok");
	end();
	begin(0, 0, 1000000, 0);
	CALL(start, 0);
	expect("start:failed");
	end();
}
END_TEST

/* About as many starts fail as were asked for: 300,000 millionths of 1,000 within 5 deviations. */
START_TEST(flaky)
{
	unsigned failed = 0;

	begin(0, 0, 300000, 0);
	for (unsigned i = 0; i < 1000; i++) {
		struct driver_node node = node_numbered(0, 1);

		memcpy(node.id.bytes, &i, sizeof i);
		world.told[0] = '\0';
		world.driver->ops->start(world.driver, &node);
		failed += strcmp(world.told, "start:failed") == 0;
	}
	ck_assert_uint_gt(failed, 300 - 5 * 15);
	ck_assert_uint_lt(failed, 300 + 5 * 15);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mock driver");
	TCase *tests = tcase_create("port");

	tcase_add_loop_test(tests, a_life, 0, 3);
	tcase_add_test(tests, while_something_is_under_way);
	tcase_add_test(tests, cancels_and_kills);
	tcase_add_test(tests, what_takes_the_place_of_what_is_under_way);
	tcase_add_test(tests, failures);
	tcase_add_test(tests, flaky);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
