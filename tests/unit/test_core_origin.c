/* Who is told to have asked for a graph, and to have cancelled it. */
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

int main(void)
{
	const TTest *const tests[] = {
		a_kill_is_of_who_killed, of_many_kills_of_a_pass_the_first_is_told,
		a_kill_is_told_before_a_death, what_imd_does_by_itself_is_of_nobody,
		a_cancel_is_of_who_cancelled, a_preview_is_of_who_asks,
	};

	return story_main("core, who asked", tests, sizeof tests / sizeof tests[0]);
}
