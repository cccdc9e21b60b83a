/* Nodes are lost at every moment of rollouts: what is counted and told as deaths and as replacements. That both
 * are the same is checked with every step, in core_story.h. */
#include "core_story.h"

static uint64_t died(void)
{
	return story.core.counters.nodes_died;
}

static uint64_t replaced(void)
{
	return story.core.counters.nodes_replaced;
}

static void expect_counts(uint64_t deaths, uint64_t replacements)
{
	ck_assert_uint_eq(died(), deaths);
	ck_assert_uint_eq(replaced(), replacements);
}

static void kill_slot(uint32_t slot)
{
	ck_assert_int_eq(ask(CORE_KILL, &node_in(slot)->id), 0);
}

static bool slot_taken(uint32_t slot)
{
	return group_slot_node(story_group(), slot) != NODE_NONE;
}

/* One thing that the driver has been asked is done, in the lowest slot, or time passes. Returns whether there
 * was anything to wait for. */
static bool go_on(void)
{
	for (uint32_t slot = 0; slot < story_group()->slots_used; slot++)
		if (slot_taken(slot) && node_in(slot)->op != OP_NONE) {
			done(slot);
			return true;
		}
	if (next_ms() < 0)
		return false;
	pass_ms(next_ms());
	return true;
}

static void come_to_rest(void)
{
	while (go_on())
		;
	expect_graph(last_graph(), "succeeded");
	ck_assert_uint_eq(story_group()->live, story_group()->spec.size);
	ck_assert_uint_eq(story_group()->losses, 0);
	story.did[0] = story.told[0] = '\0';
}

/* Every moment. */

enum way { BY_KILL, BY_EXIT, BY_HEALTH, WAYS };

struct rollout {
	uint32_t size, next_size;
	uint64_t version, next_version;
	struct policy policy;
};

static const struct rollout rollouts[] = {
	{0, 4, 1, 1, {.max_unavailable = {.value = 1}}},
	{0, 4, 1, 1, {.max_unavailable = {.value = 1}, .max_parallel = 1}},
	{3, 3, 1, 2, {.max_unavailable = {.value = 1}}},
	{3, 3, 1, 2, {.max_unavailable = {.value = 2}, .min_ready_ms = 500}},
	{2, 4, 1, 2, {.max_unavailable = {.value = 1}, .max_parallel = 1}},
	{3, 3, 1, 2, {.max_surge = {.value = 1}}},
	{5, 3, 1, 2, {.max_surge = {.value = 2}, .max_unavailable = {.value = 1}}},
};

/* Whether a loss here is made up for, and nobody else has it to make up for. */
static bool all_replaced(const struct rollout *rollout)
{
	return rollout->policy.max_surge.value == 0 && rollout->next_size >= rollout->size &&
		rollout->policy.min_ready_ms == 0;
}

static void begin_rollout(const struct rollout *rollout)
{
	story_setup();
	update_to(rollout->size, rollout->version);
	come_to_rest();
	story.policy = rollout->policy;
	update_to(rollout->next_size, rollout->next_version);
}

/* Whether the node in this slot could be lost in this way, and so was. */
static bool lose(uint32_t slot, enum way way)
{
	const struct node *node = slot_taken(slot) ? node_in(slot) : NULL;
	bool runs = node && node->op == OP_NONE && node->state == NODE_RUNNING;

	if (!node || (way == BY_KILL ? node->op == OP_KILL : !runs))
		return false;
	if (way == BY_KILL)
		kill_slot(slot);
	else if (way == BY_EXIT)
		exits(slot);
	else
		health(slot, false);
	return true;
}

/* Who was stopped as unhealthy has not died; and with a surge a kill may end behind the successor's start. */
static void check_moment(enum way way)
{
	ck_assert_uint_le(died(), way != BY_HEALTH);
	if (way == BY_HEALTH || story.policy.max_surge.value > 0)
		ck_assert_uint_le(replaced(), 1);
	else
		ck_assert_uint_le(replaced(), died());
}

/* The node in a slot is lost after so many steps. False where the rollout is over before. */
static bool lose_in_midst(const struct rollout *rollout, uint32_t steps, uint32_t slot, enum way way)
{
	bool lost;

	begin_rollout(rollout);
	for (uint32_t i = 0; i < steps; i++)
		if (!go_on()) {
			story_end();
			return false;
		}
	lost = lose(slot, way);
	while (lost && go_on())
		check_moment(way);
	if (lost && rollout->policy.min_ready_ms == 0)
		come_to_rest();
	if (lost && all_replaced(rollout))
		expect_counts(way != BY_HEALTH, 1);
	story_end();
	return true;
}

START_TEST(one_is_lost_at_any_moment)
{
	for (size_t i = 0; i < sizeof rollouts / sizeof rollouts[0]; i++)
		for (enum way way = 0; way < WAYS; way++)
			for (uint32_t slot = 0; slot < 7; slot++)
				for (uint32_t steps = 0;
					lose_in_midst(&rollouts[i], steps, slot, way); steps++)
					;
}
END_TEST

/* The second one is lost some steps behind the first. Those in two slots have two successors; in one slot
 * the second may be the successor of the first. */
static bool lose_two(const struct rollout *rollout, uint32_t steps, uint32_t more, const uint32_t slots[2])
{
	bool first = false, second = false;

	begin_rollout(rollout);
	for (uint32_t i = 0; i < steps + more; i++) {
		if (i == steps)
			first = lose(slots[0], BY_KILL);
		if (!go_on()) {
			story_end();
			return i > steps;
		}
	}
	second = more > 0 && first && lose(slots[1], BY_KILL);
	come_to_rest();
	ck_assert_uint_eq(died(), first + second);
	if (all_replaced(rollout) && slots[0] != slots[1])
		ck_assert_uint_eq(replaced(), died());
	ck_assert_uint_le(replaced(), died());
	ck_assert_uint_ge(replaced(), all_replaced(rollout) && first);
	story_end();
	return true;
}

START_TEST(two_are_lost_at_any_moment)
{
	for (uint32_t pair = 0; pair < 16; pair++) {
		const uint32_t slots[2] = {pair / 4, pair % 4};

		for (size_t i = 0; i < sizeof rollouts / sizeof rollouts[0]; i++)
			for (uint32_t more = 1; more < 6; more++)
				for (uint32_t steps = 0;
					rollouts[i].policy.min_ready_ms == 0 &&
					lose_two(&rollouts[i], steps, more, slots); steps++)
					;
	}
}
END_TEST

/* Who is a death, and who is not. */

START_TEST(only_the_lost_one_is_replaced)
{
	story_setup();
	story.policy.max_parallel = 1;
	update_to(5, 1);
	kill_slot(0);
	come_to_rest();
	expect_counts(1, 1);
	story_end();
}
END_TEST

START_TEST(one_that_is_killed_between_attempts_has_died)
{
	story_setup();
	update_to(2, 1);
	answer(1, RESULT_FAILED, "no room");
	expect_counts(0, 0);
	kill_slot(1);
	expect_counts(1, 0);
	come_to_rest();
	expect_counts(1, 1);
	story_end();
}
END_TEST

START_TEST(one_that_could_not_be_started_has_not_died)
{
	story_setup();
	update_to(2, 1);
	come_to_rest();
	exits(0);
	for (int attempt = 0; attempt < 4; attempt++) {
		if (attempt > 0)
			pass_ms(next_ms());
		answer(0, RESULT_FAILED, "no room");
	}
	expect_graph(last_graph(), "failed");
	expect_counts(1, 0);
	/* Whoever comes instead has that to make up for, once. */
	come_to_rest();
	expect_counts(1, 1);
	story_end();
}
END_TEST

START_TEST(a_successor_that_is_killed_has_replaced_nobody)
{
	story_setup();
	update_to(1, 1);
	come_to_rest();
	kill_slot(0);
	done(0);
	expect_nodes("s1");
	kill_slot(0);
	come_to_rest();
	expect_counts(2, 1);
	story_end();
}
END_TEST

START_TEST(one_that_could_not_be_killed_is_not_replaced)
{
	story_setup();
	story.policy.max_parallel = 1;
	update_to(2, 1);
	come_to_rest();
	kill_slot(0);
	answer(0, RESULT_FAILED, "not permitted");
	expect_counts(0, 0);
	come_to_rest(); /* it is stopped instead, as the unhealthy one that it is */
	expect_counts(0, 1);
	story_end();
}
END_TEST

/* It is well again before the stop that is planned for it: that is one like any other of the upgrade. */
START_TEST(one_that_recovers_from_its_kill_is_not_lost)
{
	story_setup();
	update_to(2, 1);
	come_to_rest();
	story.policy.max_parallel = 1;
	update_to(2, 2);
	expect_nodes("a1 d1");
	kill_slot(0);
	answer(0, RESULT_FAILED, "not permitted");
	expect_nodes("u1 d1");
	health(0, true);
	expect_nodes("a1 d1");
	come_to_rest();
	expect_nodes("a2 a2");
	expect_counts(0, 0);
	story_end();
}
END_TEST

START_TEST(one_that_recovers_replaces_nobody)
{
	story_setup();
	update_to(1, 1);
	come_to_rest();
	health(0, false);
	come_to_rest();
	expect_counts(0, 1);
	health(0, false);
	health(0, true);
	come_to_rest();
	expect_counts(0, 1);
	story_end();
}
END_TEST

/* Where successors come. */

START_TEST(a_smaller_group_replaces_nobody)
{
	story_setup();
	update_to(3, 1);
	come_to_rest();
	exits(2);
	done(2);
	expect_counts(1, 1);
	exits(2);
	expect_nodes("a1 a1");
	update_to(2, 1);
	update_to(3, 1);
	come_to_rest();
	expect_counts(2, 1);
	/* Neither does one that is larger than before. */
	update_to(4, 2);
	come_to_rest();
	expect_counts(2, 1);
	story_end();
}
END_TEST

START_TEST(one_is_replaced_in_another_slot)
{
	story_setup();
	update_to(4, 1);
	come_to_rest();
	ck_assert_int_eq(ask(CORE_MARK, &node_in(0)->id), 0);
	update_to(3, 1);
	come_to_rest();
	expect_nodes("- a1 a1 a1");
	exits(3);
	expect_nodes("s1 a1 a1");
	come_to_rest();
	expect_counts(1, 1);
	update_to(4, 1); /* into the slot of the lost one */
	come_to_rest();
	expect_nodes("a1 a1 a1 a1");
	expect_counts(1, 1);
	story_end();
}
END_TEST

START_TEST(a_surge_may_be_quicker_than_the_kill)
{
	story_setup();
	update_to(2, 1);
	come_to_rest();
	story.policy.max_surge.value = 1;
	update_to(2, 1);
	kill_slot(0);
	expect_nodes("d1 a1 s1");
	done(2);
	expect_counts(0, 1);
	come_to_rest();
	expect_counts(1, 1);
	story_end();
}
END_TEST

/* It is stopped as unhealthy, its loss is taken to another slot, and then it is killed. */
START_TEST(one_is_lost_but_once)
{
	story_setup();
	update_to(1, 1);
	come_to_rest();
	story.policy.max_surge.value = 1;
	story.policy.max_parallel = 1;
	health(0, false);
	update_to(3, 1);
	expect_nodes("d1");
	kill_slot(0);
	update_to(3, 1);
	come_to_rest();
	expect_nodes("- a1 a1 a1");
	expect_counts(1, 1);
	story_end();
}
END_TEST

/* Whatever the attempts. */
static void fail_to_stop(uint32_t slot)
{
	while (node_in(slot)->state != NODE_UNHEALTHY) {
		if (node_in(slot)->op == OP_STOP)
			answer(slot, RESULT_FAILED, "it does not stop");
		else
			pass_ms(next_ms());
	}
}

/* The unhealthy node of slot 0 is being stopped, and a new plan starts its replacement in slot 1; the stop fails for
 * good while nodes are still missing. */
static void fail_to_stop_a_replaced_node(void)
{
	story_setup();
	update_to(1, 1);
	come_to_rest();
	story.policy.max_surge.value = 1;
	story.policy.max_parallel = 2;
	health(0, false);
	update_to(4, 1);
	done(1);
	expect_nodes("d1 a1 s1");
	expect_counts(0, 1);
	fail_to_stop(0);
	done(2);
	expect_graph(last_graph(), "failed");
	expect_nodes("u1 a1 a1");
	expect_counts(0, 1);
}

START_TEST(one_that_was_replaced_and_could_not_be_stopped_is_not_lost_again)
{
	fail_to_stop_a_replaced_node();
	exits(0);
	come_to_rest();
	expect_nodes("a1 a1 a1 a1");
	expect_counts(1, 1);
	story_end();
}
END_TEST

START_TEST(one_that_was_replaced_is_not_lost_again_by_another_stop)
{
	fail_to_stop_a_replaced_node();
	update_to(4, 1);
	come_to_rest();
	expect_counts(0, 1);
	story_end();
}
END_TEST

START_TEST(one_that_was_replaced_and_recovers_can_be_lost_again)
{
	fail_to_stop_a_replaced_node();
	health(0, true);
	exits(0);
	come_to_rest();
	expect_counts(1, 2);
	story_end();
}
END_TEST

START_TEST(one_that_was_not_replaced_and_could_not_be_stopped_can_be_lost_again)
{
	story_setup();
	update_to(2, 1);
	come_to_rest();
	health(0, false);
	expect_nodes("d1 a1");
	update_to(1, 1); /* nothing is to come in its place */
	fail_to_stop(0);
	expect_nodes("u1 a1");
	update_to(2, 1);
	come_to_rest();
	expect_nodes("a1 a1");
	expect_counts(0, 1);
	story_end();
}
END_TEST

START_TEST(a_cancelled_rollout_leaves_the_loss)
{
	story_setup();
	update_to(2, 1);
	come_to_rest();
	exits(0);
	done(0);
	exits(0);
	ck_assert_int_eq(ask(CORE_CANCEL, &last_graph()->id), 0);
	expect_nodes("- a1");
	expect_counts(2, 1);
	update_to(2, 2);
	come_to_rest();
	expect_counts(2, 2);
	story_end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		one_is_lost_at_any_moment, two_are_lost_at_any_moment, only_the_lost_one_is_replaced,
		one_that_is_killed_between_attempts_has_died,
		one_that_could_not_be_started_has_not_died,
		a_successor_that_is_killed_has_replaced_nobody,
		one_that_could_not_be_killed_is_not_replaced,
		one_that_recovers_from_its_kill_is_not_lost, one_that_recovers_replaces_nobody,
		a_smaller_group_replaces_nobody, one_is_replaced_in_another_slot,
		a_surge_may_be_quicker_than_the_kill, one_is_lost_but_once,
		one_that_was_replaced_and_could_not_be_stopped_is_not_lost_again,
		one_that_was_replaced_is_not_lost_again_by_another_stop,
		one_that_was_replaced_and_recovers_can_be_lost_again,
		one_that_was_not_replaced_and_could_not_be_stopped_can_be_lost_again,
		a_cancelled_rollout_leaves_the_loss,
	};

	return story_main("core, losses", tests, sizeof tests / sizeof tests[0]);
}
