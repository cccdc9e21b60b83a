/* The figures of needs.h are upper bounds: with a reserve of just so much, and nothing else, the work is done. */
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/admission.h"
#include "proto/limits.h"
#include "proto/mem.h"
#include "store/rows.h"
#include "unit.h"

/* Nodes enough for what is not in proportion to them to be little, and that little. */
enum { NODES = 60000, LITTLE = 2 << 20 };

static struct {
	struct core core;
	struct update update;
	struct rows rows;
	struct node_serials serials;
	uint64_t ids;
} house;

static void house_id(void *arg, struct id *ret_id)
{
	(void)arg;
	*ret_id = (struct id){{0}};
	memcpy(ret_id->bytes + 8, &house.ids, sizeof house.ids);
	house.ids++;
	ret_id->bytes[0] = (uint8_t)house.ids;
}

static void house_notice(void *arg, const struct notice *notice)
{
	(void)arg;
	(void)notice;
}

static void house_begin(void)
{
	struct core_config config;

	core_config_default(&config);
	config.new_id = house_id;
	core_init(&house.core, &config);
	update_init(&house.update, house_notice, NULL);
}

static void house_end(void)
{
	core_fini(&house.core);
	update_fini(&house.update);
	rows_fini(&house.rows);
	node_serials_fini(&house.serials);
	mem_reserve_trim(0);
}

static void limit_memory(bool limited)
{
	FILE *file = fopen("/proc/self/statm", "re");
	struct rlimit limit;
	unsigned long pages;

	ck_assert(file && fscanf(file, "%lu", &pages) == 1);
	fclose(file);
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = limited ? pages * (rlim_t)sysconf(_SC_PAGESIZE) : limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

static void only(size_t bytes)
{
	mem_reserve_trim(0);
	ck_assert_int_eq(mem_reserve_hold(bytes + LITTLE), 0);
	limit_memory(true);
}

static struct core_event update_event(uint32_t size, uint64_t version, uint32_t max_parallel)
{
	return (struct core_event){.kind = CORE_UPDATE, .now = {5000, 1700000000000000},
		.update = {.group = "default", .size = size, .version = version,
			.policy = {.max_unavailable = {.value = 1}, .max_parallel = max_parallel}}};
}

/* Takes an event in, and stores what has changed. */
static void step(struct core_event *event)
{
	struct error error;
	struct now now = event->now;

	ck_assert_msg(core_step(&house.core, event, &house.update, &error) == 0, "%s", error.text);
	core_run(&house.core, &now, 0, &house.update);
}

static void store(void)
{
	core_changes_taken(&house.core, &house.update);
	rows_take(&house.rows, &house.serials, &house.core, house.update.changes, house.update.change_count);
	rows_clear(&house.rows);
	update_clear(&house.update);
}

/* The same with no more memory than the event needs. An allocation that finds none aborts. */
static void step_with_needs(struct core_event *event)
{
	struct needs needs = needs_of(&house.core, event);

	ck_assert_uint_gt(needs.now, 0);
	ck_assert_uint_le(NEEDS_BASE + needs.now + needs.later, needs.after > 0 ? needs.after : needs_kept(&house.core));
	only(needs.now);
	step(event);
	limit_memory(false);
	only(needs.later);
	store();
	limit_memory(false);
}

static void start_all(void)
{
	struct now now = {5000, 1700000000000000};

	while (core_run(&house.core, &now, 1024, &house.update))
		store();
	store();
}

static void nodes_done(void)
{
	struct group *group = core_group_find(&house.core, "default");

	for (uint32_t slot = 0; slot < group->slots_used; slot++) {
		uint32_t ref = group_slot_node(group, slot);
		struct core_event event = {.kind = CORE_DONE, .now = {5000, 1700000000000000},
			.id = node_at(&house.core.nodes, ref)->id, .done = {.op = OP_START, .result = RESULT_OK}};

		step(&event);
	}
	start_all();
}

static void group_of_nodes(bool running)
{
	struct core_event event = update_event(NODES, 1, 0);

	house_begin();
	step(&event);
	store();
	start_all();
	if (running)
		nodes_done();
}

START_TEST(to_make_a_group_smaller_that_is_starting)
{
	struct core_event event = update_event(3, 1, 0);

	group_of_nodes(false);
	step_with_needs(&event);
	house_end();
}
END_TEST

START_TEST(to_make_a_group_smaller_that_runs)
{
	struct core_event event = update_event(3, 2, 0);

	group_of_nodes(true);
	step_with_needs(&event);
	house_end();
}
END_TEST

START_TEST(to_upgrade_a_group_that_runs)
{
	struct core_event event = update_event(NODES, 2, 0);

	group_of_nodes(true);
	step_with_needs(&event);
	house_end();
}
END_TEST

START_TEST(to_upgrade_a_group_that_is_starting)
{
	struct core_event event = update_event(NODES, 2, 0);

	group_of_nodes(false);
	step_with_needs(&event);
	house_end();
}
END_TEST

START_TEST(to_cancel_what_waits)
{
	struct core_event event = update_event(NODES, 1, 1);

	house_begin();
	step_with_needs(&event);
	event = (struct core_event){.kind = CORE_CANCEL, .now = event.now, .id = event.ret_graph};
	step_with_needs(&event);
	house_end();
}
END_TEST

START_TEST(to_plan_for_a_node_that_died)
{
	struct core_event event;

	group_of_nodes(true);
	event = (struct core_event){.kind = CORE_EXITED, .now = {6000, 1700000001000000},
		.id = node_at(&house.core.nodes, 0)->id};
	step_with_needs(&event);
	house_end();
}
END_TEST

/* So nothing that was accepted lacks memory later on. */
START_TEST(what_is_kept_never_grows_while_a_plan_is_carried_out)
{
	struct core_event event = update_event(1000, 1, 0);
	struct now now = event.now;
	size_t kept;

	house_begin();
	step(&event);
	kept = needs_kept(&house.core);
	for (bool more = true; more;) {
		more = core_run(&house.core, &now, 100, &house.update);
		store();
		ck_assert_uint_le(needs_kept(&house.core), kept);
		kept = needs_kept(&house.core);
	}
	nodes_done();
	ck_assert_uint_lt(needs_kept(&house.core), kept);
	house_end();
}
END_TEST

/* The needs of an UPDATE of the group that group_of_nodes() has made. */
static struct needs needs_of_update(uint32_t size, uint32_t max_surge_percent)
{
	struct core_event event = update_event(size, 1, 0);

	event.update.policy.max_surge = (struct amount){.value = max_surge_percent, .percent = true};
	return needs_of(&house.core, &event);
}

START_TEST(a_smaller_group_needs_no_more_than_was_kept)
{
	group_of_nodes(true);
	ck_assert_uint_eq(needs_of_update(NODES - 1, 0).after, 0);
	house_end();
}
END_TEST

/* For nodes of two versions at once more is kept than for one, so it must be there. */
START_TEST(a_smaller_group_with_more_surge_is_admitted_as_a_larger_one)
{
	group_of_nodes(true);
	ck_assert_uint_gt(needs_of_update(NODES - 1, 100).after, needs_kept(&house.core));
	house_end();
}
END_TEST

/* What still lives does not make an UPDATE a smaller one. */
START_TEST(a_group_that_shrinks_is_admitted_as_a_larger_one_if_it_grows_again)
{
	struct core_event event = update_event(3, 1, 0);

	group_of_nodes(true);
	step(&event);
	store();
	ck_assert_uint_gt(needs_of_update(NODES / 2, 0).after, 0);
	ck_assert_uint_eq(needs_of_update(2, 0).after, 0);
	house_end();
}
END_TEST

/* Each may have sent most of two requests, which libevent keeps in memory of the reserve. */
START_TEST(a_client_is_let_in_only_if_there_is_memory_for_the_input_of_all)
{
	enum { CLIENTS = 10000, INPUT = 2 * LIMIT_REQUEST, MIB = 1 << 20 };
	struct batches batches;

	house_begin();
	batches_init(&batches, house_notice, NULL);
	only(NEEDS_BASE + 10 * MIB);
	ck_assert(admit_clients(&batches, &house.core, NEEDS_BASE_CLIENTS));
	ck_assert(!admit_clients(&batches, &house.core, CLIENTS));
	ck_assert(admit_clients(&batches, &house.core, NEEDS_BASE_CLIENTS + 1));
	limit_memory(false);
	ck_assert(admit_clients(&batches, &house.core, CLIENTS));
	ck_assert_uint_ge(mem_reserve_held(), NEEDS_BASE + (CLIENTS - NEEDS_BASE_CLIENTS) * (size_t)INPUT);
	batches_fini(&batches);
	house_end();
}
END_TEST

/* The base covers the others, so that somebody can cancel and make groups smaller. */
START_TEST(more_than_a_thousand_clients_leave_what_is_kept_for_undoing)
{
	struct batches batches;

	group_of_nodes(true);
	batches_init(&batches, house_notice, NULL);
	only(NEEDS_BASE);
	ck_assert(admit_clients(&batches, &house.core, NEEDS_BASE_CLIENTS));
	ck_assert(!admit_clients(&batches, &house.core, NEEDS_BASE_CLIENTS + 1));
	limit_memory(false);
	ck_assert(admit_clients(&batches, &house.core, NEEDS_BASE_CLIENTS + 1));
	ck_assert_uint_ge(mem_reserve_held(), needs_kept(&house.core));
	batches_fini(&batches);
	house_end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("engine, needs");
	TCase *tests = tcase_create("engine, needs");

	tcase_set_timeout(tests, 60);
	if (!unit_sanitized()) {
		tcase_add_test(tests, to_make_a_group_smaller_that_is_starting);
		tcase_add_test(tests, to_make_a_group_smaller_that_runs);
		tcase_add_test(tests, to_upgrade_a_group_that_runs);
		tcase_add_test(tests, to_upgrade_a_group_that_is_starting);
		tcase_add_test(tests, to_cancel_what_waits);
		tcase_add_test(tests, to_plan_for_a_node_that_died);
		tcase_add_test(tests, a_client_is_let_in_only_if_there_is_memory_for_the_input_of_all);
		tcase_add_test(tests, more_than_a_thousand_clients_leave_what_is_kept_for_undoing);
	}
	tcase_add_test(tests, a_smaller_group_needs_no_more_than_was_kept);
	tcase_add_test(tests, a_smaller_group_with_more_surge_is_admitted_as_a_larger_one);
	tcase_add_test(tests, a_group_that_shrinks_is_admitted_as_a_larger_one_if_it_grows_again);
	tcase_add_test(tests, what_is_kept_never_grows_while_a_plan_is_carried_out);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK);
}
