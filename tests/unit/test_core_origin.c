/* Who asked for a graph, who cancelled it, and who marked a node. */
#include "core_story.h"

static struct origin user(const char *name, uid_t uid)
{
	struct origin origin = {.uid = uid};

	strcpy(origin.user, name);
	return origin;
}

static struct core_event as(struct core_event event, const char *name, uid_t uid)
{
	event.now = story.now;
	event.origin = user(name, uid);
	return event;
}

static struct core_event about(enum core_event_kind kind, const struct id *id)
{
	return (struct core_event){.kind = kind, .id = *id};
}

static void must_do(struct core_event event)
{
	ck_assert_int_eq(story_step(event), 0);
}

/* Several in one pass: what they make due is planned behind the last. */
static void feed(struct core_event event)
{
	ck_assert_int_eq(core_step(&story.core, &event, &story.update, &story.error), 0);
}

static void expect_origin(const struct origin *is, const char *name, uid_t uid)
{
	ck_assert_str_eq(is->user, name);
	if (origin_known(is))
		ck_assert_uint_eq(is->uid, uid);
}

#define expect_asked(reason_, name, uid)                                    \
	do {                                                                \
		ck_assert_str_eq(reason_name(last_graph()->reason), reason_); \
		expect_origin(&last_graph()->origin, name, uid);            \
		expect_origin(&last_graph()->canceller, "", 0);             \
	} while (0)

static void three_of_anna(void)
{
	story_setup();
	must_do(as(update_event(3, 1), "anna", 1001));
	expect_asked("update", "anna", 1001);
	all_done();
}

START_TEST(a_kill_is_of_who_killed)
{
	three_of_anna();
	must_do(as(about(CORE_KILL, &node_in(1)->id), "carol", 1003));
	expect_asked("kill", "carol", 1003);
	all_done();
	expect_asked("kill", "carol", 1003);
	must_do(as(update_event(3, 1), "bert", 1002));
	expect_asked("update", "bert", 1002);
	story_end();
}
END_TEST

START_TEST(of_many_kills_of_a_pass_the_first_is_told)
{
	three_of_anna();
	feed(as(about(CORE_KILL, &node_in(0)->id), "carol", 1003));
	feed(as(about(CORE_KILL, &node_in(1)->id), "bert", 1002));
	story_pass();
	expect_asked("kill", "carol", 1003);
	feed(as(about(CORE_KILL, &node_in(2)->id), "bert", 1002));
	feed(as(update_event(3, 1), "dora", 1004));
	story_pass();
	expect_asked("update", "dora", 1004);
	story_end();
}
END_TEST

/* What a user did is told rather than what happened in the same moment. */
START_TEST(a_kill_is_told_before_a_death)
{
	three_of_anna();
	feed((struct core_event){.kind = CORE_EXITED, .now = story.now, .id = node_in(0)->id});
	feed(as(about(CORE_KILL, &node_in(1)->id), "carol", 1003));
	feed((struct core_event){.kind = CORE_EXITED, .now = story.now, .id = node_in(2)->id});
	story_pass();
	expect_asked("kill", "carol", 1003);
	story_end();
}
END_TEST

START_TEST(what_imd_does_by_itself_is_of_nobody)
{
	three_of_anna();
	must_do(as(about(CORE_KILL, &node_in(1)->id), "carol", 1003));
	all_done();
	exits(0);
	expect_asked("heal", "", 0);
	all_done();
	/* A start that was quicker than its cancel. */
	must_do(as(update_event(4, 1), "anna", 1001));
	must_do(as(update_event(4, 2), "anna", 1001));
	done(3);
	expect_asked("settle", "", 0);
	story_end();
}
END_TEST

START_TEST(a_cancel_is_of_who_cancelled)
{
	struct id graph;

	three_of_anna();
	must_do(as(update_event(3, 2), "bert", 1002));
	graph = last_graph()->id;
	must_do(as(about(CORE_CANCEL, &graph), "carol", 1003));
	for (int ended = 0; ended < 2; ended++) {
		expect_graph(last_graph(), "cancelled");
		expect_origin(&last_graph()->origin, "bert", 1002);
		expect_origin(&last_graph()->canceller, "carol", 1003);
		all_done();
	}
	/* One that is refused changes nothing. */
	ck_assert_int_eq(story_step(as(about(CORE_CANCEL, &graph), "dora", 1004)), -1);
	expect_origin(&last_graph()->canceller, "carol", 1003);
	story_end();
}
END_TEST

START_TEST(a_preview_is_of_who_asks)
{
	struct core_event event;
	struct graph *graph;

	three_of_anna();
	event = as(update_event(3, 2), "bert", 1002);
	ck_assert_int_eq(core_preview(&story.core, &event, &graph, &story.error), 0);
	expect_origin(&graph->origin, "bert", 1002);
	graph_free(graph);
	story_end();
}
END_TEST

static struct core_event mark(uint32_t slot, bool marked)
{
	return (struct core_event){.kind = CORE_MARK, .id = node_in(slot)->id, .mark = marked};
}

static void expect_marker(const struct node *node, const char *name, uid_t uid)
{
	const struct origin *marker = node_marker(&story.core.nodes, node);

	ck_assert_int_eq(node->marked, 1);
	ck_assert_ptr_nonnull(marker);
	expect_origin(marker, name, uid);
}

static void expect_unmarked(const struct node *node)
{
	ck_assert_int_eq(node->marked, 0);
	ck_assert_ptr_null(node_marker(&story.core.nodes, node));
}

START_TEST(a_mark_is_of_who_marked_last)
{
	three_of_anna();
	expect_unmarked(node_in(0));
	must_do(as(mark(0, true), "carol", 1003));
	must_do(as(mark(1, true), "bert", 1002));
	expect_marker(node_in(0), "carol", 1003);
	expect_marker(node_in(1), "bert", 1002);
	must_do(as(mark(0, true), "bert", 1002));
	expect_marker(node_in(0), "bert", 1002);
	must_do(as(mark(0, false), "carol", 1003));
	expect_unmarked(node_in(0));
	expect_marker(node_in(1), "bert", 1002);
	expect_unmarked(node_in(2));
	story_end();
}
END_TEST

START_TEST(an_ended_node_keeps_who_marked_it)
{
	const struct node *node;

	three_of_anna();
	node = node_in(1);
	must_do(as(mark(1, true), "carol", 1003));
	must_do(as(update_event(2, 1), "anna", 1001));
	all_done();
	ck_assert_int_eq(node->state, NODE_SHUT_DOWN);
	expect_marker(node, "carol", 1003);
	story_end();
}
END_TEST

/* However many nodes they mark, and whatever becomes of those. */
START_TEST(a_user_who_marks_takes_one_place)
{
	static const char *const names[] = {"anna", "bert", "carol"};

	story_setup();
	story.core.config.keep_nodes = 0;
	for (unsigned round = 0; round < 20; round++) {
		must_do(as(update_event(3, round), "anna", 1001));
		all_done();
		for (uint32_t slot = 0; slot < 3; slot++)
			must_do(as(mark(slot, true), names[slot], 1001 + slot));
		ck_assert_uint_le(story.core.nodes.marker_count, 3);
	}
	for (uint32_t slot = 0; slot < 3; slot++)
		must_do(as(mark(slot, false), "anna", 1001));
	for (uint32_t place = 0; place < story.core.nodes.marker_count; place++)
		ck_assert_uint_eq(story.core.nodes.markers[place].nodes, 0);
	story_end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_kill_is_of_who_killed, of_many_kills_of_a_pass_the_first_is_told,
		a_kill_is_told_before_a_death, what_imd_does_by_itself_is_of_nobody,
		a_cancel_is_of_who_cancelled, a_preview_is_of_who_asks,
		a_mark_is_of_who_marked_last, an_ended_node_keeps_who_marked_it,
		a_user_who_marks_takes_one_place,
	};

	return story_main("core, who asked", tests, sizeof tests / sizeof tests[0]);
}
