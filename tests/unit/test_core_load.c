/* Stories of restarts: what a store would have kept is loaded into a fresh core, the driver tells what is
 * true of the nodes, and the change goes on. */
#include <inttypes.h>
#include <time.h>

#include "core_restart.h"

static void inspected(uint32_t slot, enum core_found found)
{
	story_step((struct core_event){
		.kind = CORE_INSPECTED, .id = node_in(slot)->id, .found = found});
}

START_TEST(at_rest)
{
	struct id next;

	story_setup();
	update_to(2, 3);
	all_done();
	next = story_group()->next_graph;
	restart();
	expect_did("inspect 0@3, inspect 1@3");
	expect_nodes("a3 a3");
	inspected(0, FOUND_RUNNING);
	expect_did("");
	expect_told("");
	/* What died meanwhile is replaced, when all is known. */
	inspected(1, FOUND_ABSENT);
	expect_did("start 1@3");
	ck_assert(id_equal(&last_graph()->id, &next));
	ck_assert_int_eq(last_graph()->reason, REASON_HEAL);
	all_done();
	expect_nodes("a3 a3");
	ck_assert_uint_eq(story_group()->spec.revision, 1);
	ck_assert_uint_eq(story_group()->graph_count, 2);
	story_end();
}
END_TEST

START_TEST(during_an_upgrade)
{
	story_setup();
	update_to(3, 1);
	all_done();
	update_to(3, 2);
	done(2);
	expect_nodes("a1 a1 s2");
	restart();
	/* Nothing is stopped because of what is not known yet. */
	expect_did("inspect 0@1, inspect 1@1, inspect 2@2");
	inspected(0, FOUND_RUNNING);
	inspected(1, FOUND_RUNNING);
	expect_did("");
	/* The driver never got to start it: it is asked again, and the chain goes on. */
	inspected(2, FOUND_ABSENT);
	expect_did("start 2@2");
	done(2);
	expect_did("stop 1@1");
	restart();
	expect_did("inspect 0@1, inspect 1@1, inspect 2@2");
	/* Nor is anything started before all is known: the node in slot 2 may be gone. */
	inspected(1, FOUND_ABSENT);
	inspected(0, FOUND_RUNNING);
	expect_did("");
	inspected(2, FOUND_RUNNING);
	expect_did("start 1@2");
	restart();
	expect_did("inspect 0@1, inspect 1@2, inspect 2@2");
	inspected(0, FOUND_RUNNING);
	inspected(2, FOUND_RUNNING);
	inspected(1, FOUND_RUNNING);
	expect_did("stop 0@1");
	restart();
	inspected(1, FOUND_RUNNING);
	inspected(2, FOUND_RUNNING);
	story.did[0] = '\0';
	inspected(0, FOUND_RUNNING);
	expect_did("stop 0@1");
	all_done();
	expect_nodes("a2 a2 a2");
	expect_graph(last_graph(), "succeeded");
	ck_assert_uint_eq(story_group()->graph_count, 2);
	story_end();
}
END_TEST

START_TEST(superseded_with_starts_in_flight)
{
	story_setup();
	update_to(2, 1);
	update_to(2, 2);
	restart();
	expect_did("inspect 0@1, inspect 1@1");
	inspected(0, FOUND_ABSENT);
	expect_did("");
	inspected(1, FOUND_RUNNING);
	expect_did("start 0@2");
	all_done();
	expect_nodes("a2 a2");
	expect_graph(last_graph(), "succeeded");
	story_end();
}
END_TEST

START_TEST(before_a_retry_and_in_min_ready)
{
	story_setup();
	story.policy.min_ready_ms = 5000;
	update_to(2, 1);
	done(0);
	answer(1, RESULT_FAILED, "no room");
	restart();
	expect_did("inspect 0@1");
	expect_gate(last_graph(), 1, "retry");
	inspected(0, FOUND_RUNNING);
	pass_ms(0);
	expect_did("start 1@1");
	done(1);
	pass_ms(5000);
	expect_nodes("a1 a1");
	expect_graph(last_graph(), "succeeded");
	story_end();
}
END_TEST

/* What a busy driver is asked after a restart. */
static void expect_asked_again(const char *expected)
{
	restart();
	story.did[0] = '\0';
	inspected(0, FOUND_BUSY);
	expect_did(expected);
}

/* A start and a stop will be answered; a cancel and a kill may not have been called before the restart. */
START_TEST(a_busy_driver_is_asked_again_to_cancel_and_to_kill)
{
	story_setup();
	update_to(1, 1);
	expect_asked_again("");
	update_to(0, 1);
	expect_asked_again("cancel 0@1");
	done(0); /* too late */
	expect_asked_again("");
	ck_assert_int_eq(ask(CORE_KILL, &node_in(0)->id), 0);
	expect_asked_again("kill 0@1");
	done(0);
	expect_nodes("");
	expect_graph(last_graph(), "succeeded");
	story_end();
}
END_TEST

/* The driver ends what another daemon, or one with a later state, has asked for. */
START_TEST(a_node_whose_end_nobody_waits_for_is_replaced)
{
	story_setup();
	update_to(1, 1);
	all_done();
	expect_asked_again("");
	expect_nodes("a1");
	story_step((struct core_event){.kind = CORE_DONE, .id = node_in(0)->id,
		.done = {.op = OP_STOP, .result = RESULT_OK}});
	expect_did("start 0@1");
	expect_nodes("s1");
	story_end();
}
END_TEST

/* A kill is called once more while the failure of the first one is on its way. */
START_TEST(a_second_kill_that_succeeds_after_the_first_has_failed)
{
	struct id id;

	story_setup();
	update_to(1, 1);
	all_done();
	id = node_in(0)->id;
	ck_assert_int_eq(ask(CORE_KILL, &id), 0);
	expect_asked_again("kill 0@1");
	answer(0, RESULT_FAILED, "it does not end");
	expect_did("stop 0@1");
	answer(0, RESULT_FAILED, "it does not end");
	ck_assert_int_eq(ask(CORE_CANCEL, &last_graph()->id), 0);
	expect_nodes("u1");
	story_step((struct core_event){.kind = CORE_DONE, .id = id, .done = {.op = OP_KILL, .result = RESULT_OK}});
	expect_nodes("s1");
	story_end();
}
END_TEST

START_TEST(contradictions_are_found)
{
	struct core_config config = story_config();
	struct spec spec = {.revision = 1}, gap = {.revision = 3};
	struct node node = {.id = {{1}}, .state = NODE_RUNNING, .revision = 1, .started_us = 1};
	struct error error;
	uint32_t ref;

	story_begin(&config);
	ck_assert_int_eq(core_load_spec(&story.core, "web", &spec, &error), -1);
	ck_assert_int_eq(error.code, ERR_STORAGE);
	ck_assert_int_eq(core_load_spec(&story.core, "default", &spec, &error), 0);
	ck_assert_int_eq(core_load_spec(&story.core, "default", &gap, &error), -1);
	ck_assert_int_eq(core_load_node(&story.core, "default", &node, &ref, &error), 0);
	ck_assert_int_eq(core_load_node(&story.core, "default", &node, &ref, &error), -1);
	node.id.bytes[0] = 2;
	ck_assert_int_eq(core_load_node(&story.core, "default", &node, &ref, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.text, "two nodes live in one slot"));
	story_end();
}
END_TEST

/* Random stories, with restarts in them. */

/* A slot with a live node, -1: none. */
static int random_slot(void)
{
	const struct group *group = story_group();
	uint32_t skip;

	if (group->live == 0)
		return -1;
	skip = random_below(group->live);
	for (uint32_t slot = 0;; slot++)
		if (group->slots[slot].node != NODE_NONE && skip-- == 0)
			return (int)slot;
}

static void random_answer(uint32_t slot)
{
	const struct node *node = node_in(slot);
	uint32_t dice = random_below(10);

	if (node->op == OP_NONE)
		return;
	if (node->op == OP_CANCEL && dice < 7)
		answer(slot, RESULT_CANCELLED, NULL);
	else
		answer(slot, dice < 8 ? RESULT_OK : RESULT_FAILED, dice < 9 ? "no luck" : NULL);
}

static void random_update(void)
{
	story.policy = (struct policy){
		.max_surge = {random_below(3), false}, .max_unavailable = {random_below(3), false},
		.max_parallel = random_below(3), .min_ready_ms = random_below(3) ? 0 : 5000};
	update_to(random_below(6), 1 + random_below(3));
}

/* Of what is in flight, the driver may know or not; all else is as it is stored, or died. */
static void random_restart(void)
{
	restart();
	for (uint32_t slot = 0; slot < story_group()->slots_used; slot++) {
		const struct node *node;
		uint32_t ref = group_slot_node(story_group(), slot);

		if (ref == NODE_NONE)
			continue;
		node = node_at(&story.core.nodes, ref);
		if (node->inspecting)
			inspected(slot, (enum core_found)random_below(3));
	}
}

static void random_event(void)
{
	int slot = random_slot();
	uint32_t dice = random_below(100);

	if (dice < 8)
		random_update();
	else if (dice < 12)
		random_restart();
	else if (dice < 15 && story_group()->active)
		ask(CORE_CANCEL, &story_group()->active->id);
	else if (dice < 25 && next_ms() >= 0)
		pass_ms(next_ms() > 0 ? next_ms() : 0);
	else if (slot < 0)
		return;
	else if (dice < 30)
		ask(CORE_KILL, &node_in((uint32_t)slot)->id);
	else if (dice < 33)
		ask(CORE_MARK, &node_in((uint32_t)slot)->id);
	else if (dice < 40)
		health((uint32_t)slot, random_below(2));
	else if (dice < 44)
		exits((uint32_t)slot);
	else
		random_answer((uint32_t)slot);
}

/* From now on everything succeeds. Returns whether there was anything left to do. */
static bool go_on(void)
{
	const struct group *group = story_group();

	for (uint32_t slot = 0; slot < group->slots_used; slot++) {
		uint32_t ref = group_slot_node(group, slot);

		if (ref == NODE_NONE || node_at(&story.core.nodes, ref)->op == OP_NONE)
			continue;
		if (node_at(&story.core.nodes, ref)->op == OP_CANCEL)
			answer(slot, RESULT_CANCELLED, NULL);
		else
			done(slot);
		return true;
	}
	if (next_ms() < 0)
		return false;
	pass_ms(next_ms() > 0 ? next_ms() : 0);
	return true;
}

static void come_to_rest(void)
{
	for (uint32_t steps = 0; go_on(); steps++) {
		ck_assert_uint_lt(steps, 10000);
		story.did[0] = story.told[0] = '\0';
	}
	/* Nothing in flight and no time to wait for: so nothing may be under way. */
	ck_assert_ptr_null(story_group()->active);
	ck_assert_uint_eq(story_group()->in_flight, 0);
}

/* Anything may happen; then everything succeeds, and the spec must be reached. */
static void random_story(uint64_t seed)
{
	const struct group *group;

	random_state = seed;
	story_setup();
	for (uint32_t i = 0; i < 150; i++) {
		random_event();
		story.did[0] = story.told[0] = '\0';
	}
	come_to_rest();
	/* Whatever was cancelled or has failed is asked for again, and reached. */
	group = story_group();
	update_to(group->spec.size, group->spec.version);
	come_to_rest();
	expect_graph(last_graph(), "succeeded");
	ck_assert_uint_eq(group->live, group->spec.size);
	ck_assert_uint_eq(group->available, group->spec.size);
	for (uint32_t slot = 0; slot < group->slots_used; slot++)
		if (group_slot_node(group, slot) != NODE_NONE)
			ck_assert_uint_eq(node_in(slot)->version, group->spec.version);
	story_end();
}

enum { STORIES = 100 };

START_TEST(random_stories)
{
	const char *many = getenv("IMD_TEST_STORIES");
	uint32_t stories = many ? (uint32_t)atoi(many) : STORIES;

	unit_take_seed();
	for (uint32_t i = 0; i < stories; i++) {
		/* The last one that is printed is the one that failed. */
		printf("IMD_TEST_SEED=%" PRIu64 " IMD_TEST_STORIES=1\n", unit_seed + i);
		fflush(stdout);
		random_story(unit_seed + i);
	}
}
END_TEST

static void all_inspected(void)
{
	for (uint32_t slot = 0; slot < story_group()->slots_used; slot++)
		if (group_slot_node(story_group(), slot) != NODE_NONE && node_in(slot)->inspecting)
			inspected(slot, node_in(slot)->state == NODE_STARTING ? FOUND_BUSY : FOUND_RUNNING);
}

static void expect_counts(uint64_t died, uint64_t replaced)
{
	all_done();
	ck_assert_uint_eq(story.core.counters.nodes_died, died);
	ck_assert_uint_eq(story.core.counters.nodes_replaced, replaced);
}

/* Whose successor waits, starts, or proves itself. */
START_TEST(who_was_lost_before_a_restart_is_replaced)
{
	story_setup();
	story.policy.min_ready_ms = 1000;
	update_to(2, 1);
	all_done();
	pass_ms(1000);
	exits(1);
	restart();
	expect_nodes("a1 s1");
	all_inspected();
	done(1);
	restart();
	all_inspected();
	expect_nodes("a1 r1");
	pass_ms(1000);
	expect_counts(1, 1);
	exits(1);
	all_done();
	pass_ms(1000);
	exits(1);
	expect_gate(last_graph(), 0, "backoff");
	restart();
	all_inspected();
	all_done();
	pass_ms(1000);
	expect_counts(3, 3);
	restart();
	all_inspected();
	expect_counts(3, 3);
	story_end();
}
END_TEST

/* What was made up for long ago, or is not wanted any more, is not found again. */
START_TEST(a_restart_finds_no_loss_that_is_none)
{
	story_setup();
	update_to(3, 1);
	all_done();
	exits(2);
	all_done();
	exits(2);
	expect_nodes("a1 a1");
	pass_ms(1);
	update_to(2, 1);
	expect_graph(last_graph(), "succeeded");
	pass_ms(1);
	update_to(3, 1);
	expect_nodes("a1 a1 s1");
	restart();
	all_inspected();
	expect_counts(2, 1);
	story_end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		at_rest, during_an_upgrade, superseded_with_starts_in_flight,
		before_a_retry_and_in_min_ready, a_busy_driver_is_asked_again_to_cancel_and_to_kill,
		a_node_whose_end_nobody_waits_for_is_replaced,
		a_second_kill_that_succeeds_after_the_first_has_failed,
		who_was_lost_before_a_restart_is_replaced,
		a_restart_finds_no_loss_that_is_none, contradictions_are_found, random_stories,
	};

	return story_main("core, restarts", tests, sizeof tests / sizeof tests[0]);
}
