/* The record of a task whose line is too long to be made at once: in goes of every size it comes to
 * the same. */
#include <stdlib.h>
#include <string.h>

#include "core/planner.h"
#include "server/records.h"
#include "unit.h"

static struct graph *graph_of_starts(uint32_t count)
{
	struct plan_target target = {.size = count, .version = 1, .unavailable = 1};
	struct graph *graph = calloc(1, sizeof *graph);

	ck_assert_ptr_nonnull(graph);
	ck_assert_int_eq(plan_make(graph, NULL, 0, &target, NULL), 0);
	return graph;
}

START_TEST(goes_add_up)
{
	struct graph *graph = graph_of_starts(200);
	struct record_place place = {0};
	struct buf whole = BUF_INIT, parts = BUF_INIT;

	ck_assert(records_task(&whole, graph, 200, &place, SIZE_MAX));
	ck_assert_ptr_nonnull(memmem(whole.data, whole.len, "prereqs=0,1,2,", 14));
	for (size_t go = 1; go < whole.len; go++) {
		unsigned goes = 0;

		parts.len = 0;
		place = (struct record_place){0};
		while (!records_task(&parts, graph, 200, &place, parts.len + go)) {
			ck_assert(place.open);
			ck_assert_uint_lt(goes++, whole.len);
		}
		ck_assert(!place.open);
		ck_assert_uint_eq(parts.len, whole.len);
		ck_assert_int_eq(memcmp(parts.data, whole.data, whole.len), 0);
	}
	buf_fini(&whole);
	buf_fini(&parts);
	graph_free(graph);
}
END_TEST

START_TEST(a_go_stops_at_its_limit)
{
	struct graph *graph = graph_of_starts(100000);
	struct record_place place = {0};
	struct buf buf = BUF_INIT;

	ck_assert(!records_task(&buf, graph, 100000, &place, 4096));
	ck_assert_uint_ge(buf.len, 4096);
	ck_assert_uint_le(buf.len, 4096 + 16);
	buf_fini(&buf);
	graph_free(graph);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("records");
	TCase *tests = tcase_create("task");

	tcase_add_test(tests, goes_add_up);
	tcase_add_test(tests, a_go_stops_at_its_limit);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
