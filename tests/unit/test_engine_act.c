/* Which actions of an update still reach the driver when it is durable. */
#include "core_story.h"
#include "engine/act.h"

static struct {
	unsigned stops, kills;
} called;

static void count_stop(struct driver *driver, const struct driver_node *node)
{
	(void)driver;
	(void)node;
	called.stops++;
}

static void count_kill(struct driver *driver, const struct driver_node *node)
{
	(void)driver;
	(void)node;
	called.kills++;
}

static void act_on(const struct update *update)
{
	static const struct driver_ops ops = {.name = "counts", .stop = count_stop, .kill = count_kill};
	struct driver driver = {.ops = &ops};

	act(&story.core, &driver, update);
}

/* Into an update of its own, as a batch is. */
static void step_into(struct update *update, struct core_event event)
{
	event.now = story.now;
	strcpy(event.origin.user, "tester");
	ck_assert_int_eq(core_step(&story.core, &event, update, &story.error), 0);
}

static struct core_event kill_of(const struct id *id)
{
	return (struct core_event){.kind = CORE_KILL, .id = *id};
}

static struct core_event failure_of(const struct id *id)
{
	return (struct core_event){.kind = CORE_DONE, .id = *id, .text = "it does not end",
		.done = {.op = OP_KILL, .result = RESULT_FAILED}};
}

static void begin(struct update *first, struct update *second, struct id *ret_id)
{
	called.stops = called.kills = 0;
	story_setup();
	update_to(1, 1);
	all_done();
	update_init(first, story_notice, NULL);
	update_init(second, story_notice, NULL);
	*ret_id = node_in(0)->id;
}

static void end(struct update *first, struct update *second)
{
	update_fini(first);
	update_fini(second);
	story_end();
}

START_TEST(a_call_reaches_the_driver)
{
	struct update first, second;
	struct id id;

	begin(&first, &second, &id);
	step_into(&first, kill_of(&id));
	act_on(&first);
	ck_assert_uint_eq(called.kills, 1);
	end(&first, &second);
}
END_TEST

START_TEST(a_call_that_was_answered_is_void)
{
	struct update first, second;
	struct id id;

	begin(&first, &second, &id);
	step_into(&first, kill_of(&id));
	step_into(&second, failure_of(&id));
	act_on(&first);
	ck_assert_uint_eq(called.kills, 0);
	end(&first, &second);
}
END_TEST

/* The second one is called when it is durable, and not in place of the first. */
START_TEST(a_call_that_was_answered_and_is_made_again_is_called_once)
{
	struct update first, second;
	struct id id;

	begin(&first, &second, &id);
	step_into(&first, kill_of(&id));
	step_into(&first, failure_of(&id));
	step_into(&second, kill_of(&id));
	act_on(&first);
	ck_assert_uint_eq(called.kills, 0);
	act_on(&second);
	ck_assert_uint_eq(called.kills, 1);
	ck_assert_uint_eq(called.stops, 0);
	end(&first, &second);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_call_reaches_the_driver, a_call_that_was_answered_is_void,
		a_call_that_was_answered_and_is_made_again_is_called_once,
	};

	return story_main("engine, actions", tests, sizeof tests / sizeof tests[0]);
}
