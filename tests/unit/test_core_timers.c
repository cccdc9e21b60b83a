/* The timers against a naive model: a list searched from end to end. */

#include "core/timers.h"
#include "unit.h"

enum { LIVE_MAX = 500, STEPS = 50000 };

/* What is alive, in the order it was added. */
static struct item {
	struct timer timer;
	uint32_t handle;
} items[LIVE_MAX];
static uint32_t item_count;

static uint32_t item_earliest(void)
{
	uint32_t earliest = 0;

	for (uint32_t i = 1; i < item_count; i++)
		if (items[i].timer.deadline_ms < items[earliest].timer.deadline_ms)
			earliest = i;
	return earliest;
}

static void item_drop(uint32_t place)
{
	item_count--;
	for (uint32_t i = place; i < item_count; i++)
		items[i] = items[i + 1];
}

static void assert_same(const struct timer *a, const struct timer *b)
{
	must(a->deadline_ms == b->deadline_ms);
	must(a->kind == b->kind);
	must(a->a == b->a);
	must(a->b == b->b);
}

static void step_add(struct timers *timers, int64_t now_ms)
{
	struct item *item = &items[item_count];

	if (item_count == LIVE_MAX)
		return;
	/* Some are due already, many have the same deadline, and some are never due. */
	item->timer = (struct timer){.deadline_ms = now_ms - 5 + random_below(50),
		.kind = random_below(9), .a = random_below(UINT32_MAX), .b = random_below(100)};
	if (random_below(50) == 0)
		item->timer.deadline_ms = random_below(2) ? INT64_MAX : INT64_MIN;
	item->handle = timers_add(timers, item->timer);
	for (uint32_t i = 0; i < item_count; i++)
		must(items[i].handle != item->handle);
	item_count++;
}

static void step_cancel(struct timers *timers)
{
	uint32_t place;

	if (!item_count)
		return;
	place = random_below(item_count);
	assert_same(timers_get(timers, items[place].handle), &items[place].timer);
	timers_cancel(timers, items[place].handle);
	item_drop(place);
}

static void step_pop(struct timers *timers, int64_t now_ms)
{
	uint32_t earliest = item_count ? item_earliest() : 0;
	bool due = item_count && items[earliest].timer.deadline_ms <= now_ms;
	struct timer timer;

	must(timers_pop(timers, now_ms, &timer) == due);
	if (!due)
		return;
	assert_same(&timer, &items[earliest].timer);
	item_drop(earliest);
}

START_TEST(random_against_model)
{
	struct timers timers;
	int64_t now_ms = 0;

	random_state = unit_seed + (uint64_t)_i;
	item_count = 0;
	timers_init(&timers);
	for (uint32_t step = 0; step < STEPS; step++) {
		bool filling = step / (1000 * ((uint32_t)_i + 1)) % 2 == 0;
		uint32_t dice = random_below(16);

		if (dice < (filling ? 10 : 3))
			step_add(&timers, now_ms);
		else if (dice < (filling ? 12 : 9))
			step_cancel(&timers);
		else
			step_pop(&timers, now_ms += random_below(filling ? 2 : 9));
		must(timers.count == item_count);
		must(timers_next(&timers) == (item_count ? items[item_earliest()].timer.deadline_ms : INT64_MAX));
	}
	timers_fini(&timers);
}
END_TEST

START_TEST(equal_deadlines_in_order)
{
	struct timers timers;
	struct timer timer;

	timers_init(&timers);
	for (uint32_t i = 0; i < 1000; i++)
		timers_add(&timers, (struct timer){.deadline_ms = 7, .a = i});
	must(!timers_pop(&timers, 6, &timer));
	for (uint32_t i = 0; i < 1000; i++) {
		must(timers_pop(&timers, 7, &timer));
		must(timer.a == i);
	}
	must(!timers_pop(&timers, INT64_MAX, &timer));
	timers_fini(&timers);
}
END_TEST

/* A million timers that come and go cost no more than those alive at once. */
START_TEST(memory_is_bounded_by_live_timers)
{
	struct timers timers;
	uint32_t handles[100];

	timers_init(&timers);
	for (uint32_t i = 0; i < 1000000; i++) {
		uint32_t *handle = &handles[i % 100];

		if (i >= 100)
			timers_cancel(&timers, *handle);
		*handle = timers_add(&timers, (struct timer){.deadline_ms = (int64_t)i * 1000});
	}
	must(timers.count == 100);
	must(timers.capacity <= 128);
	timers_fini(&timers);
}
END_TEST

/* After a burst the memory goes with the last timer, and the order goes on. */
START_TEST(empty_again)
{
	struct timers timers;
	struct timer timer;

	timers_init(&timers);
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 100000; i++)
			timers_add(&timers, (struct timer){.deadline_ms = 100000 - i, .a = i});
		for (uint32_t i = 100000; i-- > 0;) {
			must(timers_pop(&timers, INT64_MAX, &timer));
			must(timer.a == i);
		}
		must(timers.capacity <= 1024);
		must(timers_next(&timers) == INT64_MAX);
	}
	timers_fini(&timers);
}
END_TEST

static Suite *timers_suite(void)
{
	Suite *suite = suite_create("timers");
	TCase *tests = tcase_create("timers");

	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, random_against_model, 0, 4);
	tcase_add_test(tests, equal_deadlines_in_order);
	tcase_add_test(tests, memory_is_bounded_by_live_timers);
	tcase_add_test(tests, empty_again);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	unit_take_seed();
	return unit_run(timers_suite(), CK_FORK_GETENV);
}
