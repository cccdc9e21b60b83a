/* The contract of the driver port, as driver.h has it: every call in every state of a node is answered once, by what
 * comes of it. Sequences of calls are enumerated, and a small model follows what is reported. Another driver is
 * another row of the table below. */
#include "driver_contract.h"

#include <string.h>

#include "unit.h"

static const struct contract_driver *const drivers[] = {
	&contract_mock_instant,
	&contract_mock_slow,
	&contract_world_instant,
	&contract_world_slow,
	&contract_world_mixed,
};

enum { DRIVER_COUNT = sizeof drivers / sizeof drivers[0] };

enum call { CALL_START, CALL_CANCEL, CALL_STOP, CALL_KILL, CALL_INSPECT, CALL_COUNT };
static const char *const call_names[] = {"start", "cancel", "stop", "kill", "inspect"};

/* The states that a call may find a node in. */
enum state { ABSENT, STARTING, RUNNING, UNHEALTHY, STOPPING, KILLING, STATE_COUNT };
static const char *const state_names[] = {"absent", "starting", "running", "unhealthy", "stopping", "being killed"};

static struct contract {
	const struct contract_driver *tested;
	struct driver *driver;
	struct driver_node node;
	enum state known;       /* by what was reported: ABSENT, RUNNING or UNHEALTHY */
	enum state called_in;   /* the state that the call to be answered found; STATE_COUNT: not known */
	enum node_op pending;   /* the op to be answered, OP_NONE: none */
	unsigned inspects;      /* to be answered */
	unsigned exits;         /* reported */
	char story[256];        /* what was called, for messages */
} contract;

#define holds(condition, ...)                                                                         \
	do {                                                                                          \
		if (!(condition)) {                                                                   \
			fprintf(stderr, "%s: %s: ", contract.tested->name, contract.story);           \
			fprintf(stderr, __VA_ARGS__);                                                 \
			fprintf(stderr, "\n");                                                        \
			ck_abort_msg("%s", #condition);                                               \
		}                                                                                     \
	} while (0)

static void tell(const char *what)
{
	size_t len = strlen(contract.story);

	snprintf(contract.story + len, sizeof contract.story - len, "%s%s", len ? ", " : "", what);
}

/* Reports. */

static bool result_fits(enum core_result result)
{
	switch (contract.pending) {
	case OP_START:
		return contract.called_in == RUNNING || contract.called_in == UNHEALTHY
			? result == RESULT_OK : result != RESULT_CANCELLED;
	case OP_CANCEL:
		if (contract.called_in == RUNNING || contract.called_in == UNHEALTHY)
			return result == RESULT_OK;
		return contract.called_in != ABSENT || result == RESULT_CANCELLED;
	case OP_STOP:
	case OP_KILL:
		return contract.called_in == ABSENT ? result == RESULT_OK : result != RESULT_CANCELLED;
	case OP_NONE:
		break;
	}
	return false;
}

static void on_done(void *arg, const struct id *id, enum node_op op, enum core_result result, const char *text)
{
	bool starts = op == OP_START, ok = result == RESULT_OK;
	enum node_op expected = contract.pending == OP_CANCEL ? OP_START : contract.pending;

	(void)arg;
	(void)text;
	holds(id_equal(id, &contract.node.id), "a report of another node");
	holds(contract.pending != OP_NONE, "op %d has the result %d, and nothing is to be answered", op, result);
	holds(op == expected, "op %d is answered, and not op %d", op, expected);
	holds(result_fits(result), "op %d has the result %d", op, result);
	if (starts == ok) { /* it runs: a start went well, or an end did not */
		if (starts || contract.known == ABSENT)
			contract.known = RUNNING;
	} else {
		contract.known = ABSENT;
	}
	contract.pending = OP_NONE;
}

static void on_health(void *arg, const struct id *id, bool healthy, const char *text)
{
	(void)arg;
	(void)text;
	holds(id_equal(id, &contract.node.id), "a report of another node");
	holds(contract.pending == OP_NONE && contract.known != ABSENT, "a report of the health of what does not run");
	contract.known = healthy ? RUNNING : UNHEALTHY;
}

static void on_exited(void *arg, const struct id *id, const char *text)
{
	(void)arg;
	(void)text;
	holds(id_equal(id, &contract.node.id), "a report of another node");
	holds(contract.pending == OP_NONE && contract.known != ABSENT, "a report of the end of what does not run");
	contract.known = ABSENT;
	contract.exits++;
}

static void on_inspected(void *arg, const struct id *id, enum core_found found)
{
	static const enum core_found founds[] = {
		[ABSENT] = FOUND_ABSENT, [RUNNING] = FOUND_RUNNING, [UNHEALTHY] = FOUND_UNHEALTHY,
	};
	enum core_found expected = contract.pending != OP_NONE ? FOUND_BUSY : founds[contract.known];

	(void)arg;
	holds(id_equal(id, &contract.node.id), "a report of another node");
	holds(contract.inspects > 0, "an inspection that nobody has asked for is answered");
	holds(found == expected, "found %d, and not %d", found, expected);
	contract.inspects--;
}

/* Calls. */

static void call(enum call what)
{
	static const enum node_op ops[] = {OP_START, OP_CANCEL, OP_STOP, OP_KILL};
	const struct driver_ops *driver = contract.driver->ops;
	void (*const calls[])(struct driver *, const struct driver_node *) = {driver->start, driver->cancel,
		driver->stop, driver->kill, driver->inspect};

	tell(call_names[what]);
	if (what == CALL_INSPECT) {
		contract.inspects++;
	} else {
		contract.called_in = contract.pending == OP_NONE ? contract.known : STATE_COUNT;
		contract.pending = ops[what];
	}
	calls[what](contract.driver, &contract.node);
}

/* By then everything has been answered. */
static void await_answers(void)
{
	contract.tested->await_idle();
	holds(contract.pending == OP_NONE, "op %d is not answered", contract.pending);
	holds(contract.inspects == 0, "%u inspections are not answered", contract.inspects);
}

static void call_and_await(enum call what)
{
	call(what);
	await_answers();
}

/* Nodes. */

static void node_numbered(unsigned char number)
{
	contract.node = (struct driver_node){.group = "default", .slot = number, .version = 1};
	memset(contract.node.id.bytes, number, sizeof contract.node.id.bytes);
	contract.known = ABSENT;
}

static void begin(const struct contract_driver *tested, uint64_t seed)
{
	contract = (struct contract){.tested = tested, .driver = tested->make(seed)};
	contract.driver->reports = (struct driver_reports){.done = on_done, .health = on_health, .exited = on_exited,
		.inspected = on_inspected};
	node_numbered(2); /* which is left alone */
	call_and_await(CALL_START);
	node_numbered(1);
	contract.story[0] = '\0';
}

/* What was reported last is so, and the other node still runs. */
static void end(void)
{
	call_and_await(CALL_INSPECT);
	node_numbered(2);
	contract.known = RUNNING;
	call_and_await(CALL_INSPECT);
	contract.tested->free();
}

/* Returns whether the driver has this state and the node is in it. */
static bool enter(enum state state)
{
	tell(state_names[state]);
	if (state == ABSENT)
		return true;
	call(CALL_START);
	if (state == STARTING)
		return contract.pending != OP_NONE;
	await_answers();
	if (state == UNHEALTHY && contract.tested->harm)
		contract.tested->harm(&contract.node.id);
	if (state == RUNNING || state == UNHEALTHY)
		return contract.known == state;
	call(state == STOPPING ? CALL_STOP : CALL_KILL);
	return contract.pending != OP_NONE;
}

/* Sequences of calls. */

static void call_sequence(uint32_t sequence, uint32_t length, bool one_by_one)
{
	for (uint32_t i = 0; i < length; i++) {
		call((enum call)(sequence % CALL_COUNT));
		if (one_by_one)
			await_answers();
		sequence /= CALL_COUNT;
	}
	await_answers();
}

static uint32_t sequence_count(uint32_t length)
{
	uint32_t count = 1;

	for (uint32_t i = 0; i < length; i++)
		count *= CALL_COUNT;
	return count;
}

/* Returns how many of the states there were. */
static uint32_t try_sequences(const struct contract_driver *tested, bool flaky, uint32_t length, bool one_by_one)
{
	uint32_t entered = 0;

	for (uint64_t seed = 1; seed <= tested->seeds; seed++)
		for (enum state state = 0; state < STATE_COUNT; state++)
			for (uint32_t sequence = 0; sequence < sequence_count(length); sequence++) {
				begin(tested, seed * 1000 + sequence);
				if (enter(state)) {
					entered++;
					tested->set_flaky(flaky);
					call_sequence(sequence, length, one_by_one);
				} else {
					await_answers();
				}
				end();
			}
	return entered;
}

START_TEST(one_call_in_every_state)
{
	ck_assert_uint_gt(try_sequences(drivers[_i], false, 1, false), 0);
	ck_assert_uint_gt(try_sequences(drivers[_i], true, 1, false), 0);
}
END_TEST

START_TEST(calls_one_after_another)
{
	ck_assert_uint_gt(try_sequences(drivers[_i], false, 2, true), 0);
	ck_assert_uint_gt(try_sequences(drivers[_i], true, 2, true), 0);
}
END_TEST

START_TEST(calls_that_overtake_each_other)
{
	ck_assert_uint_gt(try_sequences(drivers[_i], false, 3, false), 0);
	ck_assert_uint_gt(try_sequences(drivers[_i], true, 3, false), 0);
}
END_TEST

/* A node that has ended by itself is absent. */
START_TEST(a_call_after_an_exit)
{
	const struct contract_driver *tested = drivers[_i];

	for (enum state state = RUNNING; tested->end_node && state <= UNHEALTHY; state++)
		for (enum call what = 0; what < CALL_COUNT; what++) {
			begin(tested, 1);
			ck_assert(enter(state));
			tested->end_node(&contract.node.id);
			ck_assert_uint_eq(contract.exits, 1);
			call_and_await(what);
			ck_assert_uint_eq(contract.exits, 1);
			end();
		}
}
END_TEST

/* Whatever is tried above: that a driver which takes time is found in all of its states. */
START_TEST(every_state_is_tried)
{
	bool seen[STATE_COUNT] = {false};

	for (int i = 0; i < DRIVER_COUNT; i++)
		for (enum state state = 0; state < STATE_COUNT; state++) {
			begin(drivers[i], 1);
			seen[state] = enter(state) || seen[state];
			await_answers();
			end();
		}
	for (enum state state = 0; state < STATE_COUNT; state++)
		ck_assert_msg(seen[state], "no driver was found %s", state_names[state]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("driver contract");
	TCase *tests = tcase_create("port");

	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, one_call_in_every_state, 0, DRIVER_COUNT);
	tcase_add_loop_test(tests, calls_one_after_another, 0, DRIVER_COUNT);
	tcase_add_loop_test(tests, calls_that_overtake_each_other, 0, DRIVER_COUNT);
	tcase_add_loop_test(tests, a_call_after_an_exit, 0, DRIVER_COUNT);
	tcase_add_test(tests, every_state_is_tried);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
