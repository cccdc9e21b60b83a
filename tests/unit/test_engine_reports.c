/* Reports of the driver wait in a queue, as the core takes them. */
#include <string.h>

#include "engine/reports.h"
#include "unit.h"

/* The length of the text of a report whose driver had this many bytes to say. */
static size_t length_reported(size_t said)
{
	struct report report = {.kind = CORE_EXITED};
	struct reports reports = {.count = 0};
	struct core_event event;
	char *text = malloc(said + 1);
	size_t len;

	memset(text, 'x', said);
	text[said] = '\0';
	reports_push(&reports, &report, text);
	free(text);
	ck_assert(reports_first(&reports, &event));
	len = strlen(event.text);
	reports_pop(&reports);
	reports_fini(&reports);
	return len;
}

/* The state file, and with it the next start, refuses a longer text. */
START_TEST(a_text_is_cut_to_the_length_of_an_error)
{
	ck_assert_uint_eq(length_reported(0), 0);
	ck_assert_uint_eq(length_reported(LIMIT_ERROR_TEXT - 1), LIMIT_ERROR_TEXT - 1);
	ck_assert_uint_eq(length_reported(LIMIT_ERROR_TEXT), LIMIT_ERROR_TEXT - 1);
	ck_assert_uint_eq(length_reported(100000), LIMIT_ERROR_TEXT - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("engine, reports");
	TCase *tests = tcase_create("engine, reports");

	tcase_add_test(tests, a_text_is_cut_to_the_length_of_an_error);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
